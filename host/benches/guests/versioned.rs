//! Does what the default plugin does, and says its version.

use std::hint::black_box;

use oarlock_sdk::{Failure, Outcome, Request, reconciler};
use serde::Deserialize;

/// The benchmarks make other versions by putting another number in the built module.
static VERSION: &str = "version-0000";

#[derive(Deserialize)]
struct Container<'a> {
    name: &'a str,
}

fn reconcile(request: &Request) -> Result<Outcome, Failure> {
    if let Some(replica_set) = &request.object {
        let containers: Vec<Container> = replica_set.at("/spec/template/spec/containers")?;
        let names: Vec<_> = containers.iter().map(|container| container.name).collect();
        println!("{} {}: {}", black_box(VERSION), request.target, names.join(", "));
    }
    Ok(Outcome::done())
}

reconciler!(reconcile);
