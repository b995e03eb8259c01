//! The call itself: what the plugin is given, and what comes out of it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tracing::Instrument as _;

use super::{Failed, Workshop};
use crate::action::apply::STEP_TIME;
use crate::dispatch::{Controller, Work};
use crate::metrics::ReconcileMetrics;
use crate::plugin::{Answer, CallError, Caller, Outcome, Reader, ReconcileId, Request};
use crate::reader::CallReader;
use crate::recording::{RecordingReader, Tape};
use crate::spans;

impl Workshop {
    /// Has the plugin reconcile one object, and prints what it prints. The tape has what is written down of the call, if that
    /// is asked for.
    pub(super) async fn call(
        &self,
        controller: &Arc<Controller>,
        work: &Work,
        (caller, metrics): (&mut Caller, &ReconcileMetrics),
        id: ReconcileId,
    ) -> (Result<Outcome, Failed>, Option<Tape>) {
        let Work { plugin, target, object, attempt, pulse, .. } = work;
        let reads = Arc::new(CallReader {
            dispatch: Arc::clone(&self.dispatch),
            source: self.source.clone(),
            scope: Arc::clone(&self.scope),
            controller: Arc::clone(controller),
            plugin: Arc::clone(plugin),
            target: target.clone(),
            denied: Mutex::default(),
            waits: AtomicBool::new(false),
        });
        let mut reader: Arc<dyn Reader> = Arc::clone(&reads) as _;
        let mut tape = self.recorder.as_ref().map(|recorder| {
            let recorded = Arc::new(RecordingReader::new(Arc::clone(&reader)));
            reader = Arc::clone(&recorded) as _;
            recorder.begin(plugin, target, (object.as_ref(), *attempt), id, recorded)
        });

        let request = Request { target, object: object.as_deref(), attempt: *attempt, id, reader: &reader };
        let begin = Instant::now();
        let may_write = controller.quota().left(plugin.limits.writing, begin);
        pulse.begin(target, "the call", plugin.limits.wall, begin);
        let span = spans::call(&plugin.digest);
        let answer = caller.reconcile(plugin, request, may_write).instrument(span.clone()).await;
        let Answer { result, stdout, stderr, written, dropped, usage } = answer;
        metrics.used(usage.processor, usage.memory);
        span.record("processor_seconds", usage.processor.as_secs_f64());
        span.record("memory_bytes", usage.memory);
        if let Err(error) = &result {
            spans::failed(&span, error);
        }
        drop(span);
        if let Some(tape) = &mut tape {
            tape.answered(&result, &stdout, &stderr);
        }

        let end = Instant::now();
        pulse.begin(target, "what it printed", STEP_TIME, end);
        if let Some(dropped) = controller.quota().spend(written, dropped, end) {
            tracing::warn!(
                plugin = &*plugin.name,
                "it writes too much: {dropped} bytes are left out, of the call for {target} and others before it since this \
                 was said last (output and log, among limits in its grant file)"
            );
        }
        self.pass_on(&plugin.name, request, stdout, &stderr).await;
        let outcome = match (reads.denied(), result) {
            (Some(denied), _) => Err(denied.into()),
            (None, Err(error @ CallError::WallTime(_))) if reads.is_waiting() => Err(Failed::Reading(error)),
            (None, result) => result.map_err(Failed::from),
        };
        (outcome, tape)
    }

    /// Prints what the guest printed, and logs what it wrote to stderr.
    async fn pass_on(&self, plugin: &str, request: Request<'_>, stdout: Vec<u8>, stderr: &[u8]) {
        let (kind, object, id) = (request.target.gvk.kind(), &request.target.key, request.id);
        for line in String::from_utf8_lossy(stderr).lines() {
            tracing::warn!(plugin, kind, %object, reconcile_id = %id, "stderr: {line}");
        }
        self.output.print(stdout).await;
    }
}
