//! The host's log, on stderr.

#[cfg(feature = "otlp")]
mod otlp;
mod writer;

use std::fmt;
use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use tracing::field::Field;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, field::MakeExt as _};

use crate::progress::ProgressLine;
use crate::spans;
use crate::text;
use writer::LogGuard;

/// What is logged if nothing else is asked for: the libraries tell twice what the host tells.
pub const DEFAULT_FILTER: &str = "warn,oarlock=info,kube_client=error,kube_runtime=error";

/// Has the log and the traces written to their end when it is dropped.
pub struct TelemetryGuard {
    // First the traces, of whose end the log may tell.
    #[cfg(feature = "otlp")]
    _traces: Option<otlp::TraceGuard>,
    _log: LogGuard,
}

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
///
/// Whatever is logged, an event is one line of JSON, or of text a line and further ones that are indented. It is written
/// by a thread of its own until the guard is dropped.
pub fn start(format: LogFormat, filter: &str, line: &ProgressLine) -> anyhow::Result<TelemetryGuard> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--log {filter}"))?;
    let filter = filter.and(filter_fn(|event| !quotes_objects(event) && event.target() != spans::TARGET));
    let terminal = io::stderr().is_terminal();
    // It tells of internal errors on stderr, and panics if that is what cannot be written.
    let layer = tracing_subscriber::fmt::layer().with_ansi(terminal).log_internal_errors(false);
    let is_json = format == LogFormat::Json || format == LogFormat::Auto && !terminal;
    let (sink, guard) =
        writer::start(line.beside(io::stderr()), if is_json { text::json } else { |line| line.into() })?;
    let layer = layer.with_writer(BoxMakeWriter::new(move || sink.clone()));
    let layer = if is_json {
        layer.json().flatten_event(true).boxed()
    } else {
        // Each field is made fit by itself.
        layer.with_target(false).fmt_fields(debug_fn(write_field).delimited(" ")).boxed()
    };
    let subscriber = tracing_subscriber::registry();
    #[cfg(feature = "otlp")]
    let (traces, trace_guard) = otlp::layer()?.unzip();
    #[cfg(feature = "otlp")]
    let subscriber = subscriber.with(traces);
    subscriber.with(layer.with_filter(filter)).try_init().context("log")?;
    Ok(TelemetryGuard {
        #[cfg(feature = "otlp")]
        _traces: trace_guard,
        _log: guard,
    })
}

/// Whether kube's client quotes in this the answers of the API server that it does not understand, which are objects.
fn quotes_objects(event: &Metadata<'_>) -> bool {
    event.target() == "kube_client::client" && *event.level() > Level::ERROR
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = format!("{value:?}");
    let value = text::paragraph(&value);
    match field.name() {
        "message" => writer.write_str(&value),
        name => write!(writer, "{name}={value}"),
    }
}
