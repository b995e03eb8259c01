//! What a guest runs in: its store, its limits, and its standard streams.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use wasmtime::{ResourceLimiter, Store, Trap, UpdateDeadline};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::{HostWallClock, I32Exit, ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::capture::{Allowance, Capture};
use super::engine::Engine;
use super::error::CallError;
use super::limits::Limits;
use super::processor::ProcessorTime;
use super::reader::Reader;
use super::request::ReconcileId;
use crate::object::ObjectRef;
use crate::quota::Volume;

/// The length of an epoch: how long a guest runs before it lets others run, and it is looked how much time it has had.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// How much a line of the log counts beyond its bytes: about what the host writes with it.
const LOG_LINE: usize = 100;

/// How many handles of the host, such as streams, a guest may hold.
const MAX_RESOURCES: usize = 1024;

/// How many random bytes a guest may ask for at a time.
const MAX_RANDOM: u64 = 64 << 10;

/// How many instances of core modules and how many tables a component may be made of. Components of interpreted languages
/// have dozens.
const MAX_PARTS: usize = 1000;

/// How many memories: each takes address space and mappings of which the host has only so many, however small it is.
const MAX_MEMORIES: usize = 32;

/// The store of one instance, and what the instance writes to.
pub(super) struct Sandbox {
    pub(super) store: Store<Guest>,
    pub(super) stdout: Capture,
    pub(super) stderr: Capture,
    limits: Limits,
    time: Arc<ProcessorTime>,
    deadline: Instant,
    /// It is given up after the store, which stands above.
    _place: Option<OwnedSemaphorePermit>,
}

impl Sandbox {
    /// A sandbox without files, network or environment; the clocks and randomness work. Its `stdin` is made when there is a
    /// place for it.
    pub(super) async fn new(
        engine: &Engine,
        plugin: &Arc<str>,
        limits: Limits,
        arguments: &[&str],
        stdin: impl FnOnce() -> String,
    ) -> Result<Self, CallError> {
        let place = engine.place(limits.wall).await?;
        let (stdout, stderr) = (Capture::new(0), Capture::new(LOG_LINE));
        let mut wasi = WasiCtxBuilder::new();
        wasi.args(arguments)
            .stdin(MemoryInputPipe::new(stdin()))
            .stdout(stdout.clone())
            .stderr(stderr.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(MAX_RANDOM);
        if let Some(now) = engine.now {
            wasi.wall_clock(StoppedClock(now));
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let guest = Guest {
            plugin: Arc::clone(plugin),
            call: None,
            wasi: wasi.build(),
            table,
            memory: MemoryLimit { limit: limits.memory, used: 0, refused: false },
            log: Allowance::default(),
        };
        let mut store = Store::new(&engine.wasmtime, guest);
        // In bytes of the host's memory, of what a guest answers or passes to an import.
        store.set_hostcall_fuel(limits.answer);
        store.limiter(|guest| &mut guest.memory);
        let time = Arc::<ProcessorTime>::default();
        let counted = Arc::clone(&time);
        store.epoch_deadline_callback(move |_| {
            Ok(if counted.used_at_tick() < limits.cpu {
                UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
            } else {
                UpdateDeadline::Interrupt
            })
        });
        Ok(Self { store, stdout, stderr, limits, time, deadline: Instant::now(), _place: place })
    }

    /// Begins a call: what runs from now on has what is left of the time that a call may take since then, and may write so
    /// much.
    pub(super) fn begin(&mut self, since: Instant, call: Option<Call>, may_write: Volume) {
        self.deadline = since + self.limits.wall;
        let guest = self.store.data_mut();
        guest.call = call;
        guest.log = Allowance::new(may_write.log);
        guest.memory.refused = false;
        self.time.reset();
        self.stdout.begin(may_write.output);
        self.stderr.begin(may_write.log);
    }

    /// Runs a part of the call in the sandbox, within the limits.
    ///
    /// After an error, the instance is in no state to be called again, and the sandbox has to be thrown away.
    pub(super) async fn run<T>(
        &mut self,
        part: impl AsyncFnOnce(&mut Store<Guest>) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        self.store.set_epoch_deadline(1);
        match until(self.deadline, self.time.count(part(&mut self.store))).await {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(self.explain(&error)),
            None => Err(CallError::WallTime(self.limits.wall)),
        }
    }

    /// What the call has used until now.
    pub(super) fn usage(&self) -> Usage {
        Usage { processor: self.time.used_before(), memory: self.store.data().memory.used }
    }

    fn explain(&self, error: &wasmtime::Error) -> CallError {
        if let Some(I32Exit(code)) = error.downcast_ref() {
            CallError::Exit(*code)
        } else if error.downcast_ref() == Some(&Trap::Interrupt) {
            CallError::CpuTime(self.limits.cpu)
        } else if self.store.data().memory.refused {
            CallError::Memory(self.limits.memory)
        } else if error.root_cause().to_string().contains(OUT_OF_HOSTCALL_FUEL) {
            CallError::Answer(self.limits.answer)
        } else {
            CallError::Trap(error.root_cause().to_string())
        }
    }
}

/// What comes of the future, if that is before the deadline. Most end the first time that they are polled: only for one
/// that does not, a timer is made.
async fn until<T>(deadline: Instant, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut timer) = (pin!(future), None);
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// What a call has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time of the guest, with what the host did for it when it was called.
    pub processor: Duration,
    /// Bytes of all memories and tables of the instance together, which never shrink.
    pub memory: usize,
}

/// How wasmtime says that a guest passes too much to the host. It has no public type for that.
const OUT_OF_HOSTCALL_FUEL: &str = "fuel allocated for hostcalls has been exhausted";

/// A clock that always shows the same time.
struct StoppedClock(SystemTime);

impl HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0.duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// A call that a guest is in.
pub(super) struct Call {
    pub(super) target: ObjectRef,
    pub(super) id: ReconcileId,
    pub(super) reader: Arc<dyn Reader>,
}

/// What the host keeps for an instance.
pub(super) struct Guest {
    pub(super) plugin: Arc<str>,
    /// The call that the guest is in. None: it is being started.
    pub(super) call: Option<Call>,
    wasi: WasiCtx,
    table: ResourceTable,
    memory: MemoryLimit,
    /// What it may log in this call.
    pub(super) log: Allowance,
}

impl Guest {
    /// Whether the guest may log one more line in this call.
    pub(super) fn may_log(&mut self, line: &str) -> bool {
        // As on stderr, a line feed is a byte.
        self.log.takes(line.len() + 1, LOG_LINE)
    }

    /// How many bytes a read may return: what does not fit in the guest need not be copied for it.
    pub(super) fn may_read(&self) -> usize {
        self.memory.limit
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Counts what all memories and tables of an instance take together.
struct MemoryLimit {
    limit: usize,
    used: usize,
    /// The guest was refused what it asked for in this call.
    refused: bool,
}

impl MemoryLimit {
    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let grown = self.used.saturating_add(desired).saturating_sub(current);
        if grown > self.limit {
            self.refused = true;
            return false;
        }
        self.used = grown;
        true
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current * size_of::<usize>(), desired.saturating_mul(size_of::<usize>())))
    }

    fn instances(&self) -> usize {
        MAX_PARTS
    }

    fn tables(&self) -> usize {
        MAX_PARTS
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}
