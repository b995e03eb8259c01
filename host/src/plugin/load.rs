//! From the bytes of a file to a plugin that can be called: told apart, made a component, compiled, linked, checked.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use wasi_preview1_component_adapter_provider as adapter;
use wasmparser::{Encoding, Parser, Payload};
use wasmtime::component::{Component, InstancePre};
use wasmtime_wasi::p2::bindings::CommandPre;
use wit_component::ComponentEncoder;

use super::aot::AotCache;
use super::bindings::ReconcilerPre;
use super::call;
use super::engine::Engine;
use super::error::CallError;
use super::program::{Plugin, Program};
use super::sandbox::Limits;
use super::{Description, Watch};
use crate::digest::Digest;
use crate::object::Kind;

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
    /// It watches what this host does not serve.
    #[error("it watches {0}; this version of the host serves {served} without selectors and nothing else", served = Kind::replica_set())]
    Watches(String),
    /// It asks for what this host does not do.
    #[error("it describes {0}, which this version of the host does not serve")]
    Unserved(&'static str),
}

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
    pub async fn load(self: Arc<Self>, name: Arc<str>, digest: Digest, bytes: Vec<u8>) -> Result<Plugin, LoadError> {
        let load = async {
            let loader = Arc::clone(&self);
            let program = tokio::task::spawn_blocking(move || loader.link(&bytes, &digest)).await;
            // It fails if compiling panics.
            let program = program.map_err(|_| LoadError::Panicked)??;
            let plugin = Plugin { name, digest, program, engine: Arc::clone(&self.engine), limits: self.limits };
            check(&plugin).await?;
            Ok(plugin)
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

/// Starts the plugin once to see that it does, and that this host does what it describes.
async fn check(plugin: &Plugin) -> Result<(), LoadError> {
    // There is nothing of a command that can be run but all of it.
    let Program::Reconciler(pre) = &plugin.program else { return Ok(()) };
    let mut sandbox = plugin.sandbox(&[&plugin.name], "");
    sandbox.begin(None);
    let started = call::start(&mut sandbox, pre).await;
    let (_, description) = started.map_err(|error| LoadError::Start {
        error,
        stderr: String::from_utf8_lossy(&sandbox.stderr.take().bytes).into_owned(),
    })?;
    serves(&description)
}

/// Whether this host does what the plugin describes.
fn serves(description: &Description) -> Result<(), LoadError> {
    let Description { watches, owns, finalizer, .. } = description;
    if watches.is_empty() {
        return Err(LoadError::Watches("nothing".into()));
    }
    let served = Kind::replica_set();
    for Watch { api_version, kind, namespace, label_selector, field_selector } in watches {
        if !served.is(api_version, kind) {
            return Err(LoadError::Watches(format!("{api_version} {kind}")));
        }
        if namespace.is_some() || label_selector.is_some() || field_selector.is_some() {
            return Err(LoadError::Watches(format!("{api_version} {kind} with a namespace or selector")));
        }
    }
    if !owns.is_empty() {
        return Err(LoadError::Unserved("owned objects"));
    }
    if finalizer.is_some() {
        return Err(LoadError::Unserved("a finalizer"));
    }
    Ok(())
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
