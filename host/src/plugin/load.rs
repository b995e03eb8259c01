//! From the bytes of a file to a plugin that can be called: compiled, linked, checked.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use wasmtime::component::{Component, InstancePre};
use wasmtime_wasi::p2::bindings::CommandPre;

use super::aot::AotCache;
use super::bindings::ReconcilerPre;
use super::bindings::oarlock::plugin::types::{Description, Watch};
use super::call;
use super::compiler::{Compiler, CompilerError};
use super::engine::Engine;
use super::error::CallError;
use super::limits::Limits;
use super::program::{Arrival, Plugin, Program};
use super::room::Room;
use super::sandbox::Sandbox;
use crate::digest::Digest;
use crate::grant::Grant;
use crate::object::Gvk;
use crate::quota::Volume;
use crate::selector::Selection;

/// What turns files into plugins.
pub struct Loader {
    engine: Arc<Engine>,
    compiler: Compiler,
    room: Room,
    cache: AotCache,
    limits: Limits,
}

/// Why a file is no plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its bytes are no plugin, or compiling them takes more than it may.
    #[error(transparent)]
    Compile(#[from] CompilerError),
    /// Loading it panicked.
    #[error("loading it panicked, which is a defect of the host or of its compiler; the panic is on stderr")]
    Panicked,
    /// It is a component that exports or imports other things than a plugin.
    #[error("it does not fit the world oarlock:plugin/reconciler@0.1.0, nor is it a command: {0}")]
    Link(String),
    /// It did not pass its start-up check.
    #[error("it does not start: {error}{}", indented(stderr))]
    Start {
        /// Why the instance did not start.
        error: CallError,
        /// What it wrote to stderr.
        stderr: String,
    },
    /// It describes a watch with a selector that is none.
    #[error("it describes a watch of {0} that cannot be: {1}")]
    Watch(String, String),
    /// It describes more watches than a plugin may.
    #[error("it describes {0} watches, and a plugin may have {MAX_WATCHES}")]
    TooManyWatches(usize),
    /// It would never be called.
    #[error("it describes no watches, so that it would never be called; describe one, or name one in the grant file")]
    NoWatches,
    /// It describes a finalizer that is none.
    #[error("it describes the finalizer `{0}`, which must be a domain and a name: `example.com/cleanup`")]
    Finalizer(String),
    /// Its grant file is wrong.
    #[error("its grant file {}: {reason}", path.display())]
    Grant {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        reason: String,
    },
}

/// How many watches a plugin may describe: each is a connection to the API server, and a cache of all that it selects.
const MAX_WATCHES: usize = 100;
/// How many bytes are kept of what a plugin calls itself.
const MAX_NAME: usize = 100;

impl LoadError {
    /// Whether it is no fault of the file, and may go by itself.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Compile(CompilerError::Busy(_) | CompilerError::Killed | CompilerError::NotRun(_)))
    }
}

fn indented(lines: &str) -> String {
    lines.lines().flat_map(|line| ["\n  ", line]).collect()
}

impl Loader {
    /// A loader for plugins with these limits.
    pub fn new(engine: Engine, compiler: Compiler, cache: AotCache, limits: Limits) -> Self {
        Self { engine: Arc::new(engine), compiler, room: Room::here(), cache, limits }
    }

    /// What a plugin may use of which no grant file says anything else.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Makes a plugin of the bytes of its file, which have that digest, and starts it once to see that it does.
    pub async fn load(
        self: Arc<Self>,
        name: Arc<str>,
        (digest, bytes): (Digest, Vec<u8>),
        grant: Grant,
    ) -> Result<Plugin, LoadError> {
        let load = async {
            let limits = self.limits.overridden(&grant.limits);
            let begin = Instant::now();
            let (component, compile) = self.component(bytes, digest, limits.compile).await?;
            let loader = Arc::clone(&self);
            let program = blocking(move || loader.link(&component)).await??;
            let sandbox = Sandbox::new(&self.engine, &name, limits, &[&name], "");
            let Described { itself, memory, watches, owns, finalizer } =
                describe(sandbox, &program, grant.settings.as_deref(), limits.writing).await?;
            let start = begin.elapsed().saturating_sub(compile.unwrap_or_default());
            let arrival = Arrival { compile, start, memory };
            let watches = grant.watches.clone().unwrap_or(watches);
            if watches.is_empty() {
                return Err(LoadError::NoWatches);
            }
            let (engine, grant) = (Arc::clone(&self.engine), Arc::new(grant));
            Ok(Plugin {
                name,
                digest,
                described: itself,
                grant,
                watches,
                owns,
                finalizer,
                limits,
                arrival,
                program,
                engine,
            })
        };
        // A defect of the compiler or the host is the matter of this plugin alone.
        AssertUnwindSafe(load).catch_unwind().await.unwrap_or(Err(LoadError::Panicked))
    }

    /// The compiled code of a plugin, from the cache if it is there, and else how long it took to compile it.
    async fn component(
        self: &Arc<Self>,
        bytes: Vec<u8>,
        digest: Digest,
        time: Duration,
    ) -> Result<(Component, Option<Duration>), LoadError> {
        let loader = Arc::clone(self);
        let kept = blocking(move || loader.cache.get(&loader.engine.wasmtime, &digest)).await?;
        if let Some(component) = kept {
            return Ok((component, None));
        }
        let loader = Arc::clone(self);
        let begin = Instant::now();
        let code = self.compiler.compile(&self.engine, &self.room, bytes, time).await?;
        let took = begin.elapsed();
        let taken_in = blocking(move || loader.cache.take_in(&loader.engine.wasmtime, &digest, &code)).await?;
        Ok((taken_in.map_err(|error| link_error(&error))?, Some(took)))
    }

    fn link(&self, component: &Component) -> Result<Program, LoadError> {
        let is_command = component
            .component_type()
            .exports(&self.engine.wasmtime)
            .any(|(name, _)| name.starts_with("wasi:cli/run@"));
        let pre: InstancePre<_> = self.engine.linker.instantiate_pre(component).map_err(|error| link_error(&error))?;
        if is_command {
            CommandPre::new(pre).map(Program::Command).map_err(|error| link_error(&error))
        } else {
            ReconcilerPre::new(pre).map(Program::Reconciler).map_err(|error| link_error(&error))
        }
    }
}

fn link_error(error: &wasmtime::Error) -> LoadError {
    LoadError::Link(format!("{error:#}"))
}

/// Does what takes its time on a thread for that.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| LoadError::Panicked)
}

/// What a plugin says of itself, as the host needs it.
#[derive(Default)]
struct Described {
    /// Its name and version.
    itself: Option<(Box<str>, Box<str>)>,
    memory: Option<usize>,
    watches: Vec<Selection>,
    owns: Vec<Selection>,
    finalizer: Option<Box<str>>,
}

/// Starts a reconciler once to see that it does, and for what it says of itself.
async fn describe(
    mut sandbox: Sandbox,
    program: &Program,
    settings: Option<&str>,
    may_write: Volume,
) -> Result<Described, LoadError> {
    // There is nothing of a command that can be run but all of it.
    let Program::Reconciler(pre) = program else {
        let watches = vec![Selection::all(Gvk::replica_set())];
        return Ok(Described { watches, ..Described::default() });
    };
    sandbox.begin(None, may_write);
    let started = call::start(&mut sandbox, pre, settings).await;
    let (_, Description { name, version, watches, owns, finalizer }) = started.map_err(|error| LoadError::Start {
        error,
        stderr: String::from_utf8_lossy(&sandbox.stderr.take().bytes).into_owned(),
    })?;
    let number = watches.len() + owns.len();
    if number > MAX_WATCHES {
        return Err(LoadError::TooManyWatches(number));
    }
    let selections = |watches: Vec<Watch>| {
        let selection = |watch: Watch| {
            let named = |reason| LoadError::Watch(format!("{} {}", watch.api_version, watch.kind), reason);
            Selection::try_from(&watch).map_err(named)
        };
        watches.into_iter().map(selection).collect::<Result<Vec<_>, _>>()
    };
    if let Some(finalizer) = finalizer.as_deref().filter(|finalizer| !is_finalizer(finalizer)) {
        return Err(LoadError::Finalizer(finalizer.to_owned()));
    }
    Ok(Described {
        itself: Some((beginning(name), beginning(version))),
        memory: Some(sandbox.usage().memory),
        watches: selections(watches)?,
        owns: selections(owns)?,
        finalizer: finalizer.map(String::into_boxed_str),
    })
}

/// What people need of a name.
fn beginning(mut name: String) -> Box<str> {
    name.truncate(name.floor_char_boundary(MAX_NAME));
    name.into()
}

/// Whether the API server takes that as a finalizer: a DNS name, a slash, a name.
fn is_finalizer(text: &str) -> bool {
    text.split_once('/').is_some_and(|(domain, name)| {
        let is_name = |name: &str, more: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        domain.len() <= 253 && is_name(domain, "-.") && name.len() <= 63 && is_name(name, "-._")
    })
}
