//! Asks the host for what the object's annotation `ask` says.

use std::thread;
use std::time::Duration;

use oarlock_sdk::{Failure, ObjectRef, Outcome, Value, Watch, cluster, json};
use serde::Deserialize;

use crate::SETTINGS;

/// How far [`to_count`] counts: not so far that the host takes it for a loop.
const LAST: u32 = 9;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Ask {
    /// To read an object and print it.
    Get(Named),
    /// To read all objects of a kind and print how many there are.
    List(Selection),
    /// To apply this.
    Apply(Value),
    /// To change an object by a merge patch.
    MergePatch(Named, Value),
    /// To change an object by a JSON patch.
    JsonPatch(Named, Value),
    /// To delete an object.
    Delete(Named),
    /// To have these children.
    Children(Vec<Value>),
    /// For nothing, for so many milliseconds.
    Nap(u64),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    api_version: String,
    kind: String,
    namespace: Option<String>,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    api_version: String,
    kind: String,
    namespace: Option<String>,
    field_selector: Option<String>,
}

impl From<Named> for ObjectRef {
    fn from(Named { api_version, kind, namespace, name }: Named) -> Self {
        Self { api_version, kind, namespace, name }
    }
}

/// Asks for all that the text lists in JSON, in which `VALUE` stands for what the settings say.
pub(crate) fn for_all(text: &str) -> Result<Outcome, Failure> {
    let value = SETTINGS.get().map_or("", |settings| &settings.value);
    let mut outcome = Outcome::done();
    for ask in serde_json::from_str::<Vec<Ask>>(&text.replace("VALUE", value))? {
        match ask {
            Ask::Get(named) => match cluster::get(&named.into())? {
                Some(object) => println!("read {}", object.as_str()),
                None => println!("read nothing"),
            },
            Ask::List(Selection { api_version, kind, namespace, field_selector }) => {
                let wanted = Watch { namespace, field_selector, ..Watch::all(api_version, kind) };
                println!("read {} objects", cluster::list(&wanted)?.len());
            }
            Ask::Apply(object) => outcome = outcome.apply(&object),
            Ask::MergePatch(named, patch) => outcome = outcome.merge_patch(named.into(), &patch),
            Ask::JsonPatch(named, operations) => outcome = outcome.json_patch(named.into(), &operations),
            Ask::Children(objects) => outcome = outcome.children(objects),
            Ask::Delete(named) => outcome = outcome.delete(named.into()),
            Ask::Nap(millis) => thread::sleep(Duration::from_millis(millis)),
        }
    }
    Ok(outcome)
}

/// Counts up in a ConfigMap of the same name by what it reads there, one a call: what it has read is what it has written
/// in the call before, which is also what makes the host call again.
pub(crate) fn to_count(target: &ObjectRef) -> Result<Outcome, Failure> {
    let counter = ObjectRef { api_version: "v1".into(), kind: "ConfigMap".into(), ..target.clone() };
    let count: u32 = match cluster::get(&counter)? {
        Some(there) => there.at::<String>("/data/count")?.parse()?,
        None => 0,
    };
    println!("{target} counts {count}");
    if count == LAST {
        return Ok(Outcome::done());
    }
    Ok(Outcome::done().apply(&json!({
        "apiVersion": counter.api_version,
        "kind": counter.kind,
        "metadata": {"namespace": counter.namespace, "name": counter.name},
        "data": {"count": (count + 1).to_string()},
    })))
}
