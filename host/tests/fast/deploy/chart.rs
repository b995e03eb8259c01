//! The Helm chart, against the kustomize base and overlays.

use std::path::Path;

use serde_json::{Value, json};

use super::{assert_is_known, assert_is_restricted, taken_by_the_host};
use crate::support::deploy::{DEPLOY, chart, kustomizations, kustomize, only, output, tool};
use crate::support::host::{Host, Workplace};
use crate::support::plugins;

/// Values for each way to bring plugins, by the overlay that does the same.
const WAYS: [(&str, &str); 4] = [
    ("config-map", "plugins.from=configMaps"),
    ("volume-claim", "plugins.from=volumeClaim,plugins.volumeClaim=oarlock-plugins"),
    ("image", "plugins.from=image,plugins.image.reference=registry.example.com/oarlock-plugins:1"),
    ("git", "plugins.from=git,plugins.git.repository=https://git.example.com/plugins.git"),
];

/// Something for each value that is empty by itself.
const EVERYTHING: &str = r#"
image: {pullPolicy: Always, tag: "7"}
imagePullSecrets: [{name: pull}]
plugins: {configMaps: [one, two]}
grants: {website: {grants: [{apiVersion: apps/v1, kinds: [Deployment], verbs: [apply]}]}}
options: {shards: 3, memory: 10000000, leader-elect: true, call-cpu: 2s}
env: [{name: OARLOCK_LOG, value: debug}]
serviceAccount: {annotations: {a: b}}
rbac: {namespaces: {shop: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]}}
podAnnotations: {a: b}
podLabels: {c: d}
priorityClassName: high
nodeSelector: {disk: ssd}
tolerations: [{operator: Exists}]
affinity: {podAntiAffinity: {}}
podMonitor: {enabled: true, interval: 30s, labels: {prometheus: main}}
"#;

#[test]
fn with_its_own_values_it_makes_what_the_base_makes() {
    let mut base = kustomize(&Path::new(DEPLOY).join("base"));
    base.retain(|object| object["kind"] != "Namespace");
    assert_eq!(comparable(chart("oarlock", "oarlock", &[]).unwrap()), comparable(base));
}

#[test]
fn plugins_come_by_each_way_as_by_the_overlays() {
    let deployment = |objects: Vec<Value>| comparable(vec![only(&objects, "Deployment").clone()]);
    let overlays = kustomizations();
    for (name, values) in WAYS {
        let overlay = overlays.iter().find(|(overlay, _)| *overlay == name).unwrap().1.clone();
        assert_eq!(deployment(chart("oarlock", "oarlock", &["--set", values]).unwrap()), deployment(overlay), "{name}");
    }
}

#[test]
fn a_folder_of_the_repository_is_where_the_host_looks_for_plugins() {
    let values = "plugins.from=git,plugins.git.repository=x,plugins.git.folder=controllers/built";
    let shown = taken_by_the_host(&chart("oarlock", "oarlock", &["--set", values]).unwrap());
    assert!(shown.contains("plugins: /plugins/current/controllers/built "), "{shown}");
}

/// In one order, without the labels that Helm charts have besides.
fn comparable(mut objects: Vec<Value>) -> Vec<Value> {
    objects.iter_mut().for_each(drop_labels);
    objects.sort_by_key(|object| format!("{} {}", object["kind"], object["metadata"]["name"]));
    objects
}

fn drop_labels(value: &mut Value) {
    if let Value::Object(fields) = value {
        let of_helm = |key: &str| {
            let of_kubernetes = key.strip_prefix("app.kubernetes.io/");
            key == "helm.sh/chart" || of_kubernetes.is_some_and(|rest| rest != "name")
        };
        fields.retain(|key, _| !of_helm(key));
        fields.values_mut().for_each(drop_labels);
    } else if let Value::Array(items) = value {
        items.iter_mut().for_each(drop_labels);
    }
}

/// A release of another name, with something for each value.
fn everything() -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let values = folder.path().join("values.yaml");
    std::fs::write(&values, EVERYTHING).unwrap();
    chart("two", "team", &["--values", values.to_str().unwrap()]).unwrap()
}

#[test]
fn all_values_lead_to_fields_that_kubernetes_knows_and_options_that_the_host_knows() {
    let objects = everything();
    for object in objects.iter().filter(|object| object["kind"] != "PodMonitor") {
        assert_is_known(object);
    }
    let shown = taken_by_the_host(&objects);
    for option in
        ["shards: 3 ", "memory: 10000000 ", "leader-elect: true ", "call-cpu: 2s ", "lease-name: two-oarlock "]
    {
        assert!(shown.contains(option), "{option} in {shown}");
    }
    let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_is_restricted("chart", pod);
    for (field, expected) in [
        ("priorityClassName", json!("high")),
        ("nodeSelector", json!({"disk": "ssd"})),
        ("tolerations", json!([{"operator": "Exists"}])),
        ("affinity", json!({"podAntiAffinity": {}})),
        ("imagePullSecrets", json!([{"name": "pull"}])),
    ] {
        assert_eq!(pod[field], expected, "{field}");
    }
    let container = &pod["containers"][0];
    assert_eq!((&container["image"], &container["imagePullPolicy"]), (&json!("oarlock:7"), &json!("Always")));
    assert_eq!(container["env"], json!([{"name": "OARLOCK_LOG", "value": "debug"}]));
    let sources = pod["volumes"][0]["projected"]["sources"].as_array().unwrap();
    let names: Vec<_> = sources.iter().map(|source| source["configMap"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "two", "two-oarlock-grants"]);
    let monitor = only(&objects, "PodMonitor");
    assert_eq!(monitor["spec"]["selector"], only(&objects, "Deployment")["spec"]["selector"]);
    let endpoint = json!([{"port": "admin", "path": "/metrics", "interval": "30s"}]);
    assert_eq!(monitor["spec"]["podMetricsEndpoints"], endpoint);
    assert_eq!(monitor["metadata"]["labels"]["prometheus"], "main");
}

#[test]
fn every_binding_of_a_release_binds_its_account_to_a_role_that_it_makes() {
    let objects = everything();
    let (account, pod) = (only(&objects, "ServiceAccount"), &only(&objects, "Deployment")["spec"]["template"]["spec"]);
    assert_eq!(account["metadata"]["name"], pod["serviceAccountName"]);
    let bindings: Vec<_> =
        objects.iter().filter(|object| object["kind"].as_str().unwrap().ends_with("Binding")).collect();
    assert_eq!(bindings.len(), 3);
    for binding in bindings {
        let subject = json!([{"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": "team"}]);
        assert_eq!(binding["subjects"], subject);
        let bound = objects.iter().find(|role| {
            role["kind"] == binding["roleRef"]["kind"]
                && role["metadata"]["name"] == binding["roleRef"]["name"]
                && role["metadata"]["namespace"] == binding["metadata"]["namespace"]
        });
        assert!(bound.is_some(), "{binding}");
    }
}

#[test]
fn an_account_with_a_name_of_its_own_is_made_under_that_name() {
    for (create, made) in [("true", vec!["chosen"]), ("false", Vec::new())] {
        let values = format!("serviceAccount.name=chosen,serviceAccount.create={create}");
        let objects = chart("oarlock", "oarlock", &["--set", &values]).unwrap();
        let accounts = objects.iter().filter(|object| object["kind"] == "ServiceAccount");
        let names: Vec<_> = accounts.map(|account| account["metadata"]["name"].as_str().unwrap()).collect();
        assert_eq!(names, made, "create: {create}");
        assert_eq!(only(&objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"], "chosen");
        let subjects = objects.iter().filter_map(|object| object["subjects"].as_array()).flatten();
        assert!(subjects.clone().count() > 0 && subjects.clone().all(|subject| subject["name"] == "chosen"));
    }
}

#[test]
fn a_grant_among_the_values_is_a_grant_file_that_the_host_takes() {
    let objects = everything();
    let place = Workplace::new();
    place.plugin("website", &plugins::example("website"));
    place.grant("website", only(&objects, "ConfigMap")["data"]["website.yaml"].as_str().unwrap());
    let rights = output(Host::program().arg("rbac").arg("--plugins").arg(&place.plugins));
    assert!(rights.contains(r#"resources: ["deployments"]"#), "{rights}");
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    for (values, error) in [
        ("replica=3", "additional properties 'replica' not allowed"),
        ("replicas=many", "/replicas': got string, want integer"),
        ("plugins.from=git", "/plugins/git/repository': minLength"),
        ("plugins.from=image", "/plugins/image/reference': minLength"),
        ("plugins.from=volumeClaim", "/plugins/volumeClaim': minLength"),
        ("options.admin=:9090", "invalid propertyName 'admin'"),
        (
            "plugins.from=git,plugins.git.repository=x,grants.a.mode=observe",
            "otherwise grant files come beside the plugins",
        ),
    ] {
        let refused = chart("oarlock", "oarlock", &["--set", values]).unwrap_err();
        assert!(refused.contains(error), "{values}: {refused}");
    }
    output(tool("helm").args(["lint", "--strict"]).arg(Path::new(DEPLOY).join("chart")));
}

#[test]
fn the_readme_lists_the_values_that_there_are() {
    let read = |file: &str| std::fs::read_to_string(Path::new(DEPLOY).join("chart").join(file)).unwrap();
    let readme = read("README.md");
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
    let mut listed: Vec<_> =
        rows.flat_map(|(names, _)| names.split(", ")).map(|name| name.trim_matches('`').to_owned()).collect();
    let mut there = Vec::new();
    leaves("", &serde_saphyr::from_str(&read("values.yaml")).unwrap(), &mut there);
    listed.sort();
    there.sort();
    assert_eq!(listed, there);

    let example = readme.split("```yaml\n").nth(1).unwrap().split_once("```").unwrap().0;
    let folder = tempfile::tempdir().unwrap();
    let values = folder.path().join("values.yaml");
    std::fs::write(&values, example).unwrap();
    assert!(
        taken_by_the_host(&chart("oarlock", "oarlock", &["--values", values.to_str().unwrap()]).unwrap())
            .contains("shards: 2 ")
    );
}

/// The paths of the values that are explained as a whole.
fn leaves(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() && path != "resources" => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(&path, value, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}
