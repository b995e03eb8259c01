use oarlock_sdk::json;
use oarlock_sdk::testing::{Call, yaml};

use super::*;

#[test]
fn a_single_replica_is_told_of() {
    let answer = Call::on(&yaml(include_str!("../sample.yaml"))).reconcile(reconcile);
    assert_eq!(answer.events()[0].reason, "SingleReplica");
}

#[test]
fn more_than_one_are_left_alone() {
    let mut replica_set = yaml(include_str!("../sample.yaml"));
    replica_set["spec"]["replicas"] = json!(3);
    let answer = Call::on(&replica_set).reconcile(reconcile);
    assert_eq!(answer.outcome(), &Outcome::done());
}
