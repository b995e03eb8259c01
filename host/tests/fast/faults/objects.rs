//! Objects that are not what most are.

use serde_json::{Value, json};

use super::Trial;
use crate::scripted::End;
use crate::support::{poll, replica_set};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_2_mb_gets_through_by_list_and_by_watch() {
    let mut trial = Trial::with(5).await;
    let big = |counter: u32| {
        move |version: u64| {
            let mut object = replica_set("big", &["main"]);
            object["metadata"]["uid"] = "big".into();
            object["metadata"]["resourceVersion"] = version.to_string().into();
            object["metadata"]["annotations"] = json!({"probe": "-", "probe-counter": counter.to_string()});
            // As much as etcd takes, and more.
            object["spec"]["template"]["metadata"]["annotations"] = json!({"big": "ü€".repeat(400_000)});
            object
        }
    };
    trial.server.put("big", big(1));
    let host = trial.host(&[]);
    trial.wait(&host);
    for counter in 2..8 {
        trial.server.put("big", big(counter));
        trial.change(1);
        trial.wait(&host);
    }
    trial.server.delete("big");
    trial.ends_well(host, 1, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_with_odd_names_and_texts_are_reconciled_and_changed_like_any() {
    let trial = Trial::with(1).await;
    let longest = "x".repeat(253);
    let names = ["0", "a.b-c.d", "system:controller:x", "ünïcode:✓", "a+b&c=d", "~tilde'(1)*!", &longest];
    trial.place.grant("probe", "grants: [{apiVersion: apps/v1, kinds: [ReplicaSet], verbs: [patch]}]\n");
    for name in names {
        trial.server.put(name, |version| {
            let mut object = replica_set(name, &["main"]);
            object["metadata"]["uid"] = version.to_string().into();
            object["metadata"]["resourceVersion"] = version.to_string().into();
            object["metadata"]["annotations"] = json!({
                "probe": "mirror", "probe-counter": "1", "example.com/text": "\u{0} \u{2028} \u{202e} 😀 \u{10ffff} \"\\",
            });
            object["data"] = json!({"value": name});
            object
        });
    }
    let host = trial.host(&[]);
    trial.wait(&host);
    for name in names {
        poll(&format!("what {name} has seen"), || (trial.server.objects()[name]["data"]["seen"] == name).then_some(()));
    }
    for name in names {
        trial.server.delete(name);
    }
    trial.ends_well(host, 1, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_lacks_what_the_host_expects_is_named_once_and_stops_nothing() {
    let mut trial = Trial::with(5).await;
    let odd = |uid: &str| json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"uid": uid}});
    let none: [Value; 6] =
        [Value::Null, json!(3), json!({}), json!({"metadata": 1}), json!({"metadata": {"name": 7}}), odd("first")];
    for (number, object) in none.into_iter().enumerate() {
        trial.server.put(&format!("none-{number}"), |_| object);
    }
    // What has neither a uid nor a version can be reconciled all the same.
    trial.server.put("bare", |_| json!({"metadata": {"namespace": "default", "name": "bare"}}));
    let host = trial.host(&[]);
    trial.wait(&host);
    host.line_with("version-0001 default/bare - ");
    host.log("without a name, of uid \"first\", which is left out");

    // Told of by a watch, and in each list after that.
    trial.server.put("none-6", |_| odd("second"));
    trial.change(1);
    trial.wait(&host);
    trial.delete(2);
    trial.server.end_watch(End::Expired);
    trial.wait(&host);
    host.log("without a name, of uid \"second\", which is left out");
    let named = host.messages().iter().filter(|message| message.contains("\"first\"")).count();
    assert_eq!(named, 1, "{:?}", host.messages());
    trial.ends_well(host, 6, 6);
}
