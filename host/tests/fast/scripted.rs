//! A small API server: ReplicaSets in one namespace, lists in pages and as streams, watches from a history that can be
//! compacted. It fails when it is told to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::mem;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::replica_set;

type Parameters = HashMap<String, String>;

/// How many objects a page of a list has at most.
const PAGE: usize = 60;

/// The server; it serves for as long as the runtime of the test runs.
pub(super) struct Server {
    pub(super) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    store: Mutex<Store>,
    /// Told whenever there is something new for those that watch.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Value>,
    /// Of the last change.
    version: u64,
    /// What has changed since `compacted`: the resource version, and the event as it is sent.
    history: VecDeque<(u64, String)>,
    /// There is no history before this resource version.
    compacted: u64,
    /// What is left of lists that are read in pages, by the token that continues them.
    pages: HashMap<String, Page>,
    /// Lists can be had as streams.
    streams: bool,
    /// What the next requests are refused with.
    refusals: VecDeque<StatusCode>,
    /// How the watch that is open, or the next one, ends.
    end: Option<End>,
}

struct Page {
    version: u64,
    items: VecDeque<Value>,
}

/// How a watch ends before its time.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// As at its timeout.
    Closed,
    /// In the middle of a line, as if that was all.
    Torn,
    /// In the middle of a line, with the connection.
    Cut,
    /// The server says that the resource version is too old.
    Expired,
}

impl Server {
    /// A server without objects, which can stream lists.
    pub(super) async fn start() -> Self {
        let store = Store { version: 1, compacted: 1, streams: true, ..Store::default() };
        let shared = Arc::new(Shared { store: Mutex::new(store), changed: watch::Sender::default() });
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// Creates or changes an object.
    pub(super) fn write(&self, name: &str, annotations: Value) {
        self.update(|store| {
            store.version += 1;
            let mut object = replica_set(name, &["main"]);
            let before = store.objects.get(name);
            let uid = before.map_or_else(|| store.version.to_string().into(), |had| had["metadata"]["uid"].clone());
            let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
            object["metadata"]["uid"] = uid;
            object["metadata"]["resourceVersion"] = store.version.to_string().into();
            object["metadata"]["annotations"] = annotations;
            store.history.push_back((store.version, event(kind, &object)));
            store.objects.insert(name.to_owned(), object);
        });
    }

    /// Deletes an object that there is.
    pub(super) fn delete(&self, name: &str) {
        self.update(|store| {
            store.version += 1;
            let mut object = store.objects.remove(name).unwrap();
            object["metadata"]["resourceVersion"] = store.version.to_string().into();
            store.history.push_back((store.version, event("DELETED", &object)));
        });
    }

    /// Forgets what has led to how things are, so that only a list can tell of it.
    pub(super) fn compact(&self) {
        self.update(|store| {
            store.history.clear();
            store.pages.clear();
            store.compacted = store.version;
        });
    }

    /// Streams no lists any more.
    pub(super) fn stop_streaming_lists(&self) {
        self.update(|store| store.streams = false);
    }

    /// Has the watch that is open, or the next one, end like that.
    pub(super) fn end_watch(&self, end: End) {
        self.update(|store| store.end = Some(end));
    }

    /// Refuses the next requests with these.
    pub(super) fn refuse(&self, statuses: &[StatusCode]) {
        self.update(|store| store.refusals = statuses.iter().copied().collect());
    }

    /// Takes back what was to fail.
    pub(super) fn calm(&self) {
        self.update(|store| (store.end, store.refusals) = (None, VecDeque::new()));
    }

    fn update(&self, change: impl FnOnce(&mut Store)) {
        change(&mut self.shared.store.lock().unwrap());
        self.shared.changed.send_replace(());
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    Query(parameters): Query<Parameters>,
) -> Response {
    let mut store = shared.store.lock().unwrap();
    if let Some(refusal) = store.refusals.pop_front() {
        return status(refusal, "TheStorm");
    }
    let is_watch = parameters.get("watch").is_some_and(|watch| watch == "true");
    match (method.as_str(), uri.path()) {
        ("GET", "/apis/apps/v1") => {
            let verbs = ["get", "list", "watch"];
            let kind = json!({"name": "replicasets", "singularName": "replicaset", "kind": "ReplicaSet", "namespaced": true, "verbs": verbs});
            let list =
                json!({"apiVersion": "v1", "kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [kind]});
            list.to_string().into_response()
        }
        ("GET", "/apis/apps/v1/replicasets") if is_watch => store.watch(&parameters, &shared),
        ("GET", "/apis/apps/v1/replicasets") => store.list(&parameters),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews") => {
            json!({"metadata": {}, "spec": {}, "status": {"allowed": true}}).to_string().into_response()
        }
        _ => status(StatusCode::NOT_FOUND, "NotFound"),
    }
}

impl Store {
    fn list(&mut self, parameters: &Parameters) -> Response {
        let mut page = match parameters.get("continue") {
            Some(token) => match self.pages.remove(token) {
                Some(page) => page,
                None => return status(StatusCode::GONE, "Expired"),
            },
            None => Page { version: self.version, items: self.objects.values().cloned().collect() },
        };
        let items: Vec<_> = page.items.drain(..page.items.len().min(PAGE)).collect();
        let mut metadata = json!({"resourceVersion": page.version.to_string()});
        if !page.items.is_empty() {
            let token = format!("{}-{}", page.version, page.items.len());
            metadata["continue"] = token.clone().into();
            self.pages.insert(token, page);
        }
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSetList", "metadata": metadata, "items": items})
            .to_string()
            .into_response()
    }

    fn watch(&self, parameters: &Parameters, shared: &Arc<Shared>) -> Response {
        let mut feed = Feed { shared: Arc::clone(shared), at: self.version, first: String::new(), end: None };
        if parameters.get("sendInitialEvents").is_some_and(|wanted| wanted == "true") {
            if !self.streams {
                return status(StatusCode::UNPROCESSABLE_ENTITY, "Invalid");
            }
            feed.first = self.objects.values().map(|object| event("ADDED", object)).collect();
            feed.first += &bookmark(self.version, &json!({"k8s.io/initial-events-end": "true"}));
        } else {
            feed.at = parameters["resourceVersion"].parse().unwrap();
            // Otherwise the feed says so.
            if feed.at < self.compacted && feed.at.is_multiple_of(2) {
                return status(StatusCode::GONE, "Expired");
            }
        }
        Body::from_stream(futures::stream::unfold(feed, Feed::next)).into_response()
    }
}

/// What one watch is sent.
struct Feed {
    shared: Arc<Shared>,
    /// The last resource version that was sent.
    at: u64,
    /// What is sent first.
    first: String,
    end: Option<End>,
}

impl Feed {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        let mut changed = self.shared.changed.subscribe();
        loop {
            match self.end {
                Some(End::Cut) => {
                    self.end = Some(End::Closed);
                    return Some((Err(io::ErrorKind::ConnectionReset.into()), self));
                }
                Some(_) => return None,
                None => {}
            }
            if let Some(sent) = self.news() {
                return Some((Ok(sent.into()), self));
            }
            changed.changed().await.ok()?;
        }
    }

    /// What there is to be sent now.
    fn news(&mut self) -> Option<String> {
        let mut store = self.shared.store.lock().unwrap();
        let mut text = mem::take(&mut self.first);
        self.end = if self.at < store.compacted { Some(End::Expired) } else { store.end.take() };
        let missed = store.history.iter().filter(|(version, _)| *version > self.at).count();
        // Not all of it if it ends, so that there is something to be made good.
        let sent = match self.end {
            None => missed,
            Some(End::Expired) => 0,
            Some(_) => missed / 2,
        };
        for (version, event) in store.history.iter().skip(store.history.len() - missed).take(sent) {
            text += event;
            self.at = *version;
        }
        match self.end {
            None if text.is_empty() => return None,
            None if self.at.is_multiple_of(5) => text += &bookmark(self.at, &json!({})),
            None | Some(End::Closed) => {}
            Some(End::Torn | End::Cut) => text += "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Repl",
            Some(End::Expired) => text += &event("ERROR", &failure(StatusCode::GONE, "Expired")),
        }
        Some(text)
    }
}

/// A watch event, with its type before its object as the API server writes it.
fn event(kind: &str, object: &Value) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn bookmark(version: u64, annotations: &Value) -> String {
    let metadata = json!({"resourceVersion": version.to_string(), "annotations": annotations});
    event("BOOKMARK", &json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata}))
}

fn failure(code: StatusCode, reason: &str) -> Value {
    let (code, message) = (code.as_u16(), format!("it was told to say {code}"));
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code})
}

fn status(code: StatusCode, reason: &str) -> Response {
    (code, failure(code, reason).to_string()).into_response()
}
