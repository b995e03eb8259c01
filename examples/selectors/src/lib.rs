//! Prints by which labels a ReplicaSet selects its Pods. The contract as it is, without the SDK.

use std::io::Write as _;

use bindings::oarlock::plugin::types::Watch;
use bindings::{Description, Failure, Guest, Outcome, Request};

#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, clippy::pedantic, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "reconciler" });
    export!(Plugin with_types_in self);

    use super::Plugin;
}

struct Plugin;

impl Guest for Plugin {
    fn describe(_settings: Option<String>) -> Result<Description, String> {
        let replica_sets = Watch {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            namespace: None,
            label_selector: None,
            field_selector: None,
        };
        Ok(Description {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            watches: vec![replica_sets],
            owns: vec![],
            finalizer: None,
        })
    }

    fn reconcile(request: Request) -> Result<Outcome, Failure> {
        if let Some(json) = request.object {
            print(&json).map_err(|error| Failure::Retry(error.to_string()))?;
        }
        Ok(Outcome { actions: vec![], children: None, requeue_after_ms: None })
    }
}

fn print(json: &str) -> Result<(), Box<dyn std::error::Error>> {
    let object: serde_json::Value = serde_json::from_str(json)?;
    let (metadata, wanted) = (&object["metadata"], &object["spec"]["selector"]["matchLabels"]);
    let labels = wanted.as_object().into_iter().flatten();
    let labels: Vec<_> = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    let text = |name: &str| metadata[name].as_str().unwrap_or_default();
    println!("{}/{} selects {}", text("namespace"), text("name"), labels.join(", "));
    // The instance lives on, and what it keeps in a buffer would be printed by a later call.
    Ok(std::io::stdout().flush()?)
}
