//! What the host and an API server say to each other, by a server that follows a script.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::host::{Host, Workplace};
use crate::support::{asking, plugins, poll, replica_set};

type Parameters = HashMap<String, String>;

/// A server that answers each request for ReplicaSets as the script says, and remembers them; for those of one namespace
/// it never answers. It serves nothing else.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<Parameters>>>,
}

impl Server {
    async fn start(script: impl Fn(&Parameters) -> Response + Clone + Send + Sync + 'static) -> Self {
        let requests = Arc::<Mutex<Vec<Parameters>>>::default();
        let answer = move |State(log): State<Arc<Mutex<Vec<Parameters>>>>, Query(parameters): Query<Parameters>| {
            log.lock().unwrap().push(parameters.clone());
            std::future::ready(script(&parameters))
        };
        let router = axum::Router::new()
            .route("/apis/apps/v1", axum::routing::get(async || served_kinds().to_string()))
            .route("/apis/apps/v1/replicasets", axum::routing::get(answer))
            .route("/apis/apps/v1/namespaces/default/replicasets", axum::routing::get(std::future::pending::<()>))
            .with_state(Arc::clone(&requests));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { port, requests }
    }

    fn host(&self, place: &Workplace) -> Host {
        let kubeconfig = json!({
            "clusters": [{"name": "test", "cluster": {"server": format!("http://127.0.0.1:{}", self.port)}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "other", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "missing",
        });
        let path: PathBuf = place.folder.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig.to_string()).unwrap();
        let args = ["--context".as_ref(), "other".as_ref(), "--kubeconfig".as_ref(), path.as_os_str()];
        Host::start(&place.plugins, &args, &[])
    }

    fn requests(&self) -> Vec<Parameters> {
        self.requests.lock().unwrap().clone()
    }
}

/// What discovery answers.
fn served_kinds() -> Value {
    let kind =
        json!({"name": "replicasets", "kind": "ReplicaSet", "namespaced": true, "singularName": "", "verbs": []});
    let scale =
        json!({"name": "replicasets/scale", "kind": "Scale", "namespaced": true, "singularName": "", "verbs": []});
    json!({"apiVersion": "v1", "kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [scale, kind]})
}

fn served(name: &str, resource_version: &str, container: &str) -> Value {
    let mut object = replica_set(name, &[container]);
    object["metadata"]["resourceVersion"] = resource_version.into();
    object["metadata"]["uid"] = format!("uid-of-{name}").into();
    object
}

/// A watch event, with its type before its object as the API server writes it.
fn event(kind: &str, object: &Value) -> Bytes {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n").into()
}

fn bookmark(resource_version: &str, annotations: &Value) -> Bytes {
    let metadata = json!({"resourceVersion": resource_version, "annotations": annotations});
    event("BOOKMARK", &json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata}))
}

fn list(items: &[Value], resource_version: &str, next: &str) -> Response {
    let metadata = json!({"resourceVersion": resource_version, "continue": next});
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSetList", "metadata": metadata, "items": items})
        .to_string()
        .into_response()
}

fn status(code: u16, reason: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "message": reason, "reason": reason, "code": code})
}

/// An answer that goes on: first these events, then those that are sent.
fn stream(first: Vec<Bytes>) -> (Response, mpsc::UnboundedSender<Bytes>) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for event in first {
        sender.send(event).unwrap();
    }
    let events = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
    let body = Body::from_stream(futures::StreamExt::map(events, Ok::<_, std::convert::Infallible>));
    (body.into_response(), sender)
}

fn is(parameters: &Parameters, name: &str, value: &str) -> bool {
    parameters.get(name).is_some_and(|had| had == value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn objects_are_listed_and_watched_once_for_all_plugins() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.plugin("print-containers", &plugins::print_containers());
    let open = Arc::<Mutex<Vec<_>>>::default();
    let watches = Arc::clone(&open);
    let server = Server::start(move |parameters| {
        if !is(parameters, "watch", "true") {
            return list(&[served("a", "1", "main"), served("b", "2", "main")], "10", "");
        }
        let (response, sender) = stream(vec![]);
        watches.lock().unwrap().push(sender);
        response
    })
    .await;
    let host = server.host(&place);
    host.line_with("version-0001 default/a");
    host.line_with("version-0001 default/b");
    host.settled();
    poll("watch", || open.lock().unwrap().first().map(drop));
    let send = |bytes| open.lock().unwrap()[0].send(bytes).unwrap();
    send(bookmark("11", &json!({})));
    send(event("MODIFIED", &served("a", "12", "other")));
    host.line_with("version-0001 default/a");
    send(event("DELETED", &served("b", "13", "main")));
    host.line("version-0001 default/b gone");
    for line in ["default/a: main", "default/b: main", "default/a: other"] {
        host.line(line);
    }
    assert_eq!(server.requests().len(), 2);
    host.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_comes_in_pages_and_again_when_the_watch_has_expired() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    let open = Arc::<Mutex<Vec<_>>>::default();
    let watches = Arc::clone(&open);
    let server = Server::start(move |parameters| {
        if is(parameters, "watch", "true") {
            let (response, sender) = stream(vec![]);
            watches.lock().unwrap().push((parameters["resourceVersion"].clone(), sender));
            return response;
        }
        let again = !watches.lock().unwrap().is_empty();
        match (parameters.get("continue").map(String::as_str), again) {
            (None, false) => list(&[served("a", "1", "main"), served("b", "2", "main")], "10", "more"),
            (Some("more"), false) => list(&[served("c", "3", "main")], "10", ""),
            _ => list(&[served("a", "1", "main"), served("c", "14", "other"), served("d", "15", "main")], "20", ""),
        }
    })
    .await;
    let host = server.host(&place);
    for name in ["a", "b", "c"] {
        host.line_with(&format!("default/{name} "));
    }
    poll("watch", || open.lock().unwrap().first().map(drop));
    let send = |index: usize, bytes| open.lock().unwrap()[index].1.send(bytes).unwrap();
    send(0, bookmark("12", &json!({})));
    send(0, event("ERROR", &status(410, "Expired")));
    for line in ["default/b gone", "default/c - ", "default/d - "] {
        host.line_with(line);
    }
    poll("second watch", || open.lock().unwrap().get(1).map(drop));
    send(1, event("MODIFIED", &served("a", "21", "other")));
    host.line_with("default/a");
    let versions: Vec<_> = open.lock().unwrap().iter().map(|(version, _)| version.clone()).collect();
    assert_eq!(versions, ["10", "20"]);
    let stdout = host.stop().stdout;
    assert_eq!(stdout.len(), 3 + 3 + 1, "what is as it was is not reconciled again: {stdout:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_watch_that_ends_is_resumed_from_the_last_bookmark() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    let open = Arc::<Mutex<Vec<_>>>::default();
    let watches = Arc::clone(&open);
    let server = Server::start(move |parameters| {
        if !is(parameters, "watch", "true") {
            // Whoever asks for one asks how new the server is, as a watch that has ended before its time may not be of it.
            let version = if is(parameters, "limit", "1") { "17" } else { "10" };
            return list(&[], version, "");
        }
        let first = if is(parameters, "resourceVersion", "10") {
            vec![event("ADDED", &served("a", "11", "main")), bookmark("17", &json!({}))]
        } else {
            vec![event("ADDED", &served("b", "18", "main"))]
        };
        let (response, sender) = stream(first);
        watches.lock().unwrap().push(sender);
        response
    })
    .await;
    let host = server.host(&place);
    host.line_with("default/a");
    open.lock().unwrap().clear();
    host.line_with("default/b");
    let requests = server.requests();
    let watches: Vec<_> = requests.iter().filter(|parameters| is(parameters, "watch", "true")).collect();
    assert_eq!(watches[1]["resourceVersion"], "17");
    assert_eq!(host.stop().stdout.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_whose_time_runs_out_because_an_api_server_does_not_answer_do_not_pause_their_plugin() {
    const OBJECTS: usize = 10;
    let place = Workplace::new();
    let rule = "{apiVersion: apps/v1, kinds: [ReplicaSet], verbs: [get]}";
    place.grant("probe", &format!("limits: {{wall: 100ms}}\ngrants: [{rule}]\n"));
    place.plugin("probe", &plugins::probe(1));
    let server = Server::start(move |parameters| {
        if is(parameters, "watch", "true") {
            return stream(vec![]).0;
        }
        let read =
            json!([{"get": {"apiVersion": "apps/v1", "kind": "ReplicaSet", "namespace": "default", "name": "a"}}]);
        let objects = (0..OBJECTS).map(|index| {
            let mut object = asking(&format!("object-{index}"), &read);
            object["metadata"]["resourceVersion"] = "1".into();
            object["metadata"]["uid"] = format!("uid-{index}").into();
            object
        });
        list(&objects.collect::<Vec<_>>(), "10", "")
    })
    .await;
    let host = server.host(&place);
    for index in 0..OBJECTS {
        host.line_with(&format!("default/object-{index} ask attempt 0"));
    }
    host.log("may take (--call-wall, or limits in its grant file), and waited for what it wanted to read");
    assert!(host.messages().iter().all(|message| !message.contains("is paused")));
    host.stop();
}
