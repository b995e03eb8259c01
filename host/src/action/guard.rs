//! Checks what a plugin asks for against what it is granted, all of it before any of it is done. Pure.

use crate::plugin::{Action, Outcome};

/// A plugin asked for what it is not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not granted: {0}; nothing of what the plugin answered was done")]
pub struct Denied(String);

/// Whether everything that the plugin asks for is granted. A plugin may print and log, and nothing else so far.
pub fn check(outcome: &Outcome) -> Result<(), Denied> {
    if let Some(action) = outcome.actions.first() {
        return Err(Denied(match action {
            Action::Apply(_) => "to apply an object".into(),
            Action::ApplyStatus(_) => "to apply a status".into(),
            Action::MergePatch(patch) | Action::JsonPatch(patch) => {
                format!("to patch {} {}", patch.target.kind, patch.target.name)
            }
            Action::Delete(deletion) => format!("to delete {} {}", deletion.target.kind, deletion.target.name),
            Action::Event(event) => format!("to send the Event {}", event.reason),
        }));
    }
    match &outcome.children {
        Some(children) => Err(Denied(format!("to have {} children", children.len()))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(actions: Vec<Action>, children: Option<Vec<String>>) -> Outcome {
        Outcome { actions, children, requeue_after_ms: Some(5) }
    }

    #[test]
    fn an_answer_that_asks_for_nothing_is_granted_and_anything_else_is_denied_by_name() {
        assert_eq!(check(&outcome(vec![], None)), Ok(()));
        let denied = check(&outcome(vec![Action::Apply("{}".into())], None)).unwrap_err();
        assert!(denied.to_string().starts_with("not granted: to apply an object"), "{denied}");
        assert!(check(&outcome(vec![], Some(vec![]))).is_err(), "an empty set of children deletes what there is");
    }
}
