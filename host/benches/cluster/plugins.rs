//! Many plugins on one watch: what each takes of memory, how long the host takes to start, and how soon a change has
//! reached all of them.

use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use kube::Client;
use tokio::runtime::Runtime;

use crate::changes::{self, Followed, Line, Seen};
use crate::figures::{Figures, Goal, goals, short, thousands};
use crate::latency::milliseconds;
use crate::plot::{self, plot};
use crate::population::Population;
use crate::support::host::Workplace;
use crate::support::plugins;
use crate::{page, program, say, start_control_plane};

const OBJECTS: usize = 1_000;
/// How many plugins there are, if nothing else is said.
const COUNTS: [u32; 4] = [1, 10, 100, 1_000];
/// How many changes are made, one when the one before has reached all.
const CHANGES: u32 = 200;
/// How long nothing happens between them.
const PAUSE: Duration = Duration::from_millis(50);
/// After a minute without a call, by default, instances are let go (`--keep-idle`), and what they leave is given back to the
/// kernel within a quarter of a minute after that.
const IDLE: Duration = Duration::from_secs(80);
const KIB: f64 = 1024.0;

/// Which plugins have told of each change.
#[derive(Default)]
struct Reached {
    lines: usize,
    plugins: HashMap<u32, HashSet<u32>>,
    last: Option<Instant>,
}

impl Seen for Reached {
    fn take(&mut self, line: Line, at: Instant) {
        self.lines += 1;
        if let (Some(stamp), Some(version)) = (line.stamp, line.version) {
            self.plugins.entry(stamp).or_default().insert(version);
            self.last = Some(at);
        }
    }
}

/// What so many plugins came to.
struct Measured {
    count: u32,
    /// In seconds, from the start of the process until all are in force: with no objects, and with all of them.
    start: [f64; 2],
    /// In seconds, from there until each plugin was called for each object.
    called: f64,
    /// In milliseconds, for each change from its answer until all have told of it.
    late: Figures,
    /// In bytes, without what is mapped from files: with an instance of each, and with none.
    memory: [f64; 2],
}

/// Measures so many plugins, one number after the other, and writes the results into the page.
pub(crate) fn run(arguments: &[String]) {
    let counts: Vec<u32> = arguments.iter().map(|count| count.parse().unwrap()).collect();
    let counts = if counts.is_empty() { COUNTS.to_vec() } else { counts };
    let (runtime, cluster) = (Runtime::new().unwrap(), start_control_plane());
    let mut population = runtime.block_on(Population::none(&cluster));
    runtime.block_on(population.grow(OBJECTS));
    let (path, place) = (changes::paths(1).remove(0), Workplace::new());
    let (mut all, mut made, mut next) = (Vec::new(), 0, 0);
    for count in counts {
        say(&format!("compiling plugins, from {made} to {count}"));
        for version in made..count {
            place.plugin(&format!("plugin-{version:04}"), &plugins::versioned(version));
        }
        made = count;
        let host = |more: &[&str]| {
            let mut host = program::host();
            host.arg("run").arg("--plugins").arg(&place.plugins).args(more).env("KUBECONFIG", cluster.kubeconfig());
            host.env("OARLOCK_CACHE_DIR", place.folder.path().join("cache"));
            host
        };
        assert!(host(&["--namespace", "empty", "--once"]).status().unwrap().success());
        let stage = Stage { place: &place, count, runtime: &runtime, client: population.client(), path: &path };
        let measured = stage.measure(host(&["--namespace", "empty"]), host(&[]), &mut next);
        say(&row(&measured));
        all.push(measured);
    }
    page::replace("plugins", &report(&all));
    draw(&all);
}

struct Stage<'a> {
    place: &'a Workplace,
    count: u32,
    runtime: &'a Runtime,
    client: &'a Client,
    path: &'a str,
}

impl Stage<'_> {
    /// Starts the host without objects, and then with all of them.
    fn measure(&self, empty: Command, host: Command, next: &mut u32) -> Measured {
        let empty = self.in_force(&self.start(empty));
        let host = self.start(host);
        let in_force = self.in_force(&host);
        host.wait("a line of each plugin for each object", |seen| seen.lines == OBJECTS * self.count as usize);
        let called = host.started.elapsed().as_secs_f64() - in_force;
        let late: Vec<_> = (0..CHANGES).map(|_| self.reach(&host, next)).collect();
        let resident = host.memory().anonymous;
        thread::sleep(IDLE);
        let memory = [resident, host.memory().anonymous];
        Measured { count: self.count, start: [empty, in_force], called, late: Figures::new(late), memory }
    }

    fn start(&self, command: Command) -> Followed<Reached> {
        Followed::start(command, self.place.folder.path().join("log"))
    }

    /// Waits until all plugins are in force, and returns how long that takes.
    fn in_force(&self, host: &Followed<Reached>) -> f64 {
        loop {
            if host.log().matches(" is in force").count() == self.count as usize {
                return host.started.elapsed().as_secs_f64();
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes a change, and returns how long it takes until all have told of it.
    fn reach(&self, host: &Followed<Reached>, next: &mut u32) -> f64 {
        let stamp = *next;
        *next += 1;
        let answered = self.runtime.block_on(changes::change_one(self.client, self.path, stamp));
        let reached = |seen: &Reached| seen.plugins.get(&stamp).is_some_and(|told| told.len() == self.count as usize);
        host.wait("a line of each plugin for the change", reached);
        let last = host.seen().last.unwrap();
        thread::sleep(PAUSE);
        milliseconds(last.saturating_duration_since(answered))
    }
}

fn report(all: &[Measured]) -> String {
    let titles = [
        "plugins",
        "start without objects, s",
        "start with objects, s",
        "from there until each is called for each, s",
        "a change to all: p50, ms",
        "p99, ms",
        "with instances, KiB",
        "idle, KiB",
    ];
    let mut text = format!("| {} |\n|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
    for measured in all {
        text += &row(measured);
    }
    let (Some(first), Some(last)) = (all.first(), all.last().filter(|last| last.count > 1)) else { return text };
    let each = |which: usize| {
        let more = f64::from(last.count - first.count);
        Some((last.memory[which] - first.memory[which]) / KIB / more).filter(|each| each.is_finite())
    };
    let of_all = |figure: f64| Some(figure).filter(|_| last.count == COUNTS[COUNTS.len() - 1]);
    let goal = |what: &str, at_most, measured| Goal { what: what.into(), at_most, measured };
    text + "\n"
        + &goals(&[
            goal("KiB for each further plugin, with an instance that is kept", 100.0, each(0)),
            goal("KiB for each further plugin that is idle", 20.0, each(1)),
            goal("seconds until 1,000 plugins are in force, without objects", 5.0, of_all(last.start[0])),
            goal("seconds until 1,000 plugins are in force, with objects to reconcile", 5.0, of_all(last.start[1])),
            goal("p99 in ms until a change has reached all of 1,000 plugins", 50.0, of_all(last.late.quantile(0.99))),
        ])
}

fn row(measured: &Measured) -> String {
    let Measured { count, start, called, late, memory } = measured;
    let [resident, idle] = memory.map(|bytes| thousands((bytes / KIB) as usize));
    let figures = [start[0], start[1], *called, late.median(), late.quantile(0.99)].map(short).join(" | ");
    format!("| {} | {figures} | {resident} | {idle} |\n", thousands(*count as usize))
}

fn draw(all: &[Measured]) {
    let line = |name, which: usize| {
        let points = all.iter().map(|of| [f64::from(of.count), of.memory[which] / KIB / KIB]).collect();
        plot::Line { name, points }
    };
    let lines = [line("with an instance of each", 0), line("idle", 1)];
    page::write_image("bench-plugins.svg", &plot("Memory of the host, in MiB, without mapped code", "plugins", &lines));
}
