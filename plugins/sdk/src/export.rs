//! What the [`reconciler!`](crate::reconciler) macro expands to; no part of the interface.

use std::io::{self, Write as _};

use crate::bindings::oarlock::plugin::types;
use crate::{Description, Failure, Object, Outcome, Request};

/// The answer of a plugin that takes no settings.
pub fn without_settings(settings: Option<&str>, description: Description) -> Result<Description, String> {
    match settings {
        None => Ok(description),
        Some(_) => Err(format!("{} takes no settings", description.name)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_nobody_reads_are_refused_by_the_name_of_the_plugin() {
        let description = || Description::new("example", "1.0.0", Vec::new());
        assert_eq!(without_settings(None, description()), Ok(description()));
        assert_eq!(without_settings(Some("{}"), description()), Err("example takes no settings".into()));
    }
}
