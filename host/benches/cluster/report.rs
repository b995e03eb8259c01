//! What was measured, as the page shows it.

use std::fmt::Write as _;

use crate::figures::{self, Figures, Goal, MIB, float, short, thousands};
use crate::page;
use crate::plot::{Line, plot};
use crate::program::Arrived;
use crate::throughput::{Empty, Measured, Run, SUBJECTS, Subject};

/// A figure that is compared.
struct Column {
    title: &'static str,
    of: fn(&Run) -> f64,
}

const WALL: Column = Column { title: "wall, s", of: |run| run.arrived.wall.as_secs_f64() };
const CPU: Column = Column { title: "CPU, s", of: |run| run.arrived.cpu.as_secs_f64() };
const PEAK: Column = Column { title: "peak, MiB", of: |run| run.memory.peak / MIB };
const IDLE: Column = Column { title: "idle, MiB", of: |run| run.memory.resident / MIB };
const ANONYMOUS: Column = Column { title: "of that anonymous", of: |run| run.memory.anonymous / MIB };

/// A table for each number of objects.
pub(crate) fn throughput(all: &[Measured], cold: Arrived) -> String {
    let mut text = String::new();
    for measured in all {
        let columns = [WALL, CPU, PEAK, IDLE, ANONYMOUS];
        let titles = columns.each_ref().map(|column| format!(" {} |", column.title)).concat();
        writeln!(text, "| {} objects |{titles}\n|---|{}", thousands(measured.count), "---|".repeat(columns.len()))
            .unwrap();
        for subject in SUBJECTS {
            let cells: String = columns.iter().map(|column| cell(measured, subject, column)).collect();
            writeln!(text, "| {} |{cells}", name(subject)).unwrap();
        }
        text.push('\n');
    }
    let count = all.last().map_or(0, |measured| measured.count);
    let seconds = short(cold.wall.as_secs_f64());
    writeln!(text, "With an empty cache of compiled plugins, {} objects take {seconds} s, once.", thousands(count))
        .unwrap();
    text
}

/// Draws what the tables say.
pub(crate) fn draw(all: &[Measured]) {
    for (file, title, column) in [
        ("bench-wall.svg", "Wall time until the last object, in seconds", WALL),
        ("bench-cpu.svg", "Processor time until the last object, in seconds", CPU),
        ("bench-memory.svg", "The most memory that was resident, in MiB", PEAK),
    ] {
        let line = |subject| {
            let point = |measured: &Measured| [float(measured.count), measured.figures(subject, column.of).median()];
            Line { name: legend(subject), points: all.iter().map(point).collect() }
        };
        page::write_image(file, &plot(title, "objects", &SUBJECTS.map(line)));
    }
}

/// What each further object costs, from one number of objects to the next: the same where the cost grows as a straight
/// line does.
pub(crate) fn growth(all: &[Measured]) -> String {
    let mut text =
        "| objects | wall (a), µs | wall (b) | CPU (a), µs | CPU (b) | idle (a), KiB | idle (b) |\n".to_owned();
    text += "|---|---|---|---|---|---|---|\n";
    for pair in all.windows(2) {
        let more = float(pair[1].count - pair[0].count);
        let mut cells = String::new();
        for (column, factor) in [(WALL, 1e6), (CPU, 1e6), (IDLE, 1024.0)] {
            for subject in [Subject::Oarlock, Subject::Native] {
                let [before, after] = [0, 1].map(|index| pair[index].figures(subject, column.of).median());
                write!(cells, " {} |", short((after - before) / more * factor)).unwrap();
            }
        }
        writeln!(text, "| from {} to {} |{cells}", thousands(pair[0].count), thousands(pair[1].count)).unwrap();
    }
    text
}

/// What an object takes.
pub(crate) fn memory(all: &[Measured], empty: &Empty) -> String {
    let mut text = "| objects | bytes of each as sent | without `managedFields` | kept by (a) | kept by (b) |\n|---|---|---|---|---|\n".to_owned();
    for measured in all {
        let [a, b] = [Subject::Oarlock, Subject::Native].map(|subject| kept(measured, empty, subject));
        let (count, sent, kept) = (thousands(measured.count), measured.sizes.sent, measured.sizes.kept);
        writeln!(text, "| {count} | {sent:.0} | {kept:.0} | {}× | {}× |", short(a), short(b)).unwrap();
    }
    let [a, b] = [&empty.oarlock, &empty.native].map(|figures| short(figures.median() / MIB));
    writeln!(text, "\nWithout any object, (a) has {a} MiB and (b) has {b} MiB.").unwrap();
    text
}

/// The goals for two numbers of objects.
pub(crate) fn goals(all: &[Measured], empty: &Empty) -> String {
    let mut goals = Vec::new();
    for (count, [wall, cpu, peak]) in [(5_000, [0.55, 0.7, 0.12]), (100_000, [0.5, 0.7, 0.08])] {
        let measured = all.iter().find(|measured| measured.count == count);
        for (what, column, at_most) in [("wall time", WALL, wall), ("CPU", CPU, cpu), ("peak memory", PEAK, peak)] {
            let ratio = |measured: &Measured| {
                let [a, b] = [Subject::Oarlock, Subject::Native].map(|subject| measured.figures(subject, column.of));
                a.median() / b.median()
            };
            let what = format!("{what} of (a) to (b), {} objects", thousands(count));
            goals.push(Goal { what, at_most, measured: measured.map(ratio) });
        }
        let what = format!("memory kept per object to its JSON without `managedFields`, {} objects", thousands(count));
        let measured = measured.map(|measured| kept(measured, empty, Subject::Oarlock));
        goals.push(Goal { what, at_most: 1.3, measured });
    }
    let what = "the same, by compression".to_owned();
    let measured = goals.last().and_then(|goal| goal.measured);
    goals.push(Goal { what, at_most: 0.4, measured });
    figures::goals(&goals)
}

/// The memory that an object takes, as a multiple of its JSON without `managedFields`.
fn kept(measured: &Measured, empty: &Empty, subject: Subject) -> f64 {
    let empty = if subject == Subject::Oarlock { &empty.oarlock } else { &empty.native };
    let idle = measured.figures(subject, |run| run.memory.resident).median();
    (idle - empty.median()) / float(measured.count) / measured.sizes.kept
}

fn cell(measured: &Measured, subject: Subject, column: &Column) -> String {
    let figures = measured.figures(subject, column.of);
    let native: Figures = measured.figures(Subject::Native, column.of);
    if subject == Subject::Native {
        return format!(" {figures} |");
    }
    format!(" {figures}, **{:.2}×** |", figures.median() / native.median())
}

fn name(subject: Subject) -> &'static str {
    match subject {
        Subject::Oarlock => "(a) Oarlock",
        Subject::Native => "(b) native",
        Subject::Pages => "(c) fetch in pages",
        Subject::Whole => "(c) fetch from the watch cache",
    }
}

fn legend(subject: Subject) -> &'static str {
    match subject {
        Subject::Oarlock => "(a) Oarlock",
        Subject::Native => "(b) native",
        Subject::Pages => "(c) in pages",
        Subject::Whole => "(c) as a whole",
    }
}
