//! The wasmtime engine that all plugins share: its settings, its clock, and what plugins can import.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, EngineWeak, PoolingAllocationConfig};

use super::bindings::Reconciler;
use super::error::CallError;
use super::sandbox::{Guest, TICK};

/// The stack of a guest, in bytes: a recursion that goes deeper traps.
const GUEST_STACK: usize = 512 << 10;

/// What the host has on the same stack for its own functions that a guest calls, in bytes.
const HOST_STACK: usize = 1536 << 10;

/// How many instances can be there at a time whose memory is pooled. Each takes 4 GiB of address space.
const PLACES: u32 = 128;

/// How many core modules, and how many tables, a component may have whose instances are pooled: what an SDK makes has four.
const PARTS: u32 = 8;

/// How many elements a table of such an instance may have: as many as fit in the memory that a plugin has by default.
const ELEMENTS: usize = (64 << 20) / size_of::<usize>();

/// How much of the memory of such an instance is wiped, and not given back to the kernel, which would have to provide it
/// again for the next one, in bytes.
const WIPED: usize = 1 << 20;

/// The engine and the imports, made once.
pub struct Engine {
    /// What time plugins take it to be. None: what it is.
    pub(super) now: Option<SystemTime>,
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) linker: Linker<Guest>,
    /// For so many instances there is room. None: for any number.
    places: Option<Arc<Semaphore>>,
}

impl Engine {
    /// Makes the engine and starts its clock, a thread that ends with it.
    pub fn new() -> anyhow::Result<Self> {
        Self::with(&config(), None)
    }

    /// An engine for instances that are made for one call each: they take turns in using memory that is there already, so
    /// that a call takes a third of the time. It refuses components of many parts, such as those of interpreted languages.
    /// An error may be a lack of address space.
    pub fn pooled() -> anyhow::Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(PLACES).total_memories(PLACES).total_stacks(PLACES);
        pool.total_core_instances(PLACES * PARTS).total_tables(PLACES * PARTS);
        pool.max_core_instances_per_component(PARTS).max_tables_per_component(PARTS).max_memories_per_component(1);
        pool.table_elements(ELEMENTS);
        pool.linear_memory_keep_resident(WIPED).table_keep_resident(WIPED);
        // Only what was written to is wiped, where the kernel tells (Linux 6.7).
        pool.pagemap_scan(Enabled::Auto);
        // A place is used again before one that was not used yet.
        pool.max_unused_warm_slots(0);
        let places = Semaphore::new(PLACES as usize);
        Self::with(config().allocation_strategy(pool), Some(Arc::new(places)))
    }

    fn with(config: &Config, places: Option<Arc<Semaphore>>) -> anyhow::Result<Self> {
        let wasmtime = wasmtime_engine(config)?;
        let mut linker = Linker::new(&wasmtime);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        Reconciler::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |state| state)?;

        let clock = wasmtime.weak();
        thread::Builder::new().name("epoch".into()).spawn(move || tick(&clock)).context("epoch thread")?;
        Ok(Self { now: None, wasmtime, linker, places })
    }

    /// A place for an instance, if one is needed and there is one in that time.
    pub(super) async fn place(&self, time: Duration) -> Result<Option<OwnedSemaphorePermit>, CallError> {
        let Some(places) = &self.places else { return Ok(None) };
        let taken = || {
            let time = humantime::format_duration(time);
            CallError::NotMade(format!(
                "{PLACES} that are made for one call each are there, and there was no place for it in {time}"
            ))
        };
        let place = tokio::time::timeout(time, Arc::clone(places).acquire_owned()).await.map_err(|_| taken())?;
        // Nobody closes the semaphore.
        Ok(place.ok())
    }

    /// The same, in which it is always that time for plugins, so that they do the same each time.
    #[must_use]
    pub fn at(self, now: SystemTime) -> Self {
        Self { now: Some(now), ..self }
    }

    /// The same, in which it is the time that it is in `other`.
    pub(super) fn of_the_time_of(self, other: &Self) -> Self {
        Self { now: other.now, ..self }
    }
}

/// The engine that plugins are compiled with.
pub(super) fn compiling_engine() -> anyhow::Result<wasmtime::Engine> {
    wasmtime_engine(&config())
}

fn wasmtime_engine(config: &Config) -> anyhow::Result<wasmtime::Engine> {
    wasmtime::Engine::new(config).map_err(anyhow::Error::from).context("WebAssembly engine")
}

/// What holds for running plugins, and for compiling them.
fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.max_wasm_stack(GUEST_STACK).async_stack_size(GUEST_STACK + HOST_STACK);
    config
}

fn tick(engine: &EngineWeak) {
    while let Some(engine) = engine.upgrade() {
        engine.increment_epoch();
        drop(engine);
        thread::sleep(TICK);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::task::unconstrained;

    use super::*;
    use crate::plugin::Limits;
    use crate::plugin::sandbox::Sandbox;

    #[tokio::test]
    async fn what_is_pooled_waits_for_a_place_and_gives_it_up() {
        let (engine, name) = (Engine::pooled().unwrap(), Arc::from("a"));
        let limits = Limits { wall: Duration::from_millis(10), ..Limits::default() };
        let sandbox = || Sandbox::new(&engine, &name, limits, &[], String::new);
        let mut sandboxes = Vec::new();
        for _ in 0..PLACES {
            sandboxes.push(sandbox().await.unwrap_or_else(|error| panic!("{error}")));
        }
        let error = sandbox().await.err().expect("no place");
        assert_eq!(
            error.to_string(),
            "there can be no instance of it: 128 that are made for one call each are there, and there was no place for it in 10ms"
        );
        sandboxes.pop();
        assert!(unconstrained(sandbox()).now_or_never().expect("no wait").is_ok());
    }
}
