//! Objects from a cluster, by kube's watcher.

use std::error::Error as _;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::pin::pin;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, InitialListStrategy, watcher};
use kube::{Api, Client};

use super::Selection;
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

/// What to do when the cluster does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Try again for ever.
    Endless,
    /// Try again unless the API server says that the account may not.
    UntilRefused,
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
        let config = match kubeconfig {
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
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).with_context(|| format!("cluster at {url}"))?;
        Ok(Self { client, url, kind, selection })
    }

    /// Follows the objects. What fails is said in the log and tried again, with a backoff, for as long as there is
    /// patience; the error is why there is none any more.
    ///
    /// The first list is asked for as a stream (KEP-3157), and in pages from a server that does not know that.
    pub async fn follow(self, patience: Patience, mut deliver: impl FnMut(Event)) -> anyhow::Result<()> {
        let Self { client, url, kind, selection } = &self;
        let api: Api<RawObject> = match &selection.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
            None => Api::all_with(client.clone(), kind),
        };
        let mut config = watcher::Config::default().streaming_lists();
        if !selection.labels.selects_all() {
            config = config.labels(&selection.labels.to_string());
        }
        let mut failing = false;
        loop {
            let mut events = pin!(watcher(api.clone(), config.clone()).default_backoff());
            while let Some(event) = events.next().await {
                let event = match event {
                    Ok(event) => event,
                    Err(error) if is_streaming(&config) && refuses_streaming(&error) => {
                        tracing::debug!("{url} does not stream lists: {error}");
                        config.initial_list_strategy = InitialListStrategy::ListWatch;
                        break;
                    }
                    Err(error) if patience == Patience::UntilRefused && is_refusal(&error) => {
                        bail!("cannot watch {kind} at {url}: {}", explain(&error, kind));
                    }
                    Err(error) => {
                        failing = true;
                        tracing::warn!("cannot watch {kind} at {url}, trying again: {}", explain(&error, kind));
                        continue;
                    }
                };
                if std::mem::take(&mut failing) && !matches!(event, watcher::Event::Init) {
                    tracing::info!("watching {kind} at {url} again");
                }
                if let Some(event) = translate(event, kind) {
                    deliver(event);
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

fn is_refusal(error: &watcher::Error) -> bool {
    status(error).is_some_and(|status| matches!(status.code, 401 | 403))
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
