//! Puts plugins in force as they are loaded, with a worker for each.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{SetOnce, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::metrics::ReloadResult;
use crate::plugin::{Change, Plugin};
use crate::tasks::Tasks;
use crate::worker::Workshop;

/// Puts plugins in force as they are loaded, with a worker for each.
#[derive(Debug)]
pub struct Supervisor {
    workshop: Arc<Workshop>,
    tasks: Tasks,
    stop: CancellationToken,
    /// Set when the plugins that were there at the start are at work.
    started: Arc<SetOnce<()>>,
    workers: HashMap<Arc<str>, JoinHandle<()>>,
}

impl Supervisor {
    /// Its workers are among the `tasks`, and end after `stop`.
    pub fn new(workshop: Workshop, tasks: Tasks, stop: CancellationToken) -> Self {
        Self { workshop: Arc::new(workshop), tasks, stop, started: Arc::default(), workers: HashMap::new() }
    }

    /// Set when the plugins that were there at the start are at work, or refused.
    pub fn started(&self) -> Arc<SetOnce<()>> {
        Arc::clone(&self.started)
    }

    /// Does what the changes say, until there are no more.
    pub async fn follow(mut self, mut changes: mpsc::Receiver<Change>) -> anyhow::Result<()> {
        while let Some(change) = changes.recv().await {
            match change {
                Change::Loaded(plugin) => self.put_in_force(plugin),
                Change::Removed(name) => {
                    tracing::info!(plugin = &*name, "stopped: its file is gone");
                    self.workshop.dispatch.stop(&name);
                    self.workshop.metrics.reload(&name, ReloadResult::removed);
                }
                Change::Failed { name, path, reason } => {
                    let consequence = match self.workshop.dispatch.plugin(&name) {
                        Some(plugin) => format!("version {:.12} stays in force", plugin.digest),
                        None => "there is no other version of it".to_owned(),
                    };
                    tracing::error!(plugin = &*name, "{} is refused, {consequence}: {reason}", path.display());
                    self.workshop.tally.count_refused_plugin();
                    self.workshop.metrics.reload(&name, ReloadResult::failed);
                }
                // It is told once.
                Change::Started => drop(self.started.set(())),
            }
        }
        Ok(())
    }

    fn put_in_force(&mut self, plugin: Arc<Plugin>) {
        let (name, digest) = (Arc::clone(&plugin.name), plugin.digest);
        let new = self.workshop.dispatch.put_in_force(plugin, self.stop.child_token());
        let consequence = if new.is_some() { "" } else { ", every object is reconciled again" };
        tracing::info!(plugin = &*name, "version {digest:.12} is in force{consequence}");
        self.workshop.metrics.reload(&name, ReloadResult::loaded);

        let Some(controller) = new else { return };
        // A file that was removed and is back: its last call may still be in flight.
        let before = self.workers.remove(&name);
        let workshop = Arc::clone(&self.workshop);
        let worker = self.tasks.spawn(format!("plugin {name}"), async move {
            if let Some(before) = before {
                // It does not panic: what it runs is watched for that.
                let _ = before.await;
            }
            workshop.work(&controller).await;
            Ok(())
        });
        self.workers.retain(|_, worker| !worker.is_finished());
        self.workers.insert(name, worker);
    }
}
