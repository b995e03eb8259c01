//! Objects from a cluster, by kube's watcher.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::core::Status;
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::{self, DefaultBackoff, watcher};
use kube::{Api, Client};

use super::{Span, Update};
use crate::cache::Event;
use crate::cluster::{Cluster, explain};
use crate::health::Heard;
use crate::object::{Gvk, Kind, RawObject};
use crate::selector::Selection;

/// How often the API server is asked whether it serves a kind by now.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Why a watch ended.
enum Ended {
    /// All there is has been told of, or that it is refused, and no more is wanted.
    Told,
    /// There is no such resource any more.
    NotServed,
}

impl Cluster {
    /// Follows the selected objects for as long as `span` says. A kind that is not served is waited for.
    pub(super) async fn watch(
        &self,
        selection: &Selection,
        span: Span,
        heard: &Arc<Heard>,
        mut deliver: impl FnMut(Update),
    ) {
        let (gvk, url, client) = (&selection.gvk, &self.url, self.listening_client(heard));
        let mut backoff = DefaultBackoff::default();
        let mut waiting = false;
        loop {
            heard.note(Instant::now());
            match self.discover(gvk).await {
                Ok(Some(kind)) => {
                    backoff.reset();
                    if std::mem::take(&mut waiting) {
                        tracing::info!("{url} serves {gvk} now");
                    }
                    deliver(Update::Found(kind.clone()));
                    match self.follow(&client, (&kind, selection), span, &mut deliver).await {
                        Ended::Told => return,
                        Ended::NotServed => tokio::time::sleep(Duration::from_millis(200)).await,
                    }
                }
                Ok(None) => {
                    deliver(Update::NotServed);
                    if !std::mem::replace(&mut waiting, true) {
                        tracing::warn!(
                            "{url} does not serve {gvk}: {}",
                            match span {
                                Span::Once => "it is left out",
                                Span::Forever => "waiting for it",
                            }
                        );
                    }
                    if span == Span::Once {
                        return;
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(error) => {
                    let refusal = matches!(&error, kube::Error::Api(status) if is_refusal(status));
                    if refusal {
                        deliver(Update::Refused(explain(&error)));
                    }
                    if refusal && span == Span::Once {
                        tracing::error!("cannot watch {gvk} at {url}: {}", explain(&error));
                        return;
                    }
                    // It has no end.
                    let delay = backoff.next().unwrap_or_default();
                    let (seconds, reason) = (delay.as_secs_f64(), explain(&error));
                    tracing::warn!("cannot watch {gvk} at {url}, trying again in {seconds:.1} s: {reason}");
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }

    /// Lists are asked for in pages and read as they are when they are asked for, not from the API server's cache, so that
    /// one that begins after a write has what was written.
    async fn follow(
        &self,
        client: &Client,
        (kind, selection): (&Kind, &Selection),
        span: Span,
        deliver: &mut impl FnMut(Update),
    ) -> Ended {
        let (url, client) = (&self.url, client.clone());
        let api: Api<RawObject> = match &selection.namespace {
            Some(namespace) if kind.namespaced => Api::namespaced_with(client, namespace, kind),
            _ => Api::all_with(client, kind),
        };
        let mut config = watcher::Config::default();
        if !selection.labels.selects_all() {
            config = config.labels(selection.labels.as_str());
        }
        if !selection.fields.selects_all() {
            config = config.fields(&selection.fields.to_string());
        }
        let mut backoff = DefaultBackoff::default();
        let mut failing = false;
        loop {
            let mut events = pin!(watcher(api.clone(), config.clone()));
            while let Some(event) = events.next().await {
                let event = match event {
                    Ok(event) => event,
                    Err(error) if status(&error).is_some_and(|status| status.code == 404) => return Ended::NotServed,
                    Err(error) => {
                        let reason = explain_watch(&error, kind);
                        let refused = status(&error).is_some_and(is_refusal);
                        if refused {
                            deliver(Update::Refused(reason.clone()));
                        }
                        if refused && span == Span::Once {
                            tracing::error!("cannot watch {kind} at {url}: {reason}");
                            return Ended::Told;
                        }
                        failing = true;
                        // It has no end.
                        let delay = backoff.next().unwrap_or_default();
                        let seconds = delay.as_secs_f64();
                        tracing::warn!("cannot watch {kind} at {url}, trying again in {seconds:.1} s: {reason}");
                        tokio::time::sleep(delay).await;
                        if refused || is_expired(&error) {
                            // What is granted again, or has expired, is listed again.
                            break;
                        }
                        continue;
                    }
                };
                // The beginning of a list is told before the server is asked for it.
                if !matches!(event, watcher::Event::Init) && std::mem::take(&mut failing) {
                    backoff.reset();
                    tracing::info!("watching {kind} at {url} again");
                }
                let complete = matches!(event, watcher::Event::InitDone);
                if let Some(event) = translate(event, &kind.gvk) {
                    deliver(Update::Event(event));
                }
                if complete && span == Span::Once {
                    return Ended::Told;
                }
            }
        }
    }
}

/// The status that the API server answered with, where it did.
fn status(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status),
        _ => None,
    }
}

/// Whether a watch cannot be had from the resource version that it was asked from. kube's watcher begins with a new list
/// where an event says so, as the API server does, and asks for the same again where the answer itself does
/// (<https://github.com/kube-rs/kube/issues/1042>), as the API conventions allow.
fn is_expired(error: &watcher::Error) -> bool {
    status(error).is_some_and(|status| status.code == 410)
}

/// Whether the server answered that it will not do this, now or later.
fn is_refusal(status: &Status) -> bool {
    matches!(status.code, 400 | 401 | 403 | 422)
}

/// None: an object that is none, because it has no name.
fn translate(event: watcher::Event<RawObject>, gvk: &Gvk) -> Option<Event> {
    let object = |raw: RawObject| {
        let object = raw.into_object(gvk);
        if object.is_none() {
            tracing::warn!("the API server sent a {gvk} without a name, which is left out");
        }
        object
    };
    Some(match event {
        watcher::Event::Init => Event::Init,
        watcher::Event::InitApply(raw) => Event::InitApply(object(raw)?),
        watcher::Event::InitDone => Event::InitDone,
        watcher::Event::Apply(raw) => Event::Apply(object(raw)?),
        watcher::Event::Delete(raw) => {
            let gone = object(raw)?;
            Event::Delete { key: gone.key, uid: gone.uid, version: gone.resource_version }
        }
    })
}

/// The error down to its cause, and what to do where that is known.
fn explain_watch(error: &watcher::Error, kind: &Kind) -> String {
    let text = explain(error);
    if status(error).is_some_and(|status| status.code == 403) {
        return format!("{text}; the account needs the verbs get, list and watch on {}", kind.plural);
    }
    text
}
