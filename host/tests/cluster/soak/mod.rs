//! An hour of everything at once: objects that change all the time, plugins that misbehave or are replaced, an API server
//! that is killed. In the end nothing is lost and the host is no bigger. `make soak` runs it.

mod figures;
mod host;

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::Value;

use crate::control_plane::ControlPlane;
use crate::support::host::{Host, Workplace};
use crate::support::{plugins, probe, write_whole};
use figures::{EVERY, MAX_GROWTH, Memory, median_and_max};
use host::{Soaked, State, get, memory};

const OBJECTS: usize = 5_000;
/// Of so many plugins each behaves well.
const WELL_BEHAVED: usize = 15;
/// What the others do with each object; the last one's file is broken, gone and back in turn.
const MISBEHAVIOURS: [&str; 5] = ["loop", "trap", "memory", "flood", "-"];
/// Every so many objects is one that the others watch too.
const WATCHED_BY_ALL: usize = 20;
const RELOAD_EVERY: Duration = Duration::from_secs(10);
const KILL_EVERY: Duration = Duration::from_mins(2);
/// How many objects are changed at once, and how long each of those who do so pauses in between.
const CHANGERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(60);
/// How long it may take in the end until all is seen.
const CALM: Duration = Duration::from_mins(5);

/// What those who change things share.
struct Shared {
    stop: AtomicBool,
    counter: AtomicU32,
    changes: AtomicU32,
    /// The objects as they are.
    objects: Mutex<Vec<State>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes an hour: run it by `make soak`"]
async fn an_hour_of_everything_at_once_loses_nothing_and_leaves_the_host_as_big_as_it_was() {
    let minutes: u64 = std::env::var("MINUTES").map_or(60, |minutes| minutes.parse().unwrap());
    let time = Duration::from_mins(minutes);
    let mut cluster = ControlPlane::start();
    let place = Workplace::new();
    let shared = Arc::new(Shared {
        stop: AtomicBool::new(false),
        counter: AtomicU32::new(1),
        changes: AtomicU32::new(0),
        objects: Mutex::new(vec![State::Counter(0); OBJECTS]),
    });
    cluster.create((0..OBJECTS).map(|number| object(number, 0))).await;
    put_plugins(&place);
    let mut command = Host::command(&place.plugins);
    command.arg("--kubeconfig").arg(cluster.kubeconfig());
    let host = Soaked::start(command, WELL_BEHAVED, OBJECTS);
    let measuring = measure(&host, Arc::clone(&shared));
    let mut changers = Vec::new();
    for changer in 0..CHANGERS {
        let (api, shared) = (Api::default_namespaced(cluster.client().await), Arc::clone(&shared));
        changers.push(tokio::spawn(async move { change(&api, changer, &shared).await }));
    }

    let start = Instant::now();
    let (mut reloads, mut recoveries, mut requests) = (0, Vec::new(), BTreeMap::new());
    let mut next_kill = KILL_EVERY.min(time / 4);
    while start.elapsed() < time {
        tokio::time::sleep(RELOAD_EVERY).await;
        reloads += 1;
        reload(&place, reloads);
        if start.elapsed() >= next_kill {
            next_kill += KILL_EVERY.min(time / 4);
            recoveries.push(kill_and_see(&mut cluster, &host, &shared, &mut requests).await);
        }
    }
    shared.stop.store(true, Ordering::SeqCst);
    for changer in changers {
        changer.await.unwrap();
    }
    let calm = Instant::now();
    loop {
        let unseen = host.seen.lock().unwrap().unseen(&shared.objects.lock().unwrap());
        if unseen == 0 {
            break;
        }
        assert!(calm.elapsed() < CALM, "{unseen} not seen; log:\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let calm = calm.elapsed();
    cluster.count_requests(&mut requests);
    let calls = host.seen.lock().unwrap().calls;
    let (memory, ill) = measuring.join().unwrap();
    let summary = host.stop();

    let (growth, mean) = memory.growth();
    let changed = shared.changes.load(Ordering::SeqCst);
    println!("{} plugins, {} of which misbehave, {OBJECTS} objects, {minutes} minutes", WELL_BEHAVED + 5, 5);
    let figures = [
        ("changes of objects", changed.to_string()),
        ("calls of well-behaved plugins", calls.to_string()),
        ("reloads", reloads.to_string()),
        ("kills of the API server", recoveries.len().to_string()),
        ("from when it is back until all have seen a change: median, max", median_and_max(&recoveries)),
        ("from the last change until all is seen", format!("{:.1} s", calm.as_secs_f64())),
        ("lists and watches that the API server was asked for", format!("{requests:?}")),
        ("memory in MiB, the least of each twelfth of the time", memory.course()),
        ("growth of it after the warm-up", format!("{growth:.1} MiB, {:.1} %", growth / mean * 100.0)),
        ("answers of /livez other than 200", ill.len().to_string()),
        ("the host says", summary),
    ];
    for (what, figure) in figures {
        println!("| {what} | {figure} |");
    }
    assert!(ill.is_empty(), "/livez: {ill:?}");
    assert!(growth < mean * MAX_GROWTH, "memory has grown");
}

fn object(number: usize, counter: u32) -> Value {
    let mut object = probe(&format!("object-{number}"), "-");
    object["metadata"]["annotations"]["probe-counter"] = counter.to_string().into();
    if number.is_multiple_of(WATCHED_BY_ALL) {
        object["metadata"]["labels"]["watched-by"] = "all".into();
    }
    object
}

fn put_plugins(place: &Workplace) {
    for plugin in 0..WELL_BEHAVED {
        place.plugin(&format!("well-{plugin}"), &plugins::probe(version(plugin, 0)));
    }
    for (number, mode) in MISBEHAVIOURS.into_iter().enumerate() {
        let watches = "[{apiVersion: apps/v1, kind: ReplicaSet, labelSelector: watched-by=all}]";
        let grant = format!("watches: {watches}\nlimits: {{cpu: 200ms}}\nsettings: {{mode: '{mode}'}}\n");
        place.grant(&format!("bad-{number}"), &grant);
        place.plugin(&format!("bad-{number}"), &plugins::probe(0));
    }
}

/// Another version of a well-behaved plugin, and another state of the file that is not always one.
fn reload(place: &Workplace, round: usize) {
    let plugin = round % WELL_BEHAVED;
    place.plugin(&format!("well-{plugin}"), &plugins::probe(version(plugin, round)));
    let fickle = place.plugins.join(format!("bad-{}.wasm", MISBEHAVIOURS.len() - 1));
    match round % 3 {
        0 => write_whole(&fickle, b"\0asm and then nonsense"),
        1 => fs::remove_file(&fickle).unwrap(),
        _ => write_whole(&fickle, &plugins::probe(0)),
    }
}

/// The first digits tell the plugins apart.
fn version(plugin: usize, round: usize) -> u32 {
    u32::try_from((plugin + 1) * 100 + round / WELL_BEHAVED % 100).unwrap()
}

/// Creates, changes and deletes objects that no other changer does, until it is to stop.
async fn change(api: &Api<ReplicaSet>, changer: usize, shared: &Shared) {
    let mut random = fastrand::Rng::new();
    while !shared.stop.load(Ordering::SeqCst) {
        // The first one tells how soon all is well again.
        let number = random.usize(1..OBJECTS / CHANGERS) * CHANGERS + changer;
        let is_there = shared.objects.lock().unwrap()[number] != State::None;
        let state = if is_there && random.u8(..50) == 0 {
            delete(api, number).await;
            State::None
        } else {
            State::Counter(write(api, number, shared).await)
        };
        shared.objects.lock().unwrap()[number] = state;
        shared.changes.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Writes an object with the next counter, as soon as that can be done.
async fn write(api: &Api<ReplicaSet>, number: usize, shared: &Shared) -> u32 {
    let counter = shared.counter.fetch_add(1, Ordering::SeqCst);
    let (object, params) = (object(number, counter), PatchParams::apply("soak").force());
    while api.patch(&format!("object-{number}"), &params, &Patch::Apply(&object)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    counter
}

async fn delete(api: &Api<ReplicaSet>, number: usize) {
    loop {
        match api.delete(&format!("object-{number}"), &DeleteParams::background()).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 404 => return,
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Kills the API server and starts it again. Returns how long it takes, from when it is ready, until all well-behaved
/// plugins have seen a change.
async fn kill_and_see(
    cluster: &mut ControlPlane,
    host: &Soaked,
    shared: &Shared,
    requests: &mut BTreeMap<String, u64>,
) -> Duration {
    cluster.count_requests(requests);
    tokio::task::block_in_place(|| {
        cluster.kill_api_server();
        cluster.start_api_server();
    });
    let ready = Instant::now();
    let api = Api::default_namespaced(cluster.client().await);
    let counter = write(&api, 0, shared).await;
    shared.objects.lock().unwrap()[0] = State::Counter(counter);
    while !host.seen.lock().unwrap().have_all_seen(0, counter) {
        assert!(ready.elapsed() < CALM, "not seen after a kill; log:\n{}", host.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ready.elapsed()
}

/// Measures the host's memory, and looks whether it is alive. Returns the answers by which it was not.
fn measure(host: &Soaked, shared: Arc<Shared>) -> JoinHandle<(Memory, Vec<String>)> {
    let (pid, address) = (host.pid(), host.address().to_owned());
    thread::spawn(move || {
        let (mut measured, mut ill) = (Memory::new(), Vec::new());
        while !shared.stop.load(Ordering::SeqCst) {
            if let Some(memory) = memory(pid) {
                measured.add(memory);
            }
            match get(&address, "/livez") {
                Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => {}
                Ok(answer) => ill.push(answer),
                Err(error) => ill.push(error.to_string()),
            }
            thread::sleep(EVERY);
        }
        (measured, ill)
    })
}
