//! The dashboard, the alerts and the page about metrics, against what a host serves and what Prometheus makes of it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::deploy::{DEPLOY, kustomize, only, output};
use crate::support::host::{Host, Workplace};
use crate::support::{http_get, plugins, poll, probe};

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rules file in the manifest for the Prometheus operator.
fn rules() -> Value {
    serde_saphyr::from_str::<Value>(&read("deploy/monitoring/rules.yaml")).unwrap()["spec"].take()
}

fn alerts(rules: &mut Value) -> impl Iterator<Item = &mut Value> {
    rules["groups"].as_array_mut().unwrap().iter_mut().flat_map(|group| group["rules"].as_array_mut().unwrap())
}

/// The queries of the dashboard, each for all plugins.
fn queries() -> Vec<String> {
    fn collect(value: &Value, queries: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                let texts = ["expr", "definition"].iter().filter_map(|name| fields.get(*name)?.as_str());
                queries.extend(texts.map(|query| query.replace("$plugin", ".*").replace("$__rate_interval", "5m")));
                fields.values().for_each(|value| collect(value, queries));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, queries)),
            _ => {}
        }
    }
    let mut queries = Vec::new();
    collect(&serde_json::from_str(&read("deploy/monitoring/dashboard.json")).unwrap(), &mut queries);
    assert!(queries.len() > 30, "{queries:?}");
    queries
}

/// The metrics that a query names, those of histograms by their parts.
fn named(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let prefixes = ["controller_runtime_", "leader_election_", "oarlock_", "process_", "rest_client_", "workqueue_"];
    words.filter(move |word| prefixes.iter().any(|prefix| word.starts_with(prefix)))
}

/// Name and type of each metric in the page about them.
fn documented() -> Vec<(String, String)> {
    let page = read("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.map(|(name, rest)| (name.to_owned(), rest.split(' ').next().unwrap().to_owned())).collect()
}

/// Runs promtool, which has to find nothing wrong.
fn promtool(folder: &Path, args: &[&str], stdin: &str) {
    let program = output(&mut Command::new(root().join("host/tests/monitoring/promtool.sh")));
    let mut command = Command::new(program.trim_end());
    command.current_dir(folder).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {args:?}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_metrics_that_there_are() {
    let documented = documented();
    let known: BTreeSet<_> = documented
        .iter()
        .flat_map(|(name, kind)| match &**kind {
            "histogram" => ["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")).to_vec(),
            _ => vec![name.clone()],
        })
        .collect();
    let mut rules = rules();
    let expressions = alerts(&mut rules).map(|alert| alert["expr"].as_str().unwrap().to_owned());
    for query in queries().into_iter().chain(expressions) {
        assert!(named(&query).next().is_some(), "{query}");
        let unknown: Vec<_> = named(&query).filter(|name| !known.contains(*name)).collect();
        assert_eq!(unknown, [""; 0], "{query}");
    }
}

#[test]
fn what_kustomize_makes_has_the_alerts_the_dashboard_and_what_is_scraped() {
    let objects = kustomize(&Path::new(DEPLOY).join("monitoring"));
    assert_eq!(only(&objects, "PrometheusRule")["spec"], rules());
    let dashboard = only(&objects, "ConfigMap");
    assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");
    assert_eq!(dashboard["data"]["oarlock.json"], *read("deploy/monitoring/dashboard.json"));
    assert_eq!(only(&objects, "PodMonitor")["metadata"]["namespace"], "oarlock");
}

#[test]
fn each_alert_has_a_paragraph_that_it_points_to() {
    let page = read("docs/metrics.md");
    let sections = page.split("\n## Alerts\n").nth(1).unwrap();
    let explained: Vec<_> = sections.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let mut rules = rules();
    let names: Vec<_> = alerts(&mut rules)
        .map(|alert| {
            let name = alert["alert"].as_str().unwrap().to_owned();
            let place = format!(" See docs/metrics.md#{}.", name.to_lowercase());
            let description = alert["annotations"]["description"].as_str().unwrap();
            assert!(description.ends_with(&place), "{description}");
            name
        })
        .collect();
    assert_eq!(names, explained);
}

#[test]
fn prometheus_takes_the_rules_and_the_queries_and_the_alerts_fire_when_they_should() {
    let (folder, mut rules) = (tempfile::tempdir().unwrap(), rules());
    let file = folder.path().join("rules.json");
    fs::write(&file, rules.to_string()).unwrap();
    promtool(folder.path(), &["check", "rules", "--lint-fatal", "rules.json"], "");

    // What is expected are alerts and their labels.
    alerts(&mut rules).for_each(|alert| drop(alert.as_object_mut().unwrap().remove("annotations")));
    fs::write(&file, rules.to_string()).unwrap();
    fs::write(folder.path().join("alerts.yaml"), read("host/tests/monitoring/alerts.yaml")).unwrap();
    promtool(folder.path(), &["test", "rules", "alerts.yaml"], "");

    let queries = queries().into_iter().filter(|query| !query.starts_with("label_values(")).enumerate();
    let records: Vec<_> =
        queries.map(|(number, query)| json!({"record": format!("query_{number}"), "expr": query})).collect();
    fs::write(&file, json!({"groups": [{"name": "dashboard", "rules": records}]}).to_string()).unwrap();
    promtool(folder.path(), &["check", "rules", "rules.json"], "");
}

#[test]
fn what_hosts_serve_is_what_the_page_has_and_prometheus_finds_nothing_wrong_with_it() {
    let admin = |host: &Host| host.log("serving /livez")["address"].as_str().unwrap().to_owned();
    let page = |address: &str| http_get(address, "/metrics").split_once("\r\n\r\n").unwrap().1.to_owned();
    let place = Workplace::new();
    place.grant("probe", "grants:\n- {apiVersion: v1, kinds: [ConfigMap], verbs: [apply]}\n");
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("denied", "get"));
    place.object(&probe("done", "apply"));
    // Enough to have it paused.
    (0..8).for_each(|number| place.object(&probe(&format!("trap-{number}"), "trap")));
    let on_manifests = place.run_with_output(&["--admin", "127.0.0.1:0"]);
    let address = admin(&on_manifests);
    poll("plugin that is paused", || page(&address).contains("pauses_total{").then_some(()));
    let (first, nobody) = (page(&address), Workplace::new());
    nobody.plugin("probe", &plugins::probe(1));
    // Nothing listens there.
    let on_cluster = nobody.run_on(1, &["--admin", "127.0.0.1:0", "--leader-elect"]);
    let address = admin(&on_cluster);
    let both = ["watch_restarts_total{", "leader_election_master_status{"];
    poll("watch that is begun again", || both.iter().all(|series| page(&address).contains(series)).then_some(()));
    let pages = [first, page(&address)];
    let mut served = BTreeSet::new();
    for page in &pages {
        promtool(place.folder.path(), &["check", "metrics"], page);
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        served.extend(types.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
    }
    assert_eq!(served, documented().into_iter().collect());
}
