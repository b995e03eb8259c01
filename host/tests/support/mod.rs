//! What the tests share: the host as a process, its output as lines to wait for, and plugins to give it.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod deploy;
pub(crate) mod documentation;
pub(crate) mod host;
pub(crate) mod plugins;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long something may take that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// Waits until something is there.
pub(crate) fn poll<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    poll_for(DEADLINE, what, look)
}

/// The same for what may take longer.
pub(crate) fn poll_for<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < deadline, "there is no {what} after {deadline:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A ReplicaSet with these containers.
pub(crate) fn replica_set(name: &str, containers: &[&str]) -> Value {
    let containers: Vec<_> = containers.iter().map(|name| json!({"name": name, "image": "image"})).collect();
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}},
        },
    })
}

/// A ReplicaSet for the plugin `probe`, which does what `mode` says.
pub(crate) fn probe(name: &str, mode: &str) -> Value {
    let mut object = replica_set(name, &["main"]);
    object["metadata"]["annotations"] = json!({ "probe": mode });
    object
}

/// What the plugin `probe` should have told last of these objects, and of what is gone, and has not. Objects that count
/// nothing are left out.
pub(crate) fn unseen(stdout: &[String], objects: &BTreeMap<String, Value>) -> Vec<String> {
    let mut last = BTreeMap::new();
    for line in stdout {
        if let Some((object, state)) = line.strip_prefix("version-0001 default/").and_then(|rest| rest.split_once(' '))
        {
            last.insert(object, state);
        }
    }
    let mut unseen = Vec::new();
    for (name, object) in objects {
        let Some(counter) = object["metadata"]["annotations"]["probe-counter"].as_str() else { continue };
        let state = last.get(&**name);
        if state.is_none_or(|state| !state.ends_with(&format!(" counter {counter}"))) {
            unseen.push(format!("{name}: {counter} and not {state:?}"));
        }
    }
    let gone = last.iter().filter(|(name, state)| !objects.contains_key(**name) && **state != "gone");
    unseen.extend(gone.map(|(name, state)| format!("{name}: gone and not {state}")));
    unseen
}

/// Waits until the plugin `probe` has told of all objects as they are.
pub(crate) fn wait_until_seen(host: &host::Host, objects: &BTreeMap<String, Value>) {
    let start = Instant::now();
    loop {
        let unseen = unseen(&host.stdout(), objects);
        if unseen.is_empty() {
            return;
        }
        // Before a watch that is silent is begun anew.
        if start.elapsed() > DEADLINE {
            let (some, log) = (unseen[..unseen.len().min(20)].join("\n"), host.messages());
            let log: Vec<_> = log.iter().filter(|line| !line.starts_with("version-")).map(String::as_str).collect();
            panic!("{} not seen:\n{some}\nlog:\n{}", unseen.len(), log.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A ConfigMap with this data.
pub(crate) fn config_map(namespace: &str, name: &str, data: &Value) -> Value {
    let metadata = json!({"namespace": namespace, "name": name});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
}

/// A Deployment without labels.
pub(crate) fn deployment(name: &str, replicas: u32) -> Value {
    let metadata = json!({"namespace": "default", "name": name});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}})
}

/// A ReplicaSet for which the plugin `probe` asks for all of this.
pub(crate) fn asking(name: &str, asks: &Value) -> Value {
    let mut object = probe(name, "ask");
    object["metadata"]["annotations"]["ask"] = asks.to_string().into();
    object
}

/// Writes an object to a file of its own, as a whole.
pub(crate) fn write_manifest(folder: &Path, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    write_whole(&folder.join(format!("{name}.json")), object.to_string().as_bytes());
}

/// Writes a file as careful programs do: to a temporary file, then a rename.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, bytes).unwrap();
    fs::rename(temporary, path).unwrap();
}

/// The whole answer to a GET.
pub(crate) fn http_get(address: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}
