//! Lists and watches that go wrong.

use std::time::{Duration, Instant};

use axum::http::StatusCode;

use super::Trial;
use crate::scripted::{Asked, Between, End, Missing, Refusal, Says};
use crate::support::{DEADLINE, poll};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_has_expired_begins_with_a_new_list_however_it_is_told() {
    let mut trial = Trial::with(40).await;
    let host = trial.host(&[]);
    trial.wait(&host);
    for round in 0..2 {
        trial.change(1);
        trial.delete(10 + round);
        if round == 0 {
            trial.server.end_watch(End::Expired);
            trial.server.compact();
        } else {
            trial.server.faults(|faults| faults.expired = true);
            trial.server.end_watch(End::Closed);
        }
        trial.change(2);
        trial.wait(&host);
    }
    trial.ends_well(host, 8, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_expires_between_its_pages_begins_again() {
    let mut trial = Trial::with(150).await;
    trial.server.faults(|faults| faults.between_pages = Some(Between::Expired));
    let host = trial.host(&[]);
    trial.wait(&host);
    trial.server.faults(|faults| faults.between_pages = Some(Between::Expired));
    trial.delete(0);
    trial.delete(149);
    trial.server.end_watch(End::Expired);
    trial.change(5);
    host.log("it was told to say 410");
    trial.ends_well(host, 2 * (1 + 3) + 3, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_changes_between_its_pages_loses_nothing() {
    let mut trial = Trial::with(150).await;
    trial.server.faults(|faults| faults.between_pages = Some(Between::Changes));
    let host = trial.host(&[]);
    host.line("version-0001 default/a-new-one - attempt 0 counter 1000");
    trial.wait(&host);
    trial.change(3);
    trial.ends_well(host, 3, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_event_or_one_that_is_none_ends_in_a_new_list() {
    let mut trial = Trial::with(20).await;
    let host = trial.host(&[]);
    trial.wait(&host);
    for (round, end) in [End::Failure, End::Garbled].into_iter().enumerate() {
        trial.server.end_watch(end);
        trial.change(1);
        trial.delete(10 + round);
        trial.wait(&host);
    }
    trial.ends_well(host, 4, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_cut_in_the_middle_of_an_object_is_asked_for_again() {
    let mut trial = Trial::with(20).await;
    trial.server.faults(|faults| faults.cut_lists = 2);
    let host = trial.host(&[]);
    trial.wait(&host);
    for (round, end) in [End::Cut, End::Torn, End::Cut, End::Torn].into_iter().enumerate() {
        trial.server.end_watch(end);
        trial.change(1);
        trial.delete(10 + round);
        trial.wait(&host);
    }
    // Each is followed by a look at how new the server is, and not by a list.
    trial.ends_well(host, 3 + 4 + 1, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_goes_silent_is_given_up() {
    let mut trial = Trial::with(20).await;
    trial.server.faults(|faults| faults.silent_lists = 1);
    let host = trial.host(&["--api-timeout", "2s"]);
    trial.wait(&host);
    trial.server.end_watch(End::Silent);
    trial.change(1);
    trial.delete(10);
    host.log("the API server has been silent for 7s");
    trial.ends_well(host, 4, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_twice_or_out_of_turn_does_no_harm() {
    let mut trial = Trial::with(20).await;
    trial.server.faults(|faults| faults.noise = true);
    let host = trial.host(&[]);
    trial.wait(&host);
    trial.delete(19);
    for round in 0..50 {
        // What is told after the second one is the first one again.
        trial.change(round % 10);
        trial.change(round % 10);
    }
    trial.wait(&host);
    // The end of one comes again after the next one of its name, and a change after the end, and nothing comes after that.
    trial.delete(18);
    trial.wait(&host);
    trial.change(18);
    trial.wait(&host);
    trial.change(17);
    trial.wait(&host);
    trial.delete(17);
    trial.ends_well(host, 1, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overloaded_server_is_left_alone_for_as_long_as_it_says() {
    for says in [Says::Header, Says::Body] {
        let mut trial = Trial::with(20).await;
        let host = trial.host(&[]);
        trial.wait(&host);
        let refusal = Refusal { code: StatusCode::TOO_MANY_REQUESTS, retry_after: Some((4, says)) };
        trial.server.count();
        trial.server.faults(|faults| faults.refuse = Some(refusal));
        trial.server.end_watch(End::Closed);
        trial.change(1);
        trial.delete(10);
        // Not one about rights, which may come late.
        let of_watch = |asked: &Asked| matches!(asked, Asked::List | Asked::Watch);
        poll("a request that is refused", || {
            trial.server.count().iter().any(|(asked, _)| of_watch(asked)).then_some(())
        });
        let refused = Instant::now();
        trial.server.faults(|faults| faults.refuse = None);
        trial.wait(&host);
        let next = trial.server.count().iter().find(|(asked, _)| of_watch(asked)).unwrap().1;
        assert!(next - refused > Duration::from_secs(3), "{:?} after it", next - refused);
        host.log("trying again in 4.0 s: ");
        trial.ends_well(host, 0, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_is_asked_ever_less_often() {
    let mut trial = Trial::with(20).await;
    let host = trial.host(&[]);
    trial.wait(&host);
    let refusal = Refusal { code: StatusCode::INTERNAL_SERVER_ERROR, retry_after: None };
    trial.server.faults(|faults| faults.refuse = Some(refusal));
    trial.server.count();
    trial.server.end_watch(End::Closed);
    trial.change(1);
    trial.delete(10);
    std::thread::sleep(Duration::from_secs(7));
    let mut asked = trial.server.count();
    asked.retain(|(asked, _)| matches!(asked, Asked::List | Asked::Watch));
    assert!((2..=6).contains(&asked.len()), "{asked:?}");
    trial.server.faults(|faults| faults.refuse = None);
    trial.ends_well(host, 2, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_always_ends_at_once_is_not_begun_in_a_tight_loop() {
    let mut trial = Trial::with(20).await;
    let host = trial.host(&[]);
    trial.wait(&host);
    for end in [End::Closed, End::Torn, End::Cut, End::Expired] {
        trial.server.count();
        trial.server.faults(|faults| faults.ends = Some(end));
        trial.change(1);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3) {
            trial.change(2);
            std::thread::sleep(Duration::from_millis(100));
        }
        let asked = trial.server.count();
        let begun = asked.iter().filter(|(asked, _)| *asked == Asked::Watch).count();
        assert!(begun <= 10, "{end:?}: {asked:?}");
    }
    trial.server.faults(|faults| faults.ends = None);
    trial.delete(10);
    trial.ends_well(host, 3, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_tells_something_and_fails_is_begun_ever_less_often() {
    let mut trial = Trial::with(20).await;
    let host = trial.host(&[]);
    trial.wait(&host);
    trial.server.faults(|faults| faults.ends = Some(End::Failure));
    trial.server.count();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(12) {
        trial.change(2);
        std::thread::sleep(Duration::from_millis(100));
    }
    let asked = trial.server.count();
    for what in [Asked::List, Asked::Watch] {
        let begun = asked.iter().filter(|(asked, _)| *asked == what).count();
        assert!((2..=5).contains(&begun), "{asked:?}");
    }
    trial.server.faults(|faults| faults.ends = None);
    trial.delete(10);
    trial.ends_well(host, 2, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_trickle_in_are_waited_for() {
    let mut trial = Trial::with(70).await;
    trial.server.faults(|faults| faults.trickle = Some(Duration::from_millis(5)));
    // A piece comes much more often than that, and all of it takes longer.
    let host = trial.host(&["--api-timeout", "2s"]);
    let start = Instant::now();
    trial.wait(&host);
    for round in 0..5 {
        trial.change(round);
        trial.delete(60 + round);
    }
    trial.wait(&host);
    assert!(start.elapsed() < DEADLINE);
    trial.ends_well(host, 4, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_is_not_served_for_a_moment_is_not_told_as_gone() {
    let mut trial = Trial::with(20).await;
    let host = trial.host(&[]);
    trial.wait(&host);
    // As by an API server that has begun a moment ago, and does not know of custom resources yet.
    trial.server.faults(|faults| faults.missing = Some(Missing::Unknown));
    trial.server.count();
    trial.server.end_watch(End::Closed);
    trial.change(1);
    poll("a look at what is served", || {
        let asked = trial.server.count();
        asked.iter().any(|(asked, _)| *asked == Asked::Other).then_some(())
    });
    // It looks again meanwhile.
    std::thread::sleep(Duration::from_secs(6));
    trial.server.faults(|faults| faults.missing = None);
    trial.wait(&host);
    assert!(!host.stdout().iter().any(|line| line.ends_with(" gone")), "{:?}", host.stdout());
    trial.ends_well(host, 2, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_is_named_and_not_served_is_looked_for_ever_less_often() {
    let mut trial = Trial::with(20).await;
    trial.server.faults(|faults| faults.missing = Some(Missing::Named));
    let host = trial.host(&[]);
    host.log("it was told to say 404");
    std::thread::sleep(Duration::from_secs(7));
    let asked = trial.server.count();
    let lists = asked.iter().filter(|(asked, _)| *asked == Asked::List).count();
    assert!((2..=5).contains(&lists), "{asked:?}");
    trial.server.faults(|faults| faults.missing = None);
    trial.change(1);
    trial.ends_well(host, 1, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_that_is_named_and_not_served_is_left_out_of_what_is_done_once() {
    let trial = Trial::with(1).await;
    trial.server.faults(|faults| faults.missing = Some(Missing::Named));
    let finished = trial.host(&["--once"]).finish();
    assert_eq!(finished.status.code(), Some(1), "{finished}");
    finished.log("does not serve apps/v1 ReplicaSet: it is left out");
}
