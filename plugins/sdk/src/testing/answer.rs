//! What a call has answered.

use super::Level;
use crate::{Action, Event, Failure, ObjectRef, Outcome, Value};

/// What a call has answered, and logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answer as it is.
    pub result: Result<Outcome, Failure>,
    /// The lines of [`log`](mod@crate::log), in their order.
    pub log: Vec<(Level, String)>,
}

/// All of these panic if the call has failed, with its failure and what it has logged.
#[allow(clippy::missing_panics_doc, reason = "said once for all")]
impl Answer {
    /// What the plugin wants done.
    #[track_caller]
    pub fn outcome(&self) -> &Outcome {
        match &self.result {
            Ok(outcome) => outcome,
            Err(failure) => panic!("the call has failed: {failure:?}; its log: {:?}", self.log),
        }
    }

    /// The [children](Outcome::children). Empty for none, and where children are left as they are.
    #[track_caller]
    pub fn children(&self) -> Vec<Value> {
        self.outcome().children.iter().flatten().map(|child| parse(child)).collect()
    }

    /// The objects that are [applied](Outcome::apply), children left out.
    #[track_caller]
    pub fn applied(&self) -> Vec<Value> {
        self.asked(|action| if let Action::Apply(object) = action { Some(parse(object)) } else { None })
    }

    /// The `status` of the first object whose status is [applied](Outcome::apply_status). Null: of none.
    #[track_caller]
    pub fn status(&self) -> Value {
        let status = |action: &Action| match action {
            Action::ApplyStatus(object) => Some(parse(object)["status"].take()),
            _ => None,
        };
        self.outcome().actions.iter().find_map(status).unwrap_or_default()
    }

    /// What is deleted.
    #[track_caller]
    pub fn deleted(&self) -> Vec<&ObjectRef> {
        self.asked(|action| if let Action::Delete(deletion) = action { Some(&deletion.target) } else { None })
    }

    /// The Events, of type Warning included.
    #[track_caller]
    pub fn events(&self) -> Vec<&Event> {
        self.asked(|action| if let Action::Event(event) = action { Some(event) } else { None })
    }

    /// What was logged, the levels left out. It does not panic.
    pub fn messages(&self) -> Vec<&str> {
        self.log.iter().map(|(_, message)| &**message).collect()
    }

    #[track_caller]
    fn asked<'a, T>(&'a self, kind: impl Fn(&'a Action) -> Option<T>) -> Vec<T> {
        self.outcome().actions.iter().filter_map(kind).collect()
    }
}

#[track_caller]
fn parse(json: &str) -> Value {
    match serde_json::from_str(json) {
        Ok(value) => value,
        Err(error) => panic!("the plugin answers what is no JSON: {error}: {json}"),
    }
}
