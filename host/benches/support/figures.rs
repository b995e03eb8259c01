//! Figures of several runs, as they are shown.

use std::fmt::{self, Write as _};

/// The bytes of one.
pub(crate) const MIB: f64 = 1024.0 * 1024.0;

/// The figures of several runs for one thing.
#[derive(Clone, Debug)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    /// Of at least one run.
    pub(crate) fn new(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<_> = figures.into_iter().collect();
        assert!(!figures.is_empty(), "there is a run");
        figures.sort_by(f64::total_cmp);
        Self(figures)
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len().is_multiple_of(2) { f64::midpoint(self.0[middle - 1], self.0[middle]) } else { self.0[middle] }
    }

    /// The least figure that this part of all does not exceed.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        self.0[((self.0.len() as f64 * part).ceil() as usize).clamp(1, self.0.len()) - 1]
    }

    pub(crate) fn min(&self) -> f64 {
        self.0[0]
    }

    pub(crate) fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }
}

/// The median, the least and the greatest, with three digits that count.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}–{})", short(self.median()), short(self.min()), short(self.max()))
    }
}

/// A number with three digits that count.
pub(crate) fn short(number: f64) -> String {
    let digits = match number.abs() {
        ..1.0 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{number:.digits$}")
}

/// A whole number with its thousands apart.
pub(crate) fn thousands(number: impl fmt::Display) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// What is counted here is exact as such a number.
pub(crate) fn float(count: usize) -> f64 {
    u32::try_from(count).unwrap().into()
}

/// What was to be reached, and was or was not.
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) at_most: f64,
    /// None: this run has not measured it.
    pub(crate) measured: Option<f64>,
}

/// A table of goals.
pub(crate) fn goals(goals: &[Goal]) -> String {
    let mut table = "| | goal | measured | |\n|---|---|---|---|\n".to_owned();
    for Goal { what, at_most, measured } in goals {
        let (measured, verdict) = match measured {
            Some(measured) if measured <= at_most => (short(*measured), "reached"),
            Some(measured) => (short(*measured), "**not reached**"),
            None => (String::new(), "not measured"),
        };
        writeln!(table, "| {what} | ≤ {at_most} | {measured} | {verdict} |").unwrap();
    }
    table
}
