//! What a plugin says of itself.

use crate::{Description, Watch};

impl Watch {
    /// All objects of a kind: `Watch::all("apps/v1", "ReplicaSet")`.
    pub fn all(api_version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: None,
            label_selector: None,
            field_selector: None,
        }
    }

    /// Of these, the ones in this namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Of these, the ones with such labels, in the syntax of `kubectl get --selector`: `app=web,tier!=back`. Replaces a
    /// selector set before.
    #[must_use]
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.label_selector = Some(selector.into());
        self
    }

    /// Of these, the ones with such fields, in the syntax of `kubectl get --field-selector`: `metadata.name=web`.
    /// Replaces a selector set before.
    #[must_use]
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.field_selector = Some(selector.into());
        self
    }
}

/// ```
/// use oarlock_sdk::{Description, Watch};
///
/// let websites = Watch::all("example.com/v1", "Website").labels("tier=front");
/// let description = Description::new("website", "1.0.0", vec![websites])
///     .owns(Watch::all("apps/v1", "Deployment"))
///     .finalizer("example.com/website");
/// # assert_eq!(description.owns.len(), 1);
/// ```
impl Description {
    /// A plugin of that name and version that watches these objects, owns none and needs no finalizer.
    pub fn new(name: impl Into<String>, version: impl Into<String>, watches: Vec<Watch>) -> Self {
        Self { name: name.into(), version: version.into(), watches, owns: Vec::new(), finalizer: None }
    }

    /// Adds objects that the plugin [makes as children](crate::Outcome::children): a change to one that this selects
    /// reconciles its owner, and children are looked for and pruned among them.
    #[must_use]
    pub fn owns(mut self, children: Watch) -> Self {
        self.owns.push(children);
        self
    }

    /// Asks for a last call before an object is deleted.
    ///
    /// The host sets this finalizer, such as `example.com/website`, before the first call for an object. Once the
    /// object is being deleted, it calls with [`deleting`](crate::Request::deleting) until an answer is neither a
    /// failure nor a requeue, and then takes the finalizer out.
    #[must_use]
    pub fn finalizer(mut self, name: impl Into<String>) -> Self {
        self.finalizer = Some(name.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_narrowed_by_namespace_labels_and_fields() {
        let all = Watch::all("v1", "Pod");
        assert_eq!((&all.namespace, &all.label_selector, &all.field_selector), (&None, &None, &None));
        let some = all.labels("a=b").labels("app=web").fields("spec.nodeName=x").in_namespace("shop");
        assert_eq!(some.namespace.as_deref(), Some("shop"));
        assert_eq!(some.label_selector.as_deref(), Some("app=web"), "the last one counts");
        assert_eq!(some.field_selector.as_deref(), Some("spec.nodeName=x"));
        assert_eq!((&*some.api_version, &*some.kind), ("v1", "Pod"));
    }

    #[test]
    fn a_description_collects_what_the_plugin_owns() {
        let (deployments, services) = (Watch::all("apps/v1", "Deployment"), Watch::all("v1", "Service"));
        let plain = Description::new("website", "1.0.0", vec![Watch::all("example.com/v1", "Website")]);
        assert_eq!((plain.owns.len(), &plain.finalizer), (0, &None));
        let description = plain.owns(deployments.clone()).owns(services.clone()).finalizer("example.com/website");
        assert_eq!(description.owns, [deployments, services]);
        assert_eq!(description.finalizer.as_deref(), Some("example.com/website"));
    }
}
