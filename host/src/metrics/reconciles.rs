//! What is counted of the reconciles of each plugin.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::labels::{
    ControllerLabels, Failure, FailureLabels, PluginLabels, QueueLabels, ReconcileLabels, ReconcileResult,
};

/// Bounds in seconds: a warm call takes microseconds, a slow one a second.
const CALL_BUCKETS: [f64; 12] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 10.0];
/// Bounds in seconds: those of controller-runtime that a queue can come near to.
const QUEUE_BUCKETS: [f64; 9] = [0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0];

type Seconds = Counter<f64, AtomicU64>;
type Bytes = Gauge<u64, AtomicU64>;

/// The metrics of the reconciles of all plugins.
#[derive(Debug)]
pub(super) struct Reconciles {
    results: Family<ReconcileLabels, Counter>,
    errors: Family<ControllerLabels, Counter>,
    terminal: Family<ControllerLabels, Counter>,
    panics: Family<ControllerLabels, Counter>,
    time_outs: Family<ControllerLabels, Counter>,
    seconds: Family<ControllerLabels, Histogram>,
    queue_seconds: Family<QueueLabels, Histogram>,
    work_seconds: Family<QueueLabels, Histogram>,
    failures: Family<FailureLabels, Counter>,
    processor_seconds: Family<PluginLabels, Seconds>,
    memory_peak: Family<PluginLabels, Bytes>,
    kept: Family<PluginLabels, Gauge>,
    kept_memory: Family<PluginLabels, Gauge>,
}

impl Reconciles {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let call = || Histogram::new(CALL_BUCKETS);
        let queue = || Histogram::new(QUEUE_BUCKETS);
        let all = Self {
            results: Family::default(),
            errors: Family::default(),
            terminal: Family::default(),
            panics: Family::default(),
            time_outs: Family::default(),
            seconds: Family::new_with_constructor(call),
            queue_seconds: Family::new_with_constructor(queue),
            work_seconds: Family::new_with_constructor(queue),
            failures: Family::default(),
            processor_seconds: Family::default(),
            memory_peak: Family::default(),
            kept: Family::default(),
            kept_memory: Family::default(),
        };
        registry.register("controller_runtime_reconcile", "Reconciles by plugin and result", all.results.clone());
        registry.register("controller_runtime_reconcile_errors", "Reconciles that failed", all.errors.clone());
        registry.register(
            "controller_runtime_terminal_reconcile_errors",
            "Reconciles that failed and are not tried again until the object changes",
            all.terminal.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_panics",
            "Reconciles in which the guest trapped or the host panicked",
            all.panics.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_timeouts",
            "Calls that ran out of their time",
            all.time_outs.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_time_seconds",
            "Time of reconciles: of the call into the plugin and of what it asks for",
            all.seconds.clone(),
        );
        registry.register(
            "workqueue_queue_duration_seconds",
            "How long objects wait that could be taken",
            all.queue_seconds.clone(),
        );
        registry.register(
            "workqueue_work_duration_seconds",
            "How long it takes from the time that an object is taken until it is finished",
            all.work_seconds.clone(),
        );
        registry.register(
            "oarlock_plugin_failures",
            "Reconciles that failed, by what went wrong",
            all.failures.clone(),
        );
        registry.register(
            "oarlock_plugin_processor_seconds",
            "Processor time that calls have used",
            all.processor_seconds.clone(),
        );
        registry.register(
            "oarlock_plugin_memory_peak_bytes",
            "The most that an instance of the version in force has had in its memories and tables after a call",
            all.memory_peak.clone(),
        );
        registry.register("oarlock_plugin_kept_instances", "Instances kept for the next call", all.kept.clone());
        registry.register(
            "oarlock_plugin_kept_memory_bytes",
            "What instances have in their memories and tables that are kept for the next call",
            all.kept_memory.clone(),
        );
        all
    }

    pub(super) fn of(&self, plugin: &Arc<str>) -> ReconcileMetrics {
        let controller = ControllerLabels { controller: plugin.into() };
        let (queue, labels) = (plugin.into(), PluginLabels { plugin: plugin.into() });
        let result = |result| self.results.get_or_create_owned(&ReconcileLabels { controller: plugin.into(), result });
        ReconcileMetrics {
            success: result(ReconcileResult::success),
            requeue_after: result(ReconcileResult::requeue_after),
            error: result(ReconcileResult::error),
            errors: self.errors.get_or_create_owned(&controller),
            terminal: self.terminal.get_or_create_owned(&controller),
            panics: self.panics.get_or_create_owned(&controller),
            time_outs: self.time_outs.get_or_create_owned(&controller),
            failures: Failure::ALL
                .map(|reason| self.failures.get_or_create_owned(&FailureLabels { plugin: plugin.into(), reason })),
            seconds: self.seconds.get_or_create_owned(&controller),
            queue_seconds: self.queue_seconds.get_or_create_owned(&queue),
            work_seconds: self.work_seconds.get_or_create_owned(&queue),
            processor_seconds: self.processor_seconds.get_or_create_owned(&labels),
            memory_peak: self.memory_peak.get_or_create_owned(&labels),
            kept: self.kept.get_or_create_owned(&labels),
            kept_memory: self.kept_memory.get_or_create_owned(&labels),
        }
    }

    /// What was the most of the version before says nothing of the next one.
    pub(super) fn begin_version(&self, plugin: &Arc<str>) {
        self.memory_peak.get_or_create(&PluginLabels { plugin: plugin.into() }).set(0);
    }

    pub(super) fn forget(&self, plugin: &Arc<str>) {
        let controller = ControllerLabels { controller: plugin.into() };
        let (queue, labels) = (plugin.into(), PluginLabels { plugin: plugin.into() });
        for result in ReconcileResult::ALL {
            self.results.remove(&ReconcileLabels { controller: plugin.into(), result });
        }
        for counters in [&self.errors, &self.terminal, &self.panics, &self.time_outs] {
            counters.remove(&controller);
        }
        for reason in Failure::ALL {
            self.failures.remove(&FailureLabels { plugin: plugin.into(), reason });
        }
        self.seconds.remove(&controller);
        self.queue_seconds.remove(&queue);
        self.work_seconds.remove(&queue);
        self.processor_seconds.remove(&labels);
        self.memory_peak.remove(&labels);
        self.kept.remove(&labels);
        self.kept_memory.remove(&labels);
    }
}

/// The metrics of one plugin's reconciles, looked up once.
#[derive(Clone, Debug)]
pub struct ReconcileMetrics {
    success: Counter,
    requeue_after: Counter,
    error: Counter,
    errors: Counter,
    terminal: Counter,
    panics: Counter,
    time_outs: Counter,
    failures: [Counter; Failure::ALL.len()],
    seconds: Histogram,
    queue_seconds: Histogram,
    work_seconds: Histogram,
    processor_seconds: Seconds,
    memory_peak: Bytes,
    kept: Gauge,
    kept_memory: Gauge,
}

impl ReconcileMetrics {
    /// Counts a reconcile that was due for so long before it began.
    pub fn begin(&self, waited: Duration) {
        self.queue_seconds.observe(waited.as_secs_f64());
    }

    /// Counts how a reconcile ended, and the time that it took.
    pub fn end(&self, result: ReconcileResult, took: Duration) {
        match result {
            ReconcileResult::success => &self.success,
            ReconcileResult::requeue_after => &self.requeue_after,
            ReconcileResult::error => &self.error,
        }
        .inc();
        self.seconds.observe(took.as_secs_f64());
        self.work_seconds.observe(took.as_secs_f64());
    }

    /// Counts why a reconcile failed, and whether it is tried again before the object changes.
    pub fn fail(&self, failure: Failure, is_retried: bool) {
        self.errors.inc();
        self.failures[failure as usize].inc();
        if !is_retried {
            self.terminal.inc();
        }
        match failure {
            Failure::trap | Failure::panic => drop(self.panics.inc()),
            Failure::cpu_time | Failure::wall_time | Failure::read => drop(self.time_outs.inc()),
            _ => {}
        }
    }

    /// Counts what a call has used: processor time, and the bytes that its instance has.
    pub fn used(&self, processor: Duration, memory: usize) {
        self.processor_seconds.inc_by(processor.as_secs_f64());
        self.memory_peak.inner().fetch_max(memory as u64, Ordering::Relaxed);
    }

    /// For one that keeps at most one instance at a time.
    pub fn keeper(&self) -> Keeper {
        Keeper { kept: self.kept.clone(), memory: self.kept_memory.clone(), has: None }
    }
}

/// What one worker keeps, as part of what all of them keep. Dropped, it keeps nothing.
#[derive(Debug)]
pub struct Keeper {
    kept: Gauge,
    memory: Gauge,
    has: Option<i64>,
}

impl Keeper {
    /// Tells how many bytes the instance has that is kept, if there is one.
    pub fn keeps(&mut self, bytes: Option<usize>) {
        let bytes = bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        if bytes != self.has {
            self.kept.inc_by(i64::from(bytes.is_some()) - i64::from(self.has.is_some()));
            self.memory.inc_by(bytes.unwrap_or(0) - self.has.unwrap_or(0));
            self.has = bytes;
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.keeps(None);
    }
}
