//! Events about the objects of a cluster (events.k8s.io/v1). One that is repeated is counted up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use super::plan::Note;
use crate::cluster::explain;
use crate::grant::ServiceAccount;
use crate::object::{Object, ObjectRef};
use crate::source::Source;

/// How long a note may be, in bytes: the API server takes no longer ones.
const MAX_NOTE: usize = 1024;

/// Publishes Events.
pub(super) struct Events {
    source: Source,
    /// By plugin and by the account that it acts as.
    recorders: Mutex<HashMap<(Arc<str>, Option<ServiceAccount>), Recorder>>,
}

impl Events {
    pub(super) fn new(source: Source) -> Self {
        Self { source, recorders: Mutex::default() }
    }

    /// Publishes an Event of that plugin about an object. An error says why it could not, for people.
    pub(super) async fn publish(
        &self,
        plugin: &Arc<str>,
        account: Option<&ServiceAccount>,
        target: &ObjectRef,
        object: Option<&Object>,
        note: &Note,
    ) -> Result<(), String> {
        let Some(recorder) = self.recorder(plugin, account)? else { return Ok(()) };
        let about = ObjectReference {
            api_version: Some(target.gvk.api_version().to_owned()),
            kind: Some(target.gvk.kind().to_owned()),
            namespace: target.key.namespace().map(str::to_owned),
            name: Some(target.key.name().to_owned()),
            uid: object.map(|object| object.uid.to_string()),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: if note.warning { EventType::Warning } else { EventType::Normal },
            reason: note.reason.clone(),
            note: Some(note.note[..note.note.floor_char_boundary(MAX_NOTE)].to_owned()),
            action: "Reconcile".into(),
            secondary: None,
        };
        match recorder.publish(&event, &about).await {
            // The one to count up is gone from the server: begin anew.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.forget(plugin, account);
                let Some(recorder) = self.recorder(plugin, account)? else { return Ok(()) };
                recorder.publish(&event, &about).await.map_err(|error| explain(&error))
            }
            published => published.map_err(|error| explain(&error)),
        }
    }

    fn recorder(&self, plugin: &Arc<str>, account: Option<&ServiceAccount>) -> Result<Option<Recorder>, String> {
        let Source::Cluster(cluster) = &self.source else { return Ok(None) };
        let mut recorders = self.recorders.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(plugin), account.cloned());
        if let Some(recorder) = recorders.get(&key) {
            return Ok(Some(recorder.clone()));
        }
        let client = cluster.client_for(account).map_err(|error| explain(&error))?;
        let recorder = Recorder::new(client, Reporter::from(&*format!("oarlock-{plugin}")));
        recorders.insert(key, recorder.clone());
        Ok(Some(recorder))
    }

    fn forget(&self, plugin: &Arc<str>, account: Option<&ServiceAccount>) {
        let mut recorders = self.recorders.lock().unwrap_or_else(PoisonError::into_inner);
        recorders.remove(&(Arc::clone(plugin), account.cloned()));
    }
}
