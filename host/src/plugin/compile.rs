//! From the bytes of a plugin to code: told apart, made a component, compiled.
//!
//! None of it can be interrupted, and the bytes are anybody's: see `compiler.rs` for where it is done.

use std::borrow::Cow;

use wasi_preview1_component_adapter_provider as adapter;
use wasmparser::{Encoding, Parser, Payload};
use wasmtime::Engine;
use wit_component::ComponentEncoder;

/// Why bytes are no plugin.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompileError {
    /// It does not begin as WebAssembly does.
    #[error("it is not WebAssembly: {0}; build it with `cargo build --target wasm32-wasip1`")]
    NotWasm(String),
    /// It is cut off, or otherwise not well-formed.
    #[error("it is not valid WebAssembly, or not whole: {0}")]
    Malformed(#[from] wasmparser::BinaryReaderError),
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
}

/// The code of a plugin, as the engine takes it.
pub(super) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
    let component = component(bytes)?;
    engine.precompile_component(&component).map_err(|error| CompileError::Compile(format!("{error:#}")))
}

/// The component that a file is, or is made into.
pub(super) fn component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, CompileError> {
    let adapter = match Form::of(bytes)? {
        Form::Component => return Ok(bytes.into()),
        Form::Reconciler => adapter::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
        Form::Command => adapter::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
    };
    componentize(bytes, adapter).map(Cow::Owned)
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
    fn of(bytes: &[u8]) -> Result<Self, CompileError> {
        if !bytes.starts_with(b"\0asm") {
            return Err(CompileError::NotWasm(match bytes {
                [] => "it is empty".to_owned(),
                _ => format!("it begins with `{}`", bytes[..bytes.len().min(8)].escape_ascii()),
            }));
        }
        let (mut carries_world, mut starts) = (false, false);
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { encoding: Encoding::Component, .. } => return Ok(Self::Component),
                Payload::CustomSection(section) => carries_world |= section.name().starts_with("component-type"),
                Payload::ExportSection(exports) => {
                    for export in exports {
                        starts |= export?.name == "_start";
                    }
                }
                _ => {}
            }
        }
        match (carries_world, starts) {
            (true, _) => Ok(Self::Reconciler),
            (false, true) => Ok(Self::Command),
            (false, false) => Err(CompileError::NoWorld),
        }
    }
}

/// Makes a component of a core module, by wrapping its wasip1 imports in `adapter`.
fn componentize(module: &[u8], adapter: &[u8]) -> Result<Vec<u8>, CompileError> {
    ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.adapter(adapter::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter))
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| CompileError::Componentize(format!("{error:#}")))
}
