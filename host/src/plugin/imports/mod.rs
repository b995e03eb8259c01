//! What the host does for a guest during a call, a file per interface.

mod cluster;
mod log;

use super::bindings::oarlock::plugin::types;
use super::sandbox::Guest;

impl types::Host for Guest {}
