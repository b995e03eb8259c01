//! The host's log. The host adds the plugin, the object and the reconcile id to each line.

use crate::bindings::oarlock::plugin::log::Level;
#[cfg(target_family = "wasm")]
use crate::bindings::oarlock::plugin::log::log;
#[cfg(not(target_family = "wasm"))]
use crate::testing::world::log;

/// For the author; off by default.
pub fn debug(message: impl AsRef<str>) {
    log(Level::Debug, message.as_ref());
}

/// Worth a line in normal running.
pub fn info(message: impl AsRef<str>) {
    log(Level::Info, message.as_ref());
}

/// Unexpected, and dealt with.
pub fn warn(message: impl AsRef<str>) {
    log(Level::Warn, message.as_ref());
}

/// Unexpected, and not dealt with.
pub fn error(message: impl AsRef<str>) {
    log(Level::Error, message.as_ref());
}
