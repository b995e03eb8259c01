//! All objects, once: how long it takes from the start of a program until it has printed the containers of each, and
//! what it takes of processor and memory.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::figures::{Figures, MIB, short, thousands};
use crate::population::{Population, Sizes};
use crate::program::{self, Arrived, Memory, Program};
use crate::support::host::Workplace;
use crate::support::plugins;
use crate::{page, report, say, start_control_plane};

/// How many objects there are, if nothing else is said.
const COUNTS: [usize; 4] = [1_000, 5_000, 20_000, 100_000];
/// How often each program is run, if nothing else is said by `--runs`.
const RUNS: usize = 5;
/// How often with at most `FEW` objects: the less there is to do, the more chance has its part in how long it takes.
const RUNS_WITH_FEW: usize = 11;
const FEW: usize = 5_000;
/// How long a program has had nothing to do when its memory is looked at again.
const IDLE: Duration = Duration::from_secs(5);

/// What is compared, in the order in which it is run in turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The host with the default plugin.
    Oarlock,
    /// The same as a program of its own.
    Native,
    /// All objects are fetched in pages, and nothing is done.
    Pages,
    /// All objects are fetched from the API server's watch cache, and nothing is done.
    Whole,
}

/// All of them.
pub(crate) const SUBJECTS: [Subject; 4] = [Subject::Oarlock, Subject::Native, Subject::Pages, Subject::Whole];

/// What was measured with so many objects.
pub(crate) struct Measured {
    pub(crate) count: usize,
    pub(crate) sizes: Sizes,
    /// By subject, in the order of [`SUBJECTS`].
    runs: Vec<Vec<Run>>,
}

/// What one run of a program came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) arrived: Arrived,
    pub(crate) memory: Memory,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [wall, cpu] = [self.arrived.wall, self.arrived.cpu].map(|time| short(time.as_secs_f64()));
        let [peak, idle] = [self.memory.peak, self.memory.resident].map(|bytes| short(bytes / MIB));
        write!(f, "{wall} s, CPU {cpu} s, peak {peak} MiB, idle {idle} MiB")
    }
}

impl Measured {
    /// One figure of the runs of a program.
    pub(crate) fn figures(&self, subject: Subject, figure: impl Fn(&Run) -> f64) -> Figures {
        let index = SUBJECTS.iter().position(|other| *other == subject).unwrap();
        Figures::new(self.runs[index].iter().map(figure))
    }
}

/// The memory that a program has without any object.
pub(crate) struct Empty {
    pub(crate) oarlock: Figures,
    pub(crate) native: Figures,
}

/// Measures with so many objects, one number after the other, and writes the results into the page.
pub(crate) fn run(arguments: &[String]) {
    let (runs, arguments) = match arguments {
        [option, runs, rest @ ..] if option == "--runs" => (Some(runs.parse().unwrap()), rest),
        all => (None, all),
    };
    let runs = |count| runs.unwrap_or(if count <= FEW { RUNS_WITH_FEW } else { RUNS });
    let counts: Vec<usize> = arguments.iter().map(|count| count.parse().unwrap()).collect();
    let counts = if counts.is_empty() { COUNTS.to_vec() } else { counts };
    assert!(counts.is_sorted(), "objects are only made: give the numbers in ascending order");
    let (runtime, cluster) = (Runtime::new().unwrap(), start_control_plane());
    let stage = Stage::new(cluster.kubeconfig());
    let mut population = runtime.block_on(Population::none(&cluster));

    say("compiling the plugin, for all runs but the last");
    assert!(stage.command(Subject::Oarlock).arg("--once").status().unwrap().success());
    let empty = |subject| stage.empty(subject, runs(0));
    let empty = Empty { oarlock: empty(Subject::Oarlock), native: empty(Subject::Native) };
    let mut all = Vec::new();
    for count in counts {
        runtime.block_on(population.grow(count));
        let sizes = runtime.block_on(population.sizes());
        let (mut by_subject, runs) = (vec![Vec::new(); SUBJECTS.len()], runs(count));
        for run in 1..=runs {
            for (subject, measured) in SUBJECTS.into_iter().zip(&mut by_subject) {
                let result = stage.measure(subject, &population);
                say(&format!("{} objects, run {run} of {runs}, {subject:?}: {result}", thousands(count)));
                measured.push(result);
            }
        }
        all.push(Measured { count, sizes, runs: by_subject });
    }
    say("once more, with an empty cache of compiled plugins");
    let cold = stage.cold(&population);
    for (place, text) in [
        ("throughput", report::throughput(&all, cold)),
        ("growth", report::growth(&all)),
        ("memory", report::memory(&all, &empty)),
        ("goals", report::goals(&all, &empty)),
    ] {
        println!("{text}");
        page::replace(place, &text);
    }
    report::draw(&all);
}

/// Where the programs are run.
struct Stage {
    place: Workplace,
    kubeconfig: PathBuf,
}

impl Stage {
    fn new(kubeconfig: PathBuf) -> Self {
        let place = Workplace::new();
        place.plugin("print-containers", &plugins::print_containers());
        Self { place, kubeconfig }
    }

    fn command(&self, subject: Subject) -> Command {
        let mut command = match subject {
            Subject::Oarlock => program::host(),
            Subject::Native => program::example("native"),
            Subject::Pages | Subject::Whole => program::example("floor"),
        };
        match subject {
            Subject::Oarlock => {
                command.arg("run").arg("--plugins").arg(&self.place.plugins);
                command.env("OARLOCK_CACHE_DIR", self.place.folder.path().join("cache"));
            }
            Subject::Native => {}
            Subject::Pages => drop(command.arg("pages")),
            Subject::Whole => drop(command.arg("whole")),
        }
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    fn start(&self, command: Command, lines: usize) -> Program {
        Program::start(command, lines, self.place.folder.path().join("log"))
    }

    /// Runs a program on all objects, and makes sure that it has done what it is measured for.
    fn measure(&self, subject: Subject, population: &Population) -> Run {
        let does_nothing = matches!(subject, Subject::Pages | Subject::Whole);
        let program = self.start(self.command(subject), if does_nothing { 1 } else { population.lines().len() });
        let arrived = program.arrived();
        std::thread::sleep(IDLE);
        let memory = program.memory();
        let mut lines = program.end();
        if !does_nothing {
            lines.sort_unstable();
            assert!(lines == population.lines(), "{subject:?} has printed each object once");
        }
        Run { arrived, memory }
    }

    /// The memory of a program without any object, in bytes.
    fn empty(&self, subject: Subject, runs: usize) -> Figures {
        say(&format!("no objects: {subject:?}"));
        Figures::new((0..runs).map(|_| {
            let program = self.start(self.command(subject), 1);
            std::thread::sleep(IDLE);
            let memory = program.memory();
            assert_eq!(program.end(), [""; 0], "there is nothing to print");
            memory.resident
        }))
    }

    /// How long the host takes when it has to compile the plugin first.
    fn cold(&self, population: &Population) -> Arrived {
        let mut command = self.command(Subject::Oarlock);
        command.env("OARLOCK_CACHE_DIR", self.place.folder.path().join("cold"));
        self.start(command, population.lines().len()).arrived()
    }
}
