//! The table that is made of what was measured, and whether the goals are reached.

use std::fs;

use serde_json::Value;

use crate::figures::{self, Goal};
use crate::host::on_a_page;
use crate::{SIZES, folder, page};

/// A row for each of these that is measured by size: the text, the folder, whether it is of a page of objects.
const SIZED: [(&str, &str, bool); 18] = [
    ("plain copy into a guest's memory", "copy", false),
    ("empty reconcile, warm", "empty-warm", false),
    ("empty reconcile, fresh", "empty-fresh", false),
    ("empty reconcile, fresh and pooled", "empty-pooled", false),
    ("print-containers, natively", "native", false),
    ("print-containers, warm", "print-containers-warm", false),
    ("print-containers, fresh", "print-containers-fresh", false),
    ("print-containers, fresh and pooled", "print-containers-pooled", false),
    ("five typed fields, warm", "fields-warm", false),
    ("five typed fields, fresh", "fields-fresh", false),
    ("five typed fields, fresh and pooled", "fields-pooled", false),
    ("`cluster.get`, warm", "get-warm", false),
    ("`cluster.get`, fresh", "get-fresh", false),
    ("`cluster.get`, fresh and pooled", "get-pooled", false),
    ("an object split out of a list page", "page", true),
    ("an object freed of its managedFields", "managed-fields", false),
    ("an object packed", "pack", false),
    ("an object unpacked", "unpack", false),
];

/// A row for each of these that is measured once.
const PLAIN: [(&str, &str); 4] = [
    ("queue: add, take and finish", "queue"),
    ("print-containers: made a component", "plugin/componentize"),
    ("print-containers: made a component and compiled", "plugin/compile"),
    ("print-containers: from the AOT cache to a described instance", "plugin/load"),
];

/// Puts the tables into the page or, if only some of it was measured, shows them.
pub(crate) fn tell(is_whole: bool) {
    let (table, goals) = (table(), goals());
    if is_whole {
        page::replace("micro", &table);
        page::replace("micro-goals", &goals);
    }
    // Stdout has what the code of print-containers prints.
    eprintln!("\n{table}\n{goals}");
}

fn table() -> String {
    let mut lines = vec!["| | 1 KB | 4 KB | 16 KB | 256 KB | any |".to_owned(), "|---|--:|--:|--:|--:|--:|".to_owned()];
    for (text, name, is_page) in SIZED {
        let cells = SIZES.map(|size| {
            let parts = if is_page { on_a_page(size) } else { 1 };
            #[allow(clippy::cast_precision_loss, reason = "a few hundred")]
            time(nanoseconds(&format!("{name}/KB/{size}")).map(|all| all / parts as f64))
        });
        lines.push(format!("| {text} | {} | |", cells.join(" | ")));
    }
    for (text, name) in PLAIN {
        lines.push(format!("| {text} | | | | | {} |", time(nanoseconds(name))));
    }
    lines.join("\n") + "\n"
}

/// The goals for an object of 4 KB, as ratios.
fn goals() -> String {
    let goal = |what: &str, at_most, time, than| {
        let of = |name| nanoseconds(&format!("{name}/KB/4"));
        Goal { what: what.to_owned(), at_most, measured: of(time).and_then(|time| Some(time / of(than)?)) }
    };
    figures::goals(&[
        goal("a warm empty call, as a multiple of a plain copy", 4.0, "empty-warm", "copy"),
        goal("print-containers, warm, as a multiple of the same natively", 3.0, "print-containers-warm", "native"),
        goal("an empty call, fresh and pooled, as a multiple of a warm one", 4.0, "empty-pooled", "empty-warm"),
        goal("print-containers, fresh and pooled, likewise", 4.0, "print-containers-pooled", "print-containers-warm"),
    ])
}

/// The median of what was measured last under that name.
fn nanoseconds(name: &str) -> Option<f64> {
    let text = fs::read(folder().join(name).join("new/estimates.json")).ok()?;
    let estimates: Value = serde_json::from_slice(&text).ok()?;
    estimates["median"]["point_estimate"].as_f64()
}

/// Three digits, and a unit.
fn time(nanoseconds: Option<f64>) -> String {
    let Some(mut time) = nanoseconds else { return "–".to_owned() };
    let mut units = ["ns", "µs", "ms", "s"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while time >= 999.5
        && let Some(next) = units.next()
    {
        (time, unit) = (time / 1000.0, next);
    }
    let digits = if time < 9.995 { 2 } else { usize::from(time < 99.95) };
    format!("{time:.digits$} {unit}")
}
