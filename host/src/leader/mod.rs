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

use crate::cluster::{Cluster, explain};
use crate::dispatch::Dispatch;
use crate::metrics::Metrics;
use crate::shards::Shards;
use election::{Election, LeaseName, Times, Write, Written};
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
    /// Why the Leases cannot be read or written, as it was said in the log.
    trouble: Option<String>,
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
        cluster: Arc<Cluster>,
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
            leases: Leases::new(cluster, namespace, name.clone(), identity, *duration),
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
            let _ = timeout(self.election.times().poll(), leave.cancelled()).await;
        }
        let farewell = self.election.farewell(Instant::now());
        self.tell();
        self.write(farewell).await;
        Ok(())
    }

    async fn step(&mut self) {
        let asked = Instant::now();
        let renewals = self.election.renewals(asked);
        let list = timeout(self.election.times().answer(), self.leases.list());
        let (listed, renewed) = tokio::join!(list, write_all(&self.leases, self.election.times(), renewals));
        self.heed(renewed);
        match listed {
            Ok(Ok(leases)) => {
                self.election.heard(leases, asked, Instant::now());
                self.recovered();
            }
            Ok(Err(error)) => self.troubled(explain_lease(&error)),
            Err(_) => self.troubled(no_answer(self.election.times())),
        }
        self.tell();
        let moves = self.election.moves(Instant::now());
        // What is to be given up is closed before that is written.
        self.tell();
        self.write(moves).await;
        self.tell();
        self.stand();
    }

    async fn write(&mut self, mut writes: Vec<Write>) {
        let mut closed = Vec::new();
        for write in &writes {
            if let (Write::Release(_), LeaseName::Shard { number, .. }) = (write, write.name()) {
                // What is being changed on behalf of its objects is finished first.
                if timeout(self.election.times().answer(), self.shards.left(*number)).await.is_ok() {
                    closed.push(*number);
                }
            }
        }
        writes.retain(|write| match (write, write.name()) {
            (Write::Release(_), LeaseName::Shard { number, .. }) => closed.contains(number),
            _ => true,
        });
        let written = write_all(&self.leases, self.election.times(), writes).await;
        self.heed(written);
    }

    /// Takes in what came of writes.
    fn heed(&mut self, writes: Vec<(Write, Instant, Result<Written, String>)>) {
        for (write, asked, result) in writes {
            match result {
                Ok(Written::Done(lease)) => self.election.wrote(write.name(), lease, asked, Instant::now()),
                Ok(Written::Refused) => {
                    tracing::debug!(lease = self.leases.path(write.name()), "somebody else was first");
                }
                Err(reason) => self.troubled(reason),
            }
        }
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
            if self.shards.hold(shard, until) {
                tracing::info!(lease = self.path_of(shard), "holding {}", self.called(shard));
                self.dispatch.gain(shard);
            }
            self.told.insert(shard);
        }
        // Who dies may not have told of what went away as its Lease ran out.
        if let Some(by) = now.checked_sub(2 * self.election.times().lease) {
            self.dispatch.leave_gone(&self.election.held_by_others(now).collect(), by);
        }
        self.metrics.leading(&self.leases.path(&LeaseName::Shard { number: 0, of: 1 }), self.told.len());
    }

    /// Says to people how the replica stands.
    fn stand(&self) {
        if let Some(reason) = &self.trouble {
            self.standing.send_if_modified(|standing| replace(standing, Standing::Trouble(reason.clone())));
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

    fn troubled(&mut self, reason: String) {
        if self.trouble.is_none() {
            tracing::warn!(
                "cannot read or write the leases {}*, trying again: {reason}",
                self.leases.path(&LeaseName::Shard { number: 0, of: 1 }),
            );
        }
        self.trouble = Some(reason);
    }

    fn recovered(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!("the leases can be read again");
        }
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
            Self::Trouble(reason) => write!(f, "the leases cannot be read: {reason}"),
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

/// Does all of them at once. Returned are when each was asked for, and what came of it.
async fn write_all(
    leases: &Leases,
    times: Times,
    writes: Vec<Write>,
) -> Vec<(Write, Instant, Result<Written, String>)> {
    let write = async |write: Write| {
        let asked = Instant::now();
        let result = match timeout(times.answer(), leases.write(&write)).await {
            Ok(result) => result.map_err(|error| explain_lease(&error)),
            Err(_) => Err(no_answer(times)),
        };
        (write, asked, result)
    };
    join_all(writes.into_iter().map(write)).await
}

/// The error down to its cause, and what to do where that is known.
fn explain_lease(error: &kube::Error) -> String {
    let text = explain(error);
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("{text}; the account needs list, create, patch and delete on leases of coordination.k8s.io there")
        }
        _ => text,
    }
}

fn no_answer(times: Times) -> String {
    format!("no answer in {}", humantime::format_duration(times.answer()))
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
