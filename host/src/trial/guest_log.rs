//! What plugins log, kept for those who called them.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Where the host's log has what plugins say from.
const OF_PLUGINS: &str = "oarlock::plugin::imports::log";

/// The lines that plugins have logged, with their levels before them: `info: hello`.
#[derive(Clone, Default)]
pub struct GuestLog(Arc<Mutex<Vec<String>>>);

impl GuestLog {
    /// Keeps what is logged from now on, in place of a log of this process.
    pub fn start() -> anyhow::Result<Self> {
        let log = Self::default();
        tracing_subscriber::registry().with(log.clone()).try_init().context("log")?;
        Ok(log)
    }

    /// What was logged since this was asked last.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Subscriber> Layer<S> for GuestLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != OF_PLUGINS {
            return;
        }
        let mut line = Line(format!("{}: ", event.metadata().level().as_str().to_lowercase()));
        event.record(&mut line);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string does not fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
