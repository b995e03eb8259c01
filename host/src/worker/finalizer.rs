//! The finalizer that a plugin describes: put on before the first call, taken off after the last.

use std::sync::Arc;

use serde_json::json;

use super::{Failed, Workshop, behalf, in_time};
use crate::action::guard::Ask;
use crate::action::plan::Step;
use crate::dispatch::{Controller, Work};
use crate::object::{Object, ObjectRef};
use crate::plugin::Plugin;

impl Workshop {
    /// Puts the plugin's finalizer on an object before the first call for it. Returns whether it is to be called.
    pub(super) async fn hold(&self, controller: &Controller, finalizer: &str, work: &mut Work) -> Result<bool, Failed> {
        let Some(object) = work.object.clone() else { return Ok(true) };
        if object.has_finalizer(finalizer) {
            return Ok(true);
        }
        if object.deleting {
            // The plugin has not been called for it, or has done with it.
            return Ok(false);
        }
        let mut finalizers: Vec<_> = object.finalizers.iter().map(ToString::to_string).collect();
        finalizers.push(finalizer.to_owned());
        self.set_finalizers(&work.plugin, work, &object, finalizers).await?;
        if let Some(now) = self.dispatch.take_anew(controller, work) {
            work.object = Some(now);
        }
        Ok(true)
    }

    /// Takes the plugin's finalizer from an object that is being deleted, and from one that it is not called for any
    /// more though it is there.
    pub(super) async fn let_go(&self, plugin: &Arc<Plugin>, finalizer: &str, work: &Work) -> Result<(), Failed> {
        let object = match &work.object {
            // If it was deleted during the call, the plugin has not been told yet.
            Some(told) if !told.deleting => return Ok(()),
            Some(told) => {
                let now = self.dispatch.target(&work.target, plugin).filter(|now| now.uid == told.uid);
                now.unwrap_or_else(|| Arc::clone(told))
            }
            // Told as gone, it may be there, and not be selected any more.
            None => match in_time(work, self.applier.look_up(&work.target, None)).await? {
                Some(object) if !self.dispatch.selects(plugin, &work.target, &object) => object,
                // It is gone, or selected again.
                _ => return Ok(()),
            },
        };
        if !object.has_finalizer(finalizer) {
            return Ok(());
        }
        let others = object.finalizers.iter().filter(|other| ***other != *finalizer);
        let finalizers = others.map(ToString::to_string).collect();
        self.set_finalizers(plugin, work, &object, finalizers).await
    }

    async fn set_finalizers(
        &self,
        plugin: &Plugin,
        work: &Work,
        object: &Arc<Object>,
        finalizers: Vec<String>,
    ) -> Result<(), Failed> {
        let steps = [Step::Finalizers(Arc::clone(object), finalizers)];
        Ask::of(plugin, &work.target).check(&steps)?;
        self.applier.carry_out(behalf(plugin, work), &steps).await?;
        Ok(())
    }

    /// Looks after an object that a plugin which is gone has left its finalizer on.
    pub(super) async fn look_after(&self, work: &Work) {
        let Work { target, object, plugin, .. } = work;
        let Some(finalizer) = &plugin.finalizer else { return };
        let Some(object) = object.as_ref().filter(|object| object.deleting && object.has_finalizer(finalizer)) else {
            return;
        };
        let file = format!("{}.wasm", plugin.name);
        let note = format!(
            "it cannot be deleted: it waits for the finalizer {finalizer} of the plugin {}, which is gone. Put {file} back, \
             or free it: {}",
            plugin.name,
            how_to_free(target, object, finalizer),
        );
        let kind = target.gvk.kind();
        tracing::warn!(plugin = &*plugin.name, kind, object = %target.key, "{note}");
        self.applier.warn(behalf(plugin, work), "FinalizerOrphaned", note).await;
    }
}

/// The command that takes a finalizer from an object.
fn how_to_free(target: &ObjectRef, object: &Object, finalizer: &str) -> String {
    let group = target.gvk.group();
    let resource = if group.is_empty() {
        target.gvk.kind().to_owned()
    } else {
        format!("{}.{}.{group}", target.gvk.kind(), target.gvk.version())
    };
    let namespace = target.key.namespace().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    let others: Vec<_> = object.finalizers.iter().filter(|other| ***other != *finalizer).collect();
    let patch = json!({ "metadata": { "finalizers": others } });
    format!(
        "kubectl patch {resource} {}{namespace} --type=merge -p {}",
        quoted(target.key.name()),
        quoted(&patch.to_string())
    )
}

/// As one word for a shell.
fn quoted(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
