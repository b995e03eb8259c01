//! What kinds of objects there are, as far as it can be told without an API server. Pure.

use std::collections::HashMap;

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Map, Value};

use crate::object::{Gvk, Kind};

/// Built-in kinds whose objects are in no namespace.
const CLUSTER_SCOPED: [(&str, &str); 26] = [
    ("", "ComponentStatus"),
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolume"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
    ("networking.k8s.io", "IngressClass"),
    ("node.k8s.io", "RuntimeClass"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("resource.k8s.io", "DeviceClass"),
    ("resource.k8s.io", "ResourceSlice"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "CSIDriver"),
    ("storage.k8s.io", "CSINode"),
    ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "VolumeAttachment"),
];

/// What kinds of objects there are. A kind that nothing is known of is taken to be namespaced, with the usual plural.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    /// By group and kind: plural, and whether its objects are in namespaces.
    custom: HashMap<(String, String), (String, bool)>,
}

impl Kinds {
    /// What is known of a kind.
    pub fn kind(&self, gvk: &Gvk) -> Kind {
        let custom = self.custom.get(&(gvk.group().to_owned(), gvk.kind().to_owned()));
        let (plural, namespaced) = custom.cloned().unwrap_or_else(|| {
            let usual = GroupVersionKind::gvk(gvk.group(), gvk.version(), gvk.kind());
            let namespaced = !CLUSTER_SCOPED.contains(&(gvk.group(), gvk.kind()));
            (ApiResource::from_gvk(&usual).plural, namespaced)
        });
        Kind { gvk: gvk.clone(), plural: plural.into(), namespaced }
    }

    /// Learns from an object, if it is the definition of a custom resource.
    pub fn learn(&mut self, object: &Map<String, Value>) {
        if object.get("kind").and_then(Value::as_str) != Some("CustomResourceDefinition") {
            return;
        }
        let text = |pointer: &[&str]| {
            let spec = object.get("spec")?;
            pointer.iter().try_fold(spec, |value, name| value.get(name))?.as_str().map(str::to_owned)
        };
        if let (Some(group), Some(kind), Some(plural)) =
            (text(&["group"]), text(&["names", "kind"]), text(&["names", "plural"]))
        {
            let namespaced = text(&["scope"]).as_deref() != Some("Cluster");
            self.custom.insert((group, kind), (plural, namespaced));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn built_in_kinds_are_known_and_custom_ones_learnt() {
        let mut kinds = Kinds::default();
        let kind = |kinds: &Kinds, api_version, name| {
            let kind = kinds.kind(&Gvk::new(api_version, name));
            (kind.plural.to_string(), kind.namespaced)
        };
        assert_eq!(kind(&kinds, "v1", "Namespace"), ("namespaces".into(), false));
        assert_eq!(kind(&kinds, "networking.k8s.io/v1", "NetworkPolicy"), ("networkpolicies".into(), true));
        assert_eq!(kind(&kinds, "example.com/v1", "Fleet"), ("fleets".into(), true));
        let definition = json!({"kind": "CustomResourceDefinition", "spec":
            {"group": "example.com", "scope": "Cluster", "names": {"kind": "Fleet", "plural": "navies"}}});
        kinds.learn(definition.as_object().unwrap());
        assert_eq!(kind(&kinds, "example.com/v2", "Fleet"), ("navies".into(), false));
    }
}
