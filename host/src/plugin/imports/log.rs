//! `oarlock:plugin/log`.

use super::super::bindings::oarlock::plugin::log::{Host, Level};
use super::super::sandbox::{Call, Guest};

impl Host for Guest {
    async fn log(&mut self, level: Level, message: String) {
        // The macros of tracing take a level that is known when they are compiled.
        macro_rules! event {
            ($level:ident, $line:expr) => {
                match &self.call {
                    Some(Call { target, id, .. }) => {
                        let (kind, object) = (target.gvk.kind(), &target.key);
                        tracing::$level!(plugin = &*self.plugin, kind, %object, reconcile_id = %id, "{}", $line);
                    }
                    None => tracing::$level!(plugin = &*self.plugin, "{}", $line),
                }
            };
        }
        // A line each, so that none can be mistaken for one of the host's.
        for line in message.lines() {
            if !self.may_log(line) {
                continue;
            }
            match level {
                Level::Debug => event!(debug, line),
                Level::Info => event!(info, line),
                Level::Warn => event!(warn, line),
                Level::Error => event!(error, line),
            }
        }
    }
}
