//! Calls that are recorded, and made again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::json;

use crate::support::host::{Host, Workplace};
use crate::support::{asking, config_map, plugins, poll, probe};

fn replay(plugin: &Path, recordings: &Path, more: &[&str]) -> Output {
    Host::program().arg("replay").arg(plugin).arg(recordings).args(more).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Waits until a file is there, and reads it.
fn recorded(folder: &Path, name: &str) -> String {
    poll(name, || fs::read_to_string(folder.join(name)).ok())
}

/// The names of all recordings.
fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn folder(place: &Workplace) -> PathBuf {
    place.folder.path().join("recordings")
}

#[test]
fn a_call_that_failed_is_recorded_and_another_version_is_compared_with_it() {
    let (place, name) = (Workplace::new(), "probe.ReplicaSet.apps.default.a.recording.yaml");
    let plugin = place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "terminal"));
    place.object(&probe("b", "-"));
    let recordings = folder(&place);
    let host = place.run(&["--record", recordings.to_str().unwrap()]);
    let text = recorded(&recordings, name);
    host.settled();
    host.stop();
    assert_eq!(names(&recordings), [name], "of what has not failed nothing is kept");
    assert!(text.contains("\nfailure: never\n") && text.contains("result: terminal"), "{text}");

    let same = replay(&plugin, &recordings, &[]);
    assert_eq!(stdout(&same), "1 of 1 recorded calls came to the same\n", "{}", String::from_utf8_lossy(&same.stderr));
    assert_eq!(same.status.code(), Some(0));

    place.plugin("probe", &plugins::probe(2));
    let other = replay(&plugin, &recordings, &[]);
    let difference = stdout(&other);
    for line in ["-- version-0001 default/a", "+- version-0002 default/a", "0 of 1 recorded calls", "is of version"] {
        assert!(difference.contains(line), "{line} in {difference}");
    }
    assert_eq!(other.status.code(), Some(1));

    assert_eq!(replay(&plugin, &recordings, &["--update"]).status.code(), Some(0));
    assert_eq!(replay(&plugin, &recordings, &[]).status.code(), Some(0), "it was taken over");
}

#[test]
fn what_a_call_has_read_is_read_again_without_the_objects() {
    let place = Workplace::new();
    let plugin = place.plugin("probe", &plugins::probe(1));
    place.grant("probe", "grants:\n- {apiVersion: v1, kinds: [ConfigMap], verbs: [get, list, apply]}\n");
    place.object(&config_map("default", "there", &json!({"answer": "forty-two"})));
    let named = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": name});
    let list = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default"});
    let new = config_map("default", "new", &json!({"a": "b"}));
    let asks = json!([{"get": named("there")}, {"get": named("not-there")}, {"list": list}, {"apply": new}]);
    place.object(&asking("a", &asks));
    let recordings = folder(&place);

    let mut command = Host::program();
    command.arg("record").arg(&recordings).arg("--plugins").arg(&place.plugins);
    command.args(["--once", "--manifests"]).arg(&place.manifests);
    let finished = Host::spawn(command).finish();
    assert_eq!(finished.status.code(), Some(0), "{finished}");
    assert!(
        finished.stdout.iter().any(|line| line.contains("as probe would have it")),
        "nothing is carried out: {finished}"
    );
    let all = names(&recordings);
    let name = &all[0];
    let text = fs::read_to_string(recordings.join(name)).unwrap();
    assert!(text.contains("forty-two") && text.contains("apply:"), "{text}");

    fs::remove_file(place.manifests.join("there.json")).unwrap();
    let same = replay(&plugin, &recordings, &[]);
    assert_eq!(same.status.code(), Some(0), "{} {}", stdout(&same), String::from_utf8_lossy(&same.stderr));

    fs::write(recordings.join(name), text.replacen("forty-two", "forty-three", 1)).unwrap();
    let other = replay(&plugin, &recordings, &[]);
    assert_eq!(other.status.code(), Some(1));
    assert!(stdout(&other).contains("forty-three"), "{}", stdout(&other));
}

#[test]
fn values_of_secrets_are_not_written_down() {
    let (place, value) = (Workplace::new(), "aHVudGVyMg==");
    place.plugin("probe", &plugins::probe(1));
    place.grant("probe", "grants:\n- {apiVersion: v1, kinds: [Secret], verbs: [list]}\n");
    let metadata = json!({"namespace": "default", "name": "key"});
    place.object(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"password": value}}));
    place.object(&asking("a", &json!([{"list": {"apiVersion": "v1", "kind": "Secret", "namespace": "default"}}])));
    let recordings = folder(&place);
    let args = ["--record", recordings.to_str().unwrap(), "--record-calls", "all"];
    place.run_once(&args);
    let all = names(&recordings);
    let text = recorded(&recordings, &all[0]);
    assert!(text.contains("password") && text.contains("redacted: true") && !text.contains(value), "{text}");
}

#[test]
fn what_is_no_recording_is_told() {
    let place = Workplace::new();
    let plugin = place.plugin("probe", &plugins::probe(1));
    let file = place.folder.path().join("a.yaml");
    let other =
        "recording: 1\nplugin: other\ndigest: x\ntime: x\nresult: {}\ntarget: {apiVersion: v1, kind: Pod, name: a}\n";
    for (text, expected) in [
        ("recording: 1\nplugin: x\n", "missing field"),
        (other, "it is of the plugin other, and this is probe"),
        (&other.replace("other", "probe"), "time: x"),
        (&other.replace(": 1", ": 2"), "it is in format 2"),
        ("hello\n", "a.yaml"),
        ("{", "a.yaml"),
    ] {
        fs::write(&file, text).unwrap();
        let ended = replay(&plugin, &file, &[]);
        let error = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{error}");
        assert!(error.contains(expected) && error.contains("a.yaml"), "{expected}: {error}");
    }
    let ended = replay(&plugin, &place.manifests, &[]);
    assert!(String::from_utf8_lossy(&ended.stderr).contains("there is no recording in"), "{ended:?}");
    let recorded =
        Host::program().args(["record", place.plugins.to_str().unwrap(), "--plugins"]).arg(&place.plugins).output();
    let error = String::from_utf8(recorded.unwrap().stderr).unwrap();
    assert!(error.contains("is in the plugin folder; choose another"), "{error}");
}

#[test]
fn in_a_folder_of_many_those_of_the_plugin_are_made_again_and_one_that_is_broken_is_told() {
    let place = Workplace::new();
    let plugin = place.plugin("probe", &plugins::probe(1));
    place.plugin("other", &plugins::probe(1));
    place.object(&probe("a", "-"));
    let recordings = folder(&place);
    let file = place.folder.path().join("record.yaml");
    fs::write(&file, format!("plugins: {}\n", place.plugins.display())).unwrap();
    let mut command = Host::program();
    command.arg("record").arg(&recordings).args(["--once", "--manifests"]).arg(&place.manifests);
    command.env("OARLOCK_CONFIG", &file);
    let recorded = Host::spawn(command).finish();
    assert_eq!((recorded.status.code(), names(&recordings).len()), (Some(0), 2), "{recorded}");
    fs::write(recordings.join("x.recording.yaml"), "no recording").unwrap();
    fs::write(recordings.join("mine.yaml"), "no recording either, and none that is taken for one").unwrap();

    let ended = replay(&plugin, &recordings, &["--update"]);
    let told = "1 of 1 recorded calls came to the same, 1 are of other plugins, 1 could not be made again\n";
    assert_eq!(stdout(&ended), told, "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(1));
}

#[test]
fn what_a_plugin_puts_into_a_secret_is_neither_recorded_nor_printed_nor_taken_over() {
    let (place, value) = (Workplace::new(), "hunter2-hunter2");
    let plugin = place.plugin("probe", &plugins::probe(1));
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": "new"},
        "stringData": {"password": "VALUE"},
    });
    place.grant(
        "probe",
        &format!("settings: {{value: {value}}}\ngrants:\n- {{apiVersion: v1, kinds: [Secret], verbs: [apply]}}\n"),
    );
    let asks = json!([{ "apply": secret }]);
    place.object(&asking("a", &asks));
    let recordings = folder(&place);
    place.run_once(&["--record", recordings.to_str().unwrap(), "--record-calls", "all"]);
    let name = names(&recordings)[0].clone();
    let actions = |text: &str| text[text.find("actions:").unwrap()..].to_owned();
    assert!(!actions(&recorded(&recordings, &name)).contains(value));

    let same = replay(&plugin, &recordings, &[]);
    assert_eq!(same.status.code(), Some(0), "{}", stdout(&same));
    place.plugin("probe", &plugins::probe(2));
    let other = replay(&plugin, &recordings, &["--update"]);
    assert!(!stdout(&other).contains(value), "{}", stdout(&other));
    assert!(!actions(&recorded(&recordings, &name)).contains(value));
}
