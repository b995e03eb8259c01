//! The name of an object.

use std::fmt;

use crate::ObjectRef;

impl ObjectRef {
    /// A cluster-scoped object: `ObjectRef::new("v1", "Namespace", "shop")`. With [`ObjectRef::in_namespace`], one of a
    /// namespaced kind.
    pub fn new(api_version: impl Into<String>, kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { api_version: api_version.into(), kind: kind.into(), namespace: None, name: name.into() }
    }

    /// The object of that name in this namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }
}

/// As `kubectl` names objects within a kind: `NAMESPACE/NAME`, or `NAME` for a cluster-scoped one.
impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_with_its_namespace_where_it_has_one() {
        let node = ObjectRef::new("v1", "Node", "a");
        assert_eq!(node.to_string(), "a");
        assert_eq!(ObjectRef::new("v1", "Pod", "a").in_namespace("shop").to_string(), "shop/a");
    }
}
