//! A plugin, ready to be called.

use std::fmt;
use std::sync::Arc;

use wasmtime_wasi::p2::bindings::CommandPre;

use super::bindings::ReconcilerPre;
use super::engine::Engine;
use super::sandbox::{Guest, Limits, Sandbox};
use crate::digest::Digest;

/// A plugin that can be called. It never changes: another file makes another plugin.
pub struct Plugin {
    /// The name of its file, without `.wasm`.
    pub name: Arc<str>,
    /// Of its file.
    pub digest: Digest,
    pub(super) program: Program,
    pub(super) engine: Arc<Engine>,
    pub(super) limits: Limits,
}

/// The two things that a plugin can be, linked.
pub(super) enum Program {
    /// It exports the world `reconciler`.
    Reconciler(ReconcilerPre<Guest>),
    /// It exports `wasi:cli/run`: the object on stdin, lines on stdout, an exit code.
    Command(CommandPre<Guest>),
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {} {:.12}", self.name, self.digest)
    }
}

impl Plugin {
    /// A sandbox for an instance of it.
    pub(super) fn sandbox(&self, arguments: &[&str], stdin: &str) -> Sandbox {
        Sandbox::new(&self.engine.wasmtime, &self.name, self.limits, arguments, stdin)
    }
}
