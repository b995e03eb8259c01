//! Calls of a reconcile in `cargo test`, natively: no host, no WebAssembly.
//!
//! A [`Call`] is made of the object and of what is in the cluster besides, and gives an [`Answer`] to look at:
//!
//! ```
//! use oarlock_sdk::testing::Call;
//! use oarlock_sdk::{Failure, ObjectRef, Outcome, Request, cluster, json, log};
//!
//! /// Labels a Pod with the team of its Namespace.
//! fn reconcile(request: &Request) -> Result<Outcome, Failure> {
//!     let Some(namespace) = &request.target.namespace else { return Ok(Outcome::done()) };
//!     let Some(namespace) = cluster::get(&ObjectRef::new("v1", "Namespace", namespace))? else {
//!         return Err(Failure::retry("its Namespace is not there yet"));
//!     };
//!     let team: &str = namespace.at("/metadata/labels/team")?;
//!     log::info(format!("it is {team}'s"));
//!     Ok(Outcome::done().merge_patch(request.target.clone(), &json!({"metadata": {"labels": {"team": team}}})))
//! }
//!
//! let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "shop", "name": "web"}});
//! let shop = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "blue"}}});
//!
//! let answer = Call::on(&pod).with(&shop).reconcile(reconcile);
//! assert_eq!(answer.outcome().actions.len(), 1);
//! assert_eq!(answer.messages(), ["it is blue's"]);
//!
//! let answer = Call::on(&pod).reconcile(reconcile);
//! assert_eq!(answer.result, Err(Failure::retry("its Namespace is not there yet")));
//! ```
//!
//! What a plugin prints goes to the test's output. Grants are not looked at: that is the host's part.

mod answer;
mod call;
mod selector;
pub(crate) mod world;

pub use crate::bindings::oarlock::plugin::log::Level;
pub use answer::Answer;
pub use call::Call;

use crate::Value;

/// The object in a manifest, which is YAML or JSON: `yaml(include_str!("../sample.yaml"))`.
///
/// # Panics
///
/// If it is none, and says where.
#[track_caller]
pub fn yaml(text: &str) -> Value {
    match serde_saphyr::from_str(text) {
        Ok(value) => value,
        Err(error) => panic!("this is no YAML: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{Description, Failure, Object, ObjectRef, Outcome, Request, Watch, cluster, json, log};

    fn config(namespace: &str, name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name}})
    }

    fn names(objects: &[Object]) -> String {
        objects.iter().map(|object| object.reference().unwrap().to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_call_tells_of_the_object_as_a_host_would() {
        let seen = |call: Call| {
            let mut seen = None;
            call.reconcile(|request| {
                seen = Some((request.target.to_string(), request.object.is_some(), request.attempt, request.deleting));
                Ok(Outcome::done())
            });
            seen.unwrap()
        };
        let call = Call::on(&config("shop", "a"));
        assert_eq!(seen(call.clone()), ("shop/a".into(), true, 0, false));
        assert_eq!(seen(call.clone().attempt(2)), ("shop/a".into(), true, 2, false));
        assert_eq!(seen(call.deleting()), ("shop/a".into(), true, 0, true));
        let gone = Call::gone(ObjectRef::new("v1", "Node", "a"));
        assert_eq!(seen(gone.deleting()), ("a".into(), false, 0, false));
    }

    #[test]
    fn reads_find_what_the_call_was_given_in_the_order_of_namespace_and_name() {
        let call = Call::on(&config("b", "a")).with(&config("b", "B")).with(&config("a", "z"));
        let answer = call.clone().reconcile(|_| {
            let all = Watch::all("v1", "ConfigMap");
            log::info(names(&cluster::list(&all)?));
            log::info(names(&cluster::list(&all.in_namespace("a"))?));
            let one = |namespace| cluster::get(&ObjectRef::new("v1", "ConfigMap", "a").in_namespace(namespace));
            assert_eq!((one("b")?.is_some(), one("a")?), (true, None));
            Ok(Outcome::done())
        });
        assert_eq!(answer.messages(), ["a/z b/B b/a", "a/z"]);
        assert_eq!(answer.outcome(), &Outcome::done());

        let answer = call.unreadable("away").reconcile(|request| {
            cluster::get(&request.target)?;
            Ok(Outcome::done())
        });
        assert_eq!(answer.result, Err(Failure::retry("away")));
    }

    #[test]
    fn outside_of_a_call_there_is_no_cluster() {
        let read = || cluster::list(&Watch::all("v1", "ConfigMap"));
        assert!(read().is_err());
        let within = Call::on(&config("a", "a")).reconcile(|_| {
            read()?;
            Ok(Outcome::done())
        });
        within.outcome();
        assert!(read().is_err());
    }

    #[test]
    fn settings_are_given_before_the_call_and_only_to_it() {
        thread_local! {
            static SETTINGS: Cell<u32> = const { Cell::new(1) };
        }
        fn describe(settings: Option<&str>) -> Result<Description, String> {
            if let Some(settings) = settings {
                SETTINGS.set(settings.parse().map_err(|_| "it is no number")?);
            }
            Ok(Description::new("example", "1.0.0", Vec::new()))
        }
        let reconcile = |_: &Request| {
            log::warn(SETTINGS.get().to_string());
            Ok(Outcome::done())
        };
        let call = || Call::on(&config("a", "a"));
        for (settings, expected) in [(Some(json!(7)), "7"), (None, "1")] {
            let answer = call().described(describe, settings.as_ref()).reconcile(reconcile);
            assert_eq!(answer.log, [(Level::Warn, expected.to_owned())]);
        }
        let refused = std::panic::catch_unwind(|| call().described(describe, Some(&json!("x"))).reconcile(reconcile));
        let reason = refused.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(*reason, "the plugin refuses its settings: it is no number");
    }

    #[test]
    fn an_answer_tells_what_is_asked_for_by_kind() {
        let target = ObjectRef::new("v1", "ConfigMap", "a").in_namespace("a");
        let answer = Call::on(&config("a", "a")).reconcile(|request| {
            Ok(Outcome::done()
                .children([config("a", "child")])
                .apply(&config("a", "applied"))
                .apply_status(&json!({"status": {"ready": true}}))
                .delete(request.target.clone())
                .warning("Odd", "but done"))
        });
        assert_eq!(answer.children(), [config("a", "child")]);
        assert_eq!(answer.applied(), [config("a", "applied")]);
        assert_eq!(answer.status(), json!({"ready": true}));
        assert_eq!(answer.deleted(), [&target]);
        assert_eq!(answer.events()[0].reason, "Odd");
        let nothing = Call::on(&config("a", "a")).reconcile(|_| Ok(Outcome::done()));
        assert_eq!((nothing.children(), nothing.status()), (vec![], Value::Null));
    }

    #[test]
    fn a_manifest_is_taken_in_yaml_and_in_json() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  namespace: a\n  name: a\n";
        assert_eq!(yaml(text), config("a", "a"));
        assert_eq!(yaml(&config("a", "a").to_string()), config("a", "a"));
    }
}
