//! From the bytes of a file to a plugin that can be called: told apart, made a component, compiled, linked, checked.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt as _;
use wasi_preview1_component_adapter_provider as adapter;
use wasmparser::{Encoding, Parser, Payload};
use wasmtime::component::{Component, InstancePre};
use wasmtime_wasi::p2::bindings::CommandPre;
use wit_component::ComponentEncoder;

use super::aot::AotCache;
use super::bindings::ReconcilerPre;
use super::bindings::oarlock::plugin::types::{Description, Watch};
use super::call;
use super::engine::Engine;
use super::error::CallError;
use super::limits::Limits;
use super::program::{Plugin, Program};
use super::sandbox::Sandbox;
use crate::digest::Digest;
use crate::grant::Grant;
use crate::object::Gvk;
use crate::quota::Volume;
use crate::selector::Selection;

/// What turns files into plugins.
pub struct Loader {
    engine: Arc<Engine>,
    cache: AotCache,
    limits: Limits,
}

/// Why a file is no plugin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It does not begin as WebAssembly does.
    #[error("it is not WebAssembly: {0}; build it with `cargo build --target wasm32-wasip1`")]
    NotWasm(String),
    /// It is cut off, or otherwise not well-formed.
    #[error("it is not valid WebAssembly, or not whole: {0}")]
    Malformed(String),
    /// It is a core module that is neither a reconciler nor a command.
    #[error(
        "it is a module that exports neither the world oarlock:plugin/reconciler nor `_start`; use the reconciler! \
         macro of oarlock-sdk in a cdylib, or write a program with a main function"
    )]
    NoWorld,
    /// It cannot be made a component.
    #[error("it does not fit the world oarlock:plugin/reconciler@0.1.0: {0}")]
    Componentize(String),
    /// It cannot be compiled.
    #[error("it does not compile: {0}")]
    Compile(String),
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

fn indented(lines: &str) -> String {
    lines.lines().flat_map(|line| ["\n  ", line]).collect()
}

impl Loader {
    /// A loader for plugins with these limits.
    pub fn new(engine: Engine, cache: AotCache, limits: Limits) -> Self {
        Self { engine: Arc::new(engine), cache, limits }
    }

    /// Makes a plugin of the bytes of its file, which have that digest, and starts it once to see that it does.
    ///
    /// Compiling happens on a thread of its own.
    pub async fn load(
        self: Arc<Self>,
        name: Arc<str>,
        (digest, bytes): (Digest, Vec<u8>),
        grant: Grant,
    ) -> Result<Plugin, LoadError> {
        let load = async {
            let loader = Arc::clone(&self);
            let program = tokio::task::spawn_blocking(move || loader.link(&bytes, &digest)).await;
            // It fails if compiling panics.
            let program = program.map_err(|_| LoadError::Panicked)??;
            let limits = self.limits.overridden(&grant.limits);
            let sandbox = Sandbox::new(&self.engine.wasmtime, &name, limits, &[&name], "");
            let Described { watches, owns, finalizer } =
                describe(sandbox, &program, grant.settings.as_deref(), limits.writing).await?;
            let watches = grant.watches.clone().unwrap_or(watches);
            if watches.is_empty() {
                return Err(LoadError::NoWatches);
            }
            let (engine, grant) = (Arc::clone(&self.engine), Arc::new(grant));
            Ok(Plugin { name, digest, grant, watches, owns, finalizer, limits, program, engine })
        };
        // A defect of the compiler or the host is the matter of this plugin alone.
        AssertUnwindSafe(load).catch_unwind().await.unwrap_or(Err(LoadError::Panicked))
    }

    fn link(&self, bytes: &[u8], digest: &Digest) -> Result<Program, LoadError> {
        let component = match self.cache.get(&self.engine.wasmtime, digest) {
            Some(component) => component,
            None => self.compile(bytes, digest)?,
        };
        let link = |error: wasmtime::Error| LoadError::Link(format!("{error:#}"));
        let is_command = component
            .component_type()
            .exports(&self.engine.wasmtime)
            .any(|(name, _)| name.starts_with("wasi:cli/run@"));
        let pre: InstancePre<_> = self.engine.linker.instantiate_pre(&component).map_err(link)?;
        if is_command {
            CommandPre::new(pre).map(Program::Command).map_err(link)
        } else {
            ReconcilerPre::new(pre).map(Program::Reconciler).map_err(link)
        }
    }

    fn compile(&self, bytes: &[u8], digest: &Digest) -> Result<Component, LoadError> {
        let encoded;
        let bytes = match Form::of(bytes)? {
            Form::Component => bytes,
            Form::Reconciler => {
                encoded = componentize(bytes, adapter::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?;
                &encoded
            }
            Form::Command => {
                encoded = componentize(bytes, adapter::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER)?;
                &encoded
            }
        };
        let component =
            Component::new(&self.engine.wasmtime, bytes).map_err(|error| LoadError::Compile(format!("{error:#}")))?;
        self.cache.put(&self.engine.wasmtime, digest, &component);
        Ok(component)
    }
}

/// What a plugin says of itself, as the host needs it.
#[derive(Default)]
struct Described {
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
    let (_, Description { watches, owns, finalizer, .. }) = started.map_err(|error| LoadError::Start {
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
        watches: selections(watches)?,
        owns: selections(owns)?,
        finalizer: finalizer.map(String::into_boxed_str),
    })
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

/// What a file is, told by its bytes.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    /// Already a component.
    Component,
    /// A core module made against the world, which carries the world's type in a custom section.
    Reconciler,
    /// A core module with a `_start`.
    Command,
}

impl Form {
    fn of(bytes: &[u8]) -> Result<Self, LoadError> {
        if !bytes.starts_with(b"\0asm") {
            return Err(LoadError::NotWasm(match bytes {
                [] => "it is empty".to_owned(),
                _ => format!("it begins with `{}`", bytes[..bytes.len().min(8)].escape_ascii()),
            }));
        }
        let malformed = |error: wasmparser::BinaryReaderError| LoadError::Malformed(error.to_string());
        let (mut carries_world, mut starts) = (false, false);
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(malformed)? {
                Payload::Version { encoding: Encoding::Component, .. } => return Ok(Self::Component),
                Payload::CustomSection(section) => carries_world |= section.name().starts_with("component-type"),
                Payload::ExportSection(exports) => {
                    for export in exports {
                        starts |= export.map_err(malformed)?.name == "_start";
                    }
                }
                _ => {}
            }
        }
        match (carries_world, starts) {
            (true, _) => Ok(Self::Reconciler),
            (false, true) => Ok(Self::Command),
            (false, false) => Err(LoadError::NoWorld),
        }
    }
}

/// Makes a component of a core module, by wrapping its wasip1 imports in `adapter`.
fn componentize(module: &[u8], adapter: &[u8]) -> Result<Vec<u8>, LoadError> {
    ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.adapter(adapter::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter))
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| LoadError::Componentize(format!("{error:#}")))
}
