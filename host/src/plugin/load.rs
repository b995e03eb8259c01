//! From the bytes of a file to a plugin that can be called: compiled, linked, checked.

use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures::FutureExt as _;

use super::aot::{self, AotCache, Compiled};
use super::bindings::oarlock::plugin::types::{Description, Watch};
use super::call;
use super::compiler::{Compiler, CompilerError};
use super::engine::Engine;
use super::error::CallError;
use super::limits::Limits;
use super::program::{Arrival, Code, Plugin, Program};
use super::room::Room;
use super::sandbox::Sandbox;
use crate::digest::Digest;
use crate::grant::{Grant, Isolation};
use crate::object::Gvk;
use crate::quota::Volume;
use crate::selector::Selection;

/// What turns files into plugins.
pub struct Loader {
    engine: Arc<Engine>,
    /// Made for the first plugin that gets an instance for each call. None: there is not enough address space.
    pooled: OnceLock<Option<Arc<Engine>>>,
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
        matches!(
            self,
            Self::Compile(CompilerError::Busy(_) | CompilerError::Killed | CompilerError::NotRun(_))
                | Self::Start { error: CallError::NotMade(_) | CallError::WallTime(_), .. }
        )
    }
}

fn indented(lines: &str) -> String {
    lines.lines().flat_map(|line| ["\n  ", line]).collect()
}

impl Loader {
    /// A loader for plugins with these limits.
    pub fn new(engine: Engine, compiler: Compiler, cache: AotCache, limits: Limits) -> Self {
        Self { engine: Arc::new(engine), pooled: OnceLock::new(), compiler, room: Room::here(), cache, limits }
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
            let (compiled, compile) = self.component(bytes, digest, limits.compile).await?;
            let (loader, isolation) = (Arc::clone(&self), grant.isolation);
            let linked = blocking(move || loader.link(compiled, isolation)).await?;
            let Linked { engine, program, entry } = linked.map_err(|error| link_error(&error))?;
            let sandbox = Sandbox::new(&engine, &name, limits, &[&name], String::new).await;
            let sandbox = sandbox.map_err(|error| LoadError::Start { error, stderr: String::new() })?;
            let Described { itself, memory, watches, owns, finalizer } =
                describe(sandbox, &program, grant.settings.as_deref(), limits.writing).await?;
            let start = begin.elapsed().saturating_sub(compile.unwrap_or_default());
            let arrival = Arrival { compile, start, memory };
            let watches = grant.watches.clone().unwrap_or(watches);
            if watches.is_empty() {
                return Err(LoadError::NoWatches);
            }
            let grant = Arc::new(grant);
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
                code: Code::new(program, entry),
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
    ) -> Result<(Compiled, Option<Duration>), LoadError> {
        let loader = Arc::clone(self);
        let kept = blocking(move || loader.cache.get(&loader.engine.wasmtime, &digest)).await?;
        if let Some(compiled) = kept {
            return Ok((compiled, None));
        }
        let loader = Arc::clone(self);
        let begin = Instant::now();
        let code = self.compiler.compile(&self.engine, &self.room, bytes, time).await?;
        let took = begin.elapsed();
        let taken_in = blocking(move || loader.cache.take_in(&loader.engine.wasmtime, &digest, &code)).await?;
        Ok((taken_in.map_err(|error| link_error(&error))?, Some(took)))
    }

    /// Links a plugin in the engine that is best for it.
    fn link(&self, Compiled { component, entry }: Compiled, isolation: Isolation) -> wasmtime::Result<Linked> {
        let program = Program::link(&self.engine, &component)?;
        if isolation == Isolation::Fresh || program.is_command() {
            let pooled = entry.as_ref().and_then(|entry| {
                let engine = self.pooled()?;
                let component = aot::map(&engine.wasmtime, entry).ok()?;
                Some((Arc::clone(engine), Program::link(engine, &component).ok()?))
            });
            if let Some((engine, program)) = pooled {
                return Ok(Linked { engine, program, entry });
            }
        }
        Ok(Linked { engine: Arc::clone(&self.engine), program, entry })
    }

    fn pooled(&self) -> Option<&Arc<Engine>> {
        let pooled = || Some(Arc::new(Engine::pooled().ok()?.of_the_time_of(&self.engine)));
        self.pooled.get_or_init(pooled).as_ref()
    }
}

/// A plugin that is linked, and what it can be mapped from again.
struct Linked {
    engine: Arc<Engine>,
    program: Program,
    entry: Option<File>,
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
    sandbox.begin(tokio::time::Instant::now(), None, may_write);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_was_held_up_is_tried_again_and_one_that_works_too_much_is_not() {
        let starts = |error| LoadError::Start { error, stderr: String::new() };
        let time = Duration::from_secs(1);
        assert!(starts(CallError::WallTime(time)).is_passing());
        assert!(!starts(CallError::CpuTime(time)).is_passing());
    }
}
