//! Events about the objects of a cluster (events.k8s.io/v1). One that is repeated is counted up, and of ever new ones there are
//! only so many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use super::plan::Note;
use crate::cluster::explain;
use crate::grant::ServiceAccount;
use crate::object::{Object, ObjectRef};
use crate::quota::{EventQuota, Publish};
use crate::source::Source;

/// How long a note may be, in bytes: the API server takes no longer ones.
const MAX_NOTE: usize = 1024;

/// What is said of the first Event that is not published, and not of those after it.
const TOO_MANY: &str = "there are too many about this object, and there is one in 5 minutes from here on";

/// How many recorders are kept at most.
const MAX_RECORDERS: usize = 1024;

/// Who says what: the plugin, the account that it acts as, and the note. A recorder counts up what has the same reason,
/// whatever the note says, so that each note has a recorder.
type Voice = (Arc<str>, Option<ServiceAccount>, String);

/// Publishes Events.
pub(super) struct Events {
    source: Source,
    recorders: Mutex<HashMap<Voice, Recorder>>,
    quota: Mutex<EventQuota<(Arc<str>, ObjectRef)>>,
}

impl Events {
    pub(super) fn new(source: Source) -> Self {
        Self { source, recorders: Mutex::default(), quota: Mutex::default() }
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
        match lock(&self.quota).publish((Arc::clone(plugin), target.clone()), Instant::now()) {
            Publish::Yes => {}
            Publish::No { again: true } => return Ok(()),
            Publish::No { again: false } => return Err(TOO_MANY.to_owned()),
        }
        let text = &note.note[..note.note.floor_char_boundary(MAX_NOTE)];
        let voice = (Arc::clone(plugin), account.cloned(), text.to_owned());
        let Some(recorder) = self.recorder(&voice)? else { return Ok(()) };
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
            note: Some(text.to_owned()),
            action: "Reconcile".into(),
            secondary: None,
        };
        match recorder.publish(&event, &about).await {
            // The one to count up is gone from the server: begin anew.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                lock(&self.recorders).remove(&voice);
                let Some(recorder) = self.recorder(&voice)? else { return Ok(()) };
                recorder.publish(&event, &about).await.map_err(|error| explain(&error))
            }
            published => published.map_err(|error| explain(&error)),
        }
    }

    fn recorder(&self, voice: &Voice) -> Result<Option<Recorder>, String> {
        let Source::Cluster(cluster) = &self.source else { return Ok(None) };
        let mut recorders = lock(&self.recorders);
        if let Some(recorder) = recorders.get(voice) {
            return Ok(Some(recorder.clone()));
        }
        let (plugin, account, _) = voice;
        let client = cluster.client_for(account.as_ref()).map_err(|error| explain(&error))?;
        let recorder = Recorder::new(client, Reporter::from(&*format!("oarlock-{plugin}")));
        if recorders.len() >= MAX_RECORDERS {
            // Counting begins anew, which is all that is lost.
            recorders.clear();
        }
        recorders.insert(voice.clone(), recorder.clone());
        Ok(Some(recorder))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
