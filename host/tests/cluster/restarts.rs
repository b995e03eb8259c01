//! A control plane that is killed, forgets, and is not what it was when it is back, while objects change.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, host_as};
use crate::proxy::Proxy;
use crate::support::host::{Host, Workplace};
use crate::support::{plugins, probe, wait_until_seen};
use crate::watching::{WIDGETS, define_widgets, make_widget};

/// How often a test may have the API server list, and watch.
const MOST_ASKED: u64 = 40;

/// How often a host may try in vain.
const MOST_TRIES: usize = 30;

/// A host has about 100 MiB in a debug build.
const MOST_MEMORY_MIB: u64 = 300;

/// Somebody who changes objects, whatever happens to the control plane.
struct Changes {
    api: Api<ReplicaSet>,
    counter: u32,
}

impl Changes {
    async fn to(cluster: &ControlPlane) -> Self {
        Self { api: Api::default_namespaced(cluster.client().await), counter: 0 }
    }

    /// Creates or changes an object, as soon as that can be done.
    async fn change(&mut self, number: usize) {
        self.counter += 1;
        let mut object = probe(&name(number), "-");
        object["metadata"]["annotations"]["probe-counter"] = self.counter.to_string().into();
        let params = PatchParams::apply("test").force();
        self.insist("change", async |api| api.patch(&name(number), &params, &Patch::Apply(&object)).await.map(drop))
            .await;
    }

    async fn delete(&self, number: usize) {
        self.insist("deletion", async |api| match api.delete(&name(number), &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            deleted => deleted.map(drop),
        })
        .await;
    }

    async fn insist(&self, what: &str, attempt: impl AsyncFn(&Api<ReplicaSet>) -> Result<(), kube::Error>) {
        let start = Instant::now();
        while let Err(error) = attempt(&self.api).await {
            assert!(start.elapsed() < Duration::from_mins(1), "{what}: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until there is a watch, and not only a list.
    async fn are_watched(&mut self, host: &Host) {
        self.are_seen(host).await;
        self.change(0).await;
        self.are_seen(host).await;
    }

    /// Waits until all objects, as they are, have been seen.
    async fn are_seen(&self, host: &Host) {
        let objects = self.api.list(&ListParams::default()).await.unwrap();
        let of = |object: ReplicaSet| (object.name_any(), serde_json::to_value(object).unwrap());
        wait_until_seen(host, &objects.into_iter().map(of).collect::<BTreeMap<String, Value>>());
    }
}

fn name(number: usize) -> String {
    format!("object-{number}")
}

/// What the API server was asked for, by the test as well, and what the host has taken, are within reason.
fn ends_well(host: Host, asked: &BTreeMap<String, u64>) {
    let memory = host.peak_memory_mib();
    // An API server that is away cannot count.
    let tries = host.messages().iter().filter(|message| message.contains("trying again")).count();
    println!("asked for {asked:?}; {tries} tries that failed; {memory} MiB at most");
    assert!(asked.values().all(|count| *count <= MOST_ASKED), "{asked:?}");
    assert!(tries <= MOST_TRIES, "{tries} tries");
    assert!(memory < MOST_MEMORY_MIB, "{memory} MiB");
    host.stop();
}

fn place() -> Workplace {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_while_the_api_server_and_etcd_are_killed_is_seen_in_the_end() {
    let mut cluster = ControlPlane::start();
    let place = place();
    let mut changes = Changes::to(&cluster).await;
    for number in 0..50 {
        changes.change(number).await;
    }
    let host = cluster.host(&place.plugins, &[]);
    changes.are_seen(&host).await;
    let mut asked = BTreeMap::new();
    for round in 0..4 {
        let before = changes.counter;
        let killing = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            tokio::task::block_in_place(|| {
                if round % 2 == 0 {
                    cluster.count_requests(&mut asked);
                    cluster.kill_api_server();
                    cluster.start_api_server();
                } else {
                    cluster.kill_etcd();
                    cluster.start_etcd();
                }
            });
        };
        let changing = async {
            for number in 0..40 {
                changes.change(number).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            changes.delete(40 + round).await;
        };
        tokio::join!(killing, changing);
        assert_eq!(changes.counter, before + 40);
        let start = Instant::now();
        changes.are_seen(&host).await;
        println!("round {round}: all is seen {:.1} s after the last change", start.elapsed().as_secs_f64());
    }
    cluster.count_requests(&mut asked);
    ends_well(host, &asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_happened_before_a_compaction_or_in_another_history_is_seen_in_the_end() {
    let mut cluster = ControlPlane::start();
    let place = place();
    let way = Proxy::to(cluster.port());
    let mut changes = Changes::to(&cluster).await;
    // So many that resource versions are greater than those of a control plane that has just begun.
    cluster.create((0..400).map(|number| probe(&name(number), "-"))).await;
    for number in 0..20 {
        changes.change(number).await;
    }
    let kubeconfig = cluster.kubeconfig_by("way", way.port);
    let host = host_as(&kubeconfig, &place.plugins, &[]);
    changes.are_seen(&host).await;

    // The API server has history of its own, until it ends.
    changes.are_watched(&host).await;
    way.cut();
    for number in 0..10 {
        changes.change(number).await;
    }
    changes.delete(30).await;
    cluster.compact();
    let mut asked = BTreeMap::new();
    cluster.count_requests(&mut asked);
    cluster.kill_api_server();
    cluster.start_api_server();
    way.mend();
    // Mostly by a version that is too old; by a new list at once if the first question gets lost on its way.
    host.line("version-0001 default/object-30 gone");
    changes.are_seen(&host).await;

    // Where the way is cut, nothing tells that the end of the connection is the end of that history.
    changes.are_watched(&host).await;
    way.cut();
    cluster.count_requests(&mut asked);
    cluster.begin_anew();
    for number in 5..10 {
        changes.change(number).await;
    }
    way.mend();
    host.line("version-0001 default/object-399 gone");
    changes.are_seen(&host).await;

    // Seen from near, it was gone for a while, and may have any resource version by then.
    cluster.count_requests(&mut asked);
    cluster.begin_anew();
    cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "more"}}));
    for number in 8..12 {
        changes.change(number).await;
    }
    host.line("version-0001 default/object-5 gone");
    changes.are_seen(&host).await;
    cluster.count_requests(&mut asked);
    ends_well(host, &asked);
}

/// An API server that begins may not know of their kinds yet.
#[test]
fn custom_resources_are_not_told_as_gone_while_the_api_server_starts() {
    let mut cluster = ControlPlane::start();
    let place = place();
    place.grant("probe", WIDGETS);
    define_widgets(&cluster);
    make_widget(&cluster, "w");
    let host = cluster.host(&place.plugins, &[]);
    host.line("version-0001 default/w - attempt 0");
    for round in 0..2 {
        cluster.kill_api_server();
        cluster.start_api_server();
        let name = format!("w-{round}");
        make_widget(&cluster, &name);
        host.line(&format!("version-0001 default/{name} - attempt 0"));
    }
    let stdout = host.stop().stdout;
    assert_eq!(stdout.len(), 3, "{stdout:?}");
}
