//! Reads one object of the cluster, beside the one that it is called for.

use oarlock_sdk::{Failure, Outcome, Request, cluster, reconciler};

fn reconcile(request: &Request) -> Result<Outcome, Failure> {
    match cluster::get(&request.target)? {
        Some(_) => Ok(Outcome::done()),
        None => Err(Failure::terminal("there is nothing to read")),
    }
}

reconciler!(reconcile);
