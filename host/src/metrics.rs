//! What is counted, and how it is served to Prometheus.
//!
//! Where controller-runtime has a metric of the same meaning, its name and labels are used, so that the dashboards
//! that people have go on working.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::grant::Verb;

/// Bounds in seconds: a warm call takes microseconds, a slow one a second.
const CALL_BUCKETS: [f64; 12] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.025, 0.1, 0.25, 1.0, 10.0];

/// All metrics of the host.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ReconcileLabels, Counter>,
    reconcile_seconds: Family<ControllerLabels, Histogram>,
    time_outs: Family<ControllerLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    actions: Family<ActionLabels, Counter>,
    denials: Family<DenialLabels, Counter>,
    leading: Family<LeaseLabels, Gauge>,
    times_paused: Family<PluginLabels, Counter>,
}

/// How it stands with a plugin, which is not counted but read whenever somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginGauges {
    /// Its name.
    pub plugin: Arc<str>,
    /// Whether it is paused, because it breaks.
    pub paused: bool,
    /// How many objects wait to be reconciled by it.
    pub depth: usize,
}

/// How a reconcile ended, in controller-runtime's words.
#[allow(non_camel_case_types, reason = "they are the values of a label")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ReconcileResult {
    /// It is done until the object changes.
    success,
    /// It asked to be called again.
    requeue_after,
    /// It failed.
    error,
}

impl ReconcileResult {
    const ALL: [Self; 3] = [Self::success, Self::requeue_after, Self::error];
}

/// What became of a plugin file.
#[allow(non_camel_case_types, reason = "they are the values of a label")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ReloadResult {
    /// It was put in force.
    loaded,
    /// It could not be loaded.
    failed,
    /// It broke, and the one before was put in force again.
    rolled_back,
}

impl ReloadResult {
    const ALL: [Self; 3] = [Self::loaded, Self::failed, Self::rolled_back];
}

/// What became of an action.
#[allow(non_camel_case_types, reason = "they are the values of a label")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ActionResult {
    /// It was done.
    done,
    /// It was only tried, as a dry run.
    dry_run,
    /// It failed.
    failed,
}

impl ActionResult {
    const ALL: [Self; 3] = [Self::done, Self::dry_run, Self::failed];
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    plugin: Arc<str>,
    action: &'static str,
    result: ActionResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseLabels {
    name: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DenialLabels {
    plugin: Arc<str>,
    verb: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    plugin: Arc<str>,
}

/// A queue has its controller's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    name: Arc<str>,
    controller: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    controller: Arc<str>,
    result: ReconcileResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    plugin: Arc<str>,
    result: ReloadResult,
}

/// The metrics of one plugin's reconciles, looked up once.
#[derive(Clone, Debug)]
pub struct ReconcileMetrics {
    success: Counter,
    requeue_after: Counter,
    error: Counter,
    time_outs: Counter,
    seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let reconciles = Family::default();
        let reconcile_seconds =
            Family::<ControllerLabels, Histogram>::new_with_constructor(|| Histogram::new(CALL_BUCKETS));
        let (reloads, time_outs) = (Family::default(), Family::default());
        registry.register("controller_runtime_reconcile", "Reconciles by plugin and result", reconciles.clone());
        registry.register_with_unit(
            "controller_runtime_reconcile_time",
            "Time of reconciles: of the call into the plugin and of what it asks for",
            Unit::Seconds,
            reconcile_seconds.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_timeouts",
            "Calls that ran out of their time",
            time_outs.clone(),
        );
        registry.register("oarlock_plugin_reloads", "Plugin files loaded, refused and rolled back", reloads.clone());
        let (actions, denials) = (Family::default(), Family::default());
        registry.register("oarlock_plugin_actions", "Actions by plugin, verb and result", actions.clone());
        registry.register("oarlock_plugin_denials", "Actions and reads that were not granted", denials.clone());
        let leading = Family::default();
        registry.register("leader_election_master_status", "How many leases of that name are held", leading.clone());
        let times_paused = Family::default();
        registry.register("oarlock_plugin_pauses", "How often the plugin began to be paused", times_paused.clone());
        Self { registry, reconciles, reconcile_seconds, time_outs, reloads, actions, denials, leading, times_paused }
    }
}

impl Metrics {
    /// The metrics of the reconciles of that plugin.
    pub fn reconciles(&self, plugin: &Arc<str>) -> ReconcileMetrics {
        let count =
            |result| self.reconciles.get_or_create(&ReconcileLabels { controller: Arc::clone(plugin), result }).clone();
        let labels = ControllerLabels { controller: Arc::clone(plugin) };
        ReconcileMetrics {
            success: count(ReconcileResult::success),
            requeue_after: count(ReconcileResult::requeue_after),
            error: count(ReconcileResult::error),
            time_outs: self.time_outs.get_or_create(&labels).clone(),
            seconds: self.reconcile_seconds.get_or_create(&labels).clone(),
        }
    }

    /// Counts what became of a file of that plugin.
    pub fn reload(&self, plugin: &Arc<str>, result: ReloadResult) {
        self.reloads.get_or_create(&ReloadLabels { plugin: Arc::clone(plugin), result }).inc();
    }

    /// Counts an action of that plugin, by the verb that it needs.
    pub fn action(&self, plugin: &Arc<str>, action: &'static str, result: ActionResult) {
        self.actions.get_or_create(&ActionLabels { plugin: Arc::clone(plugin), action, result }).inc();
    }

    /// Counts that the plugin wanted what it is not granted.
    pub fn denial(&self, plugin: &Arc<str>, verb: &'static str) {
        self.denials.get_or_create(&DenialLabels { plugin: Arc::clone(plugin), verb }).inc();
    }

    /// Counts that the plugin begins to be paused.
    pub fn pause(&self, plugin: &Arc<str>) {
        self.times_paused.get_or_create(&PluginLabels { plugin: Arc::clone(plugin) }).inc();
    }

    /// Drops all that was counted for a plugin, which is gone.
    pub fn forget(&self, plugin: &Arc<str>) {
        let name = || Arc::clone(plugin);
        self.reconcile_seconds.remove(&ControllerLabels { controller: name() });
        self.time_outs.remove(&ControllerLabels { controller: name() });
        for result in ReconcileResult::ALL {
            self.reconciles.remove(&ReconcileLabels { controller: name(), result });
        }
        for result in ReloadResult::ALL {
            self.reloads.remove(&ReloadLabels { plugin: name(), result });
        }
        for verb in Verb::ALL.map(Verb::as_str) {
            self.denials.remove(&DenialLabels { plugin: name(), verb });
            for result in ActionResult::ALL {
                self.actions.remove(&ActionLabels { plugin: name(), action: verb, result });
            }
        }
        self.times_paused.remove(&PluginLabels { plugin: name() });
    }

    /// Notes how many leases of that name are held: 0 or, if the objects are not split into shards, 1.
    pub fn leading(&self, name: &str, held: usize) {
        let held = i64::try_from(held).unwrap_or(i64::MAX);
        self.leading.get_or_create(&LeaseLabels { name: name.into() }).set(held);
    }

    /// All metrics in the Prometheus text format, as OpenMetrics 1.0 describes it, with how it stands with the plugins
    /// that there are.
    pub fn encode(&self, plugins: Vec<PluginGauges>) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode_registry(&mut text, &self.registry)?;
        text::encode_registry(&mut text, &registry_of(plugins))?;
        text::encode_eof(&mut text)?;
        Ok(text)
    }
}

fn registry_of(plugins: Vec<PluginGauges>) -> Registry {
    let mut registry = Registry::default();
    let (all_paused, depths) = (Family::<PluginLabels, Gauge>::default(), Family::<QueueLabels, Gauge>::default());
    registry.register("oarlock_plugin_paused", "Whether the plugin is paused, because it breaks", all_paused.clone());
    registry.register("workqueue_depth", "How many objects wait to be reconciled", depths.clone());
    for PluginGauges { plugin, paused, depth } in plugins {
        let queue = QueueLabels { name: Arc::clone(&plugin), controller: Arc::clone(&plugin) };
        depths.get_or_create(&queue).set(i64::try_from(depth).unwrap_or(i64::MAX));
        all_paused.get_or_create(&PluginLabels { plugin }).set(paused.into());
    }
    registry
}

impl ReconcileMetrics {
    /// Counts a reconcile and its time.
    pub fn observe(&self, result: ReconcileResult, took: Duration) {
        match result {
            ReconcileResult::success => &self.success,
            ReconcileResult::requeue_after => &self.requeue_after,
            ReconcileResult::error => &self.error,
        }
        .inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// Counts that a reconcile failed because its call ran out of its time.
    pub fn time_out(&self) {
        self.time_outs.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_the_names_that_dashboards_ask_for() {
        let (metrics, plugin) = (Metrics::default(), Arc::from("demo"));
        metrics.reconciles(&plugin).observe(ReconcileResult::requeue_after, Duration::from_micros(20));
        metrics.reload(&plugin, ReloadResult::failed);
        let text = metrics.encode(vec![PluginGauges { plugin, paused: true, depth: 3 }]).unwrap();
        for line in [
            r#"oarlock_plugin_paused{plugin="demo"} 1"#,
            r#"workqueue_depth{name="demo",controller="demo"} 3"#,
            r#"controller_runtime_reconcile_total{controller="demo",result="requeue_after"} 1"#,
            r#"controller_runtime_reconcile_total{controller="demo",result="error"} 0"#,
            r#"controller_runtime_reconcile_timeouts_total{controller="demo"} 0"#,
            r#"controller_runtime_reconcile_time_seconds_bucket{le="0.000025",controller="demo"} 1"#,
            r#"oarlock_plugin_reloads_total{plugin="demo",result="failed"} 1"#,
        ] {
            assert!(text.lines().any(|had| had == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn whoever_asks_is_told_of_the_plugins_as_they_are_then_whoever_else_asks() {
        let metrics = Metrics::default();
        let ask = |plugin: usize| {
            for depth in 0..200 {
                let paused = depth % 2 == plugin % 2;
                let text = metrics.encode(vec![PluginGauges { plugin: format!("{plugin}").into(), paused, depth }]);
                let lines: Vec<_> =
                    text.unwrap().lines().filter(|line| !line.starts_with('#')).map(String::from).collect();
                let paused = format!(r#"oarlock_plugin_paused{{plugin="{plugin}"}} {}"#, u8::from(paused));
                let depth = format!(r#"workqueue_depth{{name="{plugin}",controller="{plugin}"}} {depth}"#);
                assert_eq!(lines, [paused, depth]);
            }
        };
        std::thread::scope(|threads| (0..4).for_each(|plugin| drop(threads.spawn(move || ask(plugin)))));
    }

    #[test]
    fn of_a_plugin_that_is_gone_nothing_is_left() {
        let (metrics, plugins) = (Metrics::default(), ["gone", "stays"].map(Arc::from));
        for plugin in &plugins {
            metrics.reconciles(plugin).observe(ReconcileResult::error, Duration::from_micros(20));
            for result in ReloadResult::ALL {
                metrics.reload(plugin, result);
            }
            for verb in Verb::ALL.map(Verb::as_str) {
                metrics.denial(plugin, verb);
                for result in ActionResult::ALL {
                    metrics.action(plugin, verb, result);
                }
            }
            metrics.pause(plugin);
        }
        let of = |plugin: &str| metrics.encode(Vec::new()).unwrap().matches(&format!("\"{plugin}\"")).count();
        assert_eq!(of("gone"), of("stays"));
        metrics.forget(&plugins[0]);
        assert_eq!(of("gone"), 0);
        assert!(of("stays") > 30);
    }
}
