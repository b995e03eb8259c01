//! Denies all traffic in each Namespace by a `NetworkPolicy`, except in those that the settings or a label leave open.

use std::sync::OnceLock;

use oarlock_sdk::{Description, Failure, Outcome, Request, Watch, json, reconciler};
use serde::Deserialize;

/// What the operator may set.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Names of Namespaces to leave as they are.
    except: Vec<String>,
}

/// Set by `describe`, which comes before the first reconcile of each instance.
static SETTINGS: OnceLock<Settings> = OnceLock::new();

fn describe(settings: Option<&str>) -> Result<Description, String> {
    if let Some(json) = settings {
        let settings = serde_json::from_str(json).map_err(|error| format!("settings: {error}"))?;
        SETTINGS.get_or_init(|| settings);
    }
    let namespaces = Watch::all("v1", "Namespace");
    Ok(Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), vec![namespaces])
        .owns(Watch::all("networking.k8s.io/v1", "NetworkPolicy")))
}

fn reconcile(request: &Request) -> Result<Outcome, Failure> {
    // Nothing can be made in a Namespace that is being deleted, and all that is in it goes with it.
    let Some(namespace) = request.object.as_ref().filter(|_| !request.deleting) else { return Ok(Outcome::done()) };
    let name = &request.target.name;
    let network: Option<&str> = namespace.at("/metadata/labels/example.com~1network")?;
    if network == Some("open") || SETTINGS.get_or_init(Settings::default).except.contains(name) {
        return Ok(Outcome::done().children([]));
    }
    Ok(Outcome::done().children([json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": name, "name": "default-deny"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    })]))
}

reconciler!(reconcile, describe = describe);
