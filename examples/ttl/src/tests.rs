use std::time::Duration;

use humantime::format_rfc3339;
use oarlock_sdk::testing::{Answer, Call};
use oarlock_sdk::{ObjectRef, json};

use super::*;

/// The answer for a ConfigMap of that label and age.
fn answer(ttl: &str, age: Duration) -> Answer {
    let created = format_rfc3339(SystemTime::now() - age).to_string();
    Call::on(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "namespace": "default", "name": "a", "uid": "1", "creationTimestamp": created, "labels": {"example.com/ttl": ttl},
    }}))
    .reconcile(reconcile)
}

#[test]
fn what_is_old_enough_is_deleted_by_its_uid() {
    let target = ObjectRef::new("v1", "ConfigMap", "a").in_namespace("default");
    let expected = Outcome::done().delete_with_uid(target, "1");
    assert_eq!(answer("1h", Duration::from_hours(1)).outcome(), &expected);
}

#[test]
fn what_is_younger_is_called_for_again_when_it_will_be() {
    let answer = answer("1h", Duration::from_mins(50));
    let rest = answer.outcome().requeue_after.unwrap_or_default();
    assert!(answer.outcome().actions.is_empty() && rest <= Duration::from_mins(10), "{answer:?}");
    assert!(rest > Duration::from_mins(9), "{answer:?}");
}

#[test]
fn a_label_that_is_no_time_is_told_of() {
    assert_eq!(answer("soon", Duration::ZERO).events()[0].reason, "InvalidTTL");
}
