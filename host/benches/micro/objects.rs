//! ReplicaSets of a given size, as an API server sends them, no two of them alike.

use std::iter;
use std::sync::Arc;

use oarlock::object::{Gvk, Json, Object, Packer, RawObject};
use serde_json::{Value, json};

/// A ReplicaSet whose JSON has about so many bytes, its `managedFields` left out.
pub(crate) fn replica_set(bytes: usize, number: usize) -> Value {
    let mut random = fastrand::Rng::with_seed(number as u64);
    let hash = format!("{:010x}", random.u64(..) >> 24);
    let app = format!("{}-{number}", ["checkout", "cart", "search", "billing"][number % 4]);
    let labels = json!({"app": app, "team": format!("team-{}", number % 17), "pod-template-hash": hash});
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{app}-{hash}"),
            "namespace": format!("shop-{}", number % 20),
            "uid": uid(&mut random),
            "resourceVersion": (100_000 + number).to_string(),
            "generation": 1,
            "creationTimestamp": "2026-11-03T08:15:30Z",
            "labels": labels,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": app, "uid": uid(&mut random),
                "controller": true, "blockOwnerDeletion": true
            }]
        },
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container("app", &mut random)], "restartPolicy": "Always"}
            }
        },
        "status": {"replicas": 3, "readyReplicas": 3, "observedGeneration": 1}
    });
    let containers = &mut object["spec"]["template"]["spec"]["containers"];
    if bytes > 2000 {
        for name in ["proxy", "metrics"] {
            containers.as_array_mut().expect("a list").push(container(name, &mut random));
        }
    }
    // What makes ReplicaSets big is mostly the environment of their containers.
    let count = containers.as_array().expect("a list").len();
    let mut missing = bytes.saturating_sub(object.to_string().len());
    for variable in 0.. {
        let variable_of = json!({"name": format!("SETTING_{variable:04}"), "value": format!("{:x}", random.u64(..))});
        let size = variable_of.to_string().len() + 1;
        if size > missing {
            break;
        }
        missing -= size;
        let containers = &mut object["spec"]["template"]["spec"]["containers"];
        containers[variable % count]["env"].as_array_mut().expect("a list").push(variable_of);
    }
    object
}

fn container(name: &str, random: &mut fastrand::Rng) -> Value {
    json!({
        "name": name,
        "image": format!("registry.example.com/{name}:{:08x}", random.u32(..)),
        "imagePullPolicy": "IfNotPresent",
        "env": [],
        "ports": [{"containerPort": 8080 + random.u32(..100), "protocol": "TCP"}],
        "terminationMessagePath": "/dev/termination-log"
    })
}

fn uid(random: &mut fastrand::Rng) -> String {
    let (a, b) = (random.u64(..), random.u64(..));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        a >> 32,
        a & 0xffff,
        b >> 52,
        b >> 40 & 0xfff,
        b & 0xffff_ffff_ffff
    )
}

/// The same with what a controller and the Deployment's own one manage of it, about 1.5 KB.
pub(crate) fn with_managed_fields(mut object: Value) -> Value {
    let names = ["app", "proxy", "metrics"];
    let of_container = json!({
        ".": {}, "f:env": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:ports": {},
        "f:resources": {}, "f:terminationMessagePath": {}, "f:terminationMessagePolicy": {}
    });
    let containers: serde_json::Map<_, _> =
        names.iter().map(|name| (format!("k:{{\"name\":\"{name}\"}}"), of_container.clone())).collect();
    object["metadata"]["managedFields"] = json!([
        {
            "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "apps/v1",
            "time": "2026-11-03T08:15:30Z", "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {
                    "f:annotations": {".": {}, "f:deployment.kubernetes.io/desired-replicas": {}},
                    "f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}, "f:team": {}},
                    "f:ownerReferences": {".": {}}
                },
                "f:spec": {
                    "f:replicas": {}, "f:selector": {},
                    "f:template": {"f:metadata": {"f:labels": {}}, "f:spec": {"f:containers": containers}}
                }
            }
        },
        {
            "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "apps/v1",
            "time": "2026-11-03T08:15:41Z", "fieldsType": "FieldsV1", "subresource": "status",
            "fieldsV1": {"f:status": {"f:observedGeneration": {}, "f:readyReplicas": {}, "f:replicas": {}}}
        }
    ]);
    object
}

/// As the host holds it.
pub(crate) fn held(object: &Value) -> Object {
    let text = object.to_string();
    let raw: RawObject = serde_json::from_str(&text).expect("an object");
    raw.into_object(&Gvk::replica_set()).expect("it has a name")
}

/// How many objects there are at most, and how many bytes of them: more than a processor core has beside it, as in a host
/// that follows many.
const MOST: (usize, usize) = (5000, 32 << 20);

/// Things of which the next one is taken each time, and after the last one the first.
pub(crate) struct Round<T> {
    /// Called when they are needed, which is never if a filter leaves out whoever takes them.
    make: Box<dyn Fn() -> Vec<T>>,
    all: Vec<T>,
    at: usize,
}

impl<T> Round<T> {
    fn of(make: impl Fn() -> Vec<T> + 'static) -> Self {
        Self { make: Box::new(make), all: Vec::new(), at: 0 }
    }

    /// Makes them, if that was not done yet: not in the time that is measured.
    pub(crate) fn ready(&mut self) {
        if self.all.is_empty() {
            self.all = (self.make)();
        }
    }

    pub(crate) fn next(&mut self) -> &T {
        self.ready();
        self.at = (self.at + 1) % self.all.len();
        &self.all[self.at]
    }
}

/// Objects of so many KB.
pub(crate) fn objects(kilobytes: usize) -> Round<Arc<Object>> {
    Round::of(move || values(kilobytes).map(|object| Arc::new(held(&object))).collect())
}

/// The texts of objects of so many KB.
pub(crate) fn texts(kilobytes: usize) -> Round<String> {
    Round::of(move || values(kilobytes).map(|object| object.to_string()).collect())
}

/// A thousand of these objects as they are kept once enough is known of what they have in common.
pub(crate) fn packed(kilobytes: usize) -> Round<Json> {
    Round::of(move || {
        let (mut objects, mut packer) = (objects(kilobytes), Packer::default());
        let all = iter::repeat_with(|| {
            let mut json = plain(objects.next());
            packer.pack(&mut json);
            json
        });
        all.skip_while(|json| json.kept() == json.len()).take(1000).collect()
    })
}

/// The JSON of an object, as it comes.
pub(crate) fn plain(object: &Object) -> Json {
    Json::from(&*object.json.text())
}

/// The text of a page of a list, of so many of them.
pub(crate) fn list_texts(kilobytes: usize, count: usize) -> Round<String> {
    Round::of(move || {
        let items: Vec<_> =
            (0..count).map(|number| with_managed_fields(replica_set(kilobytes * 1000, number))).collect();
        let list = json!({
            "apiVersion": "apps/v1", "items": items, "kind": "ReplicaSetList", "metadata": {"resourceVersion": "1"}
        });
        vec![list.to_string()]
    })
}

/// The text of objects of so many KB with `managedFields`.
pub(crate) fn whole_texts(kilobytes: usize, count: usize) -> Round<String> {
    let text = move |number| with_managed_fields(replica_set(kilobytes * 1000, number)).to_string();
    Round::of(move || (0..count).map(text).collect())
}

fn values(kilobytes: usize) -> impl Iterator<Item = Value> {
    let bytes = kilobytes * 1000;
    (0..MOST.0.min(MOST.1 / bytes)).map(move |number| replica_set(bytes, number))
}
