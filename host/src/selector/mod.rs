//! Which objects: of what kind, in which namespace, with which labels and fields.

mod fields;
mod labels;

use std::fmt;

use crate::object::{Gvk, Object, ObjectKey};

pub use fields::{FieldSelector, InvalidFieldSelector};
pub use labels::{InvalidSelector, LabelSelector};

/// Objects of one kind, as a watch selects them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection {
    /// The kind.
    pub gvk: Gvk,
    /// None: those of all namespaces, or of a cluster-scoped kind.
    pub namespace: Option<Box<str>>,
    /// By their labels.
    pub labels: LabelSelector,
    /// By their fields.
    pub fields: FieldSelector,
}

/// What the operator leaves of what plugins watch.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// None: all namespaces.
    pub namespace: Option<Box<str>>,
    /// By their labels.
    pub labels: LabelSelector,
}

impl Selection {
    /// All objects of a kind.
    pub fn all(gvk: Gvk) -> Self {
        Self { gvk, namespace: None, labels: LabelSelector::default(), fields: FieldSelector::default() }
    }

    /// Whether it selects that version of an object of its kind. None: it asks for fields that only the API server can tell.
    pub fn selects(&self, object: &Object) -> Option<bool> {
        if !self.has_place_for(&object.key) || !(self.labels.selects_all() || self.labels.matches(&object.labels())) {
            return Some(false);
        }
        self.fields.matches_key(&object.key)
    }

    /// Whether it selects an object of that key with whatever labels and fields.
    pub fn selects_whatever_is(&self, key: &ObjectKey) -> bool {
        self.has_place_for(key) && self.labels.selects_all() && self.fields.selects_all()
    }

    /// Whether all that another one selects can be among its own, with other labels and fields.
    pub fn has_place_for_all(&self, other: &Self) -> bool {
        self.gvk == other.gvk && (self.namespace.is_none() || self.namespace == other.namespace)
    }

    /// Whether an object of that key can be among the selected.
    pub fn has_place_for(&self, key: &ObjectKey) -> bool {
        let is_elsewhere = |namespace| self.namespace.as_deref().is_some_and(|own| own != namespace);
        !key.namespace().is_some_and(is_elsewhere)
    }
}

impl Scope {
    /// What is left of the selection. None: nothing, because it is of another namespace.
    pub fn narrow(&self, selection: &Selection) -> Option<Selection> {
        let namespace = match (&self.namespace, &selection.namespace) {
            (Some(only), Some(other)) if only != other => return None,
            (Some(namespace), _) | (None, Some(namespace)) => Some(namespace.clone()),
            (None, None) => None,
        };
        let labels = selection.labels.and(&self.labels);
        Some(Selection { namespace, labels, ..selection.clone() })
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.gvk.fmt(f)?;
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace {namespace}")?;
        }
        if !self.labels.selects_all() {
            write!(f, " with labels {}", self.labels)?;
        }
        if !self.fields.selects_all() {
            write!(f, " with fields {}", self.fields)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_narrows_and_never_widens() {
        let of = |namespace: Option<&str>, labels: &str| Selection {
            namespace: namespace.map(Into::into),
            labels: labels.parse().unwrap(),
            ..Selection::all(Gvk::replica_set())
        };
        let scope = Scope { namespace: Some("a".into()), labels: "x".parse().unwrap() };
        assert_eq!(scope.narrow(&of(None, "")), Some(of(Some("a"), "x")));
        assert_eq!(scope.narrow(&of(Some("a"), "y=1")), Some(of(Some("a"), "y=1,x")));
        assert_eq!(scope.narrow(&of(Some("b"), "")), None);
        assert_eq!(Scope::default().narrow(&of(Some("b"), "y=1")), Some(of(Some("b"), "y=1")));
        assert_eq!(of(Some("b"), "y=1").to_string(), "apps/v1 ReplicaSet in namespace b with labels y=1");
    }
}
