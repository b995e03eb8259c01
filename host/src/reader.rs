//! Answers what a plugin reads in a call, from the caches, as far as its grant goes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::action::guard::{self, Ask, Denied};
use crate::dispatch::{Controller, Dispatch};
use crate::grant::Verb;
use crate::object::{Gvk, Kind, Object, ObjectKey, ObjectRef};
use crate::plugin::{Plugin, Reader};
use crate::reads::What;
use crate::rights;
use crate::selector::{LabelSelector, Scope, Selection};
use crate::source::Source;

/// What a call reads through.
pub struct CallReader {
    /// What is read.
    pub dispatch: Arc<Dispatch>,
    /// Where kinds and accounts are looked up.
    pub source: Source,
    /// What the operator leaves of it.
    pub scope: Arc<Scope>,
    /// The controller that calls.
    pub controller: Arc<Controller>,
    /// The plugin that is called.
    pub plugin: Arc<Plugin>,
    /// The object that it is called for.
    pub target: ObjectRef,
    /// What it was not granted.
    pub denied: Mutex<Option<Denied>>,
    /// Whether the call waits for an answer now, or did so when it was given up.
    pub waits: AtomicBool,
}

impl CallReader {
    /// What the plugin wanted to read first that it is not granted.
    pub fn denied(&self) -> Option<Denied> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the call waits for an answer now, or did so when it was given up.
    pub fn is_waiting(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    async fn waited_for<T>(&self, read: impl Future<Output = T>) -> T {
        self.waits.store(true, Ordering::Relaxed);
        let answer = read.await;
        self.waits.store(false, Ordering::Relaxed);
        answer
    }

    async fn read_one(&self, wanted: ObjectRef) -> Result<Option<Arc<Object>>, String> {
        self.check_kind(Verb::Get, &wanted.gvk, wanted.key.namespace(), Some(wanted.key.name()))?;
        let kind = self.source.kind(&wanted.gvk).await?;
        let key = match (kind.namespaced, wanted.key.namespace()) {
            (false, _) => ObjectKey::new(None, wanted.key.name()),
            (true, Some(_)) => wanted.key.clone(),
            (true, None) => return Err(format!("{} {} needs a namespace", kind.gvk.kind(), wanted.key.name())),
        };
        let wanted = ObjectRef { gvk: wanted.gvk, key: key.clone() };
        self.check(Verb::Get, &wanted.gvk, guard::place_of(&wanted), Some(key.name()))?;
        let namespace = key.namespace();
        let selection = Selection {
            // One watch for all of the namespaces rather than one for each, if all are granted.
            namespace: namespace.filter(|_| !self.may_read_all(Verb::Get, &wanted.gvk)).map(Box::from),
            ..Selection::all(wanted.gvk.clone())
        };
        let watch = self.watch(&kind, &selection).await?;
        let what = What::Object(key.clone());
        self.dispatch
            .read_watch(&self.controller, (&self.plugin, &self.target), &watch, what, |cache| cache.get(&key).cloned())
            .await
    }

    async fn read_list(&self, wanted: Selection) -> Result<Vec<Arc<Object>>, String> {
        // Whether it is in namespaces is not known yet.
        self.check_kind(Verb::List, &wanted.gvk, wanted.namespace.as_deref().or(Some("*")), None)?;
        let kind = self.source.kind(&wanted.gvk).await?;
        let namespace = wanted.namespace.filter(|_| kind.namespaced);
        let is_placed = kind.namespaced || guard::is_namespace(&wanted.gvk);
        let asked = is_placed.then(|| namespace.as_deref().unwrap_or("*"));
        self.check(Verb::List, &wanted.gvk, asked, None)?;
        let selection = Selection {
            gvk: wanted.gvk.clone(),
            namespace: namespace.clone().filter(|_| !self.may_read_all(Verb::List, &wanted.gvk)),
            // One watch for all labels that are asked for, rather than one for each.
            labels: LabelSelector::default(),
            fields: wanted.fields,
        };
        let watch = self.watch(&kind, &selection).await?;
        let what = What::List(namespace.clone(), wanted.labels.clone());
        let labels = &wanted.labels;
        let read = self.dispatch.read_watch(&self.controller, (&self.plugin, &self.target), &watch, what, |cache| {
            let in_place =
                |object: &&Arc<Object>| namespace.is_none() || object.key.namespace() == namespace.as_deref();
            cache.objects().filter(in_place).cloned().collect::<Vec<_>>()
        });
        // Looking for labels takes its time, and the caches are free again by now.
        let selected = |object: &Arc<Object>| labels.selects_all() || labels.matches(&object.labels());
        Ok(read.await?.into_iter().filter(selected).collect())
    }

    /// Denies what is granted nowhere, before anybody is asked what it is.
    fn check_kind(&self, verb: Verb, gvk: &Gvk, namespace: Option<&str>, name: Option<&str>) -> Result<(), String> {
        if self.plugin.grant.names(verb, gvk) { Ok(()) } else { self.check(verb, gvk, namespace, name) }
    }

    fn check(&self, verb: Verb, gvk: &Gvk, namespace: Option<&str>, name: Option<&str>) -> Result<(), String> {
        Ask::of(&self.plugin, &self.target).may(verb, gvk, namespace, name).map(drop).map_err(|denied| {
            let text = denied.to_string();
            self.denied.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(denied);
            text
        })
    }

    fn may_read_all(&self, verb: Verb, gvk: &Gvk) -> bool {
        self.plugin.grant.rule_for(verb, gvk, Some("*"), None).is_some()
    }

    /// The watch that answers, started if this is the first read of it.
    async fn watch(&self, kind: &Kind, selection: &Selection) -> Result<Arc<Selection>, String> {
        let only_namespaces =
            Scope { namespace: self.scope.namespace.clone().filter(|_| kind.namespaced), ..Scope::default() };
        let Some(selection) = only_namespaces.narrow(selection) else {
            return Err(format!("{selection} is outside of the namespace that the host is for (--namespace)"));
        };
        let watch = Arc::new(selection);
        if self.controller.reads(&watch) {
            return Ok(watch);
        }
        if let (Source::Cluster(cluster), Some(account)) = (&self.source, &self.plugin.grant.service_account) {
            let needs = [rights::to_watch(kind, &watch)];
            let lacking = cluster.lacks(Some(account), &needs).await;
            let lacking = lacking.map_err(|error| format!("cannot tell what {account} may read: {error}"))?;
            if let Some(need) = lacking.first() {
                let rule = crate::rbac::rule_yaml(need);
                return Err(format!("the service account {account} may not watch {watch}; it needs the rule {rule}"));
            }
        }
        self.dispatch.follow_to_read(&self.controller, &self.plugin, &watch)?;
        Ok(watch)
    }
}

impl Reader for CallReader {
    fn get(&self, target: ObjectRef) -> BoxFuture<'_, Result<Option<Arc<Object>>, String>> {
        self.waited_for(self.read_one(target)).boxed()
    }

    fn list(&self, selection: Selection) -> BoxFuture<'_, Result<Vec<Arc<Object>>, String>> {
        self.waited_for(self.read_list(selection)).boxed()
    }
}
