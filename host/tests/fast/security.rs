//! What the host does not let others do, and what it does not give away.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use serde_json::{Value, json};

use crate::support::host::Workplace;
use crate::support::{asking, plugins, probe, replica_set};

#[test]
fn a_cache_folder_that_others_can_write_is_refused_and_the_host_goes_on_without() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    let cache = place.folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    let finished = place.run_once(&["--cache-dir", cache.to_str().unwrap()]);
    assert_eq!(finished.stdout, ["default/a: main"]);
    let said = finished.log("is not used, so every plugin is compiled at each start");
    assert!(said["message"].as_str().unwrap().contains("its mode 777 lets others write in it"), "{said}");
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
}

/// Ends a line and begins another as the host does, clears a terminal, and turns the direction of text around.
const FORGED: &str = "so far\n2026-01-01T00:00:00Z ERROR the host is hacked\r\u{1b}[2J\u{9b}2J\u{202e}";

#[test]
fn neither_a_plugin_nor_an_object_writes_lines_of_the_log_that_pass_for_the_hosts() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    for mode in ["say-log", "say-stderr", "say-failure", "say-event"] {
        let mut object = probe(mode, mode);
        object["metadata"]["annotations"]["say"] = FORGED.into();
        place.object(&object);
    }
    place.grant("probe", "grants:\n- {apiVersion: apps/v1, kinds: [ReplicaSet], verbs: [event]}\n");
    for format in ["text", "json"] {
        let finished = place.run_once(&["--log-format", format, "--log", "info"]);
        let said = finished.stderr.iter().filter(|line| line.contains("the host is hacked")).count();
        assert!(said >= 3, "all of them are in the log: {finished}");
        for line in finished.stderr.iter().chain(finished.stdout.iter().filter(|line| line.starts_with("Event"))) {
            let is_hidden = |c: char| c.is_control() || c == '\u{202e}';
            assert!(!line.contains(is_hidden), "{line:?}");
            assert!(!line.starts_with("2026-01-01T00:00:00Z"), "{line}");
        }
    }
}

#[test]
fn no_value_of_a_secret_is_in_the_log_or_in_a_diff() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.grant("probe", "grants:\n- {apiVersion: v1, kinds: [Secret], verbs: [apply], force: true}\n");
    // "hunter2" as it is, and in base64.
    let (value, encoded) = ("hunter2", "aHVudGVyMg==");
    let secret = |values: &Value| {
        let metadata = json!({"namespace": "default", "name": "password"});
        let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata});
        object.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
        object
    };
    place.manifest("secret.json", &secret(&json!({ "data": {"key": encoded, "other": encoded} })).to_string());
    let applied = secret(&json!({ "stringData": {"key": value}, "data": {"other": "b3RoZXI="} }));
    place.object(&asking("a", &json!([{ "apply": applied }])));
    for more in [&["--dry-run"][..], &[]] {
        let mut args = vec!["--log", "debug"];
        args.extend(more);
        let finished = place.run_once(&args);
        let all = finished.to_string();
        assert!(all.contains("+++ v1 Secret default/password"), "it is in the diff: {all}");
        assert!(!all.contains(value) && !all.contains(encoded) && !all.contains("b3RoZXI="), "{all}");
    }
}

#[test]
fn the_admin_endpoints_can_only_be_read() {
    let place = Workplace::new();
    let host = place.run(&["--admin", "127.0.0.1:0"]);
    let address = host.log("serving /livez")["address"].as_str().unwrap().to_owned();
    let ask = |head: String| {
        let mut connection = TcpStream::connect(&address).unwrap();
        // The host may answer, and close the connection, before all is written.
        let _ = write!(connection, "{head}\r\n\r\n");
        let mut answer = String::new();
        let _ = connection.read_to_string(&mut answer);
        answer.lines().next().unwrap_or_default().to_owned()
    };
    for path in
        ["/livez", "/readyz", "/metrics", "/", "/page/page.js", "/api/v1/status", "/api/v1/plugins", "/api/v1/queue"]
    {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let answer = ask(format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0"));
            assert!(answer.starts_with("HTTP/1.1 405 "), "{method} {path}: {answer}");
        }
        assert!(ask(format!("GET {path} HTTP/1.1\r\nHost: a")).starts_with("HTTP/1.1 200 "), "{path}");
    }
    assert!(ask("GET /debug/pprof HTTP/1.1\r\nHost: a".to_owned()).starts_with("HTTP/1.1 404 "));
    let long = ask(format!("GET /livez HTTP/1.1\r\nHost: {}", "a".repeat(1 << 20)));
    assert!(!long.starts_with("HTTP/1.1 200 "), "{long}");
    host.stop();
}

#[test]
fn an_answer_that_is_not_understood_is_not_quoted_whatever_is_logged() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    let port = answering(r#"{"kind": "APIResourceList", "groupVersion": 5, "data": {"key": "hunter2"}}"#);
    let host = place.run_on(port, &["--log", "debug,kube_client=trace"]);
    host.log("requesting");
    host.log("cannot watch apps/v1 ReplicaSet");
    let finished = host.stop();
    assert!(!finished.to_string().contains("hunter2"), "{finished}");
}

/// The port of a server that gives everybody the same answer.
fn answering(body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut head = BufReader::new(&connection).lines();
            while head.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length:";
            // The host may have gone by then.
            let _ = write!(connection, "{head} {}\r\n\r\n{body}", body.len());
        }
    });
    port
}
