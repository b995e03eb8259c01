//! The election among some replicas, on a clock of its own, with whatever networks, processors and people do to it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::election::{Election, Lease, LeaseName, Times, Write, Written};

const LEASE: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_millis(20);

/// What goes wrong.
#[derive(Clone, Copy)]
struct Faults {
    /// How likely a message is lost, each way.
    loss: f64,
    /// How long a message takes at most, each way.
    delay: Duration,
    /// How likely a replica is paused at each step of the clock.
    pause: f64,
    /// How likely one is killed and another started in its place.
    kill: f64,
}

const CALM: Faults = Faults { loss: 0.0, delay: Duration::from_millis(40), pause: 0.0, kill: 0.0 };
const STORM: Faults = Faults { loss: 0.1, delay: Duration::from_secs(5), pause: 0.001, kill: 0.0003 };

/// What a message asks for.
enum Ask {
    List,
    Write(Write),
}

/// What it is answered with.
enum Told {
    Listed(Vec<Lease>),
    Written(LeaseName, Written),
}

struct Message {
    replica: usize,
    asked: Instant,
    arrives: Instant,
    content: Content,
}

enum Content {
    Ask(Ask),
    Told(Told),
}

struct Replica {
    /// What it is called; none after it was killed.
    name: Option<String>,
    election: Election,
    next_step: Instant,
    paused_until: Instant,
    /// What it takes for its own, and until when.
    holds: BTreeMap<usize, Instant>,
}

struct World {
    random: fastrand::Rng,
    now: Instant,
    shards: usize,
    leases: BTreeMap<LeaseName, Lease>,
    writes: u64,
    replicas: Vec<Replica>,
    messages: Vec<Message>,
    born: usize,
}

impl World {
    fn new(seed: u64, replicas: usize, shards: usize) -> Self {
        let mut world = Self {
            random: fastrand::Rng::with_seed(seed),
            now: Instant::now(),
            shards,
            leases: BTreeMap::new(),
            writes: 0,
            replicas: Vec::new(),
            messages: Vec::new(),
            born: 0,
        };
        for _ in 0..replicas {
            world.start(shards);
        }
        world
    }

    fn start(&mut self, shards: usize) {
        self.born += 1;
        let name = format!("replica-{}", self.born);
        let election = Election::new(name.clone(), shards, Times { lease: LEASE });
        let (next_step, paused_until, holds) = (self.now, self.now, BTreeMap::new());
        self.replicas.push(Replica { name: Some(name), election, next_step, paused_until, holds });
    }

    fn kill(&mut self, replica: usize) {
        self.replicas[replica].name = None;
        self.replicas[replica].holds.clear();
    }

    fn send(&mut self, faults: Faults, replica: usize, asked: Instant, content: Content) {
        if self.random.f64() >= faults.loss {
            // Most are fast, even where some are not.
            let share = self.random.f64().powi(6);
            self.messages.push(Message { replica, asked, arrives: self.now + faults.delay.mul_f64(share), content });
        }
    }

    /// What the API server answers.
    fn serve(&mut self, replica: usize, ask: Ask) -> Told {
        let me = self.replicas[replica].name.clone().unwrap_or_else(|| "somebody dead".to_owned());
        let Ask::Write(write) = ask else { return Told::Listed(self.leases.values().cloned().collect()) };
        let name = write.name().clone();
        self.writes += 1;
        let version = self.writes.to_string();
        let there = self.leases.get(&name).cloned();
        let is_same = |lease: &Lease| there.as_ref().is_some_and(|there| there.version == lease.version);
        let lease = match write {
            Write::Create(_) if there.is_some() => return Told::Written(name, Written::Refused),
            Write::Create(name) => Some(Lease { name, version, holder: me, duration: LEASE, transitions: 0 }),
            Write::Hold(lease) | Write::Release(lease) | Write::Remove(lease) if !is_same(&lease) => {
                return Told::Written(name, Written::Refused);
            }
            Write::Hold(lease) => Some(Lease { version, holder: me, ..lease }),
            Write::Release(lease) => Some(Lease { version, holder: String::new(), ..lease }),
            Write::Remove(_) => None,
        };
        match &lease {
            Some(lease) => drop(self.leases.insert(name.clone(), lease.clone())),
            None => drop(self.leases.remove(&name)),
        }
        Told::Written(name, Written::Done(lease))
    }

    fn tick(&mut self, faults: Faults) {
        self.now += STEP;
        for index in 0..self.replicas.len() {
            if self.replicas[index].name.is_some() && self.random.f64() < faults.kill {
                self.kill(index);
                self.start(self.shards);
            }
            if self.random.f64() < faults.pause {
                self.replicas[index].paused_until = self.now + LEASE.mul_f64(self.random.f64() * 2.0);
            }
        }
        let now = self.now;
        let mut waiting = std::mem::take(&mut self.messages);
        self.random.shuffle(&mut waiting);
        for message in waiting {
            let Message { replica, asked, arrives, content } = message;
            let is_awake = self.replicas[replica].paused_until <= now;
            match content {
                Content::Ask(ask) if arrives <= now => {
                    let told = self.serve(replica, ask);
                    self.send(faults, replica, asked, Content::Told(told));
                }
                Content::Told(told) if arrives <= now && is_awake => self.hear(replica, asked, told),
                content => self.messages.push(Message { replica, asked, arrives, content }),
            }
        }
        for index in 0..self.replicas.len() {
            let replica = &self.replicas[index];
            if replica.name.is_some() && replica.paused_until <= now && replica.next_step <= now {
                self.step(index, faults);
            }
        }
        self.check();
    }

    fn step(&mut self, index: usize, faults: Faults) {
        let now = self.now;
        let replica = &mut self.replicas[index];
        replica.next_step = now + replica.election.times().poll();
        let mut writes = replica.election.renewals(now);
        writes.extend(replica.election.moves(now));
        replica.holds = replica.election.held().collect();
        // A replica may be stopped for a moment between any two of its instructions.
        self.send(faults, index, now, Content::Ask(Ask::List));
        for write in writes {
            self.send(faults, index, now, Content::Ask(Ask::Write(write)));
        }
    }

    fn hear(&mut self, index: usize, asked: Instant, told: Told) {
        let now = self.now;
        let replica = &mut self.replicas[index];
        if replica.name.is_none() || now > asked + replica.election.times().answer() {
            return;
        }
        match told {
            Told::Listed(leases) => replica.election.heard(leases, asked, now),
            Told::Written(name, Written::Done(lease)) => replica.election.wrote(&name, lease, asked, now),
            Told::Written(_, Written::Refused) => {}
        }
        replica.holds = replica.election.held().collect();
    }

    fn holders(&self, shard: usize) -> Vec<usize> {
        let holds = |replica: &Replica| replica.holds.get(&shard).is_some_and(|until| *until > self.now);
        (0..self.replicas.len()).filter(|index| holds(&self.replicas[*index])).collect()
    }

    fn check(&self) {
        for shard in 0..self.shards {
            let holders = self.holders(shard);
            assert!(holders.len() < 2, "shard {shard} is held by {holders:?}");
        }
    }

    fn run(&mut self, time: Duration, faults: Faults) {
        let end = self.now + time;
        while self.now < end {
            self.tick(faults);
        }
    }

    /// How many shards each living replica holds, in order.
    fn shares(&self) -> Vec<usize> {
        let living = (0..self.replicas.len()).filter(|index| self.replicas[*index].name.is_some());
        let share = |index| (0..self.shards).filter(|shard| self.holders(*shard).contains(&index)).count();
        let mut shares: Vec<_> = living.map(share).collect();
        shares.sort_unstable();
        shares
    }
}

#[test]
fn no_shard_is_ever_held_twice_and_after_the_storm_each_is_held_and_shares_are_even() {
    const SHARES: [(usize, [usize; 3]); 4] = [(1, [0, 0, 1]), (2, [0, 1, 1]), (3, [1, 1, 1]), (5, [1, 2, 2])];
    for (seed, (shards, shares)) in (0..200).zip(SHARES.into_iter().cycle()) {
        let mut world = World::new(seed, 3, shards);
        world.run(Duration::from_mins(4), STORM);
        // One may be paused until then.
        world.run(4 * LEASE, CALM);
        assert_eq!(world.shares(), shares, "seed {seed}");
    }
}

#[test]
fn the_shards_of_a_replica_that_dies_are_held_by_others_within_the_time_of_a_lease() {
    for seed in 0..100 {
        let mut world = World::new(seed, 3, 6);
        world.run(2 * LEASE, CALM);
        assert_eq!(world.shares(), [2, 2, 2]);
        let more = Duration::from_millis(world.random.u64(0..3000));
        world.run(more, CALM);
        world.kill(0);
        world.run(LEASE, CALM);
        assert_eq!(world.shares(), [3, 3], "seed {seed}");
    }
}

#[test]
fn a_replica_that_comes_gets_its_share() {
    let mut world = World::new(1, 2, 6);
    world.run(2 * LEASE, CALM);
    world.start(6);
    world.run(LEASE / 2, CALM);
    assert_eq!(world.shares(), [2, 2, 2]);
}

#[test]
fn replicas_told_another_number_of_shards_wait_for_the_others_to_go() {
    let mut world = World::new(1, 2, 2);
    world.run(2 * LEASE, CALM);
    world.start(3);
    world.run(2 * LEASE, CALM);
    assert!(world.replicas[2].holds.is_empty());
    assert_eq!(world.replicas[2].election.other_division(world.now), Some(2));
    world.kill(0);
    world.kill(1);
    world.shards = 3;
    world.run(2 * LEASE, CALM);
    assert_eq!(world.shares(), [3]);
}

#[test]
fn who_leaves_hands_over_at_once() {
    let mut world = World::new(1, 2, 1);
    world.run(2 * LEASE, CALM);
    let leader = world.holders(0)[0];
    let replica = &mut world.replicas[leader];
    let farewell = replica.election.farewell(world.now);
    replica.holds = replica.election.held().collect();
    for write in farewell {
        world.serve(leader, Ask::Write(write));
    }
    world.kill(leader);
    world.run(LEASE / 5, CALM);
    assert_eq!(world.shares(), [1]);
}

#[test]
fn nothing_is_written_more_often_than_needed() {
    let mut world = World::new(1, 3, 6);
    world.run(2 * LEASE, CALM);
    let before = world.writes;
    world.run(LEASE, CALM);
    // 6 shards and 3 replicas, each every fifth of a lease.
    let written = world.writes - before;
    assert!((36..=54).contains(&written), "{written}");
}
