//! A plugin, ready to be called.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wasmtime::component::Component;
use wasmtime_wasi::p2::bindings::CommandPre;

use super::aot;
use super::bindings::ReconcilerPre;
use super::engine::Engine;
use super::error::CallError;
use super::limits::Limits;
use super::sandbox::{Guest, Sandbox};
use crate::digest::Digest;
use crate::grant::Grant;
use crate::object::Gvk;
use crate::selector::Selection;

/// A plugin that can be called. It never changes: another file makes another plugin.
pub struct Plugin {
    /// The name of its file, without `.wasm`.
    pub name: Arc<str>,
    /// Of its file, the grant file left out.
    pub digest: Digest,
    /// What it calls itself, and its version, as it says. None: it says nothing.
    pub described: Option<(Box<str>, Box<str>)>,
    /// The operator's word on it.
    pub grant: Arc<Grant>,
    /// The objects that it is called for.
    pub watches: Vec<Selection>,
    /// The objects whose owners it is called for.
    pub owns: Vec<Selection>,
    /// The finalizer that it needs on the objects that it is called for.
    pub finalizer: Option<Box<str>>,
    /// What it may use.
    pub limits: Limits,
    /// What was seen of it when it was loaded.
    pub arrival: Arrival,
    pub(super) code: Code,
    pub(super) engine: Arc<Engine>,
}

/// What was seen of a plugin when it was loaded, for people.
#[derive(Clone, Debug, Default)]
pub struct Arrival {
    /// How long compiling it took. None: its code was in the cache.
    pub compile: Option<Duration>,
    /// How long it took from its code to an instance that has described itself.
    pub start: Duration,
    /// Bytes of all memories and tables of that instance. None: it is a command, of which none was started.
    pub memory: Option<usize>,
}

/// The code of a plugin. While nobody calls it, it need not be in memory: what wasmtime knows of a component is much more
/// than the rest of a plugin.
pub(super) struct Code {
    /// None: nobody needs it now.
    program: Mutex<Option<Arc<Program>>>,
    /// What it can be mapped from again. None: nothing.
    entry: Option<File>,
    is_command: bool,
}

impl Code {
    pub(super) fn new(program: Program, entry: Option<File>) -> Self {
        let is_command = program.is_command();
        Self { program: Mutex::new(Some(Arc::new(program))), entry, is_command }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Program>>> {
        self.program.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two things that a plugin can be, linked.
pub(super) enum Program {
    /// It exports the world `reconciler`.
    Reconciler(ReconcilerPre<Guest>),
    /// It exports `wasi:cli/run`: the object on stdin, lines on stdout, an exit code.
    Command(CommandPre<Guest>),
}

impl Program {
    /// Links what was compiled.
    pub(super) fn link(engine: &Engine, component: &Component) -> wasmtime::Result<Self> {
        let is_command =
            component.component_type().exports(&engine.wasmtime).any(|(name, _)| name.starts_with("wasi:cli/run@"));
        let pre = engine.linker.instantiate_pre(component)?;
        Ok(if is_command { Self::Command(CommandPre::new(pre)?) } else { Self::Reconciler(ReconcilerPre::new(pre)?) })
    }

    /// Whether there is an instance for each call, whatever the grant says.
    pub(super) fn is_command(&self) -> bool {
        matches!(self, Self::Command(_))
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {} {:.12}", self.name, self.digest)
    }
}

impl Plugin {
    /// The kinds of objects that it deals with: those that it watches and those that it is granted something about.
    pub fn kinds(&self) -> BTreeSet<Gvk> {
        let watched = self.watches.iter().chain(&self.owns).map(|watch| watch.gvk.clone());
        watched.chain(self.grant.kinds()).collect()
    }

    /// Whether it is a command, which answers by its exit code.
    pub fn is_command(&self) -> bool {
        self.code.is_command
    }

    /// What instances are made of.
    pub(super) fn program(&self) -> Result<Arc<Program>, CallError> {
        let mut program = self.code.lock();
        let linked = match (&*program, &self.code.entry) {
            (Some(program), _) => return Ok(Arc::clone(program)),
            (None, Some(entry)) => aot::map(&self.engine.wasmtime, entry)
                .and_then(|component| Program::link(&self.engine, &component))
                .map_err(|error| CallError::NotMade(format!("mapping its code: {}", error.root_cause())))?,
            (None, None) => unreachable!("what cannot be mapped again is not let go"),
        };
        Ok(Arc::clone(program.insert(Arc::new(linked))))
    }

    /// Lets its code go, unless there is an instance of it, or it is nowhere else. The next call maps it again.
    pub fn rest(&self) {
        if self.code.entry.is_some() {
            // Whoever takes it does so in the same lock.
            self.code.lock().take_if(|program| Arc::strong_count(program) == 1);
        }
    }

    /// A sandbox for an instance of it.
    pub(super) async fn sandbox(
        &self,
        arguments: &[&str],
        stdin: impl FnOnce() -> String,
    ) -> Result<Sandbox, CallError> {
        Sandbox::new(&self.engine, &self.name, self.limits, arguments, stdin).await
    }
}

#[cfg(test)]
impl Plugin {
    /// A plugin that is not to be called. Another `version` is another file.
    pub(crate) fn idle(version: u8, grant: Grant, watches: Vec<Selection>) -> Self {
        const COMMAND: &str = r#"(component
            (core module $module (func (export "run") (result i32) (i32.const 0)))
            (core instance $instance (instantiate $module))
            (func $run (result (result)) (canon lift (core func $instance "run")))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#;
        let engine = Engine::new().unwrap();
        let command = wasmtime::component::Component::new(&engine.wasmtime, wat::parse_str(COMMAND).unwrap()).unwrap();
        let program = Program::Command(CommandPre::new(engine.linker.instantiate_pre(&command).unwrap()).unwrap());
        Self {
            name: "idle".into(),
            digest: Digest::of(&[version]),
            described: None,
            grant: Arc::new(grant),
            watches,
            owns: Vec::new(),
            finalizer: None,
            limits: Limits::default(),
            arrival: Arrival::default(),
            code: Code::new(program, None),
            engine: Arc::new(engine),
        }
    }
}
