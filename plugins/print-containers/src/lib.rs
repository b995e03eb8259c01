//! Prints the container names of every ReplicaSet that is created or changed.

use oarlock_sdk::{Failure, Outcome, Request, reconciler};
use serde::Deserialize;

#[derive(Deserialize)]
struct Container<'a> {
    name: &'a str,
}

fn reconcile(request: &Request) -> Result<Outcome, Failure> {
    if let Some(replica_set) = &request.object {
        let containers: Vec<Container> = replica_set.at("/spec/template/spec/containers")?;
        let names: Vec<_> = containers.iter().map(|container| container.name).collect();
        println!("{}: {}", request.target, names.join(", "));
    }
    Ok(Outcome::done())
}

reconciler!(reconcile);
