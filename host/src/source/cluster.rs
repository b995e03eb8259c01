//! Objects from a cluster, by kube's watcher.

use std::error::Error as _;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::runtime::utils::Backoff as _;
use kube::runtime::watcher::{self, DefaultBackoff, InitialListStrategy, watcher};
use kube::{Api, Client};

use super::{Selection, Span};
use crate::cache::Event;
use crate::object::{Kind, RawObject};

/// Which cluster. By default, the one that every Kubernetes client would find.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions {
    /// The kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it.
    pub context: Option<String>,
}

/// The objects of one kind in a cluster.
pub struct Cluster {
    client: Client,
    url: String,
    kind: Kind,
    selection: Selection,
}

impl Cluster {
    /// The cluster that the options name, or else the one that every Kubernetes client would find: by `$KUBECONFIG` or
    /// `~/.kube/config`, or from inside a pod. It is not asked for anything yet.
    pub async fn find(options: ClusterOptions, kind: Kind, selection: Selection) -> anyhow::Result<Self> {
        let ClusterOptions { kubeconfig, context } = options;
        let chosen = KubeConfigOptions { context, ..KubeConfigOptions::default() };
        let mut config = match kubeconfig {
            Some(path) => {
                let kubeconfig =
                    Kubeconfig::read_from(&path).with_context(|| format!("kubeconfig {}", path.display()))?;
                let config = kube::Config::from_custom_kubeconfig(kubeconfig, &chosen).await;
                config.with_context(|| format!("kubeconfig {}", path.display()))?
            }
            None if chosen.context.is_some() => kube::Config::from_kubeconfig(&chosen).await.context("kubeconfig")?,
            None => kube::Config::infer().await.context(
                "there is no cluster to be found: use --kubeconfig FILE, or --manifests PATH to do without one",
            )?,
        };
        // Longer than a watch is silent, which the watcher takes care of itself.
        config.read_timeout = Some(Duration::from_mins(5));
        config.reset_reader_on_write = true;
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).with_context(|| format!("cluster at {url}"))?;
        Ok(Self { client, url, kind, selection })
    }

    /// Follows the objects for as long as `span` says. What fails is said in the log and tried again, with a backoff; an
    /// error is what is not worth trying again.
    ///
    /// The first list is asked for as a stream (KEP-3157), and in pages from a server that does not know that.
    pub async fn follow(self, span: Span, mut deliver: impl FnMut(Event)) -> anyhow::Result<()> {
        let Self { client, url, kind, selection } = &self;
        let api: Api<RawObject> = match &selection.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
            None => Api::all_with(client.clone(), kind),
        };
        let mut config = watcher::Config::default().streaming_lists();
        if !selection.labels.selects_all() {
            config = config.labels(&selection.labels.to_string());
        }
        let mut backoff = DefaultBackoff::default();
        let mut failing = false;
        loop {
            let mut events = pin!(watcher(api.clone(), config.clone()));
            while let Some(event) = events.next().await {
                let event = match event {
                    Ok(event) => event,
                    Err(error) if is_streaming(&config) && refuses_streaming(&error) => {
                        tracing::debug!("{url} does not stream lists: {error}");
                        config.initial_list_strategy = InitialListStrategy::ListWatch;
                        break;
                    }
                    Err(error) if span == Span::Once && is_refusal(&error) => {
                        bail!("cannot watch {kind} at {url}: {}", explain(&error, kind));
                    }
                    Err(error) => {
                        failing = true;
                        // It has no end.
                        let delay = backoff.next().unwrap_or_default();
                        let (seconds, reason) = (delay.as_secs_f64(), explain(&error, kind));
                        tracing::warn!("cannot watch {kind} at {url}, trying again in {seconds:.1} s: {reason}");
                        tokio::time::sleep(delay).await;
                        continue;
                    }
                };
                // The beginning of a list is told before the server is asked for it.
                if !matches!(event, watcher::Event::Init) && std::mem::take(&mut failing) {
                    backoff.reset();
                    tracing::info!("watching {kind} at {url} again");
                }
                let complete = matches!(event, watcher::Event::InitDone);
                if let Some(event) = translate(event, kind) {
                    deliver(event);
                }
                if complete && span == Span::Once {
                    return Ok(());
                }
            }
        }
    }
}

fn is_streaming(config: &watcher::Config) -> bool {
    config.initial_list_strategy == InitialListStrategy::StreamingList
}

/// The status that the API server answered with, where it did.
fn status(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => Some(status),
        _ => None,
    }
}

/// Whether the server answered that it will not do this, now or later.
fn is_refusal(error: &watcher::Error) -> bool {
    status(error).is_some_and(|status| matches!(status.code, 400 | 401 | 403 | 404 | 422))
}

/// Whether the server says that it does not know streaming lists, or has them switched off.
fn refuses_streaming(error: &watcher::Error) -> bool {
    status(error).is_some_and(|status| matches!(status.code, 400 | 422))
}

/// None: an object that is none, because it has no name.
fn translate(event: watcher::Event<RawObject>, kind: &Kind) -> Option<Event> {
    let object = |raw: RawObject| {
        let object = raw.into_object(kind);
        if object.is_none() {
            tracing::warn!("the API server sent a {kind} without a name, which is left out");
        }
        object
    };
    Some(match event {
        watcher::Event::Init => Event::Init,
        watcher::Event::InitApply(raw) => Event::InitApply(object(raw)?),
        watcher::Event::InitDone => Event::InitDone,
        watcher::Event::Apply(raw) => Event::Apply(object(raw)?),
        watcher::Event::Delete(raw) => Event::Delete(object(raw)?.key),
    })
}

/// The error down to its cause, and what to do where that is known.
fn explain(error: &watcher::Error, kind: &Kind) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            // Writing to a string does not fail.
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    if status(error).is_some_and(|status| status.code == 403) {
        let _ = write!(text, "; the account needs the verbs get, list and watch on {}", kind.plural);
    }
    text
}
