//! The rights that a service account needs, as RBAC manifests. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Where the API group, and so its version, of roles and bindings comes from.
const GROUP: &str = "rbac.authorization.k8s.io";

/// The right to do something with one kind of objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Need {
    /// Where it is needed.
    pub scope: Scope,
    /// The API group of the objects; empty for the core group.
    pub group: String,
    /// Their plural, as in `deployments`, or with a subresource, as in `deployments/status`.
    pub resource: String,
    /// What is to be done with them: `get`, `list`, ...
    pub verbs: BTreeSet<&'static str>,
}

/// Where a right is needed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// In all namespaces and outside of them.
    Cluster,
    /// In this namespace.
    Namespace(String),
}

/// By group and resource, what is to be done.
type Verbs<'a> = BTreeMap<(&'a str, &'a str), BTreeSet<&'static str>>;

/// YAML documents that give the needed rights to the service account `account`, of which the first part is the namespace:
/// a `ClusterRole` for what is needed in the cluster, a Role in each namespace for the rest, and their bindings, all named
/// `role_name`. Empty if nothing is needed.
///
/// The same needs, in whatever order and however often, give the same text. It grants no right twice.
pub fn manifests(needs: &[Need], account: (&str, &str), role_name: &str) -> String {
    let needs = merged(needs);
    let mut scopes: BTreeMap<&Scope, Verbs<'_>> = BTreeMap::new();
    for need in &needs {
        scopes.entry(&need.scope).or_default().insert((&need.group, &need.resource), need.verbs.clone());
    }
    let everywhere = scopes.remove(&Scope::Cluster).unwrap_or_default();
    let mut text = role_and_binding(None, &rules(&everywhere), account, role_name);
    for (scope, mut verbs) in scopes {
        let Scope::Namespace(namespace) = scope else { continue };
        for (resource, verbs) in &mut verbs {
            if let Some(granted) = everywhere.get(resource) {
                verbs.retain(|verb| !granted.contains(verb));
            }
        }
        text += &role_and_binding(Some(namespace), &rules(&verbs), account, role_name);
    }
    text
}

/// The same needs in their order, with all verbs for one resource in one of them.
pub fn merged(needs: &[Need]) -> Vec<Need> {
    let mut merged: BTreeMap<(&Scope, &str, &str), BTreeSet<&'static str>> = BTreeMap::new();
    for need in needs {
        merged.entry((&need.scope, &need.group, &need.resource)).or_default().extend(&need.verbs);
    }
    let need = |((scope, group, resource), verbs): ((&Scope, &str, &str), _)| Need {
        scope: scope.clone(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        verbs,
    };
    merged.into_iter().map(need).collect()
}

/// The rule that grants what is needed, as an item to be pasted under `rules:` of a role.
pub fn rule_yaml(need: &Need) -> String {
    rule(&need.group, &[&need.resource], &need.verbs)
}

/// One rule for all resources of a group that need the same verbs.
fn rules(verbs: &Verbs<'_>) -> Vec<String> {
    let mut merged: BTreeMap<(&str, &BTreeSet<&'static str>), Vec<&str>> = BTreeMap::new();
    for ((group, resource), verbs) in verbs {
        if !verbs.is_empty() {
            merged.entry((group, verbs)).or_default().push(resource);
        }
    }
    let mut rules: Vec<_> = merged.into_iter().map(|((group, verbs), resources)| (group, resources, verbs)).collect();
    rules.sort();
    rules.into_iter().map(|(group, resources, verbs)| rule(group, &resources, verbs)).collect()
}

fn rule(group: &str, resources: &[&str], verbs: &BTreeSet<&'static str>) -> String {
    let (resources, verbs) = (list(resources.iter().copied()), list(verbs.iter().copied()));
    format!("- {{apiGroups: {}, resources: {resources}, verbs: {verbs}}}", list([group]))
}

fn role_and_binding(namespace: Option<&str>, rules: &[String], account: (&str, &str), name: &str) -> String {
    if rules.is_empty() {
        return String::new();
    }
    let role = if namespace.is_some() { "Role" } else { "ClusterRole" };
    let head = |kind: &str| {
        let mut head = format!("---\napiVersion: {GROUP}/v1\nkind: {kind}\nmetadata:\n  name: {}\n", plain(name));
        if let Some(namespace) = namespace {
            // Writing to a string cannot fail.
            _ = writeln!(head, "  namespace: {}", plain(namespace));
        }
        head
    };
    let subject = format!("- kind: ServiceAccount\n  name: {}\n  namespace: {}\n", plain(account.1), plain(account.0));
    [
        head(role),
        format!("rules:\n{}\n", rules.join("\n")),
        head(&format!("{role}Binding")),
        format!("roleRef:\n  apiGroup: {GROUP}\n  kind: {role}\n  name: {}\n", plain(name)),
        format!("subjects:\n{subject}"),
    ]
    .concat()
}

/// A list in flow style.
fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", words.into_iter().map(quoted).collect::<Vec<_>>().join(", "))
}

/// A word as people write it, with quotes only where YAML would take it for something else, like `123` or `null`.
fn plain(word: &str) -> String {
    serde_saphyr::to_string(&word).map_or_else(|_| quoted(word), |yaml| yaml.trim_end().to_owned())
}

/// A word in double quotes; JSON strings are YAML.
fn quoted(word: &str) -> String {
    serde_json::Value::from(word).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const READ: &[&str] = &["watch", "get", "list"];

    fn need(group: &str, resource: &str, verbs: &[&'static str], namespace: Option<&str>) -> Need {
        let scope = namespace.map_or(Scope::Cluster, |name| Scope::Namespace(name.into()));
        Need { scope, group: group.into(), resource: resource.into(), verbs: verbs.iter().copied().collect() }
    }

    fn documents(needs: &[Need]) -> Vec<Value> {
        let text = manifests(needs, ("oarlock", "host"), "reader");
        assert_eq!(text.matches("---\n").count(), text.matches("apiVersion").count());
        serde_saphyr::from_multiple(&text).unwrap()
    }

    #[test]
    fn a_rule_is_one_line_to_paste() {
        assert_eq!(
            rule_yaml(&need("apps", "deployments", READ, None)),
            r#"- {apiGroups: ["apps"], resources: ["deployments"], verbs: ["get", "list", "watch"]}"#,
        );
        let rules: Value = serde_saphyr::from_str(&rule_yaml(&need("", "pods/log", &["get"], None))).unwrap();
        assert_eq!(rules, json!([{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]));
    }

    #[test]
    fn the_text_reads_like_one_written_by_hand() {
        let needs = [need("apps", "deployments", READ, None), need("", "secrets", &["get"], Some("web"))];
        let expected = r#"---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: reader
rules:
- {apiGroups: ["apps"], resources: ["deployments"], verbs: ["get", "list", "watch"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: reader
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: reader
subjects:
- kind: ServiceAccount
  name: host
  namespace: oarlock
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: reader
  namespace: web
rules:
- {apiGroups: [""], resources: ["secrets"], verbs: ["get"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: reader
  namespace: web
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: reader
subjects:
- kind: ServiceAccount
  name: host
  namespace: oarlock
"#;
        assert_eq!(manifests(&needs, ("oarlock", "host"), "reader"), expected);
    }

    #[test]
    fn resources_of_a_group_that_need_the_same_verbs_share_a_rule() {
        let needs = [
            need("apps", "deployments", &["watch"], None),
            need("", "pods", READ, None),
            need("apps", "replicasets", READ, None),
            need("apps", "deployments", &["list", "get"], None),
            need("apps", "deployments/status", &["patch"], None),
            need("", "services", READ, None),
        ];
        let documents = documents(&needs);
        assert_eq!(documents.len(), 2, "a role and its binding");
        assert_eq!(
            documents[0]["rules"],
            json!([
                {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": ["apps"], "resources": ["deployments/status"], "verbs": ["patch"]},
            ]),
        );
    }

    #[test]
    fn what_the_cluster_role_grants_is_not_granted_again_in_a_namespace() {
        let needs = [
            need("", "pods", READ, None),
            need("", "pods", READ, Some("a")),
            need("", "pods", &["get", "delete"], Some("b")),
        ];
        let documents = documents(&needs);
        assert_eq!(documents.len(), 4, "{documents:?}");
        assert_eq!(documents[2]["metadata"]["namespace"], "b");
        assert_eq!(documents[2]["rules"], json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]}]));
    }

    #[test]
    fn where_nothing_is_needed_nothing_is_written() {
        assert_eq!(manifests(&[], ("a", "b"), "c"), "");
        assert_eq!(manifests(&[need("", "pods", &[], None)], ("a", "b"), "c"), "");
        assert_eq!(documents(&[need("", "pods", READ, Some("a"))]).len(), 2, "no ClusterRole");
    }

    #[test]
    fn order_and_repetition_make_no_difference() {
        let mut needs: Vec<_> = [None, Some("a"), Some("b")]
            .into_iter()
            .flat_map(|namespace| ["pods", "secrets"].map(|resource| need("", resource, READ, namespace)))
            .chain([need("apps", "deployments", &["patch"], Some("a"))])
            .collect();
        let expected = manifests(&needs, ("a", "b"), "c");
        needs.extend(needs.clone());
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..50 {
            random.shuffle(&mut needs);
            assert_eq!(manifests(&needs, ("a", "b"), "c"), expected);
        }
    }

    #[test]
    fn names_that_yaml_takes_for_something_else_are_quoted() {
        for name in ["123", "null", "true", "no", "1e3", "2026-01-02", "system:reader", "0x1f", "12:30:45", "a: b", "#"]
        {
            let text = manifests(&[need("", "pods", READ, Some(name))], (name, name), name);
            let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            assert_eq!(documents[0]["metadata"], json!({"name": name, "namespace": name}), "{text}");
            assert_eq!(documents[1]["subjects"], json!([{"kind": "ServiceAccount", "name": name, "namespace": name}]));
        }
    }
}
