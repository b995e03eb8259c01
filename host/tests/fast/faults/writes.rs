//! Writes that go wrong.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Trial;
use crate::scripted::{Asked, Refusal, Says};
use crate::support::{asking, poll, poll_for};

/// A plugin that may patch, so many objects at a time, and three objects.
async fn trial(concurrency: u32) -> Trial {
    let trial = Trial::with(3).await;
    let rule = "{apiVersion: apps/v1, kinds: [ReplicaSet], verbs: [patch]}";
    trial.place.grant("probe", &format!("concurrency: {concurrency}\ngrants: [{rule}]\n"));
    trial
}

/// Annotations by which the plugin tells `label`, and sets the counter of another object.
fn asks(label: &str, counter: &str) -> Value {
    let other = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "namespace": "default", "name": "object-2"});
    let patch = json!({"metadata": {"annotations": {"probe-counter": counter}}});
    let mut asks = asking("asks", &json!([{"merge-patch": [other, patch]}]))["metadata"]["annotations"].take();
    asks["probe-counter"] = label.into();
    asks
}

/// When an object was patched since this was asked.
fn patched(trial: &Trial) -> Option<Instant> {
    trial.server.count().into_iter().find(|(asked, _)| *asked == Asked::Patch).map(|(_, at)| at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_not_tried_again_before_an_overloaded_server_says_even_if_its_object_changes() {
    let trial = trial(1).await;
    let host = trial.host(&[]);
    trial.wait(&host);
    for (says, counter) in [(Says::Header, "100"), (Says::Body, "200")] {
        let refusal = Refusal { code: StatusCode::TOO_MANY_REQUESTS, retry_after: Some((4, says)) };
        trial.server.faults(|faults| faults.refuse_patches = Some(refusal));
        trial.server.count();
        trial.server.write("asks", &asks("first", counter));
        let refused = poll("a patch that is refused", || patched(&trial));
        trial.server.faults(|faults| faults.refuse_patches = None);
        trial.server.write("asks", &asks("second", counter));
        host.log("reconcile failed, trying again in 4s: ");
        let next = poll("a patch that is not", || patched(&trial));
        assert!(next - refused > Duration::from_secs(3), "{:?} after it", next - refused);
        host.line_with(&format!("default/object-2 - attempt 0 counter {counter}"));
        host.line_with("default/asks ask attempt 1 counter second");
    }
    trial.ends_well(host, 1, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_never_answered_fails_after_its_time_and_is_tried_again() {
    let mut trial = trial(2).await;
    let host = trial.host(&[]);
    trial.wait(&host);
    trial.server.faults(|faults| faults.silent_patches = 1);
    trial.server.count();
    trial.server.write("asks", &asks("first", "100"));
    let asked = poll("a patch", || patched(&trial));
    trial.change(1);
    host.line_with("default/object-1 - attempt 0 counter 4");
    assert!(asked.elapsed() < Duration::from_secs(20), "others are called meanwhile");
    let what = "cannot patch ReplicaSet default/object-2: there was no answer in 30 s";
    poll_for(Duration::from_mins(1), what, || {
        host.messages().iter().any(|message| message.contains(what)).then_some(())
    });
    assert!(asked.elapsed() > Duration::from_secs(29), "it has its time");
    host.line_with("default/object-2 - attempt 0 counter 100");
    host.line_with("default/asks ask attempt 1 counter first");
    trial.ends_well(host, 1, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_changes_something_all_the_time_waits_for_its_turn() {
    let trial = Trial::with(3).await;
    let rule = "{apiVersion: apps/v1, kinds: [ReplicaSet], verbs: [patch]}";
    // Ten at once, and then one a second.
    trial.place.grant("probe", &format!("limits: {{writes: 1}}\ngrants: [{rule}]\n"));
    let host = trial.host(&[]);
    trial.wait(&host);
    let other = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "namespace": "default", "name": "object-2"});
    let patches: Vec<_> = (0..13)
        .map(|number| json!({"merge-patch": [other, {"metadata": {"annotations": {"probe-counter": number.to_string()}}}]}))
        .collect();
    let asks = asking("asks", &json!(patches))["metadata"]["annotations"].take();
    let start = Instant::now();
    trial.server.write("asks", &asks);
    host.line_with("default/object-2 - attempt 0 counter 12");
    assert!(start.elapsed() > Duration::from_secs(2), "{:?}", start.elapsed());
    trial.ends_well(host, 1, 1);
}
