//! Traces, as a collector receives them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;
mod wire;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::json;

use support::host::{Host, Workplace};
use support::{asking, config_map, plugins, poll, probe};
use wire::Span;

/// A collector, and the spans that it was sent.
struct Collector {
    port: u16,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let received = Arc::clone(&spans);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut reader = BufReader::new(connection.unwrap());
                let mut length = 0;
                let mut request = String::new();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if line == "\r\n" || line.is_empty() {
                        break;
                    }
                    if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = text.trim().parse().unwrap();
                    }
                    if request.is_empty() {
                        request = line;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                assert_eq!(request, "POST /v1/traces HTTP/1.1\r\n");
                received.lock().unwrap().extend(wire::spans(&body));
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                reader.into_inner().write_all(answer).unwrap();
            }
        });
        Self { port, spans }
    }

    /// The first span that has this name, and the spans within it.
    fn trace(&self, name: &str) -> (Span, Vec<Span>) {
        poll(name, || {
            let spans = self.spans.lock().unwrap();
            let root = spans.iter().find(|span| span.name == name)?.clone();
            let inner = spans.iter().filter(|span| span.parent == root.id).cloned().collect();
            Some((root, inner))
        })
    }

    fn run(&self, place: &Workplace, variable: &str, more: &[&str]) -> Host {
        Host::spawn(self.command(place, variable, more))
    }

    fn command(&self, place: &Workplace, variable: &str, more: &[&str]) -> Command {
        let mut command = Host::command(&place.plugins);
        command.arg("--manifests").arg(&place.manifests).args(more);
        // The variable for traces alone is the whole address.
        let path = if variable.contains("TRACES") { "/v1/traces" } else { "" };
        command.env(variable, format!("http://127.0.0.1:{}{path}", self.port));
        command.env("OTEL_BSP_SCHEDULE_DELAY", "100");
        command
    }
}

#[test]
fn a_reconcile_is_a_span_with_its_call_and_its_actions_in_it() {
    let (place, collector) = (Workplace::new(), Collector::start());
    place.plugin("probe", &plugins::probe(1));
    place.grant("probe", "grants:\n- {apiVersion: v1, kinds: [ConfigMap], verbs: [apply]}\n");
    let new = config_map("default", "new", &json!({"a": "b"}));
    place.object(&asking("a", &json!([{ "apply": new }])));
    let finished = collector.run(&place, "OTEL_EXPORTER_OTLP_ENDPOINT", &["--once"]).finish();
    assert_eq!(finished.status.code(), Some(0), "{finished}");

    let (reconcile, inner) = collector.trace("reconcile probe");
    assert_eq!(reconcile.parent, "", "it begins a trace");
    assert_eq!(reconcile.service, "oarlock");
    for (name, value) in [("plugin", "probe"), ("k8s.kind", "ReplicaSet"), ("k8s.object.name", "a")] {
        assert_eq!(reconcile.attributes.get(name).map(String::as_str), Some(value), "{reconcile:?}");
    }
    let call = inner.iter().find(|span| span.name == "call").unwrap();
    assert_eq!(call.attributes["digest"].len(), 64, "{call:?}");
    let mut names: Vec<_> = inner.iter().map(|span| &*span.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["apply ConfigMap", "call"], "{inner:?}");
    assert!(inner.iter().all(|span| span.trace == reconcile.trace), "{inner:?}");
    assert!(inner.iter().all(|span| reconcile.start <= span.start && span.end <= reconcile.end), "{inner:?}");
    let id = &reconcile.attributes["reconcile_id"];
    assert!(finished.stderr.iter().any(|line| line.contains(&**id)), "the log has the same id {id}: {finished}");
    assert!(finished.stderr.iter().all(|line| !line.contains("otel.")), "spans are not in the log: {finished}");
}

#[test]
fn what_fails_is_an_error_in_its_span() {
    let (place, collector) = (Workplace::new(), Collector::start());
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "terminal"));
    let host = collector.run(&place, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &[]);
    host.log("reconcile failed");
    host.stop();
    let (reconcile, inner) = collector.trace("reconcile probe");
    assert_eq!(reconcile.error.as_deref(), Some("never"), "{reconcile:?}");
    assert_eq!(inner[0].error.as_deref(), Some("never"), "{inner:?}");
}

#[test]
fn the_standard_variables_name_the_service_and_turn_it_off() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "-"));
    let run = |name: &str, value: &str| {
        let collector = Collector::start();
        let mut command = collector.command(&place, "OTEL_EXPORTER_OTLP_ENDPOINT", &["--once"]);
        command.env(name, value);
        let finished = Host::spawn(command).finish();
        assert_eq!(finished.status.code(), Some(0), "{finished}");
        collector
    };
    for (attributes, service) in [("a=b, service.name=shop", "shop"), ("myservice.name=shop", "oarlock")] {
        let (reconcile, _) = run("OTEL_RESOURCE_ATTRIBUTES", attributes).trace("reconcile probe");
        assert_eq!(reconcile.service, service, "{attributes}");
    }
    // What is left is sent before the host ends.
    assert!(run("OTEL_SDK_DISABLED", "TRUE").spans.lock().unwrap().is_empty());
}

#[test]
fn without_a_collector_nothing_is_sent_and_one_that_is_away_takes_nothing_away() {
    let (place, collector) = (Workplace::new(), Collector::start());
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&support::replica_set("a", &["main"]));
    let finished = place.run_once(&[]);
    assert_eq!(finished.stdout, ["default/a: main"]);
    assert!(collector.spans.lock().unwrap().is_empty());

    // Nothing listens there.
    let away = Collector { port: 1, spans: Arc::default() };
    let finished = away.run(&place, "OTEL_EXPORTER_OTLP_ENDPOINT", &["--once"]).finish();
    assert_eq!(finished.stdout, ["default/a: main"], "{finished}");
    assert_eq!(finished.status.code(), Some(0), "{finished}");
}
