//! A connection to a cluster, and what the cluster serves.

pub mod access;
mod client;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;

use self::client::Origin;
use crate::grant::ServiceAccount;
use crate::metrics::Requests;
use crate::object::{Gvk, Kind};
use crate::text;

/// How long the API server is left alone at most, whatever it asks for.
const LONGEST_REST: Duration = Duration::from_mins(2);

/// Why something was not done or found out.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Trouble {
    /// For people.
    pub reason: String,
    /// For how long the API server wants to be left alone.
    pub rest: Duration,
}

/// Which cluster. By default, the one that every Kubernetes client would find.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it.
    pub context: Option<String>,
    /// How long a watch goes on, and how long the API server may be silent: whole seconds, at least 2 and below 295.
    pub timeout: Duration,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        // The API server answers within a minute what is no watch, if nothing else is configured.
        Self { kubeconfig: None, context: None, timeout: Duration::from_mins(1) }
    }
}

/// A cluster that the host talks to.
pub struct Cluster {
    origin: Arc<Origin>,
    client: Client,
    namespace: String,
    /// Whether the host runs in a pod of it.
    pub is_around: bool,
    /// Where its API server is.
    pub url: String,
    /// How long a watch goes on.
    pub timeout: Duration,
    /// Clients that speak for a service account.
    impersonating: Mutex<HashMap<ServiceAccount, Client>>,
    /// What it is known to serve.
    kinds: Mutex<HashMap<Gvk, Kind>>,
    /// What the host has changed objects of.
    pub changed: ChangedKinds,
}

impl Cluster {
    /// The cluster that the options name, or else the one that every Kubernetes client would find: by `$KUBECONFIG` or
    /// `~/.kube/config`, or from inside a pod. It is not asked for anything yet.
    /// Requests to it are counted in `requests`.
    pub async fn find(options: ClusterOptions, requests: Requests) -> anyhow::Result<Self> {
        let config = find(&options).await?;
        let (url, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
        let is_around = kube::Config::incluster().is_ok_and(|around| around.cluster_url == config.cluster_url);
        let (timeout, impersonating) = (options.timeout, Mutex::default());
        let (kinds, changed) = (Mutex::default(), ChangedKinds::default());
        let origin = Origin::new(options, config, requests).with_context(|| format!("cluster at {url}"))?;
        let client = origin.client(None, &namespace)?;
        Ok(Self { origin, client, namespace, is_around, url, timeout, impersonating, kinds, changed })
    }

    /// The namespace of the host's pod or, elsewhere, of the kubeconfig's context.
    pub fn default_namespace(&self) -> &str {
        &self.namespace
    }

    /// A client that speaks for the host.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client that speaks for that account, by impersonation, or for the host.
    pub fn client_for(&self, account: Option<&ServiceAccount>) -> Result<Client, kube::Error> {
        let Some(account) = account else { return Ok(self.client()) };
        let mut known = self.impersonating.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = known.get(account) {
            return Ok(client.clone());
        }
        let client = self.origin.client(Some(account), &self.namespace)?;
        known.insert(account.clone(), client.clone());
        Ok(client)
    }

    /// What the cluster serves under that name, as known or else as asked. None: it serves no such kind.
    pub async fn kind(&self, gvk: &Gvk) -> Result<Option<Kind>, kube::Error> {
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(gvk).cloned();
        match known {
            Some(kind) => Ok(Some(kind)),
            None => self.discover(gvk).await,
        }
    }

    /// What the cluster serves under that name, asked now. None: it serves no such kind.
    pub async fn discover(&self, gvk: &Gvk) -> Result<Option<Kind>, kube::Error> {
        let listed = if gvk.group().is_empty() {
            self.client.list_core_api_resources(gvk.version()).await
        } else {
            self.client.list_api_group_resources(gvk.api_version()).await
        };
        let resources = match listed {
            Ok(listed) => listed.resources,
            Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
            Err(error) => return Err(error),
        };
        let found = resources.into_iter().find(|had| had.kind == gvk.kind() && !had.name.contains('/'));
        let kind = found.map(|had| Kind { gvk: gvk.clone(), plural: had.name.into(), namespaced: had.namespaced });
        let mut known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        match &kind {
            Some(kind) => known.insert(gvk.clone(), kind.clone()),
            None => known.remove(gvk),
        };
        Ok(kind)
    }
}

/// The kinds that the host has changed an object of since its start, or is about to.
#[derive(Debug, Default)]
pub struct ChangedKinds(Mutex<Vec<Gvk>>);

impl ChangedKinds {
    /// Notes that one is about to be changed.
    pub fn note(&self, gvk: &Gvk) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kinds.iter().any(|known| known.is_same_kind(gvk)) {
            kinds.push(gvk.clone());
        }
    }

    /// Whether that is one of them.
    pub fn has(&self, gvk: &Gvk) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|known| known.is_same_kind(gvk))
    }
}

/// How to reach the cluster that the options name.
async fn find(options: &ClusterOptions) -> anyhow::Result<kube::Config> {
    let chosen = KubeConfigOptions { context: options.context.clone(), ..KubeConfigOptions::default() };
    let mut config = match &options.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).with_context(|| format!("kubeconfig {}", path.display()))?;
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &chosen).await;
            config.with_context(|| format!("kubeconfig {}", path.display()))?
        }
        None if chosen.context.is_some() => kube::Config::from_kubeconfig(&chosen).await.context("kubeconfig")?,
        None => kube::Config::infer()
            .await
            .context("there is no cluster to be found: use --kubeconfig FILE, or --manifests PATH to do without one")?,
    };
    // Longer than a watch is silent, which the watcher takes care of itself.
    config.read_timeout = Some(options.timeout + Duration::from_secs(10));
    config.reset_reader_on_write = true;
    // What fails is tried again by the queue, which lets others go first.
    config.default_retry = false;
    Ok(config)
}

impl From<String> for Trouble {
    fn from(reason: String) -> Self {
        Self { reason, rest: Duration::ZERO }
    }
}

/// For how long the API server wants to be left alone.
pub fn rest(status: &Status) -> Duration {
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    Duration::from_secs(seconds.into()).min(LONGEST_REST)
}

/// The error down to its cause, on one line.
pub fn explain(error: &dyn std::error::Error) -> String {
    use std::fmt::Write as _;
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
    // What is no API server may answer with a whole page.
    text::shortened(&text)
}
