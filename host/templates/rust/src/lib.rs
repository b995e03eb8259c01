//! Prints how many replicas each ReplicaSet wants, and tells by an Event of one that wants a single one.

use oarlock_sdk::{Description, Failure, Outcome, Request, Watch, reconciler};

fn description() -> Description {
    let replica_sets = Watch::all("apps/v1", "ReplicaSet");
    Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), vec![replica_sets])
}

fn reconcile(request: &Request) -> Result<Outcome, Failure> {
    // None: it is gone.
    let Some(replica_set) = &request.object else { return Ok(Outcome::done()) };
    let replicas = replica_set.at::<Option<u32>>("/spec/replicas")?.unwrap_or(1);
    println!("{} wants {replicas}", request.target);
    if replicas == 1 {
        return Ok(Outcome::done().warning("SingleReplica", "no other Pod stands in for its only one"));
    }
    Ok(Outcome::done())
}

reconciler!(reconcile, description = description());

#[cfg(test)]
mod tests;
