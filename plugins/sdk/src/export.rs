//! What the [`reconciler!`](crate::reconciler) macro expands to; no part of the interface.

use crate::bindings::oarlock::plugin::types;
use crate::{Description, Failure, Object, Outcome, Request, Watch};

/// The description of a plugin that gives none.
pub fn default_description(settings: Option<&str>, name: &str, version: &str) -> Result<Description, String> {
    match settings {
        None => Ok(Description::new(name, version, vec![Watch::all("apps/v1", "ReplicaSet")])),
        Some(_) => Err(format!("{name} takes no settings")),
    }
}

/// One call, between the types of the contract and those of the SDK.
pub fn call(
    request: types::Request,
    reconcile: fn(&Request) -> Result<Outcome, Failure>,
) -> Result<types::Outcome, types::Failure> {
    let request = Request {
        target: request.target,
        object: request.object.map(Object::new),
        attempt: request.attempt,
        deleting: request.deleting,
    };
    reconcile(&request).map(Into::into).map_err(Into::into)
}
