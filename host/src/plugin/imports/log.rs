//! `oarlock:plugin/log`.

use super::super::bindings::oarlock::plugin::log::{Host, Level};
use super::super::sandbox::Guest;

impl Host for Guest {
    async fn log(&mut self, level: Level, message: String) {
        // The macros of tracing take a level that is known when they are compiled.
        macro_rules! event {
            ($level:ident) => {
                match &self.call {
                    Some((object, id)) => tracing::$level!(plugin = &*self.plugin, %object, reconcile_id = %id, "{message}"),
                    None => tracing::$level!(plugin = &*self.plugin, "{message}"),
                }
            };
        }
        match level {
            Level::Debug => event!(debug),
            Level::Info => event!(info),
            Level::Warn => event!(warn),
            Level::Error => event!(error),
        }
    }
}
