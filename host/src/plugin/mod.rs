//! Plugins: from the bytes of a file to a call with an object.
//!
//! wasmtime's types stay in here.

mod aot;
mod bindings;
mod call;
mod engine;
mod imports;
mod load;
mod output;
mod reload;
mod sandbox;

pub use aot::AotCache;
pub use bindings::oarlock::plugin::types::{Action, Description, Outcome, Watch};
pub use call::{Answer, CallError, Caller, ReconcileId, Request};
pub use engine::Engine;
pub use load::{LoadError, Loader, Plugin};
pub use output::Written;
pub use reload::{BROKEN_GRACE, Change, Reload};
pub use sandbox::Limits;
