//! Whole programs on a real control plane, measured from outside. `make bench` runs all of it and writes
//! `docs/benchmarks.md`; `cargo bench -p oarlock --bench cluster -- throughput 1000 5000` runs one scenario, with
//! arguments, and `... -- keep 5000` none, but keeps the control plane for a profiler. It needs what `make bench` builds before: the control plane, the default plugin, and the two examples.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on ends by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures are small, and shown with three digits"
)]

#[allow(dead_code, reason = "tests use the rest of it")]
#[path = "../../tests/cluster/control_plane.rs"]
mod control_plane;
#[path = "../support/figures.rs"]
mod figures;
#[path = "../support/page.rs"]
mod page;
#[path = "../support/plot.rs"]
mod plot;
#[path = "../../tests/support/mod.rs"]
mod support;

mod changes;
mod latency;
mod machine;
mod objects;
mod plugins;
mod population;
mod program;
mod reload;
mod report;
mod throughput;

use tokio::runtime::Runtime;

use control_plane::ControlPlane;
use population::Population;

/// What can be measured: its name, and what does it with these arguments.
type Scenario = (&'static str, fn(&[String]));

/// Without arguments, each measures what `docs/benchmarks.md` shows.
const SCENARIOS: [Scenario; 4] =
    [("throughput", throughput::run), ("latency", latency::run), ("reload", reload::run), ("plugins", plugins::run)];

fn main() {
    // Cargo passes it to each benchmark.
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let Some((name, rest)) = arguments.split_first() else {
        return SCENARIOS.iter().for_each(|(_, run)| run(&[]));
    };
    if name == "keep" {
        return keep(rest);
    }
    let Some((_, run)) = SCENARIOS.iter().find(|(scenario, _)| scenario == name) else {
        panic!("there is no scenario `{name}`, but {:?}", SCENARIOS.map(|(name, _)| name));
    };
    run(rest);
}

/// Makes so many ReplicaSets, and keeps the control plane until ctrl-C: for a profiler, say.
fn keep(arguments: &[String]) {
    let count = arguments.first().map_or(5_000, |count| count.parse().unwrap());
    let (runtime, cluster) = (Runtime::new().unwrap(), ControlPlane::start());
    let mut population = runtime.block_on(Population::none(&cluster));
    runtime.block_on(population.grow(count));
    say(&format!("{:?}", runtime.block_on(population.sizes())));
    say(&format!("KUBECONFIG={}", cluster.kubeconfig().display()));
    runtime.block_on(tokio::signal::ctrl_c()).unwrap();
}

/// Starts a control plane of etcd and an API server, with nothing that would change objects, and writes down what it and
/// the programs run on.
fn start_control_plane() -> ControlPlane {
    say("starting a control plane");
    let cluster = ControlPlane::start();
    page::replace("machine", &machine::describe(&cluster));
    cluster
}

/// Says what is being done.
fn say(what: &str) {
    eprintln!("bench: {what}");
}
