//! Tables for a terminal.

use crate::text;

/// Lines of columns as wide as they need to be. The last column is as long as it is.
pub(super) struct Table(Vec<Vec<String>>);

impl Table {
    /// With these heads.
    pub(super) fn new<const N: usize>(heads: [&str; N]) -> Self {
        Self(vec![heads.map(str::to_owned).to_vec()])
    }

    /// Adds a line.
    pub(super) fn add(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().map(|cell| text::one_line(&cell).into_owned()).collect());
    }

    /// Whether there is no line but the heads.
    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// The text, each line after `indent`.
    pub(super) fn text(&self, indent: &str) -> String {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.0.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
        let mut lines = String::new();
        for line in &self.0 {
            let cells: Vec<_> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            lines += format!("{indent}{}", cells.join("   ")).trim_end();
            lines.push('\n');
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them_and_each_line_is_one() {
        let mut table = Table::new(["NAME", "WHY"]);
        assert!(table.is_empty());
        table.add(["größer-als".to_owned(), "a\nb\u{1b}[2J".to_owned()]);
        table.add(["b".to_owned(), String::new()]);
        assert_eq!(table.text("  "), "  NAME         WHY\n  größer-als   a\\nb\\u{1b}[2J\n  b\n");
    }
}
