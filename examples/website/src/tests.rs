use oarlock_sdk::testing::{Answer, Call, yaml};

use super::*;

fn call() -> Call {
    Call::on(&yaml(include_str!("../sample.yaml")))
}

/// The kinds of the children.
fn kinds(answer: &Answer) -> Vec<String> {
    answer.children().iter().map(|child| child["kind"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_website_is_a_deployment_a_service_and_an_entry() {
    let answer = call().reconcile(reconcile);
    assert_eq!(kinds(&answer), ["Deployment", "Service"]);
    assert_eq!(answer.children()[0]["spec"]["replicas"], 2);
    assert_eq!(answer.applied()[0]["data"], json!({"image": "nginx:1.27"}));
    assert_eq!(answer.status(), json!({"readyReplicas": 0, "url": "http://hello.default.svc:80"}));
}

#[test]
fn its_status_tells_how_many_replicas_are_ready() {
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": "default", "name": "hello"}, "status": {"readyReplicas": 2},
    });
    assert_eq!(call().with(&deployment).reconcile(reconcile).status()["readyReplicas"], 2);
}

#[test]
fn one_that_is_not_exposed_has_neither_service_nor_url() {
    let mut website = yaml(include_str!("../sample.yaml"));
    website["spec"]["expose"] = json!(false);
    let answer = Call::on(&website).reconcile(reconcile);
    assert_eq!(kinds(&answer), ["Deployment"]);
    assert_eq!(answer.status(), json!({"readyReplicas": 0}));
}

#[test]
fn one_that_is_deleted_takes_its_entry_with_it() {
    let answer = call().deleting().reconcile(reconcile);
    assert_eq!(answer.deleted(), [&ObjectRef::new("v1", "ConfigMap", "default.hello").in_namespace("websites")]);
    assert_eq!(answer.outcome().children, None, "the garbage collector has the others");
}
