//! Recorded calls, made again.

use std::sync::Arc;

use crate::object::ObjectRef;
use crate::plugin::{CallError, Caller, Plugin, Reader, ReconcileId, Request};
use crate::recording::{CallResult, Ending, Recorded, Recording};

/// Has the plugin answer once more what it was asked then, with what it read then. What it answers is not done.
pub async fn replay(plugin: &Arc<Plugin>, recording: &Recording) -> Result<CallResult, String> {
    let target = ObjectRef::from(&recording.target);
    let object = match recording.object(&target.gvk) {
        None if recording.object.is_some() => return Err(format!("its object is no {}", target.gvk)),
        object => object,
    };
    let reader: Arc<dyn Reader> = Arc::new(Recorded::new(recording.reads.clone()));
    let request = Request {
        target: &target,
        object: object.as_ref(),
        attempt: recording.attempt,
        id: ReconcileId(0),
        reader: &reader,
    };
    let answer = Caller::default().reconcile(plugin, request, plugin.limits.writing).await;
    let ended = |error: &CallError| (Ending::of(error, plugin.is_command()), error.to_string());
    let mut result = CallResult::of(&target, object.is_none(), &answer.stdout, answer.result.as_ref().map_err(ended));
    // As it was done with what was recorded.
    result.leave_out_secrets();
    Ok(result)
}
