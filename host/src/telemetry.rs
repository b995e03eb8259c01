//! The host's log, on stderr.

use std::io::{self, IsTerminal};

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::progress::ProgressLine;

/// What is logged if nothing else is asked for: the libraries tell twice what the host tells.
pub const DEFAULT_FILTER: &str = "warn,oarlock=info,kube_client=error,kube_runtime=error";

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// A line for people.
    Text,
    /// A line of JSON.
    Json,
}

/// Starts logging what `filter` lets through, in the syntax of `tracing_subscriber::EnvFilter`.
pub fn start(format: LogFormat, filter: &str, line: &ProgressLine) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--log {filter}"))?;
    let line = line.clone();
    let writer = BoxMakeWriter::new(move || line.beside(io::stderr()));
    let terminal = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(terminal)
        // It tells of them on stderr, and panics if that is what cannot be written.
        .log_internal_errors(false);
    let started = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Auto if !terminal => builder.json().flatten_event(true).try_init(),
        LogFormat::Text | LogFormat::Auto => builder.with_target(false).try_init(),
    };
    started.map_err(anyhow::Error::from_boxed).context("log")
}
