//! The wasmtime engine that all plugins share: its settings, its clock, and what plugins can import.

use std::thread;
use std::time::SystemTime;

use anyhow::Context as _;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, EngineWeak};

use super::bindings::Reconciler;
use super::sandbox::{Guest, TICK};

/// The stack of a guest, in bytes: a recursion that goes deeper traps.
const GUEST_STACK: usize = 512 << 10;

/// What the host has on the same stack for its own functions that a guest calls, in bytes.
const HOST_STACK: usize = 1536 << 10;

/// The engine and the imports, made once.
pub struct Engine {
    /// What time plugins take it to be. None: what it is.
    pub(super) now: Option<SystemTime>,
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) linker: Linker<Guest>,
}

impl Engine {
    /// Makes the engine and starts its clock, a thread that ends with it.
    pub fn new() -> anyhow::Result<Self> {
        let wasmtime = wasmtime_engine()?;
        let mut linker = Linker::new(&wasmtime);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        Reconciler::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |state| state)?;

        let clock = wasmtime.weak();
        thread::Builder::new().name("epoch".into()).spawn(move || tick(&clock)).context("epoch thread")?;
        Ok(Self { now: None, wasmtime, linker })
    }

    /// The same, in which it is always that time for plugins, so that they do the same each time.
    #[must_use]
    pub fn at(self, now: SystemTime) -> Self {
        Self { now: Some(now), ..self }
    }
}

/// The engine as it is set for running plugins, and for compiling them.
pub(super) fn wasmtime_engine() -> anyhow::Result<wasmtime::Engine> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.max_wasm_stack(GUEST_STACK).async_stack_size(GUEST_STACK + HOST_STACK);
    wasmtime::Engine::new(&config).map_err(anyhow::Error::from).context("WebAssembly engine")
}

fn tick(engine: &EngineWeak) {
    while let Some(engine) = engine.upgrade() {
        engine.increment_epoch();
        drop(engine);
        thread::sleep(TICK);
    }
}
