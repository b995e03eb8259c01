//! The objects of a cluster, made many at a time.

use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Request;
use kube::Client;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::figures::{float, thousands};
use crate::{objects, say};

/// How many are made at once.
const AT_ONCE: usize = 64;
/// How many a page of a list has.
const PAGE: usize = 500;
/// Who makes ReplicaSets in a real cluster, and so is named in `managedFields`.
const MANAGER: &str = "kube-controller-manager";

/// How many ReplicaSets there are, and what programs have to print for them.
pub(crate) struct Population {
    client: Client,
    lines: Vec<String>,
}

/// How large the objects are as JSON: their mean bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// As the API server sends them.
    pub(crate) sent: f64,
    /// Without `managedFields`.
    pub(crate) kept: f64,
}

impl Population {
    /// None yet, in namespaces that are there.
    pub(crate) async fn none(cluster: &ControlPlane) -> Self {
        let client = cluster.client().await;
        for name in objects::namespaces() {
            create(&client, "/api/v1/namespaces", &json!({"metadata": {"name": name}})).await.unwrap();
        }
        Self { client, lines: Vec::new() }
    }

    /// Makes ReplicaSets until there are so many.
    pub(crate) async fn grow(&mut self, count: usize) {
        let (before, start) = (self.lines.len(), Instant::now());
        say(&format!("making ReplicaSets, from {} to {}", thousands(before), thousands(count)));
        let client = &self.client;
        let create = |number| async move {
            let object = objects::replica_set(number);
            let namespace = object["metadata"]["namespace"].as_str().unwrap();
            create(client, &format!("/apis/apps/v1/namespaces/{namespace}/replicasets"), &object).await?;
            Ok::<_, kube::Error>(objects::line(&object))
        };
        let lines: Vec<_> =
            stream::iter(before..count).map(create).buffer_unordered(AT_ONCE).try_collect().await.unwrap();
        self.lines.extend(lines);
        self.lines.sort_unstable();
        say(&format!("made in {:.0} s", start.elapsed().as_secs_f64()));
    }

    /// Of the administrator.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// What a program prints that prints the containers of each ReplicaSet once, sorted.
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Looks at all objects.
    pub(crate) async fn sizes(&self) -> Sizes {
        let (mut sent, mut kept, mut count, mut token) = (0, 0, 0, String::new());
        loop {
            let request =
                Request::get(format!("/apis/apps/v1/replicasets?limit={PAGE}{token}")).body(Vec::new()).unwrap();
            let mut list: Value = self.client.request(request).await.unwrap();
            for object in list["items"].as_array_mut().unwrap() {
                count += 1;
                sent += object.to_string().len();
                object["metadata"].as_object_mut().unwrap().remove("managedFields").unwrap();
                kept += object.to_string().len();
            }
            match list["metadata"]["continue"].as_str() {
                Some(next) => token = format!("&continue={next}"),
                None => break,
            }
        }
        assert_eq!(count, self.lines.len(), "all objects are there, and no others");
        let mean = |bytes| float(bytes) / float(count);
        Sizes { sent: mean(sent), kept: mean(kept) }
    }
}

async fn create(client: &Client, path: &str, object: &Value) -> kube::Result<()> {
    let request = Request::post(format!("{path}?fieldManager={MANAGER}")).header("Content-Type", "application/json");
    client.request::<IgnoredAny>(request.body(object.to_string().into()).unwrap()).await.map(drop)
}
