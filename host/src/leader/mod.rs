//! More than one replica: which of them reconciles which objects, by Leases.

mod election;
mod leases;
#[cfg(test)]
mod model;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, Trouble, explain, rest};
use crate::dispatch::Dispatch;
use crate::metrics::Metrics;
use crate::shards::Shards;
use election::{Election, Lease, LeaseName, Times, Write, Written};
use leases::Leases;

/// How replicas agree.
#[derive(Clone, Debug)]
pub struct ElectionOptions {
    /// What the Leases are called. Replicas of the same name are in the same election.
    pub name: String,
    /// Where the Leases are. None: in the namespace of the pod, or of the kubeconfig's context.
    pub namespace: Option<String>,
    /// How long a Lease lasts, in whole seconds.
    pub duration: Duration,
    /// Into how many shards the objects are split.
    pub shards: usize,
}

/// One replica in its election. It holds shards, and gives them up.
pub struct Leader {
    election: Election,
    leases: Leases,
    shards: Arc<Shards>,
    dispatch: Arc<Dispatch>,
    metrics: Arc<Metrics>,
    /// The shards that the others were told of as held.
    told: BTreeSet<usize>,
    /// Why the Leases cannot be read or written, as the log says.
    trouble: Option<Trouble>,
    standing: watch::Sender<Standing>,
}

/// How a replica stands in its election.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It does not know yet.
    #[default]
    Unknown,
    /// It cannot know, for this reason.
    Trouble(String),
    /// It holds these shards of so many; none: it stands by.
    Holds {
        /// By their numbers, from 0.
        shards: Vec<usize>,
        /// Of how many.
        of: usize,
        /// The replicas that hold others.
        others: Vec<String>,
        /// Replicas that were told this other number of shards have to go first.
        other_division: Option<usize>,
    },
}

impl Leader {
    /// In the election that the options name, with an identity of its own. `shards` says to the others what it holds.
    pub fn new(
        options: &ElectionOptions,
        cluster: &Cluster,
        shards: Arc<Shards>,
        dispatch: Arc<Dispatch>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let ElectionOptions { name, namespace, duration, .. } = options;
        let identity = format!("{}_{:016x}", host_name(), fastrand::u64(..));
        let namespace = namespace.clone().unwrap_or_else(|| cluster.default_namespace().to_owned());
        tracing::info!(identity, "taking part in the election {namespace}/{name}");
        Self {
            election: Election::new(identity.clone(), shards.count(), Times { lease: *duration }),
            leases: Leases::new(cluster.client(), namespace, name.clone(), identity, *duration),
            shards,
            dispatch,
            metrics,
            told: BTreeSet::new(),
            trouble: None,
            standing: watch::Sender::default(),
        }
    }

    /// Tells how it stands, whenever that changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Takes part until it is to leave, and then gives up what it holds, so that others need not wait.
    pub async fn run(mut self, leave: CancellationToken) -> anyhow::Result<()> {
        while !leave.is_cancelled() {
            self.step().await;
            let rest = self.trouble.as_ref().map(|trouble| trouble.rest);
            let _ = timeout(self.election.pause(rest, Instant::now()), leave.cancelled()).await;
        }
        let farewell = self.election.farewell(Instant::now());
        self.tell();
        let troubles = self.write(farewell, self.election.times().answer()).await;
        self.note(troubles);
        Ok(())
    }

    async fn step(&mut self) {
        let asked = Instant::now();
        let renewals = self.election.renewals(asked);
        let list = in_time(self.election.times(), self.leases.list());
        let (listed, renewed) = tokio::join!(list, write_all(&self.leases, self.election.times(), renewals));
        let mut troubles = self.heed(renewed);
        match listed {
            Ok(leases) => self.election.heard(leases, asked, Instant::now()),
            Err(trouble) => troubles.push(trouble),
        }
        self.tell();
        let moves = self.election.moves(Instant::now());
        // What is to be given up is closed before that is written.
        self.tell();
        troubles.extend(self.write(moves, self.election.times().poll()).await);
        self.tell();
        self.leave_gone();
        self.note(troubles);
        self.stand();
    }

    /// Writes all of this, but releases only shards on behalf of whose objects nothing is being changed by then. Those of
    /// the others are for a later step, because what is held has to be renewed meanwhile.
    async fn write(&mut self, mut writes: Vec<Write>, patience: Duration) -> Vec<Trouble> {
        let left = writes.iter().filter_map(released).map(|shard| self.shards.left(shard));
        let _ = timeout(patience, join_all(left)).await;
        writes.retain(|write| released(write).is_none_or(|shard| self.shards.is_left(shard)));
        let written = write_all(&self.leases, self.election.times(), writes).await;
        self.heed(written)
    }

    /// Takes in what came of writes, and returns why some were not done.
    fn heed(&mut self, writes: Vec<(Write, Instant, Result<Written, Trouble>)>) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        for (write, asked, result) in writes {
            match result {
                Ok(Written::Done(lease)) => self.election.wrote(write.name(), lease, asked, Instant::now()),
                Ok(Written::Refused) => {
                    tracing::debug!(lease = self.leases.path(write.name()), "somebody else was first");
                }
                Err(trouble) => troubles.push(trouble),
            }
        }
        troubles
    }

    /// Says to the others what is held by now, and what is not any more.
    fn tell(&mut self) {
        let now = Instant::now();
        let held: Vec<_> = self.election.held().filter(|(_, until)| *until > now).collect();
        let lost: Vec<_> =
            self.told.iter().filter(|shard| held.iter().all(|(number, _)| number != *shard)).copied().collect();
        for shard in lost {
            self.shards.close(shard);
            self.dispatch.lose(shard);
            self.told.remove(&shard);
            tracing::info!(lease = self.path_of(shard), "not holding {} any more", self.called(shard));
        }
        for (shard, until) in held {
            if self.dispatch.gain(shard, until) {
                tracing::info!(lease = self.path_of(shard), "holding {}", self.called(shard));
            }
            self.told.insert(shard);
        }
        self.metrics.leading(&self.leases.path(&LeaseName::Shard { number: 0, of: 1 }), self.told.len());
    }

    /// Leaves what is gone to those who hold its shards. Who dies may not have told of what went away as its Lease ran out.
    fn leave_gone(&self) {
        let now = Instant::now();
        if let Some(by) = now.checked_sub(2 * self.election.times().lease) {
            self.dispatch.leave_gone(&self.election.held_by_others(now).collect(), by);
        }
    }

    /// Says to people how the replica stands.
    fn stand(&self) {
        if let Some(trouble) = &self.trouble {
            self.standing.send_if_modified(|standing| replace(standing, Standing::Trouble(trouble.reason.clone())));
            return;
        }
        let standing = Standing::Holds {
            shards: self.told.iter().copied().collect(),
            of: self.shards.count(),
            others: self.election.others().into_iter().map(str::to_owned).collect(),
            other_division: self.election.other_division(Instant::now()),
        };
        if self.told.is_empty() && *self.standing.borrow() != standing {
            tracing::info!("{standing}");
        }
        self.standing.send_if_modified(|had| replace(had, standing));
    }

    /// Takes in what went wrong in a step. The log tells when that begins, and when nothing goes wrong again.
    fn note(&mut self, troubles: Vec<Trouble>) {
        let worst = troubles.into_iter().max_by_key(|trouble| trouble.rest);
        match (&self.trouble, &worst) {
            (None, Some(trouble)) => tracing::warn!(
                "cannot read or write the leases {}*, trying again: {trouble}",
                self.leases.path(&LeaseName::Shard { number: 0, of: 1 }),
            ),
            (Some(_), None) => tracing::info!("the leases can be read and written again"),
            _ => {}
        }
        self.trouble = worst;
    }

    fn path_of(&self, shard: usize) -> String {
        self.leases.path(&LeaseName::Shard { number: shard, of: self.shards.count() })
    }

    fn called(&self, shard: usize) -> String {
        match self.shards.count() {
            1 => "the lease".to_owned(),
            of => format!("shard {shard} of {of}"),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the leases are not read yet"),
            Self::Trouble(reason) => write!(f, "the leases cannot be read or written: {reason}"),
            Self::Holds { other_division: Some(of), shards, .. } if shards.is_empty() => {
                write!(f, "standing by until the replicas that split the objects into {of} shards are gone")
            }
            Self::Holds { shards, of, others, .. } => {
                let others = if others.is_empty() { "nobody else".to_owned() } else { others.join(", ") };
                match (&**shards, of) {
                    ([], 1) => write!(f, "standing by: the lease is held by {others}"),
                    ([], _) => write!(f, "standing by: shards are held by {others}"),
                    (_, 1) => f.write_str("leading"),
                    (shards, _) => write!(f, "holding shards {shards:?} of {of}; others are held by {others}"),
                }
            }
        }
    }
}

/// The shard that a write releases.
fn released(write: &Write) -> Option<usize> {
    match write {
        Write::Release(Lease { name: LeaseName::Shard { number, .. }, .. }) => Some(*number),
        _ => None,
    }
}

/// Does all of them at once. Returned are when each was asked for, and what came of it.
async fn write_all(
    leases: &Leases,
    times: Times,
    writes: Vec<Write>,
) -> Vec<(Write, Instant, Result<Written, Trouble>)> {
    let write = async |write: Write| {
        let asked = Instant::now();
        let result = in_time(times, leases.write(&write)).await;
        (write, asked, result)
    };
    join_all(writes.into_iter().map(write)).await
}

async fn in_time<T>(times: Times, asked: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Trouble> {
    match timeout(times.answer(), asked).await {
        Ok(answer) => answer.map_err(|error| trouble(&error)),
        Err(_) => Err(format!("no answer in {}", humantime::format_duration(times.answer())).into()),
    }
}

/// The error down to its cause, and what to do where that is known.
fn trouble(error: &kube::Error) -> Trouble {
    let kube::Error::Api(status) = error else { return explain(error).into() };
    let needs = match status.code {
        403 => "; the account needs list, create, patch and delete on leases of coordination.k8s.io there",
        _ => "",
    };
    Trouble { reason: format!("{} ({}){needs}", status.message, status.code), rest: rest(status) }
}

fn replace<T: PartialEq>(place: &mut T, value: T) -> bool {
    let changes = *place != value;
    *place = value;
    changes
}

/// What people know this replica by: in a pod, the name of the pod.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::sync::Mutex;

    use http::{Method, Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;
    use crate::object::{Gvk, ObjectKey, ObjectRef};
    use crate::selector::Scope;

    const SHARDS: usize = 8;

    /// Leases by their names, as an API server has them that looks at no resource version.
    type Server = Arc<Mutex<BTreeMap<String, Value>>>;

    fn client(server: &Server) -> Client {
        let server = Arc::clone(server);
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let (head, body) = request.into_parts();
                let body: Value = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or_default();
                let answer = answer(&mut server.lock().unwrap(), &head, &body);
                Ok::<_, Infallible>(Response::new(Body::from(answer.to_string().into_bytes())))
            }
        });
        Client::new(service, "here")
    }

    fn answer(leases: &mut BTreeMap<String, Value>, head: &http::request::Parts, body: &Value) -> Value {
        if head.method == Method::GET {
            let items: Vec<_> = leases.values().collect();
            return json!({"metadata": {}, "items": items});
        }
        let name = head.uri.path().rsplit('/').next().filter(|name| *name != "leases");
        let name = name.unwrap_or_else(|| body["metadata"]["name"].as_str().unwrap()).to_owned();
        let version = leases.get(&name).map_or(1, |had| version(had) + 1);
        let lease = leases.entry(name).or_default();
        json_patch::merge(lease, body);
        lease["metadata"]["resourceVersion"] = version.to_string().into();
        lease.clone()
    }

    fn version(lease: &Value) -> u32 {
        lease["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
    }

    fn leader(server: &Server, lease: Duration) -> Leader {
        let shards = Arc::new(Shards::none_of(SHARDS));
        Leader {
            election: Election::new("me_1".to_owned(), SHARDS, Times { lease }),
            leases: Leases::new(client(server), "here".to_owned(), "test".to_owned(), "me_1".to_owned(), lease),
            dispatch: Arc::new(Dispatch::new(Scope::default(), Arc::clone(&shards)).0),
            shards,
            metrics: Arc::new(Metrics::default()),
            told: BTreeSet::new(),
            trouble: None,
            standing: watch::Sender::default(),
        }
    }

    /// An object that is in that shard.
    fn object_in(shards: &Shards, shard: usize) -> ObjectRef {
        let object = |number| ObjectRef {
            gvk: Gvk::replica_set(),
            key: ObjectKey::new(Some("default"), &format!("object-{number}")),
        };
        (0..1000).map(object).find(|object| shards.of(object) == shard).unwrap()
    }

    #[tokio::test]
    async fn shards_with_changes_that_hang_are_kept_from_others_and_cost_none_of_those_that_stay() {
        let server = Server::default();
        let mut leader = leader(&server, Duration::from_secs(6));
        while leader.told.len() < SHARDS {
            leader.step().await;
        }
        let shards = Arc::clone(&leader.shards);
        let (stay, go) = ([0, 1, 2, 3], [4, 5, 6, 7]);
        let hanging = go.map(|shard| shards.enter(&object_in(&shards, shard)).unwrap());

        let lease = |name: &str| server.lock().unwrap()[name].clone();
        let another = json!({
            "metadata": {"name": "test-member-2", "resourceVersion": "1"},
            "spec": {"holderIdentity": "other_2", "leaseDurationSeconds": 600},
        });
        server.lock().unwrap().insert("test-member-2".to_owned(), another);
        let before = version(&lease("test-0-of-8"));
        while version(&lease("test-0-of-8")) < before + 2 {
            leader.step().await;
            assert!(stay.iter().all(|shard| leader.told.contains(shard)), "{:?} are held", leader.told);
            assert!(go.iter().all(|shard| lease(&format!("test-{shard}-of-8"))["spec"]["holderIdentity"] == "me_1"));
        }
        assert_eq!(leader.told, stay.into(), "the others are given up");
        drop(hanging);
        leader.step().await;
        assert!(go.iter().all(|shard| lease(&format!("test-{shard}-of-8"))["spec"]["holderIdentity"] == ""));
        assert_eq!(leader.told, stay.into());
    }
}
