//! A small API server: ReplicaSets in one namespace, lists in pages and as streams, watches from a history that can be
//! compacted, patches, and Leases. It fails when it is told to.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::replica_set;

type Parameters = HashMap<String, String>;

/// How many objects a page of a list has at most.
const PAGE: usize = 60;

/// Where the Leases are.
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

/// The server; it serves for as long as the runtime of the test runs.
pub(crate) struct Server {
    pub(crate) url: String,
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
    faults: Faults,
    /// When what was asked for since [`Server::count`].
    asked: Vec<(Asked, Instant)>,
    /// As whom what was asked for, by impersonation: the method, the user, and the groups.
    speakers: BTreeSet<String>,
    leases: BTreeMap<String, Value>,
}

/// What is wrong until it is mended.
#[derive(Default)]
pub(crate) struct Faults {
    /// Every request is refused, with these.
    pub(crate) refuse: Option<Refusal>,
    /// Every patch of an object is refused, with these.
    pub(crate) refuse_patches: Option<Refusal>,
    /// So many of the next patches of an object are never answered.
    pub(crate) silent_patches: usize,
    /// What happens to everything that is asked of Leases.
    pub(crate) leases: Option<Leases>,
    /// Every watch ends like that, when it has told what there is to tell.
    pub(crate) ends: Option<End>,
    /// Requests without this token are refused.
    pub(crate) token: Option<String>,
    /// So many of the next lists are cut in the middle.
    pub(crate) cut_lists: usize,
    /// So many of the next lists are never answered.
    pub(crate) silent_lists: usize,
    /// Watches are refused because they have expired, until there is a list.
    pub(crate) expired: bool,
    /// The kind is not served.
    pub(crate) missing: Option<Missing>,
    /// What happens before the next page that continues a list.
    pub(crate) between_pages: Option<Between>,
    /// Answers come in small pieces, this far apart.
    pub(crate) trickle: Option<Duration>,
    /// Watches tell everything twice, then what was before it, with bookmarks in between.
    pub(crate) noise: bool,
}

/// What happens between two pages of a list.
#[derive(Clone, Copy)]
pub(crate) enum Between {
    /// The token that continues it expires.
    Expired,
    /// An object of the page before changes, one of it goes, one that belongs on it comes, and the list goes on with how
    /// things are after that, as a list can whose token had expired.
    Changes,
}

/// What is wrong with Leases.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leases {
    /// They can be read, and every write is refused with these.
    Refuse(Refusal),
    /// Nothing that is asked of them is answered.
    Silent,
}

/// How a kind is not served.
#[derive(Clone, Copy)]
pub(crate) enum Missing {
    /// Nobody has heard of it.
    Unknown,
    /// It is said to be served, and there is nothing.
    Named,
}

/// An answer that is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    pub(crate) code: StatusCode,
    /// After how many seconds to ask again, and whether the body says so, or a header alone.
    pub(crate) retry_after: Option<(u32, Says)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Header,
    Body,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    List,
    Watch,
    Patch,
    Lease,
    Other,
}

struct Page {
    version: u64,
    items: VecDeque<Value>,
}

/// How a watch ends before its time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// As at its timeout.
    Closed,
    /// In the middle of a line, as if that was all.
    Torn,
    /// In the middle of a line, with the connection.
    Cut,
    /// The server says that the resource version is too old.
    Expired,
    /// It does not, but nothing comes any more.
    Silent,
    /// It does not, but says that something has failed instead of what there was to tell.
    Failure,
    /// It does not, but says something that is nothing instead of what there was to tell.
    Garbled,
}

impl Server {
    /// A server without objects, which can stream lists.
    pub(crate) async fn start() -> Self {
        let store = Store { version: 1, compacted: 1, streams: true, ..Store::default() };
        let shared = Arc::new(Shared { store: Mutex::new(store), changed: watch::Sender::default() });
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// Creates or changes an object.
    pub(crate) fn write(&self, name: &str, annotations: &Value) {
        self.update(|store| store.write(name, annotations));
    }

    /// Deletes an object that there is.
    pub(crate) fn delete(&self, name: &str) {
        self.update(|store| store.delete(name));
    }

    /// Forgets what has led to how things are, so that only a list can tell of it.
    pub(crate) fn compact(&self) {
        self.update(|store| {
            store.history.clear();
            store.pages.clear();
            store.compacted = store.version;
        });
    }

    /// Streams no lists any more.
    pub(crate) fn stop_streaming_lists(&self) {
        self.update(|store| store.streams = false);
    }

    /// Has the watch that is open, or the next one, end like that.
    pub(crate) fn end_watch(&self, end: End) {
        self.update(|store| store.end = Some(end));
    }

    /// Refuses the next requests with these.
    pub(crate) fn refuse(&self, statuses: &[StatusCode]) {
        self.update(|store| store.refusals = statuses.iter().copied().collect());
    }

    /// Changes what is wrong.
    pub(crate) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        self.update(|store| change(&mut store.faults));
    }

    /// Has an object as it is given, whatever that is. It is told of with that resource version.
    pub(crate) fn put(&self, name: &str, version: impl FnOnce(u64) -> Value) {
        self.update(|store| {
            store.version += 1;
            let object = version(store.version);
            store.history.push_back((store.version, event("ADDED", &object)));
            store.objects.insert(name.to_owned(), object);
        });
    }

    /// The objects as they are.
    pub(crate) fn objects(&self) -> BTreeMap<String, Value> {
        self.shared.store.lock().unwrap().objects.clone()
    }

    /// A Lease as it is.
    pub(crate) fn lease(&self, name: &str) -> Option<Value> {
        self.shared.store.lock().unwrap().leases.get(name).cloned()
    }

    /// Has a Lease, which there is, held by that replica. Empty: by nobody.
    pub(crate) fn hand_lease(&self, name: &str, holder: &str) {
        self.update(|store| {
            store.version += 1;
            let lease = store.leases.get_mut(name).unwrap();
            lease["metadata"]["resourceVersion"] = store.version.to_string().into();
            lease["spec"]["holderIdentity"] = holder.into();
        });
    }

    /// When what was asked for since the last time that this was asked.
    pub(crate) fn count(&self) -> Vec<(Asked, Instant)> {
        mem::take(&mut self.shared.store.lock().unwrap().asked)
    }

    /// As whom what was asked for until now: the method, the user, and the groups.
    pub(crate) fn speakers(&self) -> BTreeSet<String> {
        self.shared.store.lock().unwrap().speakers.clone()
    }

    /// Takes back what was to fail.
    pub(crate) fn calm(&self) {
        self.update(|store| (store.end, store.refusals, store.faults) = (None, VecDeque::new(), Faults::default()));
    }

    fn update(&self, change: impl FnOnce(&mut Store)) {
        change(&mut self.shared.store.lock().unwrap());
        self.shared.changed.send_replace(());
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    (method, uri, headers): (Method, Uri, HeaderMap),
    Query(parameters): Query<Parameters>,
    body: Bytes,
) -> Response {
    let answer = shared.answer(&method, &uri, &headers, &parameters, &body);
    let Some(response) = answer else { return std::future::pending().await };
    let trickle = shared.store.lock().unwrap().faults.trickle;
    let Some(pause) = trickle else { return response };
    let (head, body) = response.into_parts();
    let pieces = body.into_data_stream().flat_map(move |bytes| {
        let bytes = bytes.unwrap();
        let pieces: Vec<_> =
            (0..bytes.len()).step_by(100).map(|at| bytes.slice(at..bytes.len().min(at + 100))).collect();
        futures::stream::iter(pieces).then(move |piece| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, io::Error>(piece)
        })
    });
    Response::from_parts(head, Body::from_stream(pieces))
}

impl Shared {
    /// None: it is never answered.
    fn answer(
        self: &Arc<Self>,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        parameters: &Parameters,
        body: &Bytes,
    ) -> Option<Response> {
        let mut store = self.store.lock().unwrap();
        let is_watch = parameters.get("watch").is_some_and(|watch| watch == "true");
        let path = percent_decode(uri.path());
        let asked = match &*path {
            "/apis/apps/v1/replicasets" if is_watch => Asked::Watch,
            "/apis/apps/v1/replicasets" => Asked::List,
            _ if method == Method::PATCH && path.starts_with("/apis/apps/v1/") => Asked::Patch,
            _ if path.starts_with(LEASES) => Asked::Lease,
            _ => Asked::Other,
        };
        store.asked.push((asked, Instant::now()));
        let said = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        let (users, groups) = (said("impersonate-user"), said("impersonate-group"));
        store.speakers.insert(format!("{method} {users:?} {groups:?}"));
        if let Some(refusal) = store.refusals.pop_front() {
            return Some(status(refusal, "TheStorm"));
        }
        if let Some(refusal) = store.faults.refuse {
            return Some(refusal.response());
        }
        if let (Asked::Patch, Some(refusal)) = (asked, store.faults.refuse_patches) {
            return Some(refusal.response());
        }
        if asked == Asked::Patch && store.faults.silent_patches > 0 {
            store.faults.silent_patches -= 1;
            return None;
        }
        match (asked, store.faults.leases) {
            (Asked::Lease, Some(Leases::Silent)) => return None,
            (Asked::Lease, Some(Leases::Refuse(refusal))) if method != Method::GET => return Some(refusal.response()),
            _ => {}
        }
        let wanted = store.faults.token.as_ref().map(|token| format!("Bearer {token}"));
        if wanted.is_some_and(|wanted| headers.get("authorization").is_none_or(|had| *had != *wanted)) {
            return Some(status(StatusCode::UNAUTHORIZED, "Unauthorized"));
        }
        let is_missing = match store.faults.missing {
            None => false,
            Some(Missing::Unknown) => true,
            Some(Missing::Named) => matches!(asked, Asked::List | Asked::Watch),
        };
        if is_missing {
            return Some(status(StatusCode::NOT_FOUND, "NotFound"));
        }
        Some(match (method.as_str(), asked) {
            ("GET", Asked::Watch) => store.watch(parameters, self),
            ("GET", Asked::List) => return store.list(parameters),
            ("GET", _) if path == "/apis/apps/v1" => served_kinds(),
            ("POST", _) if path.starts_with("/apis/authorization.k8s.io/v1/") => {
                json!({"metadata": {}, "spec": {}, "status": {"allowed": true}}).to_string().into_response()
            }
            ("PATCH", _) => match path.strip_prefix("/apis/apps/v1/namespaces/default/replicasets/") {
                Some(name) => {
                    let patched = store.patch(name, body);
                    drop(store);
                    self.changed.send_replace(());
                    patched
                }
                None => store.lease(method, &path, body),
            },
            _ => store.lease(method, &path, body),
        })
    }
}

fn served_kinds() -> Response {
    let verbs = ["get", "list", "watch"];
    let kind = json!({"name": "replicasets", "singularName": "replicaset", "kind": "ReplicaSet", "namespaced": true, "verbs": verbs});
    let list = json!({"apiVersion": "v1", "kind": "APIResourceList", "groupVersion": "apps/v1", "resources": [kind]});
    list.to_string().into_response()
}

fn percent_decode(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        (bytes, rest) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let byte = u8::from_str_radix(std::str::from_utf8(&[*high, *low]).unwrap(), 16).unwrap();
                ([bytes, vec![byte]].concat(), after)
            }
            _ => ([bytes, vec![*first]].concat(), after),
        };
    }
    String::from_utf8(bytes).unwrap()
}

impl Refusal {
    fn response(self) -> Response {
        let mut body = failure(self.code, "TheStorm");
        let Some((seconds, says)) = self.retry_after else { return (self.code, body.to_string()).into_response() };
        let header = [("retry-after", seconds.to_string())];
        if says == Says::Header {
            return (self.code, header, "Too many requests, please try again later.").into_response();
        }
        body["details"] = json!({"retryAfterSeconds": seconds});
        let json = [("content-type", "application/json")];
        (self.code, json, header, body.to_string()).into_response()
    }
}

impl Store {
    fn write(&mut self, name: &str, annotations: &Value) {
        let mut object = replica_set(name, &["main"]);
        object["metadata"]["annotations"] = annotations.clone();
        self.set(name, object);
    }

    /// Gives it the next resource version.
    fn set(&mut self, name: &str, mut object: Value) {
        self.version += 1;
        let before = self.objects.get(name);
        let uid = before.map_or_else(|| self.version.to_string().into(), |had| had["metadata"]["uid"].clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        object["metadata"]["uid"] = uid;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.history.push_back((self.version, event(kind, &object)));
        self.objects.insert(name.to_owned(), object);
    }

    fn delete(&mut self, name: &str) {
        self.version += 1;
        let mut object = self.objects.remove(name).unwrap();
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.history.push_back((self.version, event("DELETED", &object)));
    }

    fn patch(&mut self, name: &str, patch: &Bytes) -> Response {
        let Some(mut object) = self.objects.get(name).cloned() else {
            return status(StatusCode::NOT_FOUND, "NotFound");
        };
        json_patch::merge(&mut object, &serde_json::from_slice(patch).unwrap());
        self.set(name, object);
        self.objects[name].to_string().into_response()
    }

    /// Creates, changes, lists or removes Leases.
    fn lease(&mut self, method: &Method, path: &str, body: &Bytes) -> Response {
        let Some(rest) = path.strip_prefix(LEASES) else {
            return status(StatusCode::NOT_FOUND, "NotFound");
        };
        let mut body: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = rest.strip_prefix('/').unwrap_or_else(|| body["metadata"]["name"].as_str().unwrap_or_default());
        let name = name.to_owned();
        self.version += 1;
        let version = Value::from(self.version.to_string());
        let had = self.leases.get(&name).cloned();
        let mut written = match (method.as_str(), had) {
            ("GET", _) if rest.is_empty() => {
                let items: Vec<_> = self.leases.values().cloned().collect();
                return json!({"metadata": {"resourceVersion": version}, "items": items}).to_string().into_response();
            }
            ("GET", Some(had)) => return had.to_string().into_response(),
            ("POST", None) => body,
            ("PATCH", Some(mut had)) => {
                let wanted = body["metadata"].as_object_mut().and_then(|metadata| metadata.remove("resourceVersion"));
                if wanted.is_some_and(|wanted| wanted != had["metadata"]["resourceVersion"]) {
                    return status(StatusCode::CONFLICT, "Conflict");
                }
                json_patch::merge(&mut had, &body);
                had
            }
            ("DELETE", Some(had)) => {
                self.leases.remove(&name);
                return had.to_string().into_response();
            }
            (_, None) => return status(StatusCode::NOT_FOUND, "NotFound"),
            (_, Some(_)) => return status(StatusCode::CONFLICT, "AlreadyExists"),
        };
        written["metadata"]["resourceVersion"] = version;
        let text = written.to_string();
        self.leases.insert(name, written);
        text.into_response()
    }

    /// None: it is never answered.
    fn list(&mut self, parameters: &Parameters) -> Option<Response> {
        // Who looks for the newest version only asks for one.
        let is_whole = parameters.get("limit").is_none_or(|limit| limit != "1");
        self.faults.expired &= !is_whole;
        if is_whole && self.faults.silent_lists > 0 {
            self.faults.silent_lists -= 1;
            return None;
        }
        if parameters.contains_key("continue") {
            self.happen_between_pages();
        }
        let response = self.page(parameters);
        if is_whole && self.faults.cut_lists > 0 {
            self.faults.cut_lists -= 1;
            let cut = response.into_body().into_data_stream().flat_map(|bytes| {
                let half = bytes.map(|bytes| bytes.slice(..bytes.len() / 2)).map_err(io::Error::other);
                futures::stream::iter([half, Err(io::ErrorKind::ConnectionReset.into())])
            });
            return Some(Body::from_stream(cut).into_response());
        }
        Some(response)
    }

    fn happen_between_pages(&mut self) {
        match self.faults.between_pages.take() {
            None => {}
            Some(Between::Expired) => self.pages.clear(),
            Some(Between::Changes) => {
                let changed = json!({"probe-counter": "1000"});
                let had: Vec<_> = self.objects.keys().take(2).cloned().collect();
                self.write(&had[0], &changed);
                self.delete(&had[1]);
                self.write("a-new-one", &changed);
                let rest = &self.pages.values().next().unwrap().items;
                let last = rest.back().unwrap()["metadata"]["name"].as_str().unwrap().to_owned();
                self.write(&last, &changed);
                let (now, version) = (self.objects[&last].clone(), self.version);
                let page = self.pages.values_mut().next().unwrap();
                page.version = version;
                *page.items.back_mut().unwrap() = now;
            }
        }
    }

    fn page(&mut self, parameters: &Parameters) -> Response {
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

    fn watch(&mut self, parameters: &Parameters, shared: &Arc<Shared>) -> Response {
        let mut feed = Feed { shared: Arc::clone(shared), at: self.version, first: String::new(), end: None };
        if self.faults.expired {
            return status(StatusCode::GONE, "Expired");
        }
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
                Some(End::Silent) => return std::future::pending().await,
                Some(End::Failure | End::Garbled) => self.end = None,
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
        let (compacted, always) = (self.at < store.compacted, store.faults.ends);
        self.end = if compacted { Some(End::Expired) } else { always.or_else(|| store.end.take()) };
        let missed = store.history.iter().filter(|(version, _)| *version > self.at).count();
        let sent = match self.end {
            None => missed,
            Some(_) if always.is_some() => missed,
            Some(End::Expired | End::Silent | End::Failure | End::Garbled) => 0,
            // Not all of it, so that there is something to be made good.
            Some(End::Closed | End::Torn | End::Cut) => missed / 2,
        };
        let begin = store.history.len() - missed;
        for index in begin..begin + sent {
            let (version, event) = &store.history[index];
            text += event;
            self.at = *version;
            if store.faults.noise {
                text += event;
                text += &bookmark(self.at, &json!({}));
                // What was told before, out of turn: the object is the same one, which was another.
                store.history.range(index.saturating_sub(3)..index).for_each(|(_, before)| text += before);
                text += &bookmark(self.at, &json!({}));
            }
        }
        match self.end {
            None if text.is_empty() => return None,
            None if self.at.is_multiple_of(5) => text += &bookmark(self.at, &json!({})),
            None => {}
            Some(End::Closed | End::Silent) => text += &bookmark(self.at, &json!({})),
            Some(End::Torn | End::Cut) => text += "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Repl",
            Some(End::Expired) => text += &event("ERROR", &failure(StatusCode::GONE, "Expired")),
            Some(End::Failure) => text += &event("ERROR", &failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")),
            Some(End::Garbled) => text += "{\"type\":\"MODIFIED\",\"object\":nonsense}\n",
        }
        if matches!(self.end, Some(End::Failure | End::Garbled)) {
            // What there was to tell is not told any more.
            self.at = store.version;
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
