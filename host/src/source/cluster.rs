//! Objects from a cluster: what is served is waited for, and what fails is tried again.

use std::mem;
use std::time::{Duration, Instant};

use kube::core::Status;
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::DefaultBackoff;

use super::broken::Broken;
use super::watcher::{ListFrom, Watcher};
use super::{Span, Update};
use crate::cluster::{Cluster, explain, rest};
use crate::health::Heard;
use crate::object::Kind;
use crate::selector::Selection;

/// How often the API server is asked whether it serves a kind by now.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// For how long a kind that was served may be missing until what there was of it is told as gone: an API server that begins
/// does not know of all kinds yet.
const MISSING: Duration = Duration::from_secs(15);

/// Why a watch ended.
enum Ended {
    /// All there is has been told of, or that it is refused, and no more is wanted.
    Told,
    /// There is no such resource, or not any more, as this says.
    NotServed(String),
}

impl Cluster {
    /// Follows the selected objects for as long as `span` says. A kind that is not served is waited for.
    pub(super) async fn watch(
        &self,
        selection: &Selection,
        span: Span,
        heard: &Heard,
        mut deliver: impl FnMut(Update),
    ) {
        let (gvk, url) = (&selection.gvk, &self.url);
        let (mut backoff, mut named_only) = (DefaultBackoff::default(), DefaultBackoff::default());
        let (mut waiting, mut served, mut missing_since) = (false, false, None);
        let mut from = ListFrom::Memory;
        let left_out = || tracing::warn!("{url} does not serve {gvk}: it is left out");
        loop {
            heard.note(Instant::now());
            match self.discover(gvk).await {
                Ok(Some(kind)) => {
                    backoff.reset();
                    (served, missing_since) = (true, None);
                    if std::mem::take(&mut waiting) {
                        tracing::info!("{url} serves {gvk} now");
                    }
                    deliver(Update::Found(kind.clone()));
                    let from = mem::replace(&mut from, ListFrom::Etcd);
                    match self.follow((&kind, selection), from, span, heard, &mut deliver).await {
                        Ended::Told => return,
                        Ended::NotServed(_) if span == Span::Once => {
                            deliver(Update::NotServed);
                            return left_out();
                        }
                        // Mostly it is gone, which discovery says as well by then. It may also be named before it is served,
                        // or by mistake.
                        Ended::NotServed(reason) => {
                            let delay = next_delay(&mut named_only, None);
                            let seconds = delay.as_secs_f64();
                            tracing::warn!("cannot watch {kind} at {url}, looking again in {seconds:.1} s: {reason}");
                            deliver(Update::Broken);
                            tokio::time::sleep(delay).await;
                        }
                    }
                }
                Ok(None) if served && missing_since.get_or_insert_with(Instant::now).elapsed() < MISSING => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Ok(None) => {
                    served = false;
                    named_only.reset();
                    deliver(Update::NotServed);
                    if span == Span::Once {
                        return left_out();
                    }
                    if !std::mem::replace(&mut waiting, true) {
                        tracing::warn!("{url} does not serve {gvk}: waiting for it");
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(error) => {
                    missing_since = None;
                    let refusal = matches!(&error, kube::Error::Api(status) if is_refusal(status));
                    if refusal {
                        deliver(Update::Refused(explain(&error)));
                    }
                    if refusal && span == Span::Once {
                        tracing::error!("cannot watch {gvk} at {url}: {}", explain(&error));
                        return;
                    }
                    let status = if let kube::Error::Api(status) = &error { Some(&**status) } else { None };
                    let delay = next_delay(&mut backoff, status);
                    let (seconds, reason) = (delay.as_secs_f64(), explain(&error));
                    tracing::warn!("cannot watch {gvk} at {url}, trying again in {seconds:.1} s: {reason}");
                    deliver(Update::Broken);
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }

    async fn follow(
        &self,
        (kind, selection): (&Kind, &Selection),
        from: ListFrom,
        span: Span,
        heard: &Heard,
        deliver: &mut impl FnMut(Update),
    ) -> Ended {
        let url = &self.url;
        let mut watcher = Watcher::new(self, (kind, selection), from, heard);
        let mut backoff = DefaultBackoff::default();
        loop {
            let Err(broken) = watcher.run(span, &mut |event| deliver(Update::Event(event))).await else {
                return Ended::Told;
            };
            let reason = explain_watch(&broken, kind);
            if broken.status().is_some_and(|status| status.code == 404) {
                return Ended::NotServed(reason);
            }
            if broken.status().is_some_and(is_refusal) {
                deliver(Update::Refused(reason.clone()));
                if span == Span::Once {
                    tracing::error!("cannot watch {kind} at {url}: {reason}");
                    return Ended::Told;
                }
            }
            if watcher.was_well() {
                backoff.reset();
            }
            let delay = next_delay(&mut backoff, broken.status());
            let seconds = delay.as_secs_f64();
            tracing::warn!("cannot watch {kind} at {url}, trying again in {seconds:.1} s: {reason}");
            deliver(Update::Broken);
            tokio::time::sleep(delay).await;
        }
    }
}

/// How long to wait: from 0.8 s on twice as long each time, up to 10 s to 20 s, but as long as the API server says.
fn next_delay(backoff: &mut DefaultBackoff, status: Option<&Status>) -> Duration {
    // It has no end, and no reason to go on to a minute as it does: there is one host, not one on each node.
    let longest = Duration::from_millis(fastrand::u64(10_000..20_000));
    backoff.next().unwrap_or(longest).min(longest).max(status.map_or(Duration::ZERO, rest))
}

/// Whether the server answered that it will not do this, now or later.
fn is_refusal(status: &Status) -> bool {
    matches!(status.code, 400 | 401 | 403 | 422)
}

/// The error down to its cause, and what to do where that is known.
fn explain_watch(broken: &Broken, kind: &Kind) -> String {
    let Some(Status { code, message, .. }) = broken.status() else { return explain(broken) };
    if *code == 403 {
        return format!("{message}; the account needs the verbs get, list and watch on {}", kind.plural);
    }
    format!("{message} ({code})")
}
