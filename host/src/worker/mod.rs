//! The way of an object through a plugin: take, hold, call, print, guard, act, let go, requeue.

mod call;
mod finalizer;
mod verdict;

use std::any::Any;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use crate::action::apply::{ActionError, Applier, Behalf, Changes, STEP_TIME};
use crate::action::guard::{Ask, Denied};
use crate::action::plan::{Draft, Invalid};
use crate::breaker::Sign;
use crate::cluster::Trouble;
use crate::dispatch::{Controller, Dispatch, Work};
use crate::health::{InFlight, Pulse, Waits};
use crate::hot_loop::Heat;
use crate::journal::{Journal, Journals};
use crate::metrics::{Keeper, Metrics, ReconcileMetrics};
use crate::output::Output;
use crate::plugin::{CallError, Caller, Outcome, Plugin, ReconcileId, Undone};
use crate::queue::End;
use crate::recording::Recorder;
use crate::selector::Scope;
use crate::source::Source;
use crate::spans;
use crate::tally::Tally;

/// What the workers of all plugins share.
pub struct Workshop {
    /// Where their work comes from.
    pub dispatch: Arc<Dispatch>,
    /// Where the objects come from.
    pub source: Source,
    /// What the operator leaves of what plugins watch.
    pub scope: Arc<Scope>,
    /// Does what plugins ask for.
    pub applier: Applier,
    /// Writes calls down. None: nobody asked for it.
    pub recorder: Option<Arc<Recorder>>,
    /// Where what plugins print goes.
    pub output: Output,
    /// What is counted for Prometheus.
    pub metrics: Arc<Metrics>,
    /// What is counted for people.
    pub tally: Arc<Tally>,
    /// What has happened lately to each plugin.
    pub journals: Arc<Journals>,
    /// What the workers do.
    pub in_flight: Arc<InFlight>,
    /// The plugins that are not in force yet.
    pub waits: Arc<Waits>,
    /// Whether an object is called for again though it has not changed.
    pub repeat: Repeat,
    /// How long an instance is kept without being called.
    keep_idle: Duration,
    /// Where it is told that a version was rolled back.
    pub undone: mpsc::UnboundedSender<Undone>,
    next_id: AtomicU64,
}

/// Whether an object is called for again though it has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// After failures and when the plugin asks for it.
    AsAsked,
    /// Never: everything is reconciled once.
    Never,
}

/// Why a reconcile failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Call(#[from] CallError),
    /// The time of the call has run out while it waited for what it wanted to read.
    #[error("{0}, and waited for what it wanted to read")]
    Reading(CallError),
    #[error("the host panicked in it, which is a defect of the host: {0}")]
    Panicked(String),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Action(#[from] ActionError),
    #[error(transparent)]
    LookUp(Trouble),
}

/// How a reconcile ended well.
struct Done {
    requeue_after: Option<Duration>,
    /// Whether the plugin was called at all.
    called: bool,
    /// What it has changed of objects that are watched.
    changes: Changes,
}

impl Workshop {
    /// Ready for workers. An object's way ends with `applier` and `output`.
    pub fn new(
        dispatch: Arc<Dispatch>,
        (source, scope): (Source, Arc<Scope>),
        (applier, output, recorder): (Applier, Output, Option<Arc<Recorder>>),
        metrics: Arc<Metrics>,
        tally: Arc<Tally>,
        (repeat, keep_idle): (Repeat, Duration),
        undone: mpsc::UnboundedSender<Undone>,
    ) -> Self {
        // From a random number on, so that ids of different runs do not get confused in a log.
        let next_id = AtomicU64::new(fastrand::u64(..));
        Self {
            dispatch,
            source,
            scope,
            applier,
            recorder,
            output,
            metrics,
            tally,
            journals: Arc::default(),
            in_flight: Arc::default(),
            waits: Arc::default(),
            repeat,
            keep_idle,
            undone,
            next_id,
        }
    }

    /// Does the work of one plugin as its worker of that number, one call at a time, until it is to stop. The call in
    /// flight finishes first.
    pub async fn work(&self, controller: &Arc<Controller>, number: usize) {
        let metrics = self.metrics.reconciles(&controller.name);
        // None: the plugin is gone again.
        let journal = self.journals.get(&controller.name).unwrap_or_default();
        let (mut caller, mut keeper) = (Caller::default(), metrics.keeper());
        let pulse = self.in_flight.pulse(&controller.name);
        while let Some(mut work) = self.next(controller, number, &pulse, (&mut caller, &mut keeper)).await {
            // It is large, and most workers of many wait.
            Box::pin(self.take_on(controller, &mut work, &mut caller, (&metrics, &journal))).await;
            keeper.keeps(caller.keeps());
            pulse.end();
            // A call may take no more than microseconds, and others want their turn.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Waits for work, and lets the instance go if there is none for a while.
    async fn next(
        &self,
        controller: &Controller,
        number: usize,
        pulse: &Arc<Pulse>,
        (caller, keeper): (&mut Caller, &mut Keeper),
    ) -> Option<Work> {
        let mut next = pin!(self.dispatch.next(controller, number, pulse));
        if let Ok(work) = tokio::time::timeout(self.keep_idle, &mut next).await {
            return work;
        }
        caller.rest();
        controller.rest();
        keeper.keeps(None);
        next.await
    }

    async fn take_on(
        &self,
        controller: &Arc<Controller>,
        work: &mut Work,
        caller: &mut Caller,
        (metrics, journal): (&ReconcileMetrics, &Journal),
    ) {
        if work.retired {
            self.look_after(work).await;
            self.dispatch.finish(controller, work, End::Done, Sign::Nothing);
            return;
        }
        let id = ReconcileId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let start = Instant::now();
        metrics.begin(work.waited);
        let span = spans::reconcile(&controller.name, &work.target, work.attempt, &id);
        let result = self.reconcile_or_catch(controller, work, (caller, metrics), id).instrument(span.clone()).await;

        let now = Instant::now();
        let took = now.saturating_duration_since(start);
        verdict::count(metrics, &result, took);
        self.tally.count_call(result.is_ok());
        self.journals.call(journal, took, result.is_err(), now);
        let end = self.end(controller, work, &result);
        let ended = self.dispatch.finish(controller, work, end, verdict::sign_of(&work.plugin, &result));
        let reason = verdict::reason_of(&result);
        if let Err(failed) = result {
            spans::failed(&span, &reason);
            drop(span);
            journal.error(&work.target, &reason, Instant::now());
            self.report(work, id, (&failed, &reason), &ended).await;
        }
        self.tell(work, &ended, &reason).await;
    }

    /// Reconciles one object. A panic of the host meanwhile is a failure of this call alone.
    ///
    /// What the call had for itself is thrown away with its instance, and its locks tell whether it has left what it shares
    /// with others half done. Only then is the panic the matter of all, and ends the host.
    async fn reconcile_or_catch(
        &self,
        controller: &Arc<Controller>,
        work: &mut Work,
        (caller, metrics): (&mut Caller, &ReconcileMetrics),
        id: ReconcileId,
    ) -> Result<Done, Failed> {
        let reconcile = AssertUnwindSafe(self.reconcile(controller, work, (caller, metrics), id)).catch_unwind();
        match reconcile.await {
            Ok(result) => result,
            Err(panic) if self.dispatch.is_poisoned(controller) || self.source.is_poisoned() => resume_unwind(panic),
            Err(panic) => {
                *caller = Caller::default();
                Err(Failed::Panicked(message(&*panic)))
            }
        }
    }

    /// Has the plugin reconcile one object, and does what it asks for.
    async fn reconcile(
        &self,
        controller: &Arc<Controller>,
        work: &mut Work,
        (caller, metrics): (&mut Caller, &ReconcileMetrics),
        id: ReconcileId,
    ) -> Result<Done, Failed> {
        let plugin = Arc::clone(&work.plugin);
        if let Some(finalizer) = plugin.finalizer.as_deref()
            && !self.hold(controller, finalizer, work).await?
        {
            return Ok(Done { requeue_after: None, called: false, changes: Changes::new() });
        }

        let (answer, tape) = self.call(controller, work, (caller, metrics), id).await;
        let result = match answer {
            Ok(outcome) => self.conclude(controller, work, &outcome).await,
            Err(failed) => Err(failed),
        };
        if let (Some(recorder), Some(tape)) = (&self.recorder, tape) {
            recorder.keep(tape, result.as_ref().err().map(ToString::to_string));
        }
        result
    }

    /// Does what the plugin answered and, if it is done with an object that is deleted, lets go of that.
    async fn conclude(&self, controller: &Arc<Controller>, work: &mut Work, outcome: &Outcome) -> Result<Done, Failed> {
        let changes = self.act(controller, work, outcome).await?;
        let requeue_after = outcome.requeue_after_ms.map(Duration::from_millis);
        let plugin = Arc::clone(&work.plugin);
        if let (Some(finalizer), None) = (plugin.finalizer.as_deref(), requeue_after) {
            self.let_go(&plugin, finalizer, work).await?;
        }
        Ok(Done { requeue_after, called: true, changes })
    }

    /// Checks what the plugin asks for, all of it, and then does it.
    async fn act(&self, controller: &Controller, work: &Work, outcome: &Outcome) -> Result<Changes, Failed> {
        let Work { target, object, plugin, .. } = work;
        let draft = Draft::of(outcome, target, plugin.limits.actions)?;
        if draft.is_empty() {
            return Ok(Changes::new());
        }
        let ask = Ask::of(plugin, target);
        ask.check_kinds(&draft)?;
        let kinds = in_time(work, self.applier.kinds(&draft)).await?;
        let object = match object {
            // It may be there, and not be selected any more; then it has children.
            None if draft.names_children() => in_time(work, self.applier.look_up(target, None)).await?,
            object => object.clone(),
        };
        let owned = match &object {
            Some(object) if draft.names_children() => self.dispatch.owned_by(controller, &object.uid),
            _ => Vec::new(),
        };
        let steps = draft.place(&plugin.name, target, object.as_deref(), &owned, &kinds)?;
        ask.check(&steps)?;
        if matches!(self.source, Source::Cluster(_)) {
            let wait = controller.quota().wait(steps.len(), plugin.limits.writes, Instant::now());
            if !wait.is_zero() {
                work.pulse.begin(target, "its turn to change something", wait, Instant::now());
                tokio::time::sleep(wait).await;
            }
        }
        Ok(self.applier.carry_out(behalf(plugin, work), &steps).await?)
    }

    /// What comes of how a reconcile ended.
    fn end(&self, controller: &Controller, work: &Work, result: &Result<Done, Failed>) -> End {
        let Work { object, plugin, .. } = work;
        let done = match result {
            Ok(done) => done,
            Err(failed) if self.repeat == Repeat::AsAsked && failed.is_retried() => {
                return End::Retry { rest: failed.rest() };
            }
            // What is gone does not change any more.
            Err(_) if object.is_none() => return End::Done,
            Err(_) => return End::Terminal,
        };
        if let Some(delay) = slowed(controller, work, &done.changes) {
            // Run once, there is no end to wait for.
            return End::Hold(if self.repeat == Repeat::Never { Duration::MAX } else { delay });
        }
        if self.repeat == Repeat::Never {
            return End::Done;
        }
        let resync = plugin.grant.resync.filter(|_| object.is_some());
        let delay = [done.requeue_after, resync].into_iter().flatten().min();
        delay.map_or(End::Done, End::RequeueAfter)
    }
}

fn behalf<'a>(plugin: &'a Plugin, work: &'a Work) -> Behalf<'a> {
    Behalf { plugin, target: &work.target, object: work.object.as_deref(), pulse: &work.pulse }
}

/// What is looked up, if there is an answer in the time of a step.
async fn in_time<T>(work: &Work, look_up: impl Future<Output = Result<T, Trouble>>) -> Result<T, Failed> {
    work.pulse.begin(&work.target, "a question to the API server", STEP_TIME, Instant::now());
    let answer = tokio::time::timeout(STEP_TIME, look_up).await;
    let none = || Err(format!("the API server did not answer in {} s", STEP_TIME.as_secs()).into());
    answer.unwrap_or_else(|_| none()).map_err(Failed::LookUp)
}

/// How long to leave an object alone that the plugin changes with every call.
fn slowed(controller: &Controller, work: &Work, changes: &Changes) -> Option<Duration> {
    let mut loops = controller.hot_loops.lock().unwrap_or_else(PoisonError::into_inner);
    match loops.after_call(&work.target, changes, Instant::now()) {
        Heat::Cool => None,
        Heat::Hot { streak, delay, tell } => {
            if tell {
                let (kind, object, delay_text) =
                    (work.target.gvk.kind(), &work.target.key, humantime::format_duration(delay));
                tracing::warn!(
                    plugin = &*controller.name, kind, %object,
                    "hot loop: {streak} calls in a row have changed what they are called for, slowed down to one in \
                     {delay_text}; the last one changed {}",
                    changes.join("; "),
                );
            }
            Some(delay)
        }
    }
}

/// What a panic says.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it says nothing").to_owned()
}
