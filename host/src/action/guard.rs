//! Checks what a plugin asks for against what it is granted, all of it before any of it is done. Pure.

use crate::action::plan::{Draft, Step};
use crate::grant::{Grant, Verb};
use crate::object::{Gvk, Kind, ObjectKey, ObjectRef};
use crate::plugin::Plugin;
use crate::selector::Selection;

/// A plugin asked for what it is not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not granted: to {verb} {what}; nothing of what the plugin answered was done. To grant it, add to the grants in {file}: {lines}"
)]
pub struct Denied {
    /// What it wanted to do.
    pub verb: Verb,
    what: String,
    file: String,
    lines: String,
}

/// Why a read is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not granted.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Its kind is in namespaces, and it names none.
    #[error("{0} needs a namespace")]
    Nameless(String),
}

/// What a grant is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The name of the plugin.
    pub plugin: &'a str,
    /// What it is granted.
    pub grant: &'a Grant,
    /// The object that is reconciled.
    pub target: &'a ObjectRef,
}

impl<'a> Ask<'a> {
    /// About what that plugin may do in a call for that object.
    pub fn of(plugin: &'a Plugin, target: &'a ObjectRef) -> Self {
        Self { plugin: &plugin.name, grant: &plugin.grant, target }
    }

    /// Denies what is granted nowhere, before anybody is asked what the kinds are.
    pub fn check_kinds(&self, draft: &Draft) -> Result<(), Denied> {
        let mut denied = draft.asks().filter(|(verb, about)| !self.grant.names(*verb, &about.gvk));
        denied.try_for_each(|(verb, about)| {
            let place = place_of(about).or(self.home());
            self.may(verb, &about.gvk, place, Some(about.key.name())).map(drop)
        })
    }

    /// Whether all the steps are granted.
    pub fn check(&self, steps: &[Step]) -> Result<(), Denied> {
        steps.iter().try_for_each(|step| {
            let about = step.target().unwrap_or(self.target);
            self.may(step.verb(), &about.gvk, place_of(about), Some(about.key.name())).map(|_| ())
        })
    }

    /// Whether the verb is granted for objects of that kind in that namespace. Returns whether it may take over fields.
    /// `namespace` is none for what is cluster-scoped, and `*` for all namespaces; `name` is for the message.
    pub fn may(&self, verb: Verb, gvk: &Gvk, namespace: Option<&str>, name: Option<&str>) -> Result<bool, Denied> {
        let home = self.home();
        if let Some(rule) = self.grant.rule_for(verb, gvk, namespace, home) {
            return Ok(rule.force);
        }
        let place = match namespace {
            Some("*") => " in all namespaces".to_owned(),
            Some(namespace) => format!(" in namespace {namespace}"),
            None => String::new(),
        };
        let name = name.map(|name| format!(" {name}")).unwrap_or_default();
        Err(Denied {
            verb,
            what: format!("{} {}{name}{place}", gvk.api_version(), gvk.kind()),
            file: format!("{}.yaml", self.plugin),
            lines: Grant::lines_to_add(verb, gvk, namespace, home),
        })
    }

    /// The same of what has yet to be told what it is: denies what is granted nowhere, before anybody is asked.
    pub fn may_anywhere(
        &self,
        verb: Verb,
        gvk: &Gvk,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<(), Denied> {
        if self.grant.names(verb, gvk) { Ok(()) } else { self.may(verb, gvk, namespace, name).map(drop) }
    }

    /// Which object of that kind is read by that name, if that is granted.
    pub fn to_get(&self, wanted: &ObjectRef, kind: &Kind) -> Result<ObjectRef, Refused> {
        let key = match (kind.namespaced, wanted.key.namespace()) {
            (false, _) => ObjectKey::new(None, wanted.key.name()),
            (true, Some(_)) => wanted.key.clone(),
            (true, None) => {
                return Err(Refused::Nameless(format!("{} {}", kind.gvk.kind(), wanted.key.name())));
            }
        };
        let wanted = ObjectRef { gvk: wanted.gvk.clone(), key };
        self.may(Verb::Get, &wanted.gvk, place_of(&wanted), Some(wanted.key.name()))?;
        Ok(wanted)
    }

    /// Which objects of that kind are read by that selection, if that is granted.
    pub fn to_list(&self, wanted: Selection, kind: &Kind) -> Result<Selection, Refused> {
        let wanted = Selection { namespace: wanted.namespace.filter(|_| kind.namespaced), ..wanted };
        let is_placed = kind.namespaced || is_namespace(&wanted.gvk);
        let asked = is_placed.then(|| wanted.namespace.as_deref().unwrap_or("*"));
        self.may(Verb::List, &wanted.gvk, asked, None)?;
        Ok(wanted)
    }

    /// The namespace that a rule without namespaces is about.
    fn home(&self) -> Option<&str> {
        place_of(self.target)
    }
}

/// The namespace that an object is in, as far as grants are concerned: a Namespace is in itself.
pub fn place_of(object: &ObjectRef) -> Option<&str> {
    if is_namespace(&object.gvk) { Some(object.key.name()) } else { object.key.namespace() }
}

/// Whether this is the kind of namespaces themselves.
pub fn is_namespace(gvk: &Gvk) -> bool {
    gvk.kind() == "Namespace" && gvk.group().is_empty()
}

/// Whether this is the kind of Secrets, whose values are told to nobody.
pub fn is_secret(gvk: &Gvk) -> bool {
    gvk.kind() == "Secret" && gvk.group().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Part;

    fn apply(kind: &str, namespace: &str) -> Step {
        let key = ObjectKey::new(Some(namespace), "a");
        let target = ObjectRef { gvk: Gvk::new("v1", kind), key };
        Step::Apply { target, body: serde_json::Map::new(), part: Part::Main }
    }

    fn check(grant: &Grant, steps: &[Step]) -> Result<(), String> {
        let target = ObjectRef { gvk: Gvk::replica_set(), key: ObjectKey::new(Some("home"), "rs") };
        Ask { plugin: "demo", grant, target: &target }.check(steps).map_err(|denied| denied.to_string())
    }

    #[test]
    fn without_a_grant_everything_is_denied_with_the_line_to_add() {
        let denied = check(&Grant::default(), &[apply("Secret", "home")]).unwrap_err();
        assert!(denied.starts_with("not granted: to apply v1 Secret a in namespace home"), "{denied}");
        assert!(denied.contains("demo.yaml") && denied.contains("kinds: [Secret]"), "{denied}");
        assert_eq!(check(&Grant::default(), &[]), Ok(()));
    }

    #[test]
    fn a_grant_is_for_its_kinds_and_namespaces_and_one_step_outside_denies_all() {
        let grant = Grant::parse("grants:\n- {apiVersion: v1, kinds: [ConfigMap], verbs: [apply]}\n").unwrap();
        assert_eq!(check(&grant, &[apply("ConfigMap", "home")]), Ok(()));
        let outside = check(&grant, &[apply("ConfigMap", "home"), apply("ConfigMap", "other")]).unwrap_err();
        assert!(outside.contains("in namespace other") && outside.contains("namespaces: [other]"), "{outside}");
        assert!(check(&grant, &[apply("Secret", "home")]).is_err());
    }

    #[test]
    fn the_home_of_a_namespace_is_itself() {
        let grant = Grant::parse("grants:\n- {apiVersion: v1, kinds: [ConfigMap], verbs: [apply]}\n").unwrap();
        let target = ObjectRef { gvk: Gvk::new("v1", "Namespace"), key: ObjectKey::new(None, "blue") };
        let ask = Ask { plugin: "demo", grant: &grant, target: &target };
        assert_eq!(ask.check(&[apply("ConfigMap", "blue")]), Ok(()));
        assert!(ask.check(&[apply("ConfigMap", "green")]).is_err());
        let grant = Grant::parse("grants:\n- {apiVersion: v1, kinds: [Namespace], verbs: [delete]}\n").unwrap();
        let ask = Ask { grant: &grant, ..ask };
        let delete = |name| {
            let target = ObjectRef { gvk: Gvk::new("v1", "Namespace"), key: ObjectKey::new(None, name) };
            ask.check(&[Step::Delete { target, uid: None }])
        };
        assert!(delete("blue").is_ok() && delete("green").is_err());
    }
}
