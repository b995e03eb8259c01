//! What a call tells about its plugin, and what people are told of that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Done, Failed, Repeat, Workshop, behalf};
use crate::action::apply::ActionError;
use crate::breaker::{Sign, Turn};
use crate::dispatch::{Ended, Work};
use crate::metrics::{Failure, ReconcileMetrics, ReconcileResult, ReloadResult};
use crate::plugin::{CallError, Plugin, ReconcileId, Undone};
use crate::text;

/// So many failures of an object in a row are told on it. By then it was tried again for about 5 s.
const TOLD_AT: u32 = 10;

impl Workshop {
    /// Says that a reconcile failed, and what comes next.
    pub(super) async fn report(&self, work: &Work, id: ReconcileId, (failed, reason): (&Failed, &str), ended: &Ended) {
        let Work { target, attempt, plugin, .. } = work;
        let next = what_next(ended, self.repeat);
        let (name, kind, object) = (&*plugin.name, target.gvk.kind(), &target.key);
        tracing::warn!(plugin = name, kind, %object, reconcile_id = %id, attempt, "reconcile failed, {next}: {reason}");
        if let Failed::Denied(denied) = failed {
            self.metrics.denial(&plugin.name, denied.verb.as_str());
            self.applier.warn(behalf(plugin, work), "Denied", reason.to_owned()).await;
        } else if work.object.is_some() && is_told(failed, *attempt, ended) {
            self.applier.warn_of_failure(behalf(plugin, work), reason.to_owned()).await;
        }
    }

    /// Says what a call has changed for its plugin.
    pub(super) async fn tell(&self, work: &Work, ended: &Ended, reason: &str) {
        if let Some(back_to) = &ended.back_to {
            self.tell_rollback(work, back_to, reason).await;
        } else if let Some(turn) = ended.turn {
            self.tell_turn(work, turn, reason).await;
        }
    }

    async fn tell_turn(&self, work: &Work, turn: Turn, reason: &str) {
        let (plugin, kind, object) = (&*work.plugin.name, work.target.gvk.kind(), &work.target.key);
        match turn {
            Turn::Paused(pause) => {
                let note = format!(
                    "the plugin {plugin} is paused for {}, because it breaks whatever the object; then it is tried with one \
                     call at a time, less and less often, until it answers or its file is replaced. The last call: {reason}",
                    humantime::format_duration(pause),
                );
                self.metrics.pause(&work.plugin.name);
                tracing::warn!(plugin, kind, %object, "{note}");
                self.applier.warn(behalf(&work.plugin, work), "PluginPaused", note).await;
            }
            Turn::Resumed => tracing::info!(plugin, kind, %object, "it answers again, and goes on"),
            // Which the report of the trial says.
            Turn::StillPaused(_) => {}
        }
    }

    async fn tell_rollback(&self, work: &Work, back_to: &Arc<Plugin>, reason: &str) {
        let (plugin, name) = (&work.plugin, &*work.plugin.name);
        let (kind, object) = (work.target.gvk.kind(), &work.target.key);
        let note = format!(
            "version {:.12} of the plugin {name} is rolled back to {:.12}, which did not break where it does; every object \
             is reconciled again, and {name}.wasm is not loaded again until it changes. The last call: {reason}",
            plugin.digest, back_to.digest,
        );
        self.metrics.reload(&plugin.name, ReloadResult::rolled_back);
        let versions = (plugin.digest, back_to.digest);
        if let Some(journal) = self.journals.get(&plugin.name) {
            journal.rolled_back(versions, reason, Instant::now());
        }
        tracing::error!(plugin = name, kind, %object, "{note}");
        // Without somebody to take it, the host is ending.
        let _ = self.undone.send(Undone { plugin: Arc::clone(plugin), back_to: Arc::clone(back_to) });
        self.applier.warn(behalf(plugin, work), "PluginRolledBack", note).await;
    }
}

/// Counts how a call ended, and the time that it took with what it asked for.
pub(super) fn count(metrics: &ReconcileMetrics, result: &Result<Done, Failed>, took: Duration) {
    let counted = match result {
        Ok(Done { requeue_after: None, .. }) => ReconcileResult::success,
        Ok(Done { requeue_after: Some(_), .. }) => ReconcileResult::requeue_after,
        Err(_) => ReconcileResult::error,
    };
    metrics.end(counted, took);
    if let Err(failed) = result {
        metrics.fail(failed.kind(), failed.is_retried());
    }
}

impl Failed {
    /// What it is counted as.
    fn kind(&self) -> Failure {
        match self {
            Self::Call(error) => match error {
                CallError::Retry(_) => Failure::retry,
                CallError::Terminal(_) => Failure::terminal,
                CallError::Describe(_) => Failure::describe,
                CallError::Exit(_) => Failure::exit,
                CallError::Trap(_) | CallError::NotMade(_) => Failure::trap,
                CallError::CpuTime(_) => Failure::cpu_time,
                CallError::WallTime(_) => Failure::wall_time,
                CallError::Memory(_) => Failure::memory,
                CallError::Answer(_) => Failure::answer,
            },
            Self::Reading(_) => Failure::read,
            Self::Panicked(_) => Failure::panic,
            Self::Denied(_) => Failure::denied,
            Self::Invalid(_) => Failure::invalid,
            Self::Action(_) => Failure::action,
            Self::LookUp(_) => Failure::look_up,
        }
    }

    /// Whether it is to be tried again before the object changes.
    pub(super) fn is_retried(&self) -> bool {
        match self {
            Self::Call(error) => error.is_retried(),
            Self::Denied(_) | Self::Invalid(_) => false,
            Self::Reading(_) | Self::Panicked(_) | Self::Action(_) | Self::LookUp(_) => true,
        }
    }

    /// For how long the API server wants to be left alone.
    pub(super) fn rest(&self) -> Duration {
        match self {
            Self::Action(ActionError { trouble, .. }) | Self::LookUp(trouble) => trouble.rest,
            _ => Duration::ZERO,
        }
    }
}

/// What a call tells about the plugin.
pub(super) fn sign_of(plugin: &Plugin, result: &Result<Done, Failed>) -> Sign {
    match result {
        Ok(Done { called: true, .. }) => Sign::Works,
        Err(Failed::Call(CallError::Retry(_) | CallError::Terminal(_)) | Failed::Denied(_) | Failed::Invalid(_)) => {
            Sign::Works
        }
        // Which is how a command answers.
        Err(Failed::Call(CallError::Exit(_))) if plugin.is_command() => Sign::Works,
        // It was not called, or it was the API server that did not answer.
        Ok(Done { called: false, .. })
        | Err(Failed::Call(CallError::NotMade(_)) | Failed::Reading(_) | Failed::Action(_) | Failed::LookUp(_)) => {
            Sign::Nothing
        }
        Err(Failed::Call(_) | Failed::Panicked(_)) => Sign::Breaks,
    }
}

/// When a failed call is followed by another.
fn what_next(ended: &Ended, repeat: Repeat) -> String {
    let text = |delay: Duration| humantime::format_duration(round(delay)).to_string();
    match ended {
        _ if repeat == Repeat::Never => "not trying again".to_owned(),
        Ended { back_to: Some(_), .. } => "trying again with the version before".to_owned(),
        Ended { again: None, .. } => "not trying again until it changes".to_owned(),
        Ended { pause: Some(pause), .. } => format!("the plugin is paused for {}", text(*pause)),
        Ended { again: Some(delay), .. } => format!("trying again in {}", text(*delay)),
    }
}

/// Whether people are to be told of a failure on the object itself, which had so many before: only if it does not go by
/// itself, and nothing is the matter with more than the object, which is told of once.
fn is_told(failed: &Failed, failures_before: u32, ended: &Ended) -> bool {
    let lasts = ended.again.is_none() || failures_before + 1 >= TOLD_AT;
    lasts && ended.pause.is_none() && ended.back_to.is_none() && !matches!(failed, Failed::LookUp(_))
}

/// Why a failed call failed, for people.
pub(super) fn reason_of(result: &Result<Done, Failed>) -> String {
    result.as_ref().err().map(|failed| text::shortened(&failed.to_string())).unwrap_or_default()
}

/// To a precision that people want to read.
fn round(delay: Duration) -> Duration {
    if delay < Duration::from_secs(1) {
        Duration::from_millis(u64::from(delay.subsec_millis()).max(1))
    } else {
        Duration::from_secs(delay.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::plan::Draft;
    use crate::grant::Grant;
    use crate::metrics::{Gauges, Metrics};
    use crate::object::{Gvk, ObjectKey, ObjectRef};
    use crate::plugin::Outcome;

    #[test]
    fn a_failure_is_counted_as_what_it_is_and_as_an_error() {
        let metrics = Metrics::default();
        let of_plugin = metrics.reconciles(&"idle".into());
        let time = Duration::from_secs(1);
        for failed in [
            Failed::Call(CallError::CpuTime(time)),
            Failed::Call(CallError::WallTime(time)),
            Failed::Reading(CallError::WallTime(time)),
            Failed::Call(CallError::Trap("unreachable".into())),
            Failed::Call(CallError::Terminal("never".into())),
        ] {
            count(&of_plugin, &Err(failed), time);
        }
        let text = metrics.encode(Gauges::default()).unwrap();
        for line in [
            r#"controller_runtime_reconcile_timeouts_total{controller="idle"} 3"#,
            r#"controller_runtime_reconcile_total{controller="idle",result="error"} 5"#,
            r#"controller_runtime_reconcile_errors_total{controller="idle"} 5"#,
            r#"controller_runtime_reconcile_panics_total{controller="idle"} 1"#,
            r#"controller_runtime_terminal_reconcile_errors_total{controller="idle"} 1"#,
            r#"oarlock_plugin_failures_total{plugin="idle",reason="wall_time"} 1"#,
            r#"oarlock_plugin_failures_total{plugin="idle",reason="read"} 1"#,
            r#"oarlock_plugin_failures_total{plugin="idle",reason="trap"} 1"#,
            r#"oarlock_plugin_failures_total{plugin="idle",reason="exit"} 0"#,
        ] {
            assert!(text.lines().any(|had| had == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_failure_is_told_on_the_object_if_it_lasts_and_nothing_else_is_the_matter() {
        let not_yet = Failed::Call(CallError::Retry("not yet".into()));
        let ended = |again| Ended { again, pause: None, turn: None, back_to: None };
        let (second, again) = (Duration::from_secs(1), ended(Some(Duration::from_secs(1))));
        let told: Vec<_> = (0..20).filter(|before| is_told(&not_yet, *before, &again)).collect();
        assert_eq!(told, (9..20).collect::<Vec<_>>());
        assert!(is_told(&Failed::Call(CallError::Terminal("never".into())), 0, &ended(None)));
        assert!(!is_told(&not_yet, 50, &Ended { pause: Some(second), ..ended(Some(second)) }));
        let back_to = Some(Arc::new(Plugin::idle(1, Grant::default(), Vec::new())));
        assert!(!is_told(&not_yet, 50, &Ended { back_to, ..ended(Some(second)) }));
        assert!(!is_told(&Failed::LookUp("no answer".to_owned().into()), 50, &again));
    }

    #[test]
    fn an_answer_that_says_no_or_cannot_be_is_one_and_none_at_all_is_a_break() {
        let command = Plugin::idle(1, Grant::default(), Vec::new());
        let target = ObjectRef { gvk: Gvk::replica_set(), key: ObjectKey::new(Some("default"), "a") };
        let outcome = Outcome { actions: Vec::new(), children: Some(vec![String::new()]), requeue_after_ms: None };
        let wrong = |most| Failed::Invalid(Draft::of(&outcome, &target, most).unwrap_err());
        let call = Failed::Call;
        for (failed, sign) in [
            (call(CallError::Retry("not yet".into())), Sign::Works),
            (call(CallError::Terminal("never".into())), Sign::Works),
            (call(CallError::Exit(1)), Sign::Works),
            (wrong(0), Sign::Works),
            (wrong(1), Sign::Works),
            (call(CallError::Trap("unreachable".into())), Sign::Breaks),
            (call(CallError::WallTime(Duration::ZERO)), Sign::Breaks),
            (call(CallError::Answer(1)), Sign::Breaks),
            (Failed::Panicked("a defect".into()), Sign::Breaks),
            (Failed::Reading(CallError::WallTime(Duration::ZERO)), Sign::Nothing),
            (Failed::LookUp("no answer".to_owned().into()), Sign::Nothing),
        ] {
            assert_eq!(sign_of(&command, &Err(failed)), sign);
        }
    }
}
