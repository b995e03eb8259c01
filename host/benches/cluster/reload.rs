//! How soon a new version of a plugin is called while objects change all the time, and that nothing is lost by it.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use tokio::runtime::Runtime;

use crate::changes::{self, Change, Followed, Line, Seen};
use crate::figures::{Figures, Goal, goals, short, thousands};
use crate::latency::milliseconds;
use crate::population::Population;
use crate::support::host::Workplace;
use crate::support::plugins;
use crate::{page, program, say, start_control_plane};

const OBJECTS: usize = 5_000;
/// Changes a second.
const RATE: u32 = 500;
/// How many of them may be unanswered: beside compiling, the API server keeps up even less.
const UNANSWERED: usize = 500;
/// How many versions there are after the first, if nothing else is said.
const RELOADS: u32 = 200;
/// How long a version is in force until the next one comes.
const PAUSE: Duration = Duration::from_millis(500);
/// What a file has to be at rest for by default: `--debounce`.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How long it may take at the end until everything is seen as it is.
const CALM: Duration = Duration::from_mins(1);

/// What the newest version that has told of something has told.
#[derive(Default)]
struct Newest {
    lines: usize,
    version: u32,
    /// When its first line had come.
    since: Option<Instant>,
    stamps: HashSet<u32>,
}

impl Seen for Newest {
    fn take(&mut self, line: Line, at: Instant) {
        self.lines += 1;
        let version = line.version.unwrap();
        assert!(version >= self.version, "after a new version is called, the one before is not");
        if self.since.is_none() || version > self.version {
            (self.version, self.since) = (version, Some(at));
            self.stamps.clear();
        }
        self.stamps.extend(line.stamp);
    }
}

impl Newest {
    /// How many objects it has not told of as they are.
    fn unseen(&self, last: &HashMap<usize, u32>) -> usize {
        last.values().filter(|stamp| !self.stamps.contains(stamp)).count()
    }
}

/// Puts so many versions in place one after the other, and writes the results into the page.
pub(crate) fn run(arguments: &[String]) {
    let reloads = arguments.first().map_or(RELOADS, |reloads| reloads.parse().unwrap());
    let (runtime, cluster) = (Runtime::new().unwrap(), start_control_plane());
    let mut population = runtime.block_on(Population::none(&cluster));
    runtime.block_on(population.grow(OBJECTS));
    let (paths, place) = (changes::paths(OBJECTS), Workplace::new());
    place.plugin("versioned", &plugins::versioned(0));
    let mut host = program::host();
    host.arg("run").arg("--plugins").arg(&place.plugins).env("KUBECONFIG", cluster.kubeconfig());
    host.env("OARLOCK_CACHE_DIR", place.folder.path().join("cache"));
    let host = Followed::<Newest>::start(host, place.folder.path().join("log"));
    host.wait("a line for each object", |seen| seen.lines == OBJECTS);

    say(&format!("reloading {reloads} times"));
    let (stop, client) = (AtomicBool::new(false), population.client().clone());
    let (made, late) = thread::scope(|scope| {
        let load = changes::change(&client, &paths, 0, (RATE, UNANSWERED), |_| stop.load(Ordering::Relaxed));
        let load = scope.spawn(|| runtime.block_on(load));
        let late: Vec<_> = (1..=reloads).map(|version| reload(&place, &host, version)).collect();
        stop.store(true, Ordering::Relaxed);
        (load.join().unwrap(), late)
    });
    let last = last_of_each(&made);
    host.wait_for(CALM, |newest| newest.unseen(&last) == 0);
    let unseen = host.seen().unseen(&last);
    page::replace("reload", &report(&late, &made, (last.len(), unseen)));
}

/// Puts a version in place, and returns how long it takes until its first line has come, in milliseconds.
fn reload(place: &Workplace, host: &Followed<Newest>, version: u32) -> f64 {
    let new = place.plugins.join("versioned.new");
    fs::write(&new, plugins::versioned(version)).unwrap();
    let start = Instant::now();
    fs::rename(&new, place.plugins.join("versioned.wasm")).unwrap();
    host.wait("a line of the new version", |newest| newest.version == version);
    let late = host.seen().since.unwrap() - start;
    thread::sleep(PAUSE);
    milliseconds(late)
}

/// The last change of each object that was changed.
fn last_of_each(made: &[Change]) -> HashMap<usize, u32> {
    // They are in the order of their stamps.
    made.iter().map(|change| (change.object, change.stamp)).collect()
}

fn report(late: &[f64], made: &[Change], (objects, unseen): (usize, usize)) -> String {
    let (reloads, debounce) = (late.len(), milliseconds(DEBOUNCE));
    let whole = Figures::new(late.iter().copied());
    let without = Figures::new(late.iter().map(|late| late - debounce));
    let took = made.last().map_or(Duration::ZERO, |last| last.answered - made[0].due).as_secs_f64();
    let mut text = format!(
        "| milliseconds, {reloads} reloads, at {} changes a second | p50 | p99 | most |\n|---|---|---|---|\n",
        short(made.len() as f64 / took)
    );
    for (what, figures) in [("from `rename` to the first line", whole), ("of that without the debounce", without)] {
        let cells = [figures.median(), figures.quantile(0.99), figures.max()];
        writeln!(text, "| {what} | {} |", cells.map(short).join(" | ")).unwrap();
    }
    let what = format!(
        "objects, of {} that were changed {} times, that the last version did not see as they are",
        thousands(objects),
        thousands(made.len())
    );
    text + "\n" + &goals(&[Goal { what, at_most: 0.0, measured: Some(unseen as f64) }])
}
