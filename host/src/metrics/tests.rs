use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::digest::Digest;

fn gauges_of(plugin: &str) -> PluginGauges {
    PluginGauges {
        plugin: plugin.into(),
        digest: Some(Digest::of(b"a plugin")),
        paused: true,
        memory_limit: 64 << 20,
        concurrency: 2,
        running: 2,
        live: 3,
        backlog: 4,
        adds: 9,
        retries: 5,
    }
}

fn watch(status: WatchStatus) -> WatchGauges {
    WatchGauges { gvk: Gvk::replica_set(), status, objects: 10, bytes: 1000 }
}

/// Counts everything that there is to count about a plugin.
fn count_all(metrics: &Metrics, plugin: &Arc<str>) {
    for result in ReloadResult::ALL {
        metrics.reload(plugin, result);
    }
    let reconciles = metrics.reconciles(plugin);
    reconciles.begin(Duration::from_micros(50));
    reconciles.used(Duration::from_micros(10), 1 << 20);
    reconciles.end(ReconcileResult::error, Duration::from_micros(20));
    for failure in Failure::ALL {
        reconciles.fail(failure, failure != Failure::terminal);
    }
    for verb in Verb::ALL.map(Verb::as_str) {
        metrics.denial(plugin, verb);
        for result in ActionResult::ALL {
            metrics.action(plugin, verb, result);
        }
    }
    metrics.pause(plugin);
}

/// What is served when there is something of everything.
fn all() -> String {
    let metrics = Metrics::default();
    count_all(&metrics, &"demo".into());
    metrics.watch_restart(&Gvk::replica_set());
    metrics.leading("oarlock/oarlock", 1);
    metrics.requests.begin("GET", &"localhost:6443".into()).code = Some(200);
    let ages = [3, 5].map(|seconds| ("demo".into(), Duration::from_secs(seconds)));
    let watches = vec![watch(WatchStatus::listed), watch(WatchStatus::refused)];
    metrics.encode(Gauges { plugins: vec![gauges_of("demo")], watches, under_way: ages.into() }).unwrap()
}

fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|had| had == *line), "{line} in\n{text}");
    }
}

#[test]
fn the_text_has_the_names_that_dashboards_ask_for() {
    assert_lines(
        &all(),
        &[
            "# TYPE controller_runtime_reconcile_total counter",
            r#"controller_runtime_reconcile_total{controller="demo",result="error"} 1"#,
            r#"controller_runtime_reconcile_total{controller="demo",result="success"} 0"#,
            r#"controller_runtime_reconcile_errors_total{controller="demo"} 15"#,
            r#"controller_runtime_terminal_reconcile_errors_total{controller="demo"} 1"#,
            r#"controller_runtime_reconcile_panics_total{controller="demo"} 2"#,
            r#"controller_runtime_reconcile_timeouts_total{controller="demo"} 3"#,
            r#"controller_runtime_reconcile_time_seconds_bucket{le="0.000025",controller="demo"} 1"#,
            r#"controller_runtime_max_concurrent_reconciles{controller="demo"} 2"#,
            r#"controller_runtime_active_workers{controller="demo"} 2"#,
            r#"workqueue_depth{name="demo",controller="demo",priority="0"} 3"#,
            r#"workqueue_depth{name="demo",controller="demo",priority="-100"} 4"#,
            r#"workqueue_adds_total{name="demo",controller="demo"} 9"#,
            r#"workqueue_retries_total{name="demo",controller="demo"} 5"#,
            r#"workqueue_queue_duration_seconds_bucket{le="0.0001",name="demo",controller="demo"} 1"#,
            r#"workqueue_work_duration_seconds_count{name="demo",controller="demo"} 1"#,
            r#"workqueue_unfinished_work_seconds{name="demo",controller="demo"} 8.0"#,
            r#"workqueue_longest_running_processor_seconds{name="demo",controller="demo"} 5.0"#,
            r#"rest_client_requests_total{code="200",method="GET",host="localhost:6443"} 1"#,
            r#"rest_client_request_duration_seconds_count{verb="GET",host="localhost:6443"} 1"#,
            r#"leader_election_master_status{name="oarlock/oarlock"} 1"#,
        ],
    );
}

#[test]
fn the_text_has_what_only_this_host_tells() {
    let digest = Digest::of(b"a plugin");
    assert_lines(
        &all(),
        &[
            &format!(r#"oarlock_plugin_info{{plugin="demo",digest="{digest}"}} 1"#),
            r#"oarlock_plugin_paused{plugin="demo"} 1"#,
            r#"oarlock_plugin_pauses_total{plugin="demo"} 1"#,
            r#"oarlock_plugin_reloads_total{plugin="demo",result="refused"} 1"#,
            r#"oarlock_plugin_refused{plugin="demo"} 1"#,
            r#"oarlock_plugin_actions_total{plugin="demo",verb="apply",result="done"} 1"#,
            r#"oarlock_plugin_failures_total{plugin="demo",reason="cpu_time"} 1"#,
            r#"oarlock_plugin_processor_seconds_total{plugin="demo"} 0.00001"#,
            r#"oarlock_plugin_memory_peak_bytes{plugin="demo"} 1048576"#,
            r#"oarlock_plugin_memory_limit_bytes{plugin="demo"} 67108864"#,
            r#"oarlock_cache_objects{group="apps",version="v1",kind="ReplicaSet"} 20"#,
            r#"oarlock_cache_bytes{group="apps",version="v1",kind="ReplicaSet"} 2000"#,
            r#"oarlock_watches{group="apps",version="v1",kind="ReplicaSet",status="refused"} 1"#,
            r#"oarlock_watches{group="apps",version="v1",kind="ReplicaSet",status="starting"} 0"#,
            r#"oarlock_watch_restarts_total{group="apps",version="v1",kind="ReplicaSet"} 1"#,
            &format!(r#"oarlock_build_info{{version="{}"}} 1"#, env!("CARGO_PKG_VERSION")),
        ],
    );
}

#[test]
fn a_plugin_counts_as_refused_until_its_newest_version_is_in_force() {
    let (metrics, plugin) = (Metrics::default(), Arc::from("demo"));
    let assert_refused = |refused: u8| {
        let line = format!(r#"oarlock_plugin_refused{{plugin="demo"}} {refused}"#);
        assert_lines(&metrics.encode(Gauges::default()).unwrap(), &[&line]);
    };
    metrics.reload(&plugin, ReloadResult::loaded);
    assert_refused(0);
    metrics.reload(&plugin, ReloadResult::refused);
    assert_refused(1);
    metrics.restored(&plugin);
    assert_refused(0);
    metrics.reload(&plugin, ReloadResult::rolled_back);
    assert_refused(1);
    metrics.reload(&plugin, ReloadResult::loaded);
    assert_refused(0);
}

#[test]
fn what_the_process_takes_is_told() {
    let text = all();
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in\n{text}")).parse().unwrap()
    };
    assert!(value("process_cpu_seconds_total") > 0.0);
    assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!((3.0..value("process_max_fds")).contains(&value("process_open_fds")));
    assert!(value("process_start_time_seconds") > 1.7e9);
}

#[test]
fn the_peak_of_memory_is_that_of_the_version_in_force() {
    let (metrics, plugin) = (Metrics::default(), Arc::from("demo"));
    let reconciles = metrics.reconciles(&plugin);
    let assert_peak = |peak: usize| {
        let line = format!(r#"oarlock_plugin_memory_peak_bytes{{plugin="demo"}} {peak}"#);
        assert_lines(&metrics.encode(Gauges::default()).unwrap(), &[&line]);
    };
    for memory in [2000, 3000, 1000] {
        reconciles.used(Duration::ZERO, memory);
    }
    assert_peak(3000);
    metrics.reload(&plugin, ReloadResult::refused);
    assert_peak(3000);
    metrics.reload(&plugin, ReloadResult::loaded);
    assert_peak(0);
    reconciles.used(Duration::ZERO, 500);
    assert_peak(500);
}

#[test]
fn a_request_without_an_answer_is_counted_as_an_error() {
    let metrics = Metrics::default();
    drop(metrics.requests.begin("PATCH", &"localhost".into()));
    let text = metrics.encode(Gauges::default()).unwrap();
    assert_lines(&text, &[r#"rest_client_requests_total{code="<error>",method="PATCH",host="localhost"} 1"#]);
}

#[test]
fn what_workers_keep_is_told_together_and_nothing_of_one_that_is_gone() {
    let (metrics, plugin) = (Metrics::default(), Arc::from("demo"));
    let told = || {
        let text = metrics.encode(Gauges::default()).unwrap();
        let value = |name: &str| -> u64 {
            let series = format!(r#"{name}{{plugin="demo"}} "#);
            text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
        };
        (value("oarlock_plugin_kept_instances"), value("oarlock_plugin_kept_memory_bytes"))
    };
    let [mut one, mut other] = [(); 2].map(|()| metrics.reconciles(&plugin).keeper());
    one.keeps(Some(100));
    other.keeps(Some(50));
    one.keeps(Some(300));
    assert_eq!(told(), (2, 350));
    other.keeps(None);
    assert_eq!(told(), (1, 300));
    drop((one, other));
    assert_eq!(told(), (0, 0));
}

#[test]
fn a_name_that_is_none_does_no_harm_to_the_text() {
    let metrics = Metrics::default();
    metrics.pause(&"a\"} 1\nb \\".into());
    let text = metrics.encode(Gauges::default()).unwrap();
    assert_lines(&text, &[r#"oarlock_plugin_pauses_total{plugin="a\"} 1\nb \\"} 1"#]);
}

#[test]
fn of_a_plugin_that_is_gone_nothing_is_left() {
    let (metrics, plugins) = (Metrics::default(), ["gone", "stays"].map(Arc::from));
    for plugin in &plugins {
        count_all(&metrics, plugin);
    }
    let of = |plugin: &str| {
        let text = metrics.encode(Gauges::default()).unwrap();
        text.lines().filter(|line| line.contains(&format!("\"{plugin}\""))).count()
    };
    assert_eq!(of("gone"), of("stays"));
    metrics.forget(&plugins[0]);
    assert_eq!(of("gone"), 0);
    assert!(of("stays") > 80);
}

#[test]
fn whoever_asks_is_told_of_the_plugins_as_they_are_then_whoever_else_asks() {
    let metrics = Metrics::default();
    let ask = |number: usize| {
        let name = number.to_string();
        for live in 0..200 {
            let gauges = PluginGauges { live, ..gauges_of(&name) };
            let text = metrics.encode(Gauges { plugins: vec![gauges], ..Gauges::default() }).unwrap();
            let depths = text.lines().filter(|line| line.starts_with("workqueue_depth{") && line.contains(r#""0"} "#));
            let expected = format!(r#"workqueue_depth{{name="{name}",controller="{name}",priority="0"}} {live}"#);
            assert_eq!(depths.collect::<Vec<_>>(), [expected]);
        }
    };
    std::thread::scope(|threads| (0..4).for_each(|plugin| drop(threads.spawn(move || ask(plugin)))));
}

/// Type and labels by the name of each metric: as it is served, and as `docs/metrics.md` has it.
type Listed = BTreeMap<String, (String, String)>;

fn served(text: &str) -> Listed {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let listed = types.map(|(name, kind)| {
        let of_it = |line: &&str| {
            let rest = line.strip_prefix(name).map(|rest| rest.trim_start_matches("_count"));
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        let sample = text.lines().find(of_it).unwrap_or_else(|| panic!("{name} in\n{text}"));
        let labels = sample.split_once('{').map_or("", |(_, labels)| labels);
        let labels: Vec<_> = labels.split("\",").filter_map(|label| Some(label.split_once('=')?.0)).collect();
        (name.to_owned(), (kind.to_owned(), labels.join(", ")))
    });
    listed.collect()
}

fn documented() -> Listed {
    let rows = include_str!("../../../docs/metrics.md").lines().filter(|line| line.starts_with("| `"));
    let listed = rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning] = cells[..] else { panic!("{row}") };
        assert!(!meaning.is_empty(), "{row}");
        (name.trim_matches('`').to_owned(), (kind.to_owned(), labels.replace('`', "")))
    });
    listed.collect()
}

#[test]
fn the_page_about_metrics_explains_each_reason_of_a_failure() {
    let page = include_str!("../../../docs/metrics.md");
    let reasons = page.split("### Reasons").nth(1).unwrap().split("##").next().unwrap();
    let named: Vec<_> = reasons.lines().filter_map(|row| row.strip_prefix("| ")?.split(" | ").next()).collect();
    let named: Vec<_> = named.iter().flat_map(|names| names.split(", ")).collect();
    let missing: Vec<_> = Failure::ALL.map(|reason| format!("{reason:?}")).into();
    let missing: Vec<_> = missing.iter().filter(|reason| !named.contains(&reason.as_str())).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn the_page_about_metrics_has_those_that_are_served_and_no_others() {
    let (served, documented) = (served(&all()), documented());
    assert!(served.len() > 35, "{served:?}");
    for (name, of) in &served {
        assert_eq!(documented.get(name), Some(of), "{name}, in docs/metrics.md");
    }
    let others: Vec<_> = documented.keys().filter(|name| !served.contains_key(*name)).collect();
    assert_eq!(others, [""; 0], "they are in docs/metrics.md and nowhere else");
}
