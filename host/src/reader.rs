//! Answers what a plugin reads in a call, from the caches, as far as its grant goes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::action::guard::{Ask, Denied, Refused};
use crate::dispatch::{Controller, Dispatch};
use crate::grant::Verb;
use crate::object::{Gvk, Kind, Object, ObjectRef};
use crate::plugin::{Plugin, Reader};
use crate::reads::What;
use crate::rights;
use crate::selector::{LabelSelector, Scope, Selection};
use crate::source::Source;
use crate::turn::Turn;

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
        let key = &wanted.key;
        self.granted(self.ask().may_anywhere(Verb::Get, &wanted.gvk, key.namespace(), Some(key.name())))?;
        let kind = self.source.kind(&wanted.gvk).await?;
        let ObjectRef { gvk, key } = self.granted(self.ask().to_get(&wanted, &kind))?;
        let namespace = key.namespace();
        let selection = Selection {
            // One watch for all of the namespaces rather than one for each, if all are granted.
            namespace: namespace.filter(|_| !self.may_read_all(Verb::Get, &gvk)).map(Box::from),
            ..Selection::all(gvk)
        };
        let watch = self.watch(&kind, &selection).await?;
        let what = What::Object(key.clone());
        self.dispatch
            .read_watch(&self.controller, (&self.plugin, &self.target), &watch, what, |cache| cache.get(&key).cloned())
            .await
    }

    async fn read_list(&self, wanted: Selection) -> Result<Vec<Arc<Object>>, String> {
        // Whether it is in namespaces is not known yet.
        let place = wanted.namespace.as_deref().or(Some("*"));
        self.granted(self.ask().may_anywhere(Verb::List, &wanted.gvk, place, None))?;
        let kind = self.source.kind(&wanted.gvk).await?;
        let Selection { gvk, namespace, labels, fields } = self.granted(self.ask().to_list(wanted, &kind))?;
        let selection = Selection {
            namespace: namespace.clone().filter(|_| !self.may_read_all(Verb::List, &gvk)),
            gvk,
            // One watch for all labels that are asked for, rather than one for each.
            labels: LabelSelector::default(),
            fields,
        };
        let watch = self.watch(&kind, &selection).await?;
        let what = What::List(namespace.clone(), labels.clone());
        let read = self.dispatch.read_watch(&self.controller, (&self.plugin, &self.target), &watch, what, |cache| {
            let in_place =
                |object: &&Arc<Object>| namespace.is_none() || object.key.namespace() == namespace.as_deref();
            cache.objects().filter(in_place).cloned().collect::<Vec<_>>()
        });
        // The caches are free again by now.
        Ok(with_labels(read.await?, &labels).await)
    }

    fn ask(&self) -> Ask<'_> {
        Ask::of(&self.plugin, &self.target)
    }

    /// Takes note of what is denied, which fails the call whatever the plugin makes of it.
    fn granted<T, E: Into<Refused>>(&self, result: Result<T, E>) -> Result<T, String> {
        result.map_err(|refused| {
            let refused = refused.into();
            let text = refused.to_string();
            if let Refused::Denied(denied) = refused {
                self.denied.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(denied);
            }
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

/// Those of the objects that have such labels, which are looked for in their texts.
async fn with_labels(objects: Vec<Arc<Object>>, labels: &LabelSelector) -> Vec<Arc<Object>> {
    if labels.selects_all() {
        return objects;
    }
    let (mut turn, mut selected) = (Turn::default(), Vec::new());
    for object in objects {
        turn.work(object.json.len()).await;
        if labels.matches(&object.labels()) {
            selected.push(object);
        }
    }
    selected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ObjectKey;

    fn object(name: &str, label: &str) -> Arc<Object> {
        let json = format!(r#"{{"data":"{}","metadata":{{"labels":{{"x":"{label}"}}}}}}"#, ".".repeat(1 << 20));
        Arc::new(Object {
            key: ObjectKey::new(Some("default"), name),
            uid: "u".into(),
            resource_version: "1".into(),
            deleting: false,
            owner: None,
            finalizers: [].into(),
            json: json.into(),
        })
    }

    #[tokio::test]
    async fn others_run_while_it_looks_for_labels() {
        let objects = vec![object("a", "1"), object("b", "2"), object("c", "1")];
        let (labels, all) = ("x=1".parse().unwrap(), LabelSelector::default());
        assert!(with_labels(objects.clone(), &labels).now_or_never().is_none());
        let names = |objects: Vec<Arc<Object>>| objects.iter().map(|o| o.key.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(with_labels(objects.clone(), &labels).await), ["a", "c"]);
        assert_eq!(with_labels(objects, &all).now_or_never().unwrap().len(), 3);
    }
}
