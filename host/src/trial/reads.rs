//! Answers what a plugin reads in a call from the objects that are given, as far as its grant goes.

use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};

use crate::action::guard::{Ask, Denied, Refused};
use crate::grant::Verb;
use crate::object::{Object, ObjectRef};
use crate::plugin::{Plugin, Reader};
use crate::selector::Selection;
use crate::source::manifests::Manifests;

/// What a call reads through.
pub(super) struct GivenReader {
    world: Arc<Manifests>,
    plugin: Arc<Plugin>,
    /// The object that it is called for.
    target: ObjectRef,
    /// What it was not granted first.
    denied: Mutex<Option<Denied>>,
}

impl GivenReader {
    /// Of those objects, in calls of that plugin for that one.
    pub(super) fn new(world: &Arc<Manifests>, plugin: &Arc<Plugin>, target: &ObjectRef) -> Self {
        let (world, plugin, target) = (Arc::clone(world), Arc::clone(plugin), target.clone());
        Self { world, plugin, target, denied: Mutex::default() }
    }

    /// What the plugin wanted to read first that it is not granted.
    pub(super) fn denied(&self) -> Option<Denied> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn read_one(&self, wanted: &ObjectRef) -> Result<Option<Arc<Object>>, Refused> {
        let ask = Ask::of(&self.plugin, &self.target);
        ask.may_anywhere(Verb::Get, &wanted.gvk, wanted.key.namespace(), Some(wanted.key.name()))?;
        let wanted = ask.to_get(wanted, &self.world.kind(&wanted.gvk))?;
        Ok(self.world.look_up(&wanted).map(Arc::new))
    }

    fn read_list(&self, wanted: Selection) -> Result<Vec<Arc<Object>>, Refused> {
        let ask = Ask::of(&self.plugin, &self.target);
        ask.may_anywhere(Verb::List, &wanted.gvk, wanted.namespace.as_deref().or(Some("*")), None)?;
        let kind = self.world.kind(&wanted.gvk);
        let wanted = ask.to_list(wanted, &kind)?;
        Ok(self.world.list(&wanted).into_iter().map(Arc::new).collect())
    }

    /// Takes note of what is denied, which fails the call whatever the plugin makes of it.
    fn told<T>(&self, result: Result<T, Refused>) -> Result<T, String> {
        result.map_err(|refused| {
            let text = refused.to_string();
            if let Refused::Denied(denied) = refused {
                self.denied.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(denied);
            }
            text
        })
    }
}

impl Reader for GivenReader {
    fn get(&self, target: ObjectRef) -> BoxFuture<'_, Result<Option<Arc<Object>>, String>> {
        ready(self.told(self.read_one(&target))).boxed()
    }

    fn list(&self, selection: Selection) -> BoxFuture<'_, Result<Vec<Arc<Object>>, String>> {
        ready(self.told(self.read_list(selection))).boxed()
    }
}
