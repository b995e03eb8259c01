//! What the cluster has to allow for plugins to do their work, by their watches and grants. Pure.

use std::collections::BTreeSet;

use crate::grant::{Mode, Namespaces, Verb};
use crate::object::{Gvk, Kind};
use crate::plugin::Plugin;
use crate::rbac::{Need, Scope};
use crate::selector::{self, Selection};

const READ: [&str; 3] = ["get", "list", "watch"];

/// What a plugin needs: the host for itself, and the account that the plugin acts as.
#[derive(Debug, Default)]
pub struct Rights {
    /// Of the host's account.
    pub host: Vec<Need>,
    /// Of the service account that the grant names; none if it names none.
    pub account: Vec<Need>,
}

/// The right to follow a watch.
pub fn to_watch(kind: &Kind, selection: &Selection) -> Need {
    let scope = match &selection.namespace {
        Some(namespace) if kind.namespaced => Scope::Namespace(namespace.to_string()),
        _ => Scope::Cluster,
    };
    need(kind, "", &READ, scope)
}

/// What the plugin needs, on a host of that scope. `kind` tells what a kind is called in RBAC rules.
pub fn of(plugin: &Plugin, scope: &selector::Scope, kind: impl Fn(&Gvk) -> Kind) -> Rights {
    let mut rights = Rights::default();
    let targets: Vec<_> = plugin.watches.iter().filter_map(|watch| scope.narrow(watch)).collect();
    let only_namespace = selector::Scope { namespace: scope.namespace.clone(), ..selector::Scope::default() };
    let owned = plugin.owns.iter().filter_map(|watch| only_namespace.narrow(watch));
    let watched: Vec<_> =
        targets.iter().cloned().chain(owned).map(|watch| to_watch(&kind(&watch.gvk), &watch)).collect();
    // Where the objects are that it is called for.
    let homes: BTreeSet<Scope> = targets
        .iter()
        .map(|watch| match &watch.namespace {
            Some(namespace) if kind(&watch.gvk).namespaced => Scope::Namespace(namespace.to_string()),
            _ => Scope::Cluster,
        })
        .collect();

    let mut reads = watched;
    let mut changes = Vec::new();
    for rule in &plugin.grant.rules {
        for name in &rule.kinds {
            let kind = kind(&Gvk::new(&rule.api_version, name));
            let scopes: BTreeSet<Scope> = match &rule.namespaces {
                _ if !kind.namespaced => [Scope::Cluster].into(),
                Namespaces::All => [Scope::Cluster].into(),
                Namespaces::Named(names) => names.iter().cloned().map(Scope::Namespace).collect(),
                Namespaces::OfTarget => homes.clone(),
            };
            for place in &scopes {
                for verb in &rule.verbs {
                    match verb {
                        Verb::Get | Verb::List => reads.push(need(&kind, "", &READ, place.clone())),
                        Verb::Apply => changes.push(need(&kind, "", &["create", "get", "patch"], place.clone())),
                        Verb::ApplyStatus => changes.push(need(&kind, "/status", &["patch"], place.clone())),
                        Verb::Patch | Verb::Finalize => changes.push(need(&kind, "", &["patch"], place.clone())),
                        Verb::Delete => changes.push(need(&kind, "", &["delete"], place.clone())),
                        Verb::Event => changes.push(events(place.clone())),
                    }
                }
            }
        }
    }
    if plugin.grant.mode == Mode::Shadow {
        // What is there is shown beside what would be.
        let read = |change: &Need| Need { verbs: ["get"].into(), ..change.clone() };
        let shown: Vec<_> = changes.iter().filter(|change| !change.resource.contains('/')).map(read).collect();
        changes.extend(shown);
    }
    if !plugin.owns.is_empty() {
        // Owner references that hold up a deletion need it where the API server checks them.
        let finalizers = targets
            .iter()
            .map(|watch| kind(&watch.gvk))
            .flat_map(|kind| homes.iter().map(move |place| need(&kind, "/finalizers", &["update"], place.clone())));
        changes.extend(finalizers);
    }
    rights.host.extend(reads.iter().cloned());
    // The host's own Events, of what is denied, say.
    rights.host.extend(homes.iter().cloned().map(events));
    match &plugin.grant.service_account {
        None => rights.host.extend(changes),
        Some(account) => {
            let group = |group: &str, resource: &str, verb, scope| Need {
                group: group.into(),
                resource: resource.into(),
                verbs: [verb].into(),
                scope,
            };
            let home = Scope::Namespace(account.namespace.clone());
            rights.host.push(group("", "serviceaccounts", "impersonate", home));
            let reviews = group("authorization.k8s.io", "subjectaccessreviews", "create", Scope::Cluster);
            rights.host.push(reviews);
            rights.account = reads;
            rights.account.extend(changes);
        }
    }
    rights
}

fn need(kind: &Kind, subresource: &str, verbs: &[&'static str], scope: Scope) -> Need {
    let scope = if kind.namespaced { scope } else { Scope::Cluster };
    let resource = format!("{}{subresource}", kind.plural);
    Need { group: kind.gvk.group().to_owned(), resource, verbs: verbs.iter().copied().collect(), scope }
}

fn events(scope: Scope) -> Need {
    let verbs = ["create", "patch"].into();
    Need { group: "events.k8s.io".into(), resource: "events".into(), verbs, scope }
}
