//! Leases that are lost during a call.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::Trial;
use crate::scripted::Asked;
use crate::support::asking;
use crate::support::host::Host;

/// How long a Lease lasts. It is held for a part of that.
const LEASE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_ends_when_another_replica_has_its_object_changes_nothing() {
    changes_nothing(|trial, host| {
        trial.server.hand_lease("oarlock", "another");
        host.log("not holding the lease any more");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_ends_when_its_replica_was_stopped_for_longer_than_its_lease_changes_nothing() {
    changes_nothing(|trial, host| {
        host.signal("STOP");
        trial.server.hand_lease("oarlock", "another");
        thread::sleep(LEASE);
        host.signal("CONT");
    })
    .await;
}

/// Has a host lose its Lease, while a call sleeps that then wants a change, and get it again.
async fn changes_nothing(lose_lease: impl FnOnce(&Trial, &Host)) {
    let trial = Trial::with(1).await;
    let rule = "{apiVersion: apps/v1, kinds: [ReplicaSet], verbs: [patch]}";
    trial.place.grant("probe", &format!("grants: [{rule}]\n"));
    let host = trial.host(&["--leader-elect", "--lease-duration", &format!("{}s", LEASE.as_secs())]);
    trial.wait(&host);

    let other = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "namespace": "default", "name": "object-0"});
    let patch = json!({"metadata": {"annotations": {"probe-counter": "1000"}}});
    let mut asks = asking("asks", &json!([{"nap": 2000}, {"merge-patch": [other, patch]}]));
    trial.server.count();
    trial.server.write("asks", &asks["metadata"]["annotations"].take());
    host.log("begins default/asks");
    lose_lease(&trial, &host);
    host.log("ends default/asks");
    let message = host.log("reconcile failed, ")["message"].to_string();
    assert!(message.contains("the object is another replica's by now"), "{message}");
    host.log("standing by: the lease is held by another");
    let patches = || trial.server.count().into_iter().filter(|(asked, _)| *asked == Asked::Patch).count();
    assert_eq!(patches(), 0);

    trial.server.hand_lease("oarlock", "");
    host.line_with("default/object-0 - attempt 0 counter 1000");
    assert_eq!(patches(), 1);
    host.stop();
}
