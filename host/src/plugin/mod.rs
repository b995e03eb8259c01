//! Plugins: from the bytes of a file to a call with an object.
//!
//! wasmtime's types stay in here.

mod advice;
mod anatomy;
mod aot;
mod bindings;
mod call;
mod capture;
mod compile;
mod compiler;
mod engine;
mod error;
mod files;
mod followed;
mod imports;
mod inspection;
mod limits;
mod load;
mod private_folder;
mod processor;
mod program;
mod reader;
mod reload;
mod request;
mod room;
mod sandbox;

pub use anatomy::{Anatomy, Import, Style};
pub use aot::AotCache;
#[cfg(test)]
pub use bindings::oarlock::plugin::types::Event;
pub use bindings::oarlock::plugin::types::ObjectRefResult as ObjectRef;
pub use bindings::oarlock::plugin::types::{Action, Outcome, Patch};
pub use call::{Answer, Caller};
pub use compiler::{Compiler, CompilerError, compile_stdin};
pub use engine::Engine;
pub use error::CallError;
pub use files::{Pair, Unreadable, Version};
pub use inspection::Inspection;
pub use limits::Limits;
pub use load::{LoadError, Loader};
pub use program::{Arrival, Plugin};
pub use reader::Reader;
pub use reload::{BROKEN_GRACE, Change, Reload, Undone};
pub use request::{ReconcileId, Request};
pub use sandbox::Usage;
