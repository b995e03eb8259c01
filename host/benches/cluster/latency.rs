//! How soon a program tells of a change: from when the API server has answered the write until the line has come.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use crate::changes::{self, Change, Followed, Line, Seen};
use crate::figures::{Figures, Goal, goals, thousands};
use crate::population::Population;
use crate::support::host::Workplace;
use crate::support::plugins;
use crate::{page, program, say, start_control_plane};

const OBJECTS: usize = 5_000;
/// Changes a second.
const RATE: u32 = 500;
/// How many changes each program sees in a round: each object is changed once.
const CHANGES: u32 = 5_000;
/// How many rounds there are, if nothing else is said.
const ROUNDS: usize = 6;

/// How late a program told of each change of a round, in milliseconds.
struct Late {
    /// How late the API server had answered, for comparison.
    answered: Vec<f64>,
    since_answered: Vec<f64>,
    since_due: Vec<f64>,
}

/// When each change was told of.
#[derive(Default)]
struct Told {
    lines: usize,
    at: HashMap<u32, Instant>,
}

impl Seen for Told {
    fn take(&mut self, line: Line, at: Instant) {
        self.lines += 1;
        if let Some(stamp) = line.stamp {
            self.at.entry(stamp).or_insert(at);
        }
    }
}

/// Measures both programs in turns, in so many rounds, and writes the results into the page.
pub(crate) fn run(arguments: &[String]) {
    let rounds = arguments.first().map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let (runtime, cluster) = (Runtime::new().unwrap(), start_control_plane());
    let mut population = runtime.block_on(Population::none(&cluster));
    runtime.block_on(population.grow(OBJECTS));
    let (paths, place) = (changes::paths(OBJECTS), Workplace::new());
    place.plugin("print-containers", &plugins::print_containers());
    let host = || {
        let mut host = program::host();
        host.arg("run").arg("--plugins").arg(&place.plugins);
        host.env("OARLOCK_CACHE_DIR", place.folder.path().join("cache"));
        host
    };
    let native = || program::example("native");
    let programs: [(&str, &dyn Fn() -> Command); 2] = [("(a) oarlock", &host), ("(b) kube-rs", &native)];
    say("changing every object once, before anybody looks: the API server is slower at first");
    runtime.block_on(changes::change(population.client(), &paths, 0, (RATE, Semaphore::MAX_PERMITS), |stamp| {
        stamp == CHANGES
    }));
    let (mut late, mut next) = ([Vec::new(), Vec::new()], CHANGES);
    for round in 1..=rounds {
        // Whoever comes second finds the API server otherwise than whoever comes first.
        for which in if round % 2 == 1 { [0, 1] } else { [1, 0] } {
            let ((name, command), late) = (&programs[which], &mut late[which]);
            let mut command = command();
            command.env("KUBECONFIG", cluster.kubeconfig());
            let program = Followed::<Told>::start(command, place.folder.path().join("log"));
            program.wait("a line for each object", |seen| seen.lines == OBJECTS);
            let end = next + CHANGES;
            let load = changes::change(population.client(), &paths, next, (RATE, Semaphore::MAX_PERMITS), |stamp| {
                stamp == end
            });
            let made = runtime.block_on(load);
            next = end;
            program
                .wait("a line for each change", |seen| made.iter().all(|change| seen.at.contains_key(&change.stamp)));
            late.push(late_by(&program, &made));
            let of_round = &late[late.len() - 1..];
            let (since, until) = (row(of_round, |late| &late.since_answered), row(of_round, |late| &late.answered));
            say(&format!("round {round}, {name}: {since} and until the answer {until}"));
        }
    }
    page::replace("latency", &report(&late, rounds));
}

/// How late each change was told of.
fn late_by(program: &Followed<Told>, made: &[Change]) -> Late {
    let seen = program.seen();
    let since = |instant: fn(&Change) -> Instant| {
        // A watch may bring a change before the write is answered.
        let late = |change: &Change| seen.at[&change.stamp].saturating_duration_since(instant(change));
        made.iter().map(|change| milliseconds(late(change))).collect()
    };
    let answered = made.iter().map(|change| milliseconds(change.answered - change.due)).collect();
    Late { answered, since_answered: since(|change| change.answered), since_due: since(|change| change.due) }
}

fn report(late: &[Vec<Late>; 2], rounds: usize) -> String {
    let mut text = format!(
        "| milliseconds, in {rounds} rounds of {} changes | p50 | p99 | p99.9 | most |\n|---|---|---|---|---|\n",
        thousands(CHANGES)
    );
    for (what, of) in [
        ("since the write was answered", (|late| &late.since_answered) as Since),
        ("since it was to be made", |late| &late.since_due),
        ("of that until the write was answered", |late| &late.answered),
    ] {
        for (name, late) in ["(a) oarlock", "(b) kube-rs"].iter().zip(late) {
            writeln!(text, "| {name}, {what} |{}", row(late, of)).unwrap();
        }
    }
    let p99 = |late| of_rounds(late, |late| &late.since_answered, 0.99).median();
    let ratio = p99(&late[0]) / p99(&late[1]);
    let what = "p99 since the write was answered, as a multiple of that of (b), medians of the rounds".into();
    text + "\n" + &goals(&[Goal { what, at_most: 1.0, measured: Some(ratio) }])
}

/// One of the three figures that there are for each change.
type Since = fn(&Late) -> &Vec<f64>;

/// The median, the 99th and the 99.9th percentile and the most, in the rounds.
fn row(late: &[Late], since: Since) -> String {
    [0.5, 0.99, 0.999, 1.0].map(|part| format!(" {} |", of_rounds(late, since, part))).concat()
}

/// That quantile in each of the rounds.
fn of_rounds(late: &[Late], since: Since, part: f64) -> Figures {
    Figures::new(late.iter().map(|late| Figures::new(since(late).iter().copied()).quantile(part)))
}

/// As people read them.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
