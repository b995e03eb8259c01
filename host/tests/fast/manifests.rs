//! A folder of manifests taken as the cluster.

use std::fs;

use serde_json::{Value, json};

use crate::support::host::{Host, Workplace};
use crate::support::{plugins, probe, replica_set, write_manifest, write_whole};

fn dumped(host: &Host) -> Value {
    serde_json::from_str(&host.line_with(r#"{"apiVersion""#)).unwrap()
}

#[test]
fn documents_are_followed_as_they_change_come_and_go() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    let host = place.run(&[]);
    host.line("default/a: main");
    place.object(&replica_set("a", &["main", "side"]));
    host.line("default/a: main, side");
    let nested = place.manifests.join("deep/er");
    fs::create_dir_all(&nested).unwrap();
    let two = format!("{}\n---\n{}\n", replica_set("b", &["one"]), replica_set("c", &["two"]));
    fs::write(nested.join("more.yaml"), two).unwrap();
    host.line("default/b: one");
    host.line("default/c: two");
    fs::write(nested.join("more.yaml"), replica_set("c", &["two"]).to_string()).unwrap();
    fs::remove_file(place.manifests.join("a.json")).unwrap();
    place.object(&replica_set("d", &["last"]));
    host.line("default/d: last");
    assert_eq!(
        host.stop().stdout.len(),
        5,
        "what did not change is not reconciled, and the plugin prints nothing of what is gone"
    );
}

#[test]
fn an_object_that_is_gone_is_told_as_gone() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "-"));
    let host = place.run(&[]);
    host.line_with("default/a -");
    fs::remove_file(place.manifests.join("a.json")).unwrap();
    host.line("version-0001 default/a gone");
    host.stop();
}

#[test]
fn what_an_api_server_fills_in_is_filled_in() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    let mut object = probe("a", "dump");
    object["metadata"]["namespace"] = json!("");
    object["metadata"]["creationTimestamp"] = Value::Null;
    place.object(&object);
    let host = place.run(&[]);
    let first = dumped(&host);
    let metadata = &first["metadata"];
    assert_eq!((&metadata["namespace"], &metadata["generation"]), (&json!("default"), &json!(1)), "{first}");
    assert!(metadata["creationTimestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);

    object["metadata"]["labels"]["new"] = json!("label");
    place.object(&object);
    let second = dumped(&host);
    assert_eq!((&second["metadata"]["generation"], &second["metadata"]["uid"]), (&json!(1), &metadata["uid"]));
    assert_ne!(second["metadata"]["resourceVersion"], metadata["resourceVersion"]);
    object["spec"]["replicas"] = json!(5);
    place.object(&object);
    assert_eq!(dumped(&host)["metadata"]["generation"], 2);

    fs::remove_file(place.manifests.join("a.json")).unwrap();
    host.line("version-0001 default/a gone");
    place.object(&object);
    assert_ne!(dumped(&host)["metadata"]["uid"], metadata["uid"], "a new object of the same name");
    host.stop();
}

#[test]
fn a_document_that_breaks_is_named_once_and_takes_nothing_away() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    let path = place.manifests.join("all.yaml");
    let (a, b) = (probe("a", "-"), probe("b", "-"));
    write_whole(&path, format!("{a}\n---\n{b}\n").as_bytes());
    let host = place.run(&[]);
    host.line_with("default/a");
    host.line_with("default/b");
    write_whole(&path, format!("{}\n---\nkind: [\n", probe("a", "fine")).as_bytes());
    host.line_with("default/a fine");
    host.log("all.yaml:3: ");
    write_whole(&path, format!("{}\n---\nkind: [\n", probe("a", "better")).as_bytes());
    host.line_with("default/a better");
    write_whole(&path, probe("a", "whole").to_string().as_bytes());
    host.line_with("default/a whole");
    host.line("version-0001 default/b gone");
    let messages = host.messages();
    assert_eq!(messages.iter().filter(|message| message.contains("all.yaml:3: ")).count(), 1, "{messages:?}");
    host.stop();
}

#[test]
fn the_same_object_in_two_files_counts_once_and_is_complained_about() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    write_whole(&place.manifests.join("1.json"), replica_set("a", &["first"]).to_string().as_bytes());
    write_whole(&place.manifests.join("2.json"), replica_set("a", &["second"]).to_string().as_bytes());
    let finished = place.run_once(&[]);
    assert_eq!(finished.stdout, ["default/a: first"]);
    finished.log("2.json: ReplicaSet default/a is in ");
    assert_eq!(finished.status.code(), Some(1));
}

#[test]
fn namespace_and_selector_select() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    for (name, namespace) in [("a", "default"), ("b", "default"), ("c", "other")] {
        let mut object = replica_set(name, &["main"]);
        object["metadata"]["namespace"] = json!(namespace);
        place.object(&object);
    }
    assert_eq!(place.run_once(&["-n", "default", "-l", "app in (a,c)"]).stdout, ["default/a: main"]);
    assert_eq!(place.run_once(&["--selector", "app!=a"]).sorted_stdout(), ["default/b: main", "other/c: main"]);
}

#[test]
fn a_single_file_a_list_and_other_kinds_are_taken() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    let mut item = replica_set("a", &["main"]);
    item.as_object_mut().unwrap().remove("kind");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}},
        {"apiVersion": "apps/v1", "kind": "ReplicaSetList", "items": [item]},
        replica_set("b", &["main"]),
    ]});
    let path = place.folder.path().join("list.yaml");
    fs::write(&path, list.to_string()).unwrap();
    let args = ["--manifests".as_ref(), path.as_os_str(), "--once".as_ref()];
    let finished = Host::start(&place.plugins, &args, &[]).finish();
    assert_eq!(finished.sorted_stdout(), ["default/a: main", "default/b: main"]);
    assert_eq!(finished.status.code(), Some(0), "{finished}");
}

#[test]
fn symlinks_that_lead_back_are_not_followed_for_ever() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    for name in ["one", "two", "three"] {
        fs::create_dir(place.manifests.join(name)).unwrap();
        std::os::unix::fs::symlink("..", place.manifests.join(name).join("up")).unwrap();
    }
    let finished = place.run_once(&[]);
    assert_eq!(finished.stdout, ["default/a: main"]);
    assert_eq!(finished.status.code(), Some(0), "{finished}");
}

#[test]
fn a_single_file_is_followed_through_replacement() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    let path = place.manifests.join("a.json");
    write_manifest(&place.manifests, &replica_set("a", &["one"]));
    let args = ["--manifests".as_ref(), path.as_os_str()];
    let host = Host::start(&place.plugins, &args, &[]);
    for containers in ["one", "two", "three"] {
        place.object(&replica_set("a", &[containers]));
        host.line(&format!("default/a: {containers}"));
    }
    host.stop();
}
