//! The selected objects of one kind, by a list and a watch from where that began.
//!
//! kube's watcher resumes a watch at once whenever it ends, and keeps its place whatever was said in between. This one
//! begins with a new list wherever it cannot be told that nothing was missed: what has not changed is not told again.

use std::collections::HashSet;
use std::mem;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::io::AsyncBufReadExt as _;
use futures::{StreamExt as _, TryFutureExt as _};
use kube::api::{ListParams, VersionMatch, WatchParams};
use kube::core::{Request, WatchEvent};
use kube::{Api, Client, ResourceExt as _};

use super::Span;
use super::broken::Broken;
use super::list::{ListBody, ListMeta};
use crate::cache::Event;
use crate::cluster::{ChangedKinds, Cluster};
use crate::health::Heard;
use crate::object::{Kind, Nameless, Object, Packer, RawObject, ResourceVersion};
use crate::selector::Selection;

/// How many objects a page of a list has at most; client-go's number.
const PAGE: u32 = 500;

/// How long a list or a page of it is waited for. Then a smaller one is asked for: `/livez` gives up what nothing is heard
/// of for longer.
const PAGE_TIME: Duration = Duration::from_mins(2);

/// How much longer than it was asked for a watch may be silent. Then its connection is taken for dead.
const MARGIN: Duration = Duration::from_secs(5);

/// A watch that ends sooner and has told of nothing has failed, so that one that always does is not begun in a tight loop.
/// An API server that is overloaded ends one that has fallen behind, also while it catches up.
const SHORTEST: Duration = Duration::from_secs(1);

/// What breaks after it has gone on for so long is another trouble. It may begin so often without a backoff, which is
/// not more often than with the longest one.
const WELL: Duration = Duration::from_secs(10);

/// Of how many objects without a name a watch tells.
const MAX_NAMELESS: usize = 100;

/// What the API server reads a list from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListFrom {
    /// From what it keeps in its memory. It may be behind what has been written elsewhere by a moment, as every client of
    /// client-go's takes for its first list; the watch makes good for it.
    Memory,
    /// As things are when it is asked for. Whatever was known before stays known.
    Etcd,
}

/// Follows the selected objects of one kind.
pub(super) struct Watcher<'a> {
    api: Api<RawObject>,
    client: Client,
    kind: &'a Kind,
    url: &'a str,
    labels: Option<String>,
    fields: Option<String>,
    /// Is told of each question, and of each thing that is told.
    heard: &'a Heard,
    /// How long a watch goes on.
    timeout: Duration,
    /// Where the next list is read from, but for a kind that the host has changed objects of.
    from: ListFrom,
    changed: &'a ChangedKinds,
    /// How many objects the next page of a list has at most.
    page: u32,
    /// How long a page is waited for.
    page_time: Duration,
    /// The resource version that the next watch begins from. None: a list comes first.
    position: Option<String>,
    /// The last watch did not end by its time, so that the API server may not be what it was.
    in_doubt: bool,
    /// It has failed, and has not done well since.
    failing: bool,
    /// Since when it watches without a failure.
    well_since: Option<Instant>,
    /// What was told of that cannot be handled.
    nameless: HashSet<String>,
    packer: Packer,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(
        cluster: &'a Cluster,
        (kind, selection): (&'a Kind, &Selection),
        from: ListFrom,
        heard: &'a Heard,
    ) -> Self {
        let api = match &selection.namespace {
            Some(namespace) if kind.namespaced => Api::namespaced_with(cluster.client(), namespace, kind),
            _ => Api::all_with(cluster.client(), kind),
        };
        Self {
            api,
            client: cluster.client(),
            kind,
            url: &cluster.url,
            labels: (!selection.labels.selects_all()).then(|| selection.labels.as_str().to_owned()),
            fields: (!selection.fields.selects_all()).then(|| selection.fields.to_string()),
            heard,
            timeout: cluster.timeout,
            from,
            changed: &cluster.changed,
            page: PAGE,
            page_time: PAGE_TIME,
            position: None,
            in_doubt: false,
            failing: false,
            well_since: None,
            nameless: HashSet::new(),
            packer: Packer::default(),
        }
    }

    /// Tells of the objects until all have been told of, if that is enough, or something goes wrong. After that it can
    /// be called again, and goes on.
    pub(super) async fn run(&mut self, span: Span, tell: &mut impl FnMut(Event)) -> Result<(), Broken> {
        let resumes = self.position.is_some();
        let mut ended = self.go_on(span, tell).await;
        if resumes && ended.as_ref().is_err_and(Broken::is_expired) {
            // It was away for longer than the API server remembers, and nothing is wrong with either.
            tracing::info!("{} does not remember all that has happened since: listing {} anew", self.url, self.kind);
            self.position = None;
            ended = self.go_on(span, tell).await;
        }
        if let Err(broken) = &ended {
            self.failing = true;
            if !broken.keeps_place() {
                self.position = None;
            }
        }
        ended
    }

    /// Whether it had gone on for so long, before it went wrong, that it is not the trouble of before.
    pub(super) fn was_well(&mut self) -> bool {
        self.well_since.take().is_some_and(|since| since.elapsed() >= WELL)
    }

    async fn go_on(&mut self, span: Span, tell: &mut impl FnMut(Event)) -> Result<(), Broken> {
        loop {
            if self.in_doubt
                && let Some(version) = &self.position
                && self.is_set_back(version).await?
            {
                tracing::warn!("{} has been set back: listing {} anew", self.url, self.kind);
                self.position = None;
            }
            if self.position.is_none() {
                self.position = Some(self.list(span, tell).await?);
            }
            if span == Span::Once {
                return Ok(());
            }
            self.watch(tell).await?;
        }
    }

    /// Tells of everything there is, and returns the resource version to watch from.
    async fn list(&mut self, span: Span, tell: &mut impl FnMut(Event)) -> Result<String, Broken> {
        tell(Event::Init);
        let from = mem::replace(&mut self.from, ListFrom::Etcd);
        // What the host has changed until now is not to be seen as it was before. And without a watch after it, nothing
        // would make good what the API server has not heard of yet.
        let may_be_kept = from == ListFrom::Memory && span == Span::Forever && !self.changed.has(&self.kind.gvk);
        let kept = if may_be_kept { self.list_kept(tell).await? } else { None };
        let version = self.list_pages(kept, tell).await?;
        tell(Event::InitDone);
        Ok(version)
    }

    /// Tells of everything that the API server keeps in its memory, which takes it half the time of reading it from etcd.
    /// One that keeps nothing may answer with the first page. None: it does not come in time.
    async fn list_kept(&mut self, tell: &mut impl FnMut(Event)) -> Result<Option<ListMeta>, Broken> {
        let params = ListParams {
            resource_version: Some("0".to_owned()),
            version_match: Some(VersionMatch::NotOlderThan),
            ..self.list_params()
        };
        self.heard.note(Instant::now());
        let Ok(list) = tokio::time::timeout(self.page_time, self.read_list(&params, tell)).await else {
            let (kind, time) = (self.kind, humantime::format_duration(self.page_time));
            tracing::warn!("{} did not send all {kind} within {time}: asking for {}", self.url, self.page);
            // What it has sent of them may be gone by now.
            tell(Event::Init);
            return Ok(None);
        };
        list.map(Some)
    }

    /// Tells of everything there is, page by page, the first one left out if it has come. Without one, all is as things are
    /// when it is asked for: a list that begins after a write has what was written. One whose token has expired may go on
    /// with a newer version; the watch is from the first one, and so tells of what has changed on the pages before.
    async fn list_pages(
        &mut self,
        mut first: Option<ListMeta>,
        tell: &mut impl FnMut(Event),
    ) -> Result<String, Broken> {
        let mut params = self.list_params();
        let mut version = None;
        loop {
            let page = match first.take() {
                Some(first) => first,
                None => self.page(&mut params, tell).await?,
            };
            version = version.or(page.version());
            let Some(token) = page.token() else { return version.ok_or(Broken::NoVersion) };
            if params.continue_token.as_ref() == Some(&token) {
                return Err(Broken::EndlessList);
            }
            params.continue_token = Some(token);
        }
    }

    /// Tells of the objects of the next page, a smaller one if it does not come in time.
    async fn page(&mut self, params: &mut ListParams, tell: &mut impl FnMut(Event)) -> Result<ListMeta, Broken> {
        loop {
            let asked = Instant::now();
            self.heard.note(asked);
            params.limit = Some(self.page);
            let Ok(page) = tokio::time::timeout(self.page_time, self.read_list(params, tell)).await else {
                let (kind, size, time) = (self.kind, self.page, humantime::format_duration(self.page_time));
                self.page = (size / 2).max(1);
                tracing::warn!("{} did not send {size} {kind} within {time}: asking for {}", self.url, self.page);
                // A page with a token is of the list that the pages before are of.
                if params.continue_token.is_none() {
                    tell(Event::Init);
                }
                continue;
            };
            if page.is_ok() && asked.elapsed() * 4 < self.page_time {
                self.page = (self.page * 2).min(PAGE);
            }
            return page;
        }
    }

    /// Asks for a list or a page of it, and tells of its objects while they arrive.
    async fn read_list(&mut self, params: &ListParams, tell: &mut impl FnMut(Event)) -> Result<ListMeta, Broken> {
        let request = Request::new(self.api.resource_url()).list(params).map_err(kube::Error::BuildRequest)?;
        let mut answer = pin!(self.client.request_stream(request).await?);
        let mut list = ListBody::default();
        loop {
            let piece = answer.fill_buf().map_err(kube::Error::ReadEvents).await?;
            if piece.is_empty() {
                return Ok(list.end()?);
            }
            list.push(piece, &mut |text| match Object::read(text, &self.kind.gvk) {
                Ok(mut object) => {
                    self.packer.pack(&mut object.json);
                    tell(Event::InitApply(object));
                }
                Err(Nameless { uid }) => self.leave_out(&uid),
            })?;
            let read = piece.len();
            answer.consume_unpin(read);
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Tells of what changes from `position` on, and moves it, until the watch has ended by its time.
    async fn watch(&mut self, tell: &mut impl FnMut(Event)) -> Result<(), Broken> {
        let params = WatchParams {
            label_selector: self.labels.clone(),
            field_selector: self.fields.clone(),
            timeout: Some(u32::try_from(self.timeout.as_secs()).unwrap_or(u32::MAX)),
            bookmarks: true,
            send_initial_events: false,
        };
        self.in_doubt = true;
        let version = self.position.clone().unwrap_or_default();
        self.heard.note(Instant::now());
        let mut events = pin!(self.api.watch(&params, &version).await?);
        let opened = Instant::now();
        self.well_since.get_or_insert(opened);
        if mem::take(&mut self.failing) {
            tracing::info!("watching {} at {} again", self.kind, self.url);
        }
        let silence = self.timeout + MARGIN;
        loop {
            let Ok(event) = tokio::time::timeout(silence, events.next()).await else {
                return Err(Broken::Silent(silence));
            };
            self.heard.note(Instant::now());
            match event {
                Some(Ok(WatchEvent::Added(raw) | WatchEvent::Modified(raw))) => {
                    let version = raw.resource_version();
                    // What comes again, or late, may be of an object that is gone by now.
                    if !version.as_deref().is_some_and(|version| self.is_passed(version)) {
                        self.object(raw).into_iter().for_each(|mut object| {
                            self.packer.pack(&mut object.json);
                            tell(Event::Apply(object));
                        });
                    }
                    self.move_to(version)?;
                }
                Some(Ok(WatchEvent::Deleted(raw))) => {
                    let version = raw.resource_version();
                    if let Some(Object { key, uid, resource_version: version, .. }) = self.object(raw) {
                        tell(Event::Delete { key, uid, version });
                    }
                    self.move_to(version)?;
                }
                Some(Ok(WatchEvent::Bookmark(bookmark))) => self.move_to(Some(bookmark.metadata.resource_version))?,
                Some(Ok(WatchEvent::Error(status))) => return Err(Broken::Told(status)),
                Some(Err(error)) => return Err(error.into()),
                None => {
                    let open = opened.elapsed();
                    // Nobody waits to the last moment.
                    self.in_doubt = open + SHORTEST < self.timeout;
                    let has_told = self.position.as_deref() != Some(&*version);
                    return if open < SHORTEST && !has_told { Err(Broken::Short) } else { Ok(()) };
                }
            }
        }
    }

    /// Moves on, and never back.
    fn move_to(&mut self, version: Option<String>) -> Result<(), Broken> {
        let version = version.filter(|version| !version.is_empty()).ok_or(Broken::NoVersion)?;
        if !self.is_passed(&version) {
            self.position = Some(version);
        }
        Ok(())
    }

    /// Whether the watch has told of all up to a later resource version. An equal one is not passed: where etcd has changed
    /// many objects at once, all of them have it.
    fn is_passed(&self, version: &str) -> bool {
        let version = ResourceVersion::from(version);
        self.position.as_deref().is_some_and(|position| version.is_surely_older(&position.into()))
    }

    /// None: it is none, because it has no name.
    fn object(&mut self, raw: RawObject) -> Option<Object> {
        let uid = raw.uid().unwrap_or_default();
        let object = raw.into_object(&self.kind.gvk);
        if object.is_none() {
            self.leave_out(&uid);
        }
        object
    }

    /// Says once of an object that it has no name.
    fn leave_out(&mut self, uid: &str) {
        if self.nameless.len() < MAX_NAMELESS && self.nameless.insert(uid.to_owned()) {
            tracing::warn!("{} sent a {} without a name, of uid {uid:?}, which is left out", self.url, self.kind);
        }
    }

    /// Whether the newest resource version is older than that, as after a restore from a backup. The API server would
    /// tell of nothing until it has caught up.
    async fn is_set_back(&self, version: &str) -> Result<bool, Broken> {
        let params = ListParams { limit: Some(1), ..self.list_params() };
        self.heard.note(Instant::now());
        let newest = self.api.list_metadata(&params).await?.metadata.resource_version.unwrap_or_default();
        Ok(ResourceVersion::from(&*newest).is_surely_older(&version.into()))
    }

    fn list_params(&self) -> ListParams {
        ListParams { label_selector: self.labels.clone(), field_selector: self.fields.clone(), ..ListParams::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::{StreamExt as _, stream};
    use http::{Request, Response, Uri};
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::object::Gvk;

    const LIST: &str =
        r#"{"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}"#;

    fn config_maps() -> Kind {
        Kind { gvk: Gvk::new("v1", "ConfigMap"), plural: "configmaps".into(), namespaced: true }
    }

    /// Of an API server whose answers are those.
    fn watcher<'a, F>(kind: &'a Kind, heard: &'a Heard, answer: impl Fn(Uri) -> F + Send + 'static) -> Watcher<'a>
    where
        F: Future<Output: Into<axum::body::Body>> + Send + 'static,
    {
        let service = tower::service_fn(move |request: Request<Body>| {
            let answer = answer(request.into_parts().0.uri);
            async move { Ok::<_, Infallible>(Response::new(answer.await.into())) }
        });
        let client = Client::new(service, "default");
        Watcher {
            api: Api::all_with(client.clone(), kind),
            client,
            kind,
            url: "",
            labels: None,
            fields: None,
            heard,
            timeout: Duration::from_mins(1),
            from: ListFrom::Etcd,
            changed: Box::leak(Box::default()),
            page: PAGE,
            page_time: Duration::from_secs(2),
            position: None,
            in_doubt: false,
            failing: false,
            well_since: None,
            nameless: HashSet::new(),
            packer: Packer::default(),
        }
    }

    /// An empty list, and then a watch of these events. A watch from a later version has nothing to tell.
    fn list_or(events: &str, uri: &Uri) -> std::future::Ready<String> {
        let asks = |what: &str| uri.query().is_some_and(|query| query.split('&').any(|part| part == what));
        std::future::ready(match (asks("watch=true"), asks("limit=1")) {
            (true, _) if asks("resourceVersion=1") => events.to_owned(),
            (true, _) => String::new(),
            // What is newest.
            (false, true) => LIST.replace("\"1\"", "\"9\""),
            (false, false) => LIST.to_owned(),
        })
    }

    /// A line of a watch, with the type first, as the API server writes it.
    fn event(kind: &str, name: &str, version: &str) -> String {
        let metadata = json!({"name": name, "resourceVersion": version});
        let object = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata});
        format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
    }

    #[tokio::test]
    async fn what_is_told_out_of_turn_is_passed_over_and_moves_nothing_back() {
        let (kind, heard) = (config_maps(), Heard::default());
        let events = [
            ("ADDED", "a", "5"),
            ("DELETED", "a", "6"),
            ("ADDED", "a", "5"),
            ("MODIFIED", "b", "4"),
            // Etcd has changed many objects at once.
            ("DELETED", "c", "6"),
            ("ADDED", "d", "6"),
            ("BOOKMARK", "", "3"),
        ];
        let events: String = events.map(|(kind, name, version)| event(kind, name, version)).concat();
        let mut watcher = watcher(&kind, &heard, move |uri| list_or(&events, &uri));
        let mut told = Vec::new();
        let mut tell = |event| match event {
            Event::Apply(object) => told.push(format!("{} is there", object.key.name())),
            Event::Delete { key, .. } => told.push(format!("{} is gone", key.name())),
            Event::Init | Event::InitApply(_) | Event::InitDone => {}
        };
        let ended = watcher.run(Span::Forever, &mut tell).await;
        assert!(matches!(ended, Err(Broken::Short)), "{ended:?}");
        assert_eq!(told, ["a is there", "a is gone", "c is gone", "d is there"]);
        assert_eq!(watcher.position.as_deref(), Some("6"));
    }

    #[tokio::test]
    async fn the_first_list_is_what_the_api_server_keeps_and_later_ones_are_as_things_are() {
        let (kind, heard) = (config_maps(), Heard::default());
        let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
        let mut watcher = watcher(&kind, &heard, move |uri| {
            let query = uri.query().unwrap_or_default().to_owned();
            if !query.contains("watch=") {
                sender.send(query.clone()).unwrap();
            }
            list_or("", &uri)
        });
        watcher.from = ListFrom::Memory;
        watcher.run(Span::Forever, &mut |_| {}).await.unwrap_err();
        watcher.position = None;
        watcher.run(Span::Forever, &mut |_| {}).await.unwrap_err();
        let lists: Vec<_> = std::iter::from_fn(|| asked.try_recv().ok()).collect();
        let [first, second] = &lists[..] else { panic!("{lists:?}") };
        assert!(first.contains("resourceVersion=0") && !first.contains("limit="), "{first}");
        assert!(!second.contains("resourceVersion=") && second.contains("limit="), "{second}");
    }

    #[tokio::test]
    async fn what_no_watch_makes_good_for_and_what_the_host_has_changed_is_listed_as_it_is() {
        let (kind, heard) = (config_maps(), Heard::default());
        let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
        let answer = move |uri: Uri| {
            sender.send(uri.query().unwrap_or_default().contains("resourceVersion=0")).unwrap();
            list_or("", &uri)
        };
        let mut once = watcher(&kind, &heard, answer.clone());
        once.from = ListFrom::Memory;
        once.run(Span::Once, &mut |_| {}).await.unwrap();
        let mut changed = watcher(&kind, &heard, answer);
        changed.from = ListFrom::Memory;
        changed.changed.note(&kind.gvk);
        changed.run(Span::Forever, &mut |_| {}).await.unwrap_err();
        let first = [asked.try_recv().unwrap(), asked.try_recv().unwrap()];
        assert_eq!(first, [false, false]);
    }

    #[tokio::test]
    async fn what_the_api_server_keeps_is_asked_for_in_pages_where_it_does_not_come_in_time() {
        let (kind, heard) = (config_maps(), Heard::default());
        let mut watcher = watcher(&kind, &heard, move |uri| {
            let is_kept = uri.query().is_some_and(|query| query.contains("resourceVersion=0"));
            async move { if is_kept { std::future::pending().await } else { LIST.to_owned() } }
        });
        (watcher.from, watcher.page_time) = (ListFrom::Memory, Duration::from_secs(1));
        let mut tell = |_| {};
        let listed = watcher.list(Span::Forever, &mut tell);
        let version = tokio::time::timeout(Duration::from_mins(1), listed).await.unwrap().unwrap();
        assert_eq!(version, "1");
    }

    #[tokio::test]
    async fn what_has_come_of_a_list_that_breaks_off_is_not_taken_for_a_part_of_the_next_one() {
        let (kind, heard) = (config_maps(), Heard::default());
        let mut watcher = watcher(&kind, &heard, |uri| {
            let is_first = ["resourceVersion=0", "limit=500"].iter().any(|part| uri.query().unwrap().contains(part));
            let begin = LIST.replace("[]}", r#"[{"metadata": {"name": "a", "resourceVersion": "1"}},"#);
            let breaks_off = stream::iter([Ok::<_, Infallible>(begin)]).chain(stream::pending());
            let all = axum::body::Body::from(LIST);
            std::future::ready(if is_first { axum::body::Body::from_stream(breaks_off) } else { all })
        });
        (watcher.from, watcher.page_time) = (ListFrom::Memory, Duration::from_secs(1));
        let mut told = Vec::new();
        let mut tell = |event| match event {
            Event::Init => told.push("begin".to_owned()),
            Event::InitApply(object) => told.push(object.key.name().to_owned()),
            Event::InitDone => told.push("end".to_owned()),
            Event::Apply(_) | Event::Delete { .. } => panic!("it is a list"),
        };
        let listed = watcher.list(Span::Forever, &mut tell);
        tokio::time::timeout(Duration::from_mins(1), listed).await.unwrap().unwrap();
        assert_eq!(told, ["begin", "a", "begin", "a", "begin", "end"]);
    }

    #[tokio::test]
    async fn objects_that_are_too_many_to_come_in_time_are_asked_for_in_smaller_pages() {
        let (kind, heard) = (config_maps(), Heard::default());
        let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
        let mut watcher = watcher(&kind, &heard, move |uri| {
            let limit = uri.query().and_then(|query| query.split_once("limit=")?.1.parse::<u32>().ok()).unwrap();
            sender.send(limit).unwrap();
            async move { if limit > 100 { std::future::pending().await } else { LIST.to_owned() } }
        });
        let mut tell = |_| {};
        tokio::time::timeout(Duration::from_mins(1), watcher.run(Span::Once, &mut tell)).await.unwrap().unwrap();
        let limits: Vec<_> = std::iter::from_fn(|| asked.try_recv().ok()).collect();
        assert_eq!(limits, [500, 250, 125, 62]);
        assert_eq!(watcher.page, 124, "it was fast");
    }

    #[tokio::test]
    async fn a_watch_that_ends_soon_goes_on_at_once_if_it_has_told_of_something() {
        let (kind, heard) = (config_maps(), Heard::default());
        let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
        let mut watcher = watcher(&kind, &heard, move |uri| {
            let parts = uri.query().unwrap().split('&').filter(|part| part.starts_with("resourceVersion="));
            parts.for_each(|part| sender.send(part.to_owned()).unwrap());
            list_or(&event("ADDED", "a", "5"), &uri)
        });
        let ended = watcher.run(Span::Forever, &mut |_| {}).await;
        assert!(matches!(ended, Err(Broken::Short)), "{ended:?}");
        let from: Vec<_> = std::iter::from_fn(|| asked.try_recv().ok()).collect();
        assert_eq!(from, ["resourceVersion=1", "resourceVersion=5"]);
    }

    #[tokio::test]
    async fn what_the_api_server_does_not_remember_is_listed_at_once_and_only_once() {
        let (kind, heard) = (config_maps(), Heard::default());
        let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
        let mut watcher = watcher(&kind, &heard, move |uri| {
            sender.send(uri.query().is_some_and(|query| query.contains("watch="))).unwrap();
            let status =
                r#"{"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"}"#;
            list_or(&format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n"), &uri)
        });
        watcher.position = Some("1".to_owned());
        for questions in [&[true, false, true][..], &[false, true]] {
            let ended = watcher.run(Span::Forever, &mut |_| {}).await;
            assert!(ended.as_ref().is_err_and(Broken::is_expired), "{ended:?}");
            assert_eq!(std::iter::from_fn(|| asked.try_recv().ok()).collect::<Vec<_>>(), questions);
        }
    }

    #[tokio::test]
    async fn each_question_and_each_event_is_heard() {
        let (kind, heard, later) = (config_maps(), Heard::default(), Instant::now() + Duration::from_hours(1));
        let events = event("ADDED", "a", "2") + &event("MODIFIED", "a", "3");
        let mut watcher = watcher(&kind, &heard, move |uri| list_or(&events, &uri));
        let mut silences = Vec::new();
        let ended = watcher.run(Span::Forever, &mut |_| silences.push(heard.silence(later))).await;
        assert!(matches!(ended, Err(Broken::Short)), "{ended:?}");
        // The beginning of the list, its end, and two events.
        assert_eq!((silences.len(), silences[0]), (4, None));
        assert!(silences[1..].is_sorted_by(|before, after| after < before), "{silences:?}");
    }

    #[tokio::test]
    async fn what_has_gone_on_for_a_while_over_several_watches_was_well() {
        let (kind, heard) = (config_maps(), Heard::default());
        let event = event("ADDED", "a", "2");
        let mut watcher = watcher(&kind, &heard, move |uri| list_or(&event, &uri));
        watcher.run(Span::Forever, &mut |_| {}).await.unwrap_err();
        assert!(!watcher.was_well(), "it has ended at once");
        watcher.well_since = Instant::now().checked_sub(WELL);
        watcher.run(Span::Forever, &mut |_| {}).await.unwrap_err();
        assert!(watcher.was_well());
        assert!(!watcher.was_well(), "it has not been since");
    }
}
