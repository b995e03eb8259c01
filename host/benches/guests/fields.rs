//! Reads five fields of the object as a typed value, and compares them.

use std::time::Duration;

use oarlock_sdk::{Failure, Outcome, Request, reconciler};
use serde::Deserialize;

#[derive(Deserialize)]
struct ReplicaSet<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    spec: Spec,
    status: Status,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    uid: &'a str,
    generation: u64,
}

#[derive(Deserialize)]
struct Spec {
    replicas: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    ready_replicas: u32,
    observed_generation: u64,
}

fn reconcile(request: &Request) -> Result<Outcome, Failure> {
    let Some(object) = &request.object else { return Ok(Outcome::done()) };
    let ReplicaSet { metadata, spec, status } = object.parse()?;
    if metadata.uid.is_empty() {
        return Err(Failure::terminal("it has no uid"));
    }
    let is_done = status.observed_generation == metadata.generation && status.ready_replicas == spec.replicas;
    Ok(if is_done { Outcome::done() } else { Outcome::requeue_after(Duration::from_secs(1)) })
}

reconciler!(reconcile);
