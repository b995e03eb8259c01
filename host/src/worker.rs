//! The way of an object through a plugin: take, call, print, guard, requeue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::action::guard::{self, Denied};
use crate::dispatch::{Controller, Dispatch, Work};
use crate::metrics::{Metrics, ReconcileMetrics, ReconcileResult};
use crate::object::{Kind, Object};
use crate::output::Output;
use crate::plugin::{Answer, CallError, Caller, Captured, Outcome, ReconcileId, Request};
use crate::queue::End;
use crate::tally::Tally;

/// What the workers of all plugins share.
#[derive(Debug)]
pub struct Workshop {
    /// Where their work comes from.
    pub dispatch: Arc<Dispatch>,
    /// The kind of the objects.
    pub kind: Kind,
    /// Where what plugins print goes.
    pub output: Output,
    /// What is counted for Prometheus.
    pub metrics: Arc<Metrics>,
    /// What is counted for people.
    pub tally: Arc<Tally>,
    /// Whether an object is called for again though it has not changed.
    pub repeat: Repeat,
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
    #[error(transparent)]
    Denied(#[from] Denied),
}

impl Workshop {
    /// Ready for workers.
    pub fn new(
        dispatch: Arc<Dispatch>,
        kind: Kind,
        output: Output,
        metrics: Arc<Metrics>,
        tally: Arc<Tally>,
        repeat: Repeat,
    ) -> Self {
        // From a random number on, so that ids of different runs do not get confused in a log.
        let next_id = AtomicU64::new(fastrand::u64(..));
        Self { dispatch, kind, output, metrics, tally, repeat, next_id }
    }

    /// Does the work of one plugin, one call at a time, until it is to stop. The call in flight finishes first.
    pub async fn work(&self, controller: &Controller) {
        let metrics = self.metrics.reconciles(&controller.name);
        let mut caller = Caller::default();
        while let Some(work) = self.dispatch.next(controller).await {
            self.reconcile(controller, &work, &mut caller, &metrics).await;
            // A call may take no more than microseconds, and others want their turn.
            tokio::task::coop::consume_budget().await;
        }
    }

    async fn reconcile(&self, controller: &Controller, work: &Work, caller: &mut Caller, metrics: &ReconcileMetrics) {
        let Work { key, object, attempt, plugin } = work;
        let id = ReconcileId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let request = Request { kind: &self.kind, key, object: object.as_deref(), attempt: *attempt, id };

        let Answer { result, stdout, stderr, log_dropped, took } = caller.reconcile(plugin, request).await;
        self.pass_on(controller, request, stdout, &stderr, log_dropped).await;
        let result = match result {
            Ok(outcome) => guard::check(&outcome).map(|()| outcome).map_err(Failed::from),
            Err(error) => Err(error.into()),
        };

        metrics.observe(ReconcileResult::from(&result), took);
        self.tally.count_call(result.is_ok());
        let again = self.dispatch.finish(controller, key, self.end(object.as_deref(), &result));
        if let Err(failed) = result {
            let plugin = &*controller.name;
            let next = match again {
                Some(delay) => format!("trying again in {}", humantime::format_duration(round(delay))),
                None if self.repeat == Repeat::Never => "not trying again".to_owned(),
                None => "not trying again until it changes".to_owned(),
            };
            let reason = shortened(failed.to_string());
            tracing::warn!(plugin, object = %key, reconcile_id = %id, attempt, "reconcile failed, {next}: {reason}");
        }
    }

    /// Prints what the guest printed, and logs what it wrote to stderr.
    async fn pass_on(
        &self,
        controller: &Controller,
        request: Request<'_>,
        stdout: Captured,
        stderr: &Captured,
        log_dropped: usize,
    ) {
        let plugin = &*controller.name;
        let Request { key: object, id, .. } = request;
        for line in String::from_utf8_lossy(&stderr.bytes).lines() {
            tracing::warn!(plugin, %object, reconcile_id = %id, "stderr: {line}");
        }
        let dropped = stdout.dropped + stderr.dropped + log_dropped;
        if dropped > 0 {
            tracing::warn!(plugin, %object, reconcile_id = %id, "it wrote too much: {dropped} bytes are left out");
        }
        self.output.print(stdout.bytes).await;
    }

    fn end(&self, object: Option<&Object>, result: &Result<Outcome, Failed>) -> End {
        match (self.repeat, result) {
            (_, Ok(Outcome { requeue_after_ms: None, .. })) | (Repeat::Never, Ok(_)) => End::Done,
            (Repeat::AsAsked, Ok(Outcome { requeue_after_ms: Some(delay), .. })) => {
                End::RequeueAfter(Duration::from_millis(*delay))
            }
            (Repeat::AsAsked, Err(Failed::Call(error))) if error.is_retried() => End::Retry,
            // What is gone does not change any more.
            (_, Err(_)) if object.is_none() => End::Done,
            (_, Err(_)) => End::Terminal,
        }
    }
}

impl From<&Result<Outcome, Failed>> for ReconcileResult {
    fn from(result: &Result<Outcome, Failed>) -> Self {
        match result {
            Ok(Outcome { requeue_after_ms: None, .. }) => Self::success,
            Ok(Outcome { requeue_after_ms: Some(_), .. }) => Self::requeue_after,
            Err(_) => Self::error,
        }
    }
}

/// Without what would flood the log.
fn shortened(mut reason: String) -> String {
    const MAX_BYTES: usize = 4096;
    if reason.len() > MAX_BYTES {
        reason.truncate(reason.floor_char_boundary(MAX_BYTES));
        reason.push_str(" ...");
    }
    reason
}

/// To a precision that people want to read.
fn round(delay: Duration) -> Duration {
    if delay < Duration::from_secs(1) {
        Duration::from_millis(u64::from(delay.subsec_millis()).max(1))
    } else {
        Duration::from_secs(delay.as_secs())
    }
}
