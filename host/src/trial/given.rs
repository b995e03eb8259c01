//! The objects that calls are given.

use std::collections::BTreeSet;
use std::time::SystemTime;

use crate::object::ObjectRef;
use crate::plugin::Plugin;
use crate::source::manifests::{GivenFile, Manifests};

/// The objects that calls are given, as files have them.
pub struct Given {
    files: Vec<GivenFile>,
    order: Vec<ObjectRef>,
    now: SystemTime,
}

impl Given {
    /// What is in these files, which is new at that time if it says nothing else. An error says all that is wrong.
    pub fn new(files: Vec<GivenFile>, now: SystemTime) -> Result<Self, Vec<String>> {
        let order = Manifests::new(None).take(&files, now)?;
        Ok(Self { files, order, now })
    }

    /// All that there are, in the order of the files.
    pub fn objects(&self) -> &[ObjectRef] {
        &self.order
    }

    /// Those that a plugin is called for, in the order of the files.
    pub fn watched_by(&self, plugin: &Plugin) -> Vec<ObjectRef> {
        let world = self.world(None);
        let of_watch = plugin.watches.iter().flat_map(|watch| {
            let named = |key| ObjectRef { gvk: watch.gvk.clone(), key };
            world.list(watch).into_iter().map(move |object| named(object.key))
        });
        let watched: BTreeSet<_> = of_watch.collect();
        self.order.iter().filter(|object| watched.contains(object)).cloned().collect()
    }

    /// All of them but that one as the objects of a cluster of their own.
    pub(super) fn world(&self, gone: Option<&ObjectRef>) -> Manifests {
        let world = Manifests::new(None);
        // What is in the files was taken in once without a fault.
        let _ = world.take(&self.files, self.now);
        if let Some(gone) = gone {
            world.forget(gone);
        }
        world
    }
}
