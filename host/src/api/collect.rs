//! Asks the parts of the host how they stand.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::verdict::verdict;
use super::{
    Calls, Check, Counts, Delayed, Detail, Election, Error, Health, History, InCall, InForce, Object, Plugin, Plugins,
    Queue, Queues, Reload, ReloadResult, Slot, Status, Waiting, Watch, WatchState, Why, WhyLater,
};
use crate::checks::{Checks, Report};
use crate::dispatch::{self, Dispatch, Survey, WatchSurvey};
use crate::health::{InFlight, UnderWay, Waits};
use crate::journal::{self, Journal, Journals};
use crate::leader::Standing;
use crate::object::ObjectRef;
use crate::queue::{Later, Listing, Next, Priority};
use crate::selector::Selection;
use crate::text;

/// So many objects of all queues together are told at once, at most.
const MOST: usize = 10_000;

/// Where the host comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// When it was started.
    pub started: Instant,
    /// Where the objects come from, for people.
    pub source: String,
}

/// What is asked how it stands.
#[derive(Clone)]
pub struct Collector {
    /// Where the host comes from.
    pub origin: Origin,
    /// Whether it is alive and ready, and how it stands among other replicas.
    pub checks: Arc<Checks>,
    /// The plugins, the watches, the queues.
    pub dispatch: Arc<Dispatch>,
    /// What has happened lately.
    pub journals: Arc<Journals>,
    /// What is being done.
    pub in_flight: Arc<InFlight>,
    /// The plugins that wait to be put in force.
    pub waits: Arc<Waits>,
}

/// Tells what time it was, or will be, by the clock of the machine as it is now.
#[derive(Clone, Copy)]
struct Clock {
    now: Instant,
    wall: SystemTime,
}

impl Clock {
    fn here() -> Self {
        Self { now: Instant::now(), wall: SystemTime::now() }
    }

    fn text(&self, at: Instant) -> String {
        let wall = match at.checked_duration_since(self.now) {
            Some(ahead) => self.wall.checked_add(ahead),
            None => self.wall.checked_sub(self.now - at),
        };
        // What is more than this clock can tell is as good as never.
        let latest = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 1000);
        let wall = wall.unwrap_or(latest).clamp(SystemTime::UNIX_EPOCH, latest);
        humantime::format_rfc3339_millis(wall).to_string()
    }

    fn now(&self) -> String {
        self.text(self.now)
    }
}

impl Collector {
    /// The host as a whole.
    pub fn status(&self) -> Status {
        let clock = Clock::here();
        let surveys = self.dispatch.survey(clock.now);
        let names: BTreeSet<Arc<str>> =
            surveys.iter().map(|survey| Arc::clone(&survey.plugin.name)).chain(self.journals.names()).collect();
        let (calls, history) = {
            let history = self.journals.history();
            (calls(&history, clock), past(&history, clock))
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: clock.now(),
            started: clock.text(self.origin.started),
            uptime_seconds: clock.now.saturating_duration_since(self.origin.started).as_secs(),
            source: self.origin.source.clone(),
            alive: health(&self.checks.alive(clock.now)),
            ready: health(&self.checks.ready()),
            election: self.checks.standing().as_ref().map(election),
            plugins: names.len(),
            objects: self.dispatch.progress().objects,
            waiting: surveys.iter().map(|survey| survey.queue.waiting).sum(),
            in_call: surveys.iter().map(|survey| survey.queue.running).sum(),
            calls,
            watches: self.dispatch.survey_watches(clock.now).into_iter().map(watch).collect(),
            history,
        }
    }

    /// All plugins.
    pub fn plugins(&self) -> Plugins {
        let clock = Clock::here();
        let waits: HashMap<_, _> = self.waits.all().into_iter().collect();
        let mut surveys: HashMap<_, _> = self
            .dispatch
            .survey(clock.now)
            .into_iter()
            .map(|survey| (Arc::clone(&survey.plugin.name), survey))
            .collect();
        let mut names: BTreeSet<_> = surveys.keys().cloned().collect();
        names.extend(self.journals.names());
        names.extend(waits.keys().cloned());
        let plugin = |name: Arc<str>| {
            let journal = self.journals.get(&name).unwrap_or_default();
            plugin(&name, surveys.remove(&name).as_ref(), &journal, waits.get(&name).map(String::as_str), clock)
        };
        Plugins { now: clock.now(), plugins: names.into_iter().map(plugin).collect() }
    }

    /// A plugin with what has happened lately. None: there is none of that name.
    pub fn plugin(&self, name: &str) -> Option<Detail> {
        let clock = Clock::here();
        let (survey, journal) = (self.dispatch.survey_of(name, clock.now), self.journals.get(name));
        let wait = self.waits.all().into_iter().find(|(waits, _)| **waits == *name).map(|(_, reason)| reason);
        if survey.is_none() && journal.is_none() && wait.is_none() {
            return None;
        }
        let journal = journal.unwrap_or_default();
        let plugin = plugin(name, survey.as_ref(), &journal, wait.as_deref(), clock);
        let notes = journal.notes();
        Some(Detail {
            now: clock.now(),
            plugin,
            errors: notes.errors.iter().rev().map(|of| error(of, clock)).collect(),
            reloads: notes.reloads.iter().rev().map(|of| reload(of, clock)).collect(),
            history: past(&notes.history, clock),
        })
    }

    /// What is in all queues, or in that of the plugin of this name: the first `limit` of each sort. A plugin that is not in
    /// force has an empty one. None: there is no such plugin.
    pub fn queues(&self, name: Option<&str>, limit: usize) -> Option<Queues> {
        let clock = Clock::here();
        let names: Vec<Arc<str>> = match name {
            Some(name) => vec![self.known(name, clock.now)?],
            None => self.dispatch.survey(clock.now).into_iter().map(|survey| survey.plugin.name.clone()).collect(),
        };
        let in_flight = self.in_flight.all();
        let (mut queues, mut left) = (Vec::new(), MOST);
        for name in names {
            let listing = self.dispatch.queue(&name, limit.min(left), clock.now).unwrap_or_default();
            left -= listing.waiting.len().max(listing.delayed.len()).min(left);
            queues.push(queue(&name, listing, &in_flight, clock));
        }
        Some(Queues { now: clock.now(), queues })
    }

    /// The name, if something is known of a plugin of that name.
    fn known(&self, name: &str, now: Instant) -> Option<Arc<str>> {
        let is_known = self.dispatch.survey_of(name, now).is_some()
            || self.journals.get(name).is_some()
            || self.waits.all().iter().any(|(waits, _)| **waits == *name);
        is_known.then(|| name.into())
    }
}

fn health(report: &Report) -> Health {
    let checks = report.lines().map(|(good, text)| Check { good, text: text.to_owned() }).collect();
    Health { good: report.is_good(), checks }
}

fn election(standing: &Standing) -> Election {
    let text = text::shortened(&standing.to_string());
    match standing {
        Standing::Holds { shards, of, others, .. } => {
            let others = others.iter().map(|other| text::shortened(other)).collect();
            Election { text, holds: shards.clone(), shards: Some(*of), others }
        }
        Standing::Unknown | Standing::Trouble(_) => {
            Election { text, holds: Vec::new(), shards: None, others: Vec::new() }
        }
    }
}

fn watch(WatchSurvey { watch, status, objects, bytes, plugins, silence }: WatchSurvey) -> Watch {
    let silent = silence.map(|time| format!("nothing was heard of it for {} s", time.as_secs()));
    let (state, problem) = match status {
        dispatch::Status::Starting => (WatchState::Starting, silent),
        dispatch::Status::Listed => (WatchState::Listed, silent),
        dispatch::Status::NotServed => {
            (WatchState::NotServed, Some("the API server does not serve the kind: it waits for that".to_owned()))
        }
        dispatch::Status::Refused(reason) => (WatchState::Refused, Some(text::shortened(&reason))),
    };
    Watch { watch: text::shortened(&watch.to_string()), state, problem, objects, bytes, plugins }
}

fn plugin(name: &str, survey: Option<&Survey>, journal: &Journal, waits: Option<&str>, clock: Clock) -> Plugin {
    let notes = journal.notes();
    let (state, problem) = verdict(name, survey, &notes.file, waits);
    let counts = survey.map(|survey| survey.queue).unwrap_or_default();
    Plugin {
        name: text::one_line(name).into_owned(),
        state,
        problem: problem.map(|problem| text::lines(&problem).into_owned()),
        in_force: survey.map(|survey| in_force(survey, notes.in_force_since.map(|since| clock.text(since)))),
        loading: notes.loading,
        queue: Counts {
            waiting: counts.waiting,
            delayed: counts.delayed,
            in_call: counts.running,
            failing: counts.failing,
        },
        calls: calls(&notes.history, clock),
        last_error: notes.errors.back().map(|of| error(of, clock)),
        last_reload: notes.reloads.back().map(|of| reload(of, clock)),
    }
}

fn in_force(survey: &Survey, since: Option<String>) -> InForce {
    let Survey { plugin, pause, fallback, targets, owned, reads, .. } = survey;
    let (described_name, described_version) = match &plugin.described {
        Some((name, version)) => (Some(text::shortened(name)), Some(text::shortened(version))),
        None => (None, None),
    };
    InForce {
        digest: plugin.digest.to_string(),
        since,
        kind: if plugin.is_command() { "command" } else { "reconciler" }.to_owned(),
        described_name,
        described_version,
        compile_seconds: plugin.arrival.compile.map(seconds),
        watches: texts(targets),
        owns: texts(owned),
        reads: texts(reads),
        finalizer: plugin.finalizer.as_deref().map(text::shortened),
        concurrency: plugin.grant.concurrency,
        service_account: plugin.grant.service_account.as_ref().map(|account| text::shortened(&account.to_string())),
        pause_seconds: pause.map(|pause| pause.as_secs_f64()),
        falls_back_to: fallback.as_ref().map(|fallback| fallback.digest.to_string()),
    }
}

fn texts(watches: &[Arc<Selection>]) -> Vec<String> {
    watches.iter().map(|watch| text::shortened(&watch.to_string())).collect()
}

fn calls(history: &journal::History, clock: Clock) -> Calls {
    let (total, failed) = history.totals();
    let recent = history.recent(clock.now);
    Calls {
        total,
        failed,
        per_second: rounded(recent.calls_per_second),
        failed_per_second: rounded(recent.failures_per_second),
        p50_seconds: recent.times.map(|times| seconds(times.p50)),
        p99_seconds: recent.times.map(|times| seconds(times.p99)),
    }
}

fn past(history: &journal::History, clock: Clock) -> History {
    let slot = |past: journal::Past| Slot {
        start: clock.now.checked_sub(past.ago).map_or_else(|| clock.now(), |start| clock.text(start)),
        calls: past.calls,
        failed: past.failures,
        p50_seconds: seconds(past.times.p50),
        p99_seconds: seconds(past.times.p99),
    };
    History { slot_seconds: journal::SLOT.as_secs(), slots: history.past(clock.now).into_iter().map(slot).collect() }
}

fn error(error: &journal::Error, clock: Clock) -> Error {
    Error {
        object: object(&error.target),
        reason: error.reason.clone(),
        count: error.count,
        first: clock.text(error.first),
        last: clock.text(error.last),
    }
}

fn reload(reload: &journal::Reload, clock: Clock) -> Reload {
    let (result, digest, rolled_back, reason) = match &reload.result {
        journal::ReloadResult::Loaded(digest) => (ReloadResult::Loaded, Some(digest), None, None),
        journal::ReloadResult::Refused(reason) => (ReloadResult::Refused, None, None, Some(reason)),
        journal::ReloadResult::RolledBack { from, to, reason } => {
            (ReloadResult::RolledBack, Some(to), Some(from), Some(reason))
        }
    };
    let reason = reason.map(|reason| text::lines(reason).into_owned());
    let (digest, rolled_back) = (digest.map(ToString::to_string), rolled_back.map(ToString::to_string));
    Reload { at: clock.text(reload.at), result, digest, rolled_back, reason }
}

fn object(target: &ObjectRef) -> Object {
    let (gvk, key) = (&target.gvk, &target.key);
    Object {
        api_version: text::one_line(gvk.api_version()).into_owned(),
        kind: text::one_line(gvk.kind()).into_owned(),
        namespace: key.namespace().map(|namespace| text::one_line(namespace).into_owned()),
        name: text::one_line(key.name()).into_owned(),
    }
}

fn queue(name: &str, Listing { counts, waiting, delayed }: Listing, in_flight: &[UnderWay], clock: Clock) -> Queue {
    let of_plugin = in_flight.iter().filter(|does| *does.plugin == *name);
    let in_call = |does: &UnderWay| InCall {
        object: object(&does.target),
        step: does.what.to_owned(),
        for_seconds: seconds(does.age(clock.now)),
    };
    let next = |Next { key, priority, attempt }: &Next| {
        let why = if *priority == Priority::Live { Why::Changed } else { Why::Backlog };
        Waiting { object: object(key), why, attempt: *attempt }
    };
    let later = |Later { key, due, held, attempt }: &Later| Delayed {
        object: object(key),
        why: match (held, attempt) {
            (true, _) => WhyLater::Held,
            (false, 0) => WhyLater::Requeue,
            (false, _) => WhyLater::Retry,
        },
        due: clock.text(*due),
        due_in_seconds: seconds(due.saturating_duration_since(clock.now)),
        attempt: *attempt,
    };
    Queue {
        plugin: text::one_line(name).into_owned(),
        in_call: of_plugin.map(in_call).collect(),
        waiting_left_out: counts.waiting.saturating_sub(waiting.len()),
        waiting: waiting.iter().map(next).collect(),
        delayed_left_out: counts.delayed.saturating_sub(delayed.len()),
        delayed: delayed.iter().map(later).collect(),
    }
}

/// To a precision that is no more than there is.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}

fn rounded(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}
