//! What is counted, and how it is served to Prometheus.
//!
//! Where controller-runtime, client-go or the client libraries of Prometheus have a metric of the same meaning, its name
//! and labels are used, so that the dashboards that people have go on working. `docs/metrics.md` lists them all. No label
//! has the name of an object, and of a plugin that is gone nothing is kept.

mod gauges;
mod labels;
mod process;
mod reconciles;
mod requests;

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub use gauges::{Gauges, PluginGauges, WatchGauges};
use labels::{ActionLabels, BuildLabels, DenialLabels, KindLabels, LeaseLabels, PluginLabels, ReloadLabels};
pub use labels::{ActionResult, Failure, ReconcileResult, ReloadResult, WatchStatus};
use reconciles::Reconciles;
pub use reconciles::{Keeper, ReconcileMetrics};
pub use requests::{Asked, Requests};

use crate::grant::Verb;
use crate::object::Gvk;

/// All metrics of the host.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Of the requests to the API server.
    pub requests: Requests,
    reconciles: Reconciles,
    reloads: Family<ReloadLabels, Counter>,
    actions: Family<ActionLabels, Counter>,
    denials: Family<DenialLabels, Counter>,
    /// 1 where the newest version is not in force.
    refused: Family<PluginLabels, Gauge>,
    times_paused: Family<PluginLabels, Counter>,
    watch_restarts: Family<KindLabels, Counter>,
    leading: Family<LeaseLabels, Gauge>,
    began: SystemTime,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("oarlock_build_info", "The version of the host", build);
        let (requests, reconciles) = (Requests::register(&mut registry), Reconciles::register(&mut registry));
        let (reloads, actions, denials) = (Family::default(), Family::default(), Family::default());
        registry.register("oarlock_plugin_reloads", "Plugin files loaded, refused and rolled back", reloads.clone());
        let refused = Family::default();
        registry.register(
            "oarlock_plugin_refused",
            "Whether the newest version of the plugin is not in force, because it was refused or rolled back",
            refused.clone(),
        );
        registry.register("oarlock_plugin_actions", "Actions by plugin, verb and result", actions.clone());
        registry.register("oarlock_plugin_denials", "Actions and reads that were not granted", denials.clone());
        let (times_paused, watch_restarts, leading) = (Family::default(), Family::default(), Family::default());
        registry.register("oarlock_plugin_pauses", "How often the plugin began to be paused", times_paused.clone());
        registry.register(
            "oarlock_watch_restarts",
            "How often a watch of the kind failed and was begun again",
            watch_restarts.clone(),
        );
        registry.register("leader_election_master_status", "How many leases of that name are held", leading.clone());
        let began = SystemTime::now();
        Self {
            registry,
            requests,
            reconciles,
            reloads,
            actions,
            denials,
            refused,
            times_paused,
            watch_restarts,
            leading,
            began,
        }
    }
}

impl Metrics {
    /// The metrics of the reconciles of that plugin.
    pub fn reconciles(&self, plugin: &Arc<str>) -> ReconcileMetrics {
        self.reconciles.of(plugin)
    }

    /// Counts what became of a file of that plugin.
    pub fn reload(&self, plugin: &Arc<str>, result: ReloadResult) {
        // All of them, so that the first of each is seen to be one more.
        for known in ReloadResult::ALL {
            let count = u64::from(known == result);
            self.reloads.get_or_create(&ReloadLabels { plugin: plugin.into(), result: known }).inc_by(count);
        }
        if result == ReloadResult::loaded {
            self.reconciles.begin_version(plugin);
        }
        let refused = i64::from(result != ReloadResult::loaded);
        self.refused.get_or_create(&PluginLabels { plugin: plugin.into() }).set(refused);
    }

    /// Notes that the file of that plugin is again what is in force.
    pub fn restored(&self, plugin: &Arc<str>) {
        self.refused.get_or_create(&PluginLabels { plugin: plugin.into() }).set(0);
    }

    /// Counts an action of that plugin, by the verb that it needs.
    pub fn action(&self, plugin: &Arc<str>, verb: &'static str, result: ActionResult) {
        self.actions.get_or_create(&ActionLabels { plugin: plugin.into(), verb, result }).inc();
    }

    /// Counts that the plugin wanted what it is not granted.
    pub fn denial(&self, plugin: &Arc<str>, verb: &'static str) {
        self.denials.get_or_create(&DenialLabels { plugin: plugin.into(), verb }).inc();
    }

    /// Counts that the plugin begins to be paused.
    pub fn pause(&self, plugin: &Arc<str>) {
        self.times_paused.get_or_create(&PluginLabels { plugin: plugin.into() }).inc();
    }

    /// Counts that a watch of that kind is begun again.
    pub fn watch_restart(&self, gvk: &Gvk) {
        self.watch_restarts.get_or_create(&gvk.into()).inc();
    }

    /// Notes how many leases of that name are held: 0 or, if the objects are not split into shards, 1.
    pub fn leading(&self, name: &str, held: usize) {
        let held = i64::try_from(held).unwrap_or(i64::MAX);
        self.leading.get_or_create(&LeaseLabels { name: name.into() }).set(held);
    }

    /// Drops all that was counted for a plugin, which is gone.
    pub fn forget(&self, plugin: &Arc<str>) {
        self.reconciles.forget(plugin);
        for result in ReloadResult::ALL {
            self.reloads.remove(&ReloadLabels { plugin: plugin.into(), result });
        }
        for verb in Verb::ALL.map(Verb::as_str) {
            self.denials.remove(&DenialLabels { plugin: plugin.into(), verb });
            for result in ActionResult::ALL {
                self.actions.remove(&ActionLabels { plugin: plugin.into(), verb, result });
            }
        }
        self.times_paused.remove(&PluginLabels { plugin: plugin.into() });
        self.refused.remove(&PluginLabels { plugin: plugin.into() });
    }

    /// All metrics in the text format of Prometheus, version 0.0.4, with how it stands at this moment.
    pub fn encode(&self, gauges: Gauges) -> Result<String, fmt::Error> {
        let mut now = Registry::default();
        gauges::register(&mut now, gauges);
        process::register(&mut now, self.began);
        let mut text = String::new();
        text::encode_registry(&mut text, &self.registry)?;
        text::encode_registry(&mut text, &now)?;
        as_prometheus(&text)
    }
}

/// OpenMetrics, which the library writes, as the text format that all scrapers read and `promtool` checks: counters have
/// their whole names where their help and type are told.
fn as_prometheus(open_metrics: &str) -> Result<String, fmt::Error> {
    let types = open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let counters: HashSet<_> = types.filter_map(|named| named.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let told = ["# HELP ", "# TYPE "].into_iter().find_map(|tells| Some((tells, line.strip_prefix(tells)?)));
        let told = told.and_then(|(tells, rest)| Some((tells, rest.split_once(' ')?)));
        match told {
            Some((tells, (name, rest))) if counters.contains(name) => writeln!(text, "{tells}{name}_total {rest}")?,
            _ => writeln!(text, "{line}")?,
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
