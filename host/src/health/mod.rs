//! What tells whether the host does its work. Pure: time is passed in.
//!
//! Each of these is told of what happens where it happens, and asked by `checks.rs`.

mod heard;
mod in_flight;
mod presence;
mod waits;
mod watchdog;

pub use heard::Heard;
pub use in_flight::{InFlight, Pulse, UnderWay};
pub use presence::Presence;
pub use waits::Waits;
pub use watchdog::{Waiting, Watchdog};
