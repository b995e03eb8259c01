//! `oarlock:plugin/cluster`.

use std::sync::Arc;

use indicatif::HumanBytes;

use super::super::bindings::oarlock::plugin::cluster::{Host, Json, ObjectRef, Watch};
use super::super::reader::Reader;
use super::super::sandbox::Guest;
use crate::names;
use crate::object::{self, Gvk, Object, ObjectKey};
use crate::selector::Selection;
use crate::turn::Turn;

impl Host for Guest {
    async fn get(&mut self, target: ObjectRef) -> Result<Option<Json>, String> {
        names::check_object(&target.api_version, &target.kind, target.namespace.as_deref(), &target.name)?;
        let gvk = Gvk::new(&target.api_version, &target.kind);
        let key = ObjectKey::new(target.namespace.as_deref(), &target.name);
        let found = self.reader()?.get(object::ObjectRef { gvk, key }).await?;
        self.check_size(found.as_slice())?;
        Ok(found.map(|object| object.json.text().into_owned()))
    }

    async fn list(&mut self, selection: Watch) -> Result<Vec<Json>, String> {
        let found = self.reader()?.list(Selection::try_from(&selection)?).await?;
        self.check_size(&found)?;
        let (mut turn, mut texts) = (Turn::default(), Vec::with_capacity(found.len()));
        for object in found {
            turn.work(object.json.len()).await;
            texts.push(object.json.text().into_owned());
        }
        Ok(texts)
    }
}

impl Guest {
    fn reader(&self) -> Result<Arc<dyn Reader>, String> {
        let call = self.call.as_ref().ok_or("the cluster can be read in `reconcile` only")?;
        Ok(Arc::clone(&call.reader))
    }

    /// Refuses what the guest has no room for, before it is copied.
    fn check_size(&self, found: &[Arc<Object>]) -> Result<(), String> {
        let size: usize = found.iter().map(|object| object.json.len()).sum();
        if size <= self.may_read() {
            return Ok(());
        }
        let (count, size, most) = (found.len(), HumanBytes(size as u64), HumanBytes(self.may_read() as u64));
        Err(format!(
            "these are {count} objects of {size}, more than the {most} of memory that the plugin may use (--memory, or \
             limits in its grant file); select fewer"
        ))
    }
}

impl TryFrom<&Watch> for Selection {
    /// A text for people.
    type Error = String;

    fn try_from(watch: &Watch) -> Result<Self, String> {
        names::check_place(&watch.api_version, &watch.kind, watch.namespace.as_deref())?;
        Ok(Self {
            gvk: Gvk::new(&watch.api_version, &watch.kind),
            namespace: watch.namespace.as_deref().map(Box::from),
            labels: watch.label_selector.as_deref().unwrap_or_default().parse().map_err(|error| format!("{error}"))?,
            fields: watch.field_selector.as_deref().unwrap_or_default().parse().map_err(|error| format!("{error}"))?,
        })
    }
}
