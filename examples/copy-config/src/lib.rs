//! Copies each ConfigMap labelled `example.com/copy=true` to every Namespace labelled `example.com/copies=true`.

use std::collections::BTreeMap;

use oarlock_sdk::{Description, Failure, ObjectRef, Outcome, Request, Value, Watch, cluster, json, reconciler};

/// The label of a copy; its value says of what.
const COPIED_FROM: &str = "example.com/copied-from";

fn description() -> Description {
    let sources = Watch::all("v1", "ConfigMap").labels("example.com/copy=true");
    Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), vec![sources])
        .finalizer("example.com/copy-config")
}

fn reconcile(request: &Request) -> Result<Outcome, Failure> {
    let ObjectRef { namespace: Some(home), name, .. } = &request.target else {
        return Err(Failure::terminal("a ConfigMap has a namespace"));
    };
    let from = format!("{home}.{name}");
    let mut outcome = Outcome::done();
    if from.len() > 63 {
        return Ok(outcome.warning("NameTooLong", format!("{from} is longer than a label may be; it is not copied")));
    }

    // A source that is deleted, gone or not labelled any more is wanted nowhere.
    let mut wanted = Vec::new();
    let source = request.object.as_ref().filter(|_| !request.deleting);
    if source.is_some() {
        for namespace in cluster::list(&Watch::all("v1", "Namespace").labels("example.com/copies=true"))? {
            let leaving: Option<&str> = namespace.at("/metadata/deletionTimestamp")?;
            wanted.extend(Some(namespace.reference()?.name).filter(|name| leaving.is_none() && name != home));
        }
    }

    let copies = cluster::list(&Watch::all("v1", "ConfigMap").labels(format!("{COPIED_FROM}={from}")))?;
    for copy in copies {
        let reference = copy.reference()?;
        if !reference.namespace.as_ref().is_some_and(|namespace| wanted.contains(namespace)) {
            outcome = outcome.delete_with_uid(reference, copy.at::<&str>("/metadata/uid")?);
        }
    }

    let Some(source) = source else { return Ok(outcome) };
    let data: BTreeMap<String, Value> = source.at::<Option<_>>("/data")?.unwrap_or_default();
    let binary: BTreeMap<String, Value> = source.at::<Option<_>>("/binaryData")?.unwrap_or_default();
    for namespace in wanted {
        let copy = ObjectRef::new("v1", "ConfigMap", name).in_namespace(&namespace);
        if let Some(there) = cluster::get(&copy)? {
            let copied_from: Option<&str> = there.at("/metadata/labels/example.com~1copied-from")?;
            if copied_from != Some(&from) {
                outcome = outcome.warning("NameTaken", format!("{copy} is no copy of {from}; it is left alone"));
                continue;
            }
        }
        outcome = outcome.apply(&json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": namespace, "name": name, "labels": {COPIED_FROM: from}},
            "data": data,
            "binaryData": binary,
        }));
    }
    Ok(outcome)
}

reconciler!(reconcile, description = description());
