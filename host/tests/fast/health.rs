//! `/livez` and `/readyz`, and the end of a host that is asked to stop.

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{io::Write as _, thread};

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::support::host::{Host, Workplace};
use crate::support::{http_get, plugins, poll, probe, replica_set};

const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];
/// Sooner than connections that are held open are closed for their age.
const SOON: Duration = Duration::from_secs(4);

fn admin(host: &Host) -> String {
    host.log("serving /livez")["address"].as_str().unwrap().to_owned()
}

/// The lines of an answer that has this status.
fn lines(answer: &str, status: u16) -> Option<Vec<String>> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with(&format!("HTTP/1.1 {status} ")).then(|| body.lines().map(str::to_owned).collect())
}

/// The port of an API server that has one ReplicaSet, and is allowed by `granted` to show it. It knows of no Leases.
async fn api_server(granted: Arc<AtomicBool>) -> u16 {
    let answer = move |request: Request| {
        let granted = granted.load(Ordering::Relaxed);
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        std::future::ready(match path.rsplit('/').next().unwrap() {
            "replicasets" if !granted => refusal(StatusCode::FORBIDDEN, "replicasets is forbidden: as it was told"),
            "replicasets" if query.contains("watch=true") => {
                let silence = futures::stream::pending::<Result<&str, std::convert::Infallible>>();
                Body::from_stream(silence).into_response()
            }
            "replicasets" => {
                let mut object = replica_set("a", &["main"]);
                object["metadata"]["uid"] = "1".into();
                object["metadata"]["resourceVersion"] = "1".into();
                let list = json!({
                    "apiVersion": "apps/v1", "kind": "ReplicaSetList", "metadata": {"resourceVersion": "2"}, "items": [object],
                });
                list.to_string().into_response()
            }
            "v1" if path == "/apis/apps/v1" => {
                let kind = json!({
                    "name": "replicasets", "kind": "ReplicaSet", "namespaced": true, "singularName": "", "verbs": [],
                });
                let list = json!({"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [kind]});
                list.to_string().into_response()
            }
            "selfsubjectaccessreviews" => allowed(true),
            "subjectaccessreviews" => allowed(granted),
            "leases" => refusal(StatusCode::FORBIDDEN, "leases is forbidden: as it was told"),
            _ => refusal(StatusCode::NOT_FOUND, "there is no such thing"),
        })
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async { axum::serve(listener, router).await });
    port
}

fn allowed(allowed: bool) -> Response {
    json!({"metadata": {}, "spec": {}, "status": {"allowed": allowed}}).to_string().into_response()
}

fn refusal(code: StatusCode, message: &str) -> Response {
    let status: Value = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "message": message,
        "reason": "AsTold", "code": code.as_u16(),
    });
    (code, status.to_string()).into_response()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readyz_says_line_by_line_what_is_not_there_yet() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.plugin("other", &plugins::probe(2));
    place.grant("other", "serviceAccount: team/somebody\n");
    let granted = Arc::new(AtomicBool::new(false));
    let host = place.run_on(api_server(Arc::clone(&granted)).await, &ADMIN);
    let address = admin(&host);
    let said = poll("answer with all that is missing", || {
        lines(&http_get(&address, "/readyz"), 503).filter(|lines| lines.len() == 3 && lines[2].contains("forbidden"))
    });
    assert_eq!(said[0], "[+] plugins loaded");
    assert!(
        said[1].starts_with("[-] plugin other: waits, because the service account team/somebody lacks"),
        "{said:?}"
    );
    assert!(said[2].starts_with("[-] watch of apps/v1 ReplicaSet: "), "{said:?}");
    assert!(said[2].ends_with("needs the verbs get, list and watch on replicasets"), "{said:?}");
    assert!(lines(&http_get(&address, "/livez"), 200).is_some(), "no new process would help");
    granted.store(true, Ordering::Relaxed);
    let said = poll("readiness", || lines(&http_get(&address, "/readyz"), 200));
    assert_eq!(said, ["[+] plugins loaded", "[+] watch of apps/v1 ReplicaSet"]);
    assert_eq!(lines(&http_get(&address, "/livez"), 200).unwrap(), ["[+] calls", "[+] queues", "[+] watches"]);
    host.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_kind_that_is_not_served_does_not_keep_the_host_from_being_ready() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.grant("probe", "watches:\n- {apiVersion: example.com/v1, kind: Website}\n");
    let host = place.run_on(api_server(Arc::new(AtomicBool::new(true))).await, &ADMIN);
    let address = admin(&host);
    let waits = "[+] watch of example.com/v1 Website: waits for the kind to be served";
    let said = poll("readiness", || lines(&http_get(&address, "/readyz"), 200).filter(|lines| lines.len() == 2));
    assert_eq!(said, ["[+] plugins loaded", waits]);
    host.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_host_that_may_not_have_leases_says_so_and_does_nothing() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    let port = api_server(Arc::new(AtomicBool::new(true))).await;
    let host = place.run_on(port, &[&ADMIN[..], &["--leader-elect", "--lease-namespace", "here"]].concat());
    let address = admin(&host);
    host.log("cannot read or write the leases here/oarlock*");
    let lease = "[-] lease: the leases cannot be read or written: ";
    let said = poll("watch and lease", || {
        let has = |lines: &[String], what: &str| lines.iter().any(|line| line.starts_with(what));
        lines(&http_get(&address, "/readyz"), 503).filter(|lines| has(lines, "[+] watch") && has(lines, lease))
    });
    assert!(said.iter().any(|line| line.starts_with(lease) && line.contains("leases is forbidden")), "{said:?}");
    assert!(lines(&http_get(&address, "/livez"), 200).is_some());
    assert_eq!(host.stop().stdout, [""; 0]);
}

#[test]
fn a_host_that_stops_is_alive_and_not_ready_until_its_calls_are_done() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "nap"));
    let host = place.run(&ADMIN);
    let address = admin(&host);
    host.log("begins default/a");
    poll("readiness", || lines(&http_get(&address, "/readyz"), 200));
    host.signal("TERM");
    host.log("calls in flight are finished");
    let said = poll("end of readiness", || lines(&http_get(&address, "/readyz"), 503));
    assert!(said[0].starts_with("[-] stopping: "), "{said:?}");
    assert!(lines(&http_get(&address, "/livez"), 200).is_some());
    let finished = host.finish();
    assert_eq!(finished.stdout, ["version-0001 default/a nap attempt 0"]);
    assert_eq!(finished.status.code(), Some(0), "{finished}");
}

#[test]
fn what_is_given_up_at_the_end_is_named() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "sleep"));
    let host = place.run(&["--call-wall", "1h", "--drain-time", "1s"]);
    host.log("begins default/a");
    let finished = host.stop();
    let said = finished.log("given up: the call is not over after 1s");
    assert_eq!((&said["plugin"], &said["object"]), (&"probe".into(), &"default/a".into()), "{said}");
}

#[test]
fn who_holds_on_to_connections_keeps_nobody_from_asking() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    let oarlock = Host::command(&place.plugins);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 200 && exec \"$0\" \"$@\""]).arg(oarlock.get_program()).args(oarlock.get_args());
    command.arg("--manifests").arg(&place.manifests).args(ADMIN).env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    let host = Host::spawn(command);
    let address = admin(&host);
    let open_files = || std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().count();
    let before = open_files();
    let held: Vec<_> = (0..500)
        .map(|number| {
            let mut connection = TcpStream::connect(&address).unwrap();
            if number % 2 == 0 {
                // The host may have closed it by then.
                let _ = connection.write_all(b"GET /livez HTTP/1.1\r\nHost: ");
            }
            connection
        })
        .collect();
    assert!(http_get(&address, "/livez").starts_with("HTTP/1.1 200 "));
    let start = Instant::now();
    while open_files() >= before + 80 {
        assert!(start.elapsed() < SOON, "{} files are open for the 64 connections that there may be", open_files());
        thread::sleep(Duration::from_millis(10));
    }
    for _ in 0..20 {
        let start = Instant::now();
        assert!(http_get(&address, "/livez").starts_with("HTTP/1.1 200 "));
        assert!(start.elapsed() < SOON);
    }
    drop(held);
    host.stop();
}

#[test]
fn a_host_whose_calls_do_not_end_is_not_alive() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    // More than fits in what may wait to be printed.
    for number in 0..72 {
        place.object(&probe(&format!("a{number}"), "flood"));
    }
    let mut command = Host::command(&place.plugins);
    command.arg("--manifests").arg(&place.manifests).args(ADMIN).args(["--drain-time", "0s"]);
    let mut host = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = std::io::BufReader::new(host.stderr.take().unwrap());
    let mut log = std::io::BufRead::lines(log).map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let address = log.find_map(|line| line["address"].as_str().map(str::to_owned)).unwrap();
    assert!(lines(&http_get(&address, "/livez"), 200).is_some());
    let start = Instant::now();
    let said = loop {
        if let Some(said) = lines(&http_get(&address, "/livez"), 503) {
            break said;
        }
        assert!(start.elapsed() < Duration::from_mins(3), "nobody reads what is printed, and it is alive");
        thread::sleep(Duration::from_millis(200));
    };
    assert!(start.elapsed() > Duration::from_secs(30), "it has time");
    assert!(said[0].starts_with("[-] plugin probe: what it printed for ReplicaSet default/a"), "{said:?}");
    assert!(log.any(|line| line["message"].as_str().unwrap().starts_with("the host does not do its work")));
    host.kill().unwrap();
    host.wait().unwrap();
}
