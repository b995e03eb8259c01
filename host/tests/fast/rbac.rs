//! `oarlock rbac`.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::host::Workplace;

fn rbac(place: &Workplace, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oarlock"));
    command.arg("rbac").arg("--plugins").arg(&place.plugins).args(more);
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR")).output().unwrap()
}

/// The documents of what it printed.
fn documents(output: &Output) -> Vec<Value> {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_saphyr::from_multiple(std::str::from_utf8(&output.stdout).unwrap()).unwrap()
}

/// Whether a role gives such a right.
fn gives(role: &Value, group: &str, resource: &str, verb: &str) -> bool {
    let has = |list: &Value, word: &str| list.as_array().unwrap().contains(&json!(word));
    role["rules"]
        .as_array()
        .unwrap()
        .iter()
        .any(|rule| has(&rule["apiGroups"], group) && has(&rule["resources"], resource) && has(&rule["verbs"], verb))
}

#[test]
fn the_rights_of_the_examples_are_printed_as_roles_and_bindings() {
    let place = Workplace::new();
    for name in ["copy-config", "default-deny", "label-defaulter", "ttl", "website"] {
        place.example(name);
    }
    let documents = documents(&rbac(&place, &["--account", "system/host", "--name", "rights"]));
    let heads: Vec<_> = documents
        .iter()
        .map(|document| {
            assert_eq!(document["apiVersion"], "rbac.authorization.k8s.io/v1");
            assert_eq!(document["metadata"]["name"], "rights");
            let namespace = document["metadata"]["namespace"].as_str().unwrap_or_default();
            (document["kind"].as_str().unwrap(), namespace)
        })
        .collect();
    let (role, binding) = (&documents[0], &documents[1]);
    assert_eq!(heads[..2], [("ClusterRole", ""), ("ClusterRoleBinding", "")]);
    assert_eq!(heads[2..], [("Role", "websites"), ("RoleBinding", "websites")][..heads.len() - 2]);
    let account = json!([{"kind": "ServiceAccount", "namespace": "system", "name": "host"}]);
    assert_eq!((&binding["subjects"], &binding["roleRef"]["name"]), (&account, &json!("rights")));
    for (group, resource, verb) in [
        ("apps", "deployments", "watch"),
        ("apps", "deployments", "patch"),
        ("", "namespaces", "list"),
        ("", "configmaps", "delete"),
        ("networking.k8s.io", "networkpolicies", "create"),
        ("example.com", "websites/status", "patch"),
        ("example.com", "websites/finalizers", "update"),
        ("events.k8s.io", "events", "create"),
    ] {
        assert!(gives(role, group, resource, verb), "{verb} {group}/{resource} in {role}");
    }
    for (group, resource, verb) in [("", "secrets", "get"), ("apps", "replicasets", "watch"), ("", "pods", "list")] {
        assert!(!gives(role, group, resource, verb), "{verb} {group}/{resource} in {role}");
    }
}

#[test]
fn what_an_account_of_a_grant_needs_is_bound_to_that_account() {
    let place = Workplace::new();
    place.grant(
        "label-defaulter",
        "serviceAccount: team/labels\ngrants:\n- {apiVersion: apps/v1, kinds: [Deployment], verbs: [apply]}\n",
    );
    place.plugin("label-defaulter", &crate::support::plugins::example("label-defaulter"));
    let documents = documents(&rbac(&place, &[]));
    let bound: Vec<_> = documents
        .iter()
        .filter(|document| document["kind"].as_str().unwrap().ends_with("Binding"))
        .map(|binding| {
            (binding["metadata"]["name"].as_str().unwrap(), binding["subjects"][0]["name"].as_str().unwrap())
        })
        .collect();
    assert!(bound.contains(&("oarlock-plugins", "oarlock")), "{bound:?}");
    let of_account = "oarlock-plugins-team-labels";
    assert!(bound.contains(&(of_account, "labels")), "{bound:?}");
    let role = |name: &str| {
        documents.iter().find(|role| role["kind"] == "ClusterRole" && role["metadata"]["name"] == name).unwrap()
    };
    assert!(gives(role(of_account), "apps", "deployments", "patch"));
    assert!(!gives(role("oarlock-plugins"), "apps", "deployments", "patch"));
}

#[test]
fn without_a_plugin_that_can_be_loaded_nothing_is_printed_but_what_is_wrong() {
    let place = Workplace::new();
    place.example("ttl");
    let error = |place: &Workplace, more: &[&str]| {
        let output = rbac(place, more);
        assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let broken = place.plugin("broken", b"\0asm\x01\0\0\0\x01");
    let text = error(&place, &[]);
    assert!(text.starts_with("error: ") && text.contains("broken.wasm cannot be loaded: it is not valid"), "{text}");
    std::fs::remove_file(broken).unwrap();
    place.grant("ttl", "grants:\n- {apiVersion: v1, kind: [ConfigMap], verbs: [delete]}\n");
    let text = error(&place, &[]);
    assert!(text.contains("ttl.yaml: line 2: unknown field `kind`; did you mean `kinds`?"), "{text}");
    let text = error(&place, &["--account", "host"]);
    assert!(text.contains("--account host: expected NAMESPACE/NAME"), "{text}");
    std::fs::remove_dir_all(&place.plugins).unwrap();
    assert!(error(&place, &[]).contains("there is no plugin folder"));
}
