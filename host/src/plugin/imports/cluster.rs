//! `oarlock:plugin/cluster`.

use super::super::bindings::oarlock::plugin::cluster::{Host, Json, ObjectRef, Watch};
use super::super::sandbox::Guest;

impl Host for Guest {
    async fn get(&mut self, target: ObjectRef) -> Result<Option<Json>, String> {
        Err(not_granted("get", &target.api_version, &target.kind, target.namespace.as_deref()))
    }

    async fn list(&mut self, selection: Watch) -> Result<Vec<Json>, String> {
        Err(not_granted("list", &selection.api_version, &selection.kind, selection.namespace.as_deref()))
    }
}

fn not_granted(verb: &str, api_version: &str, kind: &str, namespace: Option<&str>) -> String {
    let place = namespace.map_or_else(|| "the cluster".to_owned(), |namespace| format!("namespace {namespace}"));
    format!("not granted: {verb} {api_version} {kind} in {place}; a plugin may read only the object that it is given")
}
