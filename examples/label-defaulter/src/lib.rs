//! Gives each Deployment without the label `team` the label `team: unassigned`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use oarlock_sdk::{Description, Failure, Outcome, Request, Watch, json, reconciler};
use serde::Deserialize;

/// What the operator may set.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    label: String,
    value: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { label: "team".into(), value: "unassigned".into() }
    }
}

/// Set by `describe`, which comes before the first reconcile of each instance.
static SETTINGS: OnceLock<Settings> = OnceLock::new();

fn describe(settings: Option<&str>) -> Result<Description, String> {
    if let Some(json) = settings {
        let settings = serde_json::from_str(json).map_err(|error| format!("settings: {error}"))?;
        SETTINGS.get_or_init(|| settings);
    }
    let deployments = Watch::all("apps/v1", "Deployment");
    Ok(Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), vec![deployments]))
}

fn reconcile(request: &Request) -> Result<Outcome, Failure> {
    let Some(object) = request.object.as_ref().filter(|_| !request.deleting) else { return Ok(Outcome::done()) };
    let Settings { label, value } = SETTINGS.get_or_init(Settings::default);
    let labels: Option<BTreeMap<String, String>> = object.at("/metadata/labels")?;
    if labels.is_some_and(|labels| labels.contains_key(label)) {
        return Ok(Outcome::done());
    }
    let target = &request.target;
    Ok(Outcome::done().apply(&json!({
        "apiVersion": target.api_version,
        "kind": target.kind,
        "metadata": {"namespace": target.namespace, "name": target.name, "labels": {label: value}},
    })))
}

reconciler!(reconcile, describe = describe);
