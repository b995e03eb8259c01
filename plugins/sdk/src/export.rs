//! What the [`reconciler!`](crate::reconciler) macro expands to; no part of the interface.

use std::io::{self, Write as _};

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
    let answer = reconcile(&request);
    // A line without its end would otherwise be kept until the next call. A failure is nothing that this call could
    // do anything about.
    let _ = io::stdout().flush();
    answer.map(Into::into).map_err(Into::into)
}
