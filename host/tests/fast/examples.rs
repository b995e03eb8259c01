//! The examples on manifests, with the grant files that they come with.

use std::fs;

use serde_json::{Value, json};

use crate::support::host::{Host, Workplace};
use crate::support::{deployment, plugins, poll};

const WEBSITE: &str = "websites.default.hello.yaml";
const DEPLOYMENT: &str = "deployments.default.hello.yaml";
const SERVICE: &str = "services.default.hello.yaml";
const ENTRY: &str = "configmaps.websites.default.hello.yaml";

/// The example `website` with a Website that is at its goal, which the host has written to its output folder.
fn website() -> (Workplace, Host) {
    let place = Workplace::new();
    place.example("website");
    place.manifest("crd.yaml", &plugins::example_file("website", "crd.yaml"));
    place.manifest("sample.yaml", &plugins::example_file("website", "sample.yaml"));
    let host = place.run_with_output(&[]);
    host.settled();
    (place, host)
}

/// Waits for a file of the output folder that is as it should be.
fn written(place: &Workplace, file: &str, is_right: impl Fn(&Value) -> bool) -> Value {
    poll(file, || place.written(file).filter(&is_right))
}

fn gone(place: &Workplace, file: &str) {
    poll(&format!("end of {file}"), || (!place.output().join(file).exists()).then_some(()));
}

#[test]
fn a_website_gets_what_it_needs_in_files_and_as_a_diff() {
    let (place, host) = website();
    for created in
        ["apps/v1 Deployment default/hello", "v1 Service default/hello", "v1 ConfigMap websites/default.hello"]
    {
        host.line("--- /dev/null");
        host.line(&format!("+++ {created} (by website)"));
    }
    host.line("+      - image: nginx:1.27");

    let deployment = place.written(DEPLOYMENT).unwrap();
    assert_eq!(deployment["spec"]["replicas"], 2);
    let site = place.written(WEBSITE).unwrap();
    let owner = &deployment["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["uid"]), (&json!("Website"), &site["metadata"]["uid"]));
    assert_eq!(owner["controller"], true);
    assert_eq!(place.written(SERVICE).unwrap()["spec"]["ports"][0]["port"], 80);
    assert_eq!(place.written(ENTRY).unwrap()["data"]["image"], "nginx:1.27");
    assert_eq!(site["status"], json!({"readyReplicas": 0, "url": "http://hello.default.svc:80"}));
    assert_eq!(site["metadata"]["finalizers"], json!(["example.com/website"]));
    host.stop();
}

#[test]
fn a_child_that_is_wanted_no_more_is_pruned() {
    let (place, host) = website();
    let sample = plugins::example_file("website", "sample.yaml");
    place.manifest("sample.yaml", &format!("{sample}  expose: false\n"));
    host.line("--- v1 Service default/hello");
    host.line("+++ /dev/null (by website)");
    gone(&place, SERVICE);
    written(&place, WEBSITE, |site| site["status"] == json!({"readyReplicas": 0}));
    assert!(place.written(DEPLOYMENT).is_some() && place.written(ENTRY).is_some());

    place.manifest("sample.yaml", &sample);
    written(&place, SERVICE, |_| true);
    host.stop();
}

#[test]
fn a_website_whose_manifest_is_removed_is_cleaned_up_after() {
    let (place, host) = website();
    fs::remove_file(place.manifests.join("sample.yaml")).unwrap();
    host.line("Event Normal Cleaned Website default/hello: the entry in websites is removed");
    for file in [ENTRY, WEBSITE, DEPLOYMENT, SERVICE] {
        gone(&place, file);
    }
    let finished = host.stop();
    assert!(finished.messages().iter().all(|message| !message.contains("reconcile failed")), "{finished}");
}

#[test]
fn a_change_to_a_child_reconciles_its_owner() {
    let (place, host) = website();
    let mut running = deployment("hello", 2);
    running["status"] = json!({"readyReplicas": 2});
    place.manifest("deployment.json", &running.to_string());
    written(&place, WEBSITE, |site| site["status"]["readyReplicas"] == 2);

    // The Service is not read by the plugin, only owned.
    place.manifest("service.json", &service().to_string());
    host.line("-    targetPort: 8080");
    host.line("+    targetPort: 80");
    host.stop();
}

#[test]
fn a_child_that_somebody_deletes_comes_back() {
    let (place, host) = website();
    let uid = place.written(SERVICE).unwrap()["metadata"]["uid"].clone();
    host.line("+++ v1 Service default/hello (by website)");
    // Deleted by hand here, it has a manifest that is removed.
    place.manifest("service.json", &service().to_string());
    host.line("-    targetPort: 8080");
    host.line("+++ v1 Service default/hello (by website)");
    fs::remove_file(place.manifests.join("service.json")).unwrap();
    host.line("+++ v1 Service default/hello (by website)");
    let service = written(&place, SERVICE, |service| service["metadata"]["uid"] != uid);
    assert_eq!(service["metadata"]["ownerReferences"][0]["kind"], "Website");
    host.stop();
}

/// The Service of the Website as somebody else would have it.
fn service() -> Value {
    let metadata = json!({"namespace": "default", "name": "hello"});
    let ports = json!([{"port": 80, "targetPort": 8080, "protocol": "TCP"}]);
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}})
}

const POLICY: &str = "networkpolicies.blue.default-deny.yaml";

#[test]
fn a_child_goes_with_its_owner_and_does_not_come_back() {
    let place = Workplace::new();
    place.example("default-deny");
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    place.object(&namespace("blue"));
    let host = place.run_with_output(&[]);
    host.settled();
    assert_eq!(place.written(POLICY).unwrap()["metadata"]["ownerReferences"][0]["name"], "blue");
    fs::remove_file(place.manifests.join("blue.json")).unwrap();
    gone(&place, POLICY);
    place.object(&namespace("green"));
    host.line("+++ networking.k8s.io/v1 NetworkPolicy green/default-deny (by default-deny)");
    host.stop();
    assert!(!place.output().join(POLICY).exists());
}

#[test]
fn what_is_no_child_of_the_owner_is_left_alone() {
    for (references, whose) in [
        (json!([]), "nobody's child"),
        (
            json!([{"apiVersion": "v1", "kind": "Namespace", "name": "red", "uid": "another", "controller": true}]),
            "a child of Namespace red",
        ),
    ] {
        let place = Workplace::new();
        place.example("default-deny");
        place.object(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "blue"}}));
        let metadata = json!({"namespace": "blue", "name": "default-deny", "ownerReferences": references});
        place.object(
            &json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": {}}),
        );
        let host = place.run_with_output(&[]);
        host.log(&format!(
            "cannot apply NetworkPolicy blue/default-deny: it is there already, and {whose}: it is left"
        ));
        assert!(!place.output().exists());
        host.stop();
    }
}

/// A place with the example `label-defaulter` and a Deployment without a label.
fn unlabelled() -> Workplace {
    let place = Workplace::new();
    place.example("label-defaulter");
    place.object(&deployment("web", 1));
    place
}

#[test]
fn what_is_applied_is_printed_as_a_diff_and_written_to_a_file() {
    let place = unlabelled();
    let host = place.run_with_output(&[]);
    for line in [
        "--- apps/v1 Deployment default/web",
        "+++ apps/v1 Deployment default/web (by label-defaulter)",
        "+  labels:",
        "+    team: unassigned",
    ] {
        host.line(line);
    }
    host.settled();
    let web = place.written("deployments.default.web.yaml").unwrap();
    assert_eq!((&web["metadata"]["labels"]["team"], &web["spec"]["replicas"]), (&json!("unassigned"), &json!(1)));
    let finished = host.stop();
    assert_eq!(finished.stdout.iter().filter(|line| line.starts_with("+++")).count(), 1, "{finished}");
}

#[test]
fn a_file_of_the_output_is_as_the_object_is_whoever_changes_it() {
    let place = unlabelled();
    let host = place.run_with_output(&[]);
    host.settled();
    place.object(&deployment("web", 5));
    let web = written(&place, "deployments.default.web.yaml", |web| web["spec"]["replicas"] == 5);
    assert_eq!(web["metadata"]["labels"]["team"], "unassigned");
    fs::remove_file(place.manifests.join("web.json")).unwrap();
    gone(&place, "deployments.default.web.yaml");
    host.stop();
}

#[test]
fn a_dry_run_prints_the_diff_and_writes_nothing() {
    let place = unlabelled();
    let host = place.run_with_output(&["--dry-run"]);
    host.line("+++ apps/v1 Deployment default/web (as label-defaulter would have it)");
    host.line("+    team: unassigned");
    host.settled();
    // It is as unlabelled as before.
    let mut web = deployment("web", 2);
    place.object(&web);
    host.line("+    team: unassigned");
    web["metadata"]["labels"] = json!({"team": "blue"});
    place.object(&web);
    place.object(&deployment("last", 1));
    host.line("+++ apps/v1 Deployment default/last (as label-defaulter would have it)");
    let finished = host.stop();
    assert_eq!(finished.stdout.iter().filter(|line| line.starts_with("+++")).count(), 3, "{finished}");
    assert!(!place.output().exists());
}

#[test]
fn a_plugin_in_shadow_mode_changes_nothing_while_others_do() {
    let place = unlabelled();
    place.grant(
        "shadow",
        "mode: shadow\nsettings: {label: tier}\ngrants:\n- {apiVersion: apps/v1, kinds: [Deployment], verbs: [apply]}\n",
    );
    place.plugin("shadow", &plugins::example("label-defaulter"));
    let host = place.run_with_output(&[]);
    host.line("+++ apps/v1 Deployment default/web (by label-defaulter)");
    host.line("+++ apps/v1 Deployment default/web (as shadow would have it)");
    host.line_with("tier: unassigned");
    host.settled();
    let web = place.written("deployments.default.web.yaml").unwrap();
    assert_eq!(web["metadata"]["labels"], json!({"team": "unassigned"}));

    let enforcing = "settings: {label: tier}\ngrants:\n- {apiVersion: apps/v1, kinds: [Deployment], verbs: [apply]}\n";
    place.grant("shadow", enforcing);
    host.line("+++ apps/v1 Deployment default/web (by shadow)");
    poll("both labels", || {
        let labels = place.written("deployments.default.web.yaml")?["metadata"]["labels"].clone();
        (labels == json!({"team": "unassigned", "tier": "unassigned"})).then_some(())
    });
    host.stop();
}
