//! `oarlock rbac`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;

use crate::cluster::{Cluster, ClusterOptions};
use crate::folder::Timing;
use crate::metrics::Requests;
use crate::object::{Gvk, Kind};
use crate::plugin::{AotCache, Change, Compiler, Engine, Limits, Loader, Plugin, Reload};
use crate::rbac::{self, Need};
use crate::rights;
use crate::selector::{LabelSelector, Scope};
use crate::source::manifests::Kinds;

/// Print the rights that the plugins of a folder need, as RBAC manifests: for the host's service account, and for those
/// that grant files name.
///
/// What kinds are called in rules is asked of the cluster if one is named, and guessed as Kubernetes does otherwise.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder with the plugins and their grant files.
    #[arg(long, value_name = "DIR")]
    plugins: PathBuf,

    /// The service account of the host, as NAMESPACE/NAME.
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "oarlock/oarlock")]
    account: String,

    /// Name of the roles and bindings.
    #[arg(long, value_name = "NAME", default_value = "oarlock-plugins")]
    name: String,

    /// For a host with the same flag: only objects of this namespace.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// Kubeconfig file of a cluster to ask what kinds are called.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        super::to_its_end(async {
            super::say(&self.manifests().await?)?;
            Ok(ExitCode::SUCCESS)
        })
    }

    async fn manifests(self) -> anyhow::Result<String> {
        let Some((namespace, name)) = self.account.split_once('/') else {
            bail!("--account {}: expected NAMESPACE/NAME", self.account);
        };
        let plugins = load(&self.plugins).await?;
        let cluster = if self.kubeconfig.is_some() || self.context.is_some() {
            let options = ClusterOptions {
                kubeconfig: self.kubeconfig.clone(),
                context: self.context.clone(),
                ..ClusterOptions::default()
            };
            Some(Cluster::find(options, Requests::default()).await?)
        } else {
            None
        };
        let scope = Scope { namespace: self.namespace.clone().map(Into::into), labels: LabelSelector::default() };
        let mut host: Vec<Need> = Vec::new();
        let mut accounts: BTreeMap<(String, String), Vec<Need>> = BTreeMap::new();
        for plugin in &plugins {
            let kinds = kinds(cluster.as_ref(), plugin).await?;
            let rights = rights::of(plugin, &scope, |gvk| kinds[gvk].clone());
            host.extend(rights.host);
            if let Some(account) = &plugin.grant.service_account {
                let account = (account.namespace.clone(), account.name.clone());
                accounts.entry(account).or_default().extend(rights.account);
            }
        }
        let mut text = rbac::manifests(&host, (namespace, name), &self.name);
        for ((namespace, name), needs) in &accounts {
            text += &rbac::manifests(needs, (namespace, name), &format!("{}-{namespace}-{name}", self.name));
        }
        Ok(text)
    }
}

/// What the kinds that a plugin deals with are called.
async fn kinds(cluster: Option<&Cluster>, plugin: &Plugin) -> anyhow::Result<BTreeMap<Gvk, Kind>> {
    let mut kinds = BTreeMap::new();
    for gvk in plugin.kinds() {
        let served = match cluster {
            Some(cluster) => cluster.kind(&gvk).await.with_context(|| format!("what {gvk} is called"))?,
            None => None,
        };
        let kind = served.unwrap_or_else(|| Kinds::default().kind(&gvk));
        kinds.insert(gvk, kind);
    }
    Ok(kinds)
}

/// Loads the plugins of a folder.
async fn load(folder: &Path) -> anyhow::Result<Vec<Arc<Plugin>>> {
    if !folder.is_dir() {
        bail!("there is no plugin folder {} (--plugins)", folder.display());
    }
    let loader = Loader::new(Engine::new()?, Compiler::Child, AotCache::off(), Limits::default());
    let (sender, mut changes) = mpsc::channel(16);
    let timing = Timing { debounce: Duration::ZERO, poll: Duration::ZERO };
    // Nothing is called here, and so nothing rolled back.
    let (_, undone) = mpsc::unbounded_channel();
    let reload = Reload::new(folder, timing, Duration::ZERO, loader, Arc::default(), (sender, undone))?;
    let reload = tokio::spawn(reload.run());
    let mut plugins = Vec::new();
    while let Some(change) = changes.recv().await {
        match change {
            Change::Loaded(plugin) => plugins.push(plugin),
            Change::Failed { path, reason, .. } => bail!("{} cannot be loaded: {reason}", path.display()),
            Change::Restored(_) | Change::Removed(_) => {}
            Change::Started => break,
        }
    }
    reload.abort();
    Ok(plugins)
}
