//! `/api/v1`: how it stands with the host, as JSON.

use serde_json::Value;

use crate::support::host::{Host, Workplace};
use crate::support::{http_get, plugins, poll, probe, replica_set};

const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];

fn admin(host: &Host) -> String {
    host.log("serving /livez")["address"].as_str().unwrap().to_owned()
}

/// The status of an answer, and its JSON.
fn ask(address: &str, path: &str) -> (u16, Value) {
    let answer = http_get(address, path);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
}

fn get(address: &str, path: &str) -> Value {
    let (status, answer) = ask(address, path);
    assert_eq!(status, 200, "{path}: {answer}");
    assert_camel_case(&answer);
    answer
}

/// Names of fields are as those of Kubernetes.
fn assert_camel_case(answer: &Value) {
    match answer {
        Value::Object(fields) => {
            assert!(fields.keys().all(|name| !name.contains(['_', '-'])), "{answer}");
            fields.values().for_each(assert_camel_case);
        }
        Value::Array(items) => items.iter().for_each(assert_camel_case),
        _ => {}
    }
}

fn plugin(address: &str, name: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    poll(&format!("such answer about {name}"), || {
        let (status, plugin) = ask(address, &format!("/api/v1/plugins/{name}"));
        assert_camel_case(&plugin);
        (status == 200 && is_wanted(&plugin)).then_some(plugin)
    })
}

#[test]
fn the_api_says_how_it_stands_with_each_plugin() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.plugin("print-containers", &plugins::print_containers());
    let broken = place.plugin("broken", b"no wasm");
    for (name, mode) in [("fails", "terminal"), ("comes-back", "later"), ("fine", "-")] {
        place.object(&probe(name, mode));
    }
    let host = place.run(&ADMIN);
    let address = admin(&host);
    host.settled();
    host.log("is refused");
    plugin(&address, "broken", |plugin| plugin["state"] == "refused");

    let all = get(&address, "/api/v1/plugins");
    let names: Vec<_> = all["plugins"].as_array().unwrap().iter().map(|plugin| &plugin["name"]).collect();
    assert_eq!(names, ["broken", "print-containers", "probe"]);
    let [refused, fine, probe] = [0, 1, 2].map(|index| &all["plugins"][index]);
    let problem = refused["problem"].as_str().unwrap();
    assert!(
        problem.starts_with("its file is refused, there is no other version of it; it is loaded again"),
        "{problem}"
    );
    assert_eq!((&refused["inForce"], &refused["lastReload"]["result"]), (&Value::Null, &"refused".into()));
    assert_eq!(
        (&fine["state"], &fine["problem"], &fine["calls"]["failed"]),
        (&"ready".into(), &Value::Null, &0.into())
    );

    let in_force = &probe["inForce"];
    assert_eq!((&in_force["describedName"], &in_force["kind"]), (&"probe".into(), &"reconciler".into()));
    assert_eq!(in_force["digest"].as_str().unwrap().len(), 64);
    assert_eq!(in_force["watches"], serde_json::json!(["apps/v1 ReplicaSet"]));
    assert_eq!((&probe["calls"]["total"], &probe["calls"]["failed"]), (&3.into(), &1.into()));
    assert!(probe["calls"]["p99Seconds"].as_f64().unwrap() > 0.0, "{probe}");
    let error = &probe["lastError"];
    assert_eq!((&error["object"]["name"], &error["reason"]), (&"fails".into(), &"never".into()));
    assert_eq!(probe["queue"], serde_json::json!({"waiting": 0, "delayed": 1, "inCall": 0, "failing": 1}));

    let status = get(&address, "/api/v1/status");
    assert_eq!((&status["plugins"], &status["objects"], &status["calls"]["total"]), (&3.into(), &3.into(), &6.into()));
    assert_eq!((&status["alive"]["good"], &status["ready"]["good"]), (&true.into(), &true.into()));
    assert_eq!((&status["version"], &status["election"]), (&env!("CARGO_PKG_VERSION").into(), &Value::Null));
    let watch = &status["watches"][0];
    assert_eq!((&watch["state"], &watch["objects"], &watch["plugins"]), (&"listed".into(), &3.into(), &2.into()));
    assert!(watch["bytes"].as_u64().unwrap() > 300, "{watch}");
    let slots = status["history"]["slots"].as_array().unwrap();
    assert_eq!(slots.iter().map(|slot| slot["calls"].as_u64().unwrap()).sum::<u64>(), 6);

    let queue = get(&address, "/api/v1/plugins/probe/queue");
    let delayed = &queue["queues"][0]["delayed"][0];
    assert_eq!((&delayed["object"]["name"], &delayed["why"]), (&"comes-back".into(), &"requeue".into()));
    assert!((3500.0..=3600.0).contains(&delayed["dueInSeconds"].as_f64().unwrap()), "{delayed}");

    let of_refused = get(&address, "/api/v1/plugins/broken/queue")["queues"].clone();
    assert_eq!((&of_refused[0]["plugin"], &of_refused[0]["waiting"]), (&"broken".into(), &serde_json::json!([])));

    // What is gone is not told of any more.
    std::fs::remove_file(broken).unwrap();
    poll("end of the broken plugin", || (ask(&address, "/api/v1/plugins/broken").0 == 404).then_some(()));
    host.stop();
}

#[test]
fn the_api_tells_what_became_of_each_file_of_a_plugin() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "trap-in version-0003"));
    for name in ["b", "c"] {
        place.object(&probe(name, "trap-in version-0003"));
    }
    let host = place.run(&ADMIN);
    let address = admin(&host);
    host.settled();
    let first = plugin(&address, "probe", |plugin| plugin["state"] == "ready");

    place.plugin("probe", b"no wasm");
    let refused = plugin(&address, "probe", |plugin| plugin["state"] == "refused");
    assert_eq!(refused["inForce"], first["inForce"], "it stays in force");
    assert!(refused["problem"].as_str().unwrap().contains("stays in force"), "{refused}");
    place.plugin("probe", &plugins::probe(1));
    plugin(&address, "probe", |plugin| plugin["state"] == "ready");

    place.plugin("probe", &plugins::probe(2));
    plugin(&address, "probe", |plugin| plugin["inForce"]["digest"] != first["inForce"]["digest"]);
    plugin(&address, "probe", |plugin| plugin["state"] == "ready");
    place.plugin("probe", &plugins::probe(3));
    let back = plugin(&address, "probe", |plugin| plugin["state"] == "rolled-back");
    let results: Vec<_> = back["reloads"].as_array().unwrap().iter().map(|reload| &reload["result"]).collect();
    assert_eq!(results, ["rolled-back", "loaded", "loaded", "refused", "loaded"], "the last one first");
    let [rollback, broke, worked, ..] = &**back["reloads"].as_array().unwrap() else { unreachable!() };
    assert_eq!((&rollback["digest"], &rollback["rolledBack"]), (&worked["digest"], &broke["digest"]));
    assert_eq!(rollback["digest"], back["inForce"]["digest"]);
    assert!(rollback["reason"].as_str().unwrap().contains("it trapped"), "{rollback}");
    assert_eq!(back["errors"][0]["count"], 1, "{back}");
    host.stop();
}

#[test]
fn what_waits_and_what_is_in_a_call_is_listed_up_to_a_limit() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a-sleeper", "sleep"));
    (0..300).for_each(|index| place.object(&replica_set(&format!("b-{index:03}"), &["main"])));
    let host = place.run(&ADMIN);
    let address = admin(&host);
    let queue = poll("call", || {
        let queue = get(&address, "/api/v1/queue?limit=20")["queues"][0].clone();
        let waiting = queue["waiting"].as_array().map_or(0, Vec::len);
        let all_are_there = queue["waitingLeftOut"] == 280;
        (queue["inCall"][0]["object"]["name"] == "a-sleeper" && waiting == 20 && all_are_there).then_some(queue)
    });
    assert_eq!(queue["plugin"], "probe");
    assert_eq!(
        (&queue["waiting"][0]["object"]["name"], &queue["waiting"][0]["why"]),
        (&"b-000".into(), &"backlog".into())
    );
    assert_eq!(queue["inCall"][0]["step"], "the call");
    poll("time of the call", || {
        let queue = get(&address, "/api/v1/plugins/probe/queue");
        assert_eq!(queue["queues"][0]["waiting"].as_array().unwrap().len(), 100);
        queue["queues"][0]["inCall"][0]["forSeconds"].as_f64().filter(|seconds| *seconds > 0.1)
    });
}

#[test]
fn a_wrong_question_to_the_api_is_answered_by_what_is_wrong_with_it() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    let host = place.run(&ADMIN);
    let address = admin(&host);
    for (path, status, what) in [
        ("/api/v1/plugins/nobody", 404, "there is no plugin nobody; `oarlock plugins` and /api/v1/plugins name all"),
        (
            "/api/v1/plugins/%1b[2J",
            404,
            "there is no plugin \\u{1b}[2J; `oarlock plugins` and /api/v1/plugins name all",
        ),
        (
            "/api/v1/plugins/nobody/queue",
            404,
            "there is no plugin nobody; `oarlock plugins` and /api/v1/plugins name all",
        ),
        ("/api/v1/queue?limit=1001", 400, "expected nothing but limit=N after `?`, with N at most 1000"),
        ("/api/v1/queue?all", 400, "expected nothing but limit=N after `?`, with N at most 1000"),
    ] {
        assert_eq!(ask(&address, path), (status, serde_json::json!({ "error": what })), "{path}");
    }
    for path in ["/api", "/api/", "/api/v1", "/api/v2/plugins", "/nothing"] {
        let (status, answer) = ask(&address, path);
        let error = answer["error"].as_str().unwrap();
        assert!(status == 404 && error.contains("/livez") && error.contains("/api/v1/plugins"), "{path}: {answer}");
    }
    host.stop();
}

#[test]
fn what_a_plugin_says_is_told_by_the_api_as_the_log_tells_it() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    let mut object = probe("a", "say-failure");
    object["metadata"]["annotations"]["say"] = "<b>no\u{1b}[2J\nINFO all is well \u{202e}".into();
    place.object(&object);
    let host = place.run(&ADMIN);
    let address = admin(&host);
    host.settled();
    let logged = host.log("<b>no")["message"].as_str().unwrap().to_owned();
    let told = plugin(&address, "probe", |plugin| plugin["lastError"].is_object())["lastError"]["reason"].clone();
    assert!(logged.ends_with(&format!(": {}", told.as_str().unwrap())), "{logged}: {told}");
    assert_eq!(told, "<b>no\\u{1b}[2J\\nINFO all is well \\u{202e}");
    host.stop();
}
