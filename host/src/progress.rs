//! The line on a terminal that says how far the first list is, and how it keeps out of the way of other lines.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::dispatch::{Dispatch, Progress};

/// How often the line is drawn anew.
const REDRAW: Duration = Duration::from_millis(100);

/// A line on stderr while there is work that was there at the start. None: stderr is no terminal.
#[derive(Clone, Debug)]
pub struct ProgressLine(Option<ProgressBar>);

/// Writes to a stream that may be on the same terminal.
#[derive(Debug)]
pub struct Beside<W> {
    line: ProgressLine,
    to: W,
}

impl ProgressLine {
    /// A line that is not shown yet.
    pub fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}") {
            bar.set_style(style);
        }
        Self((!bar.is_hidden()).then_some(bar))
    }

    /// Writes to `to` so that the line does not get mixed up with what is written.
    pub fn beside<W: Write>(&self, to: W) -> Beside<W> {
        Beside { line: self.clone(), to }
    }

    /// Shows how far the work is, until the future is dropped.
    pub async fn show(&self, dispatch: &Dispatch) {
        let Some(bar) = &self.0 else { return std::future::pending().await };
        let _cleared = Cleared(bar);
        loop {
            tokio::time::sleep(REDRAW).await;
            let Progress { objects, plugins, waiting, .. } = dispatch.progress();
            let all = objects * plugins;
            bar.set_message("reconciling");
            bar.set_length(count(all));
            bar.set_position(count(all.saturating_sub(waiting)));
        }
    }
}

impl Default for ProgressLine {
    fn default() -> Self {
        Self::new()
    }
}

struct Cleared<'a>(&'a ProgressBar);

impl Drop for Cleared<'_> {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl<W: Write> Beside<W> {
    fn with_line_hidden<T>(&mut self, write: impl FnOnce(&mut W) -> T) -> T {
        match &self.line.0 {
            Some(bar) => bar.suspend(|| write(&mut self.to)),
            None => write(&mut self.to),
        }
    }
}

impl<W: Write> Write for Beside<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with_line_hidden(|to| to.write(bytes))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with_line_hidden(|to| to.write_all(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with_line_hidden(Write::flush)
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
