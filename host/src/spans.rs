//! The spans of a trace: one for each reconcile and, in it, one for the call of the guest and one for each action.
//!
//! They are made for whoever takes in spans of this module's name, which is nobody but `telemetry` where traces are
//! exported. Elsewhere each costs the reading of an atomic.

use std::fmt;

use tracing::{Span, field, info_span};

use crate::object::ObjectRef;

/// The target of all spans of a trace, and of nothing else.
pub const TARGET: &str = module_path!();

/// Of a reconcile: from its call to its last action. `id` is the one in the log.
pub fn reconcile(plugin: &str, target: &ObjectRef, attempt: u32, id: &dyn fmt::Display) -> Span {
    info_span!(
        "reconcile",
        otel.name = format!("reconcile {plugin}"),
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        plugin,
        k8s.kind = target.gvk.kind(),
        k8s.namespace.name = target.key.namespace(),
        k8s.object.name = target.key.name(),
        attempt,
        reconcile_id = %id,
    )
}

/// Of what the guest does in it.
pub fn call(digest: &dyn fmt::Display) -> Span {
    info_span!(
        "call",
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        %digest,
        processor_seconds = field::Empty,
        memory_bytes = field::Empty,
    )
}

/// Of a change that is made for it, or an Event.
pub fn action(verb: &str, about: &ObjectRef) -> Span {
    info_span!(
        "action",
        otel.name = format!("{verb} {}", about.gvk.kind()),
        otel.status_code = field::Empty,
        otel.status_description = field::Empty,
        verb,
        k8s.kind = about.gvk.kind(),
        k8s.namespace.name = about.key.namespace(),
        k8s.object.name = about.key.name(),
    )
}

/// Notes that what the span is about has failed.
pub fn failed(span: &Span, reason: &dyn fmt::Display) {
    if !span.is_disabled() {
        span.record("otel.status_code", "ERROR");
        span.record("otel.status_description", field::display(reason));
    }
}
