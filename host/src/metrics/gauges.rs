//! What is not counted but read whenever somebody asks.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::{
    ControllerLabels, DepthLabels, KindLabels, PluginLabels, QueueLabels, VersionLabels, WatchLabels, WatchStatus,
};
use crate::digest::Digest;
use crate::object::Gvk;

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gauges {
    /// With each plugin.
    pub plugins: Vec<PluginGauges>,
    /// With each watch.
    pub watches: Vec<WatchGauges>,
    /// With what is being done: by which plugin's worker, and for how long.
    pub under_way: Vec<(Arc<str>, Duration)>,
}

/// How it stands with a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginGauges {
    /// Its name.
    pub plugin: Arc<str>,
    /// The version in force. None: its file is gone, and it has left finalizers.
    pub digest: Option<Digest>,
    /// Whether it is paused, because it breaks.
    pub paused: bool,
    /// How many bytes of memory an instance may have.
    pub memory_limit: usize,
    /// How many calls at a time there may be.
    pub concurrency: usize,
    /// How many objects are in a call.
    pub running: usize,
    /// How many objects wait that something has happened to.
    pub live: usize,
    /// How many other objects wait.
    pub backlog: usize,
    /// How often an object came to wait.
    pub adds: u64,
    /// How often an object was to be tried again because it failed.
    pub retries: u64,
}

/// How it stands with a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchGauges {
    /// What it watches.
    pub gvk: Gvk,
    /// How far it is.
    pub status: WatchStatus,
    /// How many objects it has.
    pub objects: usize,
    /// How many bytes of JSON these are.
    pub bytes: usize,
}

/// The priority of what nothing has happened to, in controller-runtime's numbers. That of the rest is 0.
const BACKLOG: i32 = -100;

pub(super) fn register(registry: &mut Registry, gauges: Gauges) {
    register_plugins(registry, &gauges.plugins);
    register_under_way(registry, &gauges.plugins, &gauges.under_way);
    register_watches(registry, gauges.watches);
}

fn register_plugins(registry: &mut Registry, plugins: &[PluginGauges]) {
    let versions = Family::<VersionLabels, Gauge>::default();
    let (all_paused, memory_limits) =
        (Family::<PluginLabels, Gauge>::default(), Family::<PluginLabels, Gauge>::default());
    let (most, active) = (Family::<ControllerLabels, Gauge>::default(), Family::<ControllerLabels, Gauge>::default());
    let depths = Family::<DepthLabels, Gauge>::default();
    let (adds, retries) = (Family::<QueueLabels, Counter>::default(), Family::<QueueLabels, Counter>::default());
    registry.register("oarlock_plugin_info", "The version in force of the plugin, by its digest", versions.clone());
    registry.register("oarlock_plugin_paused", "Whether the plugin is paused, because it breaks", all_paused.clone());
    registry.register(
        "oarlock_plugin_memory_limit_bytes",
        "What an instance of the plugin may have in its memories and tables",
        memory_limits.clone(),
    );
    registry.register(
        "controller_runtime_max_concurrent_reconciles",
        "How many calls at a time the plugin may have",
        most.clone(),
    );
    registry.register("controller_runtime_active_workers", "How many objects are being reconciled", active.clone());
    registry.register("workqueue_depth", "How many objects wait to be reconciled", depths.clone());
    registry.register("workqueue_adds", "How often an object came to wait", adds.clone());
    registry.register("workqueue_retries", "How often an object is tried again because it failed", retries.clone());
    for gauges in plugins {
        let plugin = &gauges.plugin;
        let (labels, queue) = (PluginLabels { plugin: plugin.into() }, QueueLabels::from(plugin));
        let controller = ControllerLabels { controller: plugin.into() };
        if let Some(digest) = gauges.digest {
            let digest = (&*digest.to_string()).into();
            versions.get_or_create(&VersionLabels { plugin: plugin.into(), digest }).set(1);
        }
        all_paused.get_or_create(&labels).set(gauges.paused.into());
        memory_limits.get_or_create(&labels).set(number(gauges.memory_limit));
        most.get_or_create(&controller).set(number(gauges.concurrency));
        active.get_or_create(&controller).set(number(gauges.running));
        for (priority, depth) in [(0, gauges.live), (BACKLOG, gauges.backlog)] {
            let labels = DepthLabels { name: plugin.into(), controller: plugin.into(), priority };
            depths.get_or_create(&labels).set(number(depth));
        }
        adds.get_or_create(&queue).inc_by(gauges.adds);
        retries.get_or_create(&queue).inc_by(gauges.retries);
    }
}

fn register_under_way(registry: &mut Registry, plugins: &[PluginGauges], under_way: &[(Arc<str>, Duration)]) {
    type Seconds = Gauge<f64, AtomicU64>;
    let (unfinished, longest) = (Family::<QueueLabels, Seconds>::default(), Family::<QueueLabels, Seconds>::default());
    registry.register(
        "workqueue_unfinished_work_seconds",
        "How long all that is under way has been so, together",
        unfinished.clone(),
    );
    registry.register(
        "workqueue_longest_running_processor_seconds",
        "How long what has been under way for longest has been so",
        longest.clone(),
    );
    for PluginGauges { plugin, .. } in plugins {
        let ages = under_way.iter().filter(|(by, _)| by == plugin).map(|(_, age)| *age);
        unfinished.get_or_create(&plugin.into()).set(ages.clone().sum::<Duration>().as_secs_f64());
        longest.get_or_create(&plugin.into()).set(ages.max().unwrap_or_default().as_secs_f64());
    }
}

fn register_watches(registry: &mut Registry, watches: Vec<WatchGauges>) {
    let (objects, bytes) = (Family::<KindLabels, Gauge>::default(), Family::<KindLabels, Gauge>::default());
    let statuses = Family::<WatchLabels, Gauge>::default();
    registry.register("oarlock_cache_objects", "How many objects are in the caches of all watches", objects.clone());
    registry.register(
        "oarlock_cache_bytes",
        "How many bytes the caches of all watches keep of their JSON, which is packed",
        bytes.clone(),
    );
    registry.register("oarlock_watches", "How many watches there are, by how far they are", statuses.clone());
    for watch in watches {
        let labels = KindLabels::from(&watch.gvk);
        objects.get_or_create(&labels).inc_by(number(watch.objects));
        bytes.get_or_create(&labels).inc_by(number(watch.bytes));
        for status in WatchStatus::ALL {
            let KindLabels { group, version, kind } = labels.clone();
            let labels = WatchLabels { group, version, kind, status };
            statuses.get_or_create(&labels).inc_by((status == watch.status).into());
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
