//! Leases that cannot be had, and such as are lost during a call.

use std::thread;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::json;

use super::Trial;
use crate::scripted::{Asked, Leases, Refusal, Says};
use crate::support::host::Host;
use crate::support::{asking, poll};

/// How long a Lease lasts. It is held for a part of that.
const LEASE: Duration = Duration::from_secs(3);

const TROUBLE: &str = "cannot read or write the leases default/oarlock*, trying again: ";
const MENDED: &str = "the leases can be read and written again";

fn refusal(code: u16, seconds: Option<u32>) -> Leases {
    let retry_after = seconds.map(|seconds| (seconds, Says::Header));
    Leases::Refuse(Refusal { code: StatusCode::from_u16(code).unwrap(), retry_after })
}

fn elect(trial: &Trial, duration: &str) -> Host {
    trial.host(&["--leader-elect", "--lease-duration", duration])
}

/// How often something about Leases was asked for since this was asked.
fn asked(trial: &Trial) -> usize {
    trial.server.count().iter().filter(|(asked, _)| *asked == Asked::Lease).count()
}

fn times_said(host: &Host, what: &str) -> usize {
    host.messages().iter().filter(|message| message.contains(what)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leases_that_cannot_be_written_are_told_of_once_asked_for_seldom_and_held_in_the_end() {
    let hosts = [refusal(403, None), refusal(409, None), refusal(429, Some(12)), refusal(500, None), Leases::Silent];
    let hosts = hosts.map(|fault| async move {
        let trial = Trial::with(3).await;
        trial.server.faults(|faults| faults.leases = Some(fault));
        let host = elect(&trial, "15s");
        (fault, trial, host)
    });
    let hosts = futures::future::join_all(hosts).await;
    for (_, trial, _) in &hosts {
        poll("a question about Leases", || (asked(trial) > 0).then_some(()));
    }
    for (_, trial, _) in &hosts {
        trial.server.count();
    }
    thread::sleep(Duration::from_secs(8));
    let counts: Vec<_> = hosts.iter().map(|(_, trial, _)| asked(trial)).collect();
    for ((fault, trial, host), asked) in hosts.into_iter().zip(counts) {
        println!("{fault:?}: asked {asked} times in 8 s");
        // What somebody else was faster with may be free with the next look, once a second.
        let (most, is_trouble) = match fault {
            Leases::Refuse(Refusal { code: StatusCode::CONFLICT, .. }) => (24, 0),
            Leases::Refuse(Refusal { retry_after: Some(_), .. }) => (3, 1),
            _ => (8, 1),
        };
        assert!(asked <= most, "{asked} times with {fault:?}");
        assert_eq!(times_said(&host, TROUBLE), is_trouble, "{fault:?}: {:?}", host.messages());
        assert_eq!(times_said(&host, MENDED), 0, "{fault:?}: {:?}", host.messages());
        assert_eq!(host.stdout(), [""; 0]);
        trial.server.faults(|faults| faults.leases = None);
        host.log("holding the lease");
        if is_trouble > 0 {
            host.log(MENDED);
        }
        trial.wait(&host);
        trial.ends_well(host, 1, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_held_is_not_lost_for_as_long_as_an_overloaded_server_wants_to_be_left_alone() {
    let mut trial = Trial::with(3).await;
    let host = elect(&trial, "15s");
    host.log("holding the lease");
    let renewed = || trial.server.lease("oarlock").unwrap()["spec"]["renewTime"].clone();
    trial.server.faults(|faults| faults.leases = Some(refusal(429, Some(60))));
    host.log(TROUBLE);
    trial.server.faults(|faults| faults.leases = None);
    let (before, start) = (renewed(), Instant::now());
    poll("another renewal", || (renewed() != before).then_some(()));
    assert!(start.elapsed() < Duration::from_secs(9), "{:?} after it", start.elapsed());
    trial.change(1);
    trial.wait(&host);
    assert_eq!(times_said(&host, "not holding the lease any more"), 0, "{:?}", host.messages());
    trial.ends_well(host, 1, 1);
}

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
