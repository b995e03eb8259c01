//! What the operator lets a plugin do, as the file `NAME.yaml` beside `NAME.wasm` says it. Pure.
//!
//! It is the operator's word over the author's: what it does not grant is denied, and a file that says anything which
//! is not understood is refused whole, so that no typing error grants more, or less, than was meant.

mod parse;
pub(crate) mod values;

use std::fmt;
use std::time::Duration;

use crate::object::Gvk;
use crate::selector::Selection;
use crate::yaml::{YamlError, scalar};

/// What a plugin may do, how often and with what. The default one grants nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Whom its changes impersonate. None: nobody, they are the host's own.
    pub service_account: Option<ServiceAccount>,
    /// Whether its changes are carried out.
    pub mode: Mode,
    /// How long an instance of it lives.
    pub isolation: Isolation,
    /// How many of its calls run at a time, from 1 to 1000.
    pub concurrency: usize,
    /// How often each object is reconciled again without having changed, at least a second. None: never.
    pub resync: Option<Duration>,
    /// What a call may use.
    pub limits: LimitOverrides,
    /// What `describe` is given, a JSON text.
    pub settings: Option<String>,
    /// What it watches instead of what it describes; nothing at all if the list is empty. None: what it describes.
    pub watches: Option<Vec<Selection>>,
    /// What it may do: all that at least one of them permits.
    pub rules: Vec<Rule>,
}

/// Who changes things in the plugin's stead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceAccount {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// Whether changes are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// None is: what would change is printed.
    Shadow,
}

/// How long an instance lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// From call to call, for as long as it answers.
    #[default]
    Kept,
    /// For one call, so that no object can leave anything behind for another.
    Fresh,
}

/// What a call may use, where it differs from what the host's flags say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitOverrides {
    /// The processor time of a call.
    pub cpu: Option<Duration>,
    /// The time from the start of a call to its end.
    pub wall: Option<Duration>,
    /// The memory of an instance, in bytes.
    pub memory: Option<usize>,
    /// What a call may print, in bytes.
    pub output: Option<usize>,
    /// What a call may log, in bytes.
    pub log: Option<usize>,
    /// What a call may answer, in bytes.
    pub answer: Option<usize>,
    /// How many actions and children a call may answer.
    pub actions: Option<usize>,
    /// How many changes and Events there may be in a second.
    pub writes: Option<usize>,
    /// The size of the plugin's file, in bytes.
    pub wasm: Option<usize>,
    /// The time that compiling it takes.
    pub compile: Option<Duration>,
}

/// What can be done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// To read one.
    Get,
    /// To read all of them.
    List,
    /// To apply what it shall be, by server-side apply.
    Apply,
    /// To apply its status alone.
    ApplyStatus,
    /// To patch it.
    Patch,
    /// To delete it.
    Delete,
    /// To tell of it in an event.
    Event,
    /// To hold its deletion up by a finalizer.
    Finalize,
}

/// Some kinds, and what may be done to their objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Group and version: `apps/v1`, `v1`. Another version of the group is not meant.
    pub api_version: String,
    /// At least one.
    pub kinds: Vec<String>,
    /// At least one.
    pub verbs: Vec<Verb>,
    /// Where.
    pub namespaces: Namespaces,
    /// Whether an apply takes fields over from other managers.
    pub force: bool,
}

/// Where a rule holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespaces {
    /// In the namespace of the object that is reconciled.
    #[default]
    OfTarget,
    /// In these, at least one, wherever the object is that is reconciled.
    Named(Vec<String>),
    /// Everywhere.
    All,
}

impl Grant {
    /// The grant that a file of this text is; one without anything in it grants nothing.
    pub fn parse(text: &str) -> Result<Self, YamlError> {
        parse::grant(text)
    }

    /// The rule that permits this, if there is one, and one with force rather than one without.
    ///
    /// `namespace` is that of the object acted on, or `*` for a list that spans all of them. A Namespace counts as
    /// being in itself, as it does for Kubernetes' own authorizers; any other cluster-scoped object has none. `home` is
    /// the same of the object that is reconciled.
    ///
    /// What has no namespace is limited by its kind alone.
    pub fn rule_for(&self, verb: Verb, gvk: &Gvk, namespace: Option<&str>, home: Option<&str>) -> Option<&Rule> {
        let mut permitting = self.rules.iter().filter(|rule| rule.permits(verb, gvk, namespace, home));
        let first = permitting.next()?;
        if first.force { Some(first) } else { Some(permitting.find(|rule| rule.force).unwrap_or(first)) }
    }

    /// Whether it grants any reading of objects of that kind.
    pub fn grants_reading(&self, gvk: &Gvk) -> bool {
        let reads = |rule: &Rule| rule.verbs.iter().any(|verb| matches!(verb, Verb::Get | Verb::List));
        self.rules.iter().filter(|rule| reads(rule)).any(|rule| rule.kinds().any(|kind| kind == *gvk))
    }

    /// Whether it grants that about objects of that kind anywhere.
    pub fn names(&self, verb: Verb, gvk: &Gvk) -> bool {
        self.rules.iter().any(|rule| rule.verbs.contains(&verb) && rule.kinds().any(|kind| kind == *gvk))
    }

    /// The kinds that it grants something about.
    pub fn kinds(&self) -> impl Iterator<Item = Gvk> {
        self.rules.iter().flat_map(Rule::kinds)
    }

    /// The entry that has to stand in the file's `grants` for [`Grant::rule_for`] to find a rule: such as
    /// `{apiVersion: apps/v1, kinds: [Deployment], verbs: [apply]}`.
    ///
    /// What a plugin asks for cannot make it say more than this one thing.
    pub fn lines_to_add(verb: Verb, gvk: &Gvk, namespace: Option<&str>, home: Option<&str>) -> String {
        let (api_version, kind) = (scalar(gvk.api_version()), scalar(gvk.kind()));
        let namespaces = match namespace {
            Some(namespace) if home != Some(namespace) => format!(", namespaces: [{}]", scalar(namespace)),
            _ => String::new(),
        };
        format!("{{apiVersion: {api_version}, kinds: [{kind}], verbs: [{verb}]{namespaces}}}")
    }
}

impl Default for Grant {
    fn default() -> Self {
        Self {
            service_account: None,
            mode: Mode::default(),
            isolation: Isolation::default(),
            concurrency: 1,
            resync: None,
            limits: LimitOverrides::default(),
            settings: None,
            watches: None,
            rules: Vec::new(),
        }
    }
}

impl ServiceAccount {
    /// What Kubernetes calls it where it asks for a user: `system:serviceaccount:NAMESPACE:NAME`.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    /// The groups that Kubernetes puts it in, which have to be told where a user is told as a text.
    pub fn groups(&self) -> Vec<String> {
        let of_namespace = format!("system:serviceaccounts:{}", self.namespace);
        vec!["system:serviceaccounts".to_owned(), of_namespace, "system:authenticated".to_owned()]
    }
}

impl fmt::Display for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Mode {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Enforce, Self::Shadow];

    /// As in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Verb {
    /// Every one.
    pub const ALL: [Self; 8] =
        [Self::Get, Self::List, Self::Apply, Self::ApplyStatus, Self::Patch, Self::Delete, Self::Event, Self::Finalize];

    /// As in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Apply => "apply",
            Self::ApplyStatus => "apply-status",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Event => "event",
            Self::Finalize => "finalize",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Rule {
    /// The kinds that it is about.
    pub fn kinds(&self) -> impl Iterator<Item = Gvk> {
        self.kinds.iter().map(|kind| Gvk::new(&self.api_version, kind))
    }

    fn permits(&self, verb: Verb, gvk: &Gvk, namespace: Option<&str>, home: Option<&str>) -> bool {
        self.api_version == gvk.api_version()
            && self.kinds.iter().any(|kind| kind == gvk.kind())
            && self.verbs.contains(&verb)
            && self.namespaces.hold(namespace, home)
    }
}

impl Namespaces {
    fn hold(&self, namespace: Option<&str>, home: Option<&str>) -> bool {
        // What is cluster-scoped is in no namespace: there, the kind is all that a rule limits.
        let Some(namespace) = namespace else { return true };
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|name| name == namespace),
            Self::OfTarget => home == Some(namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(entries: &str) -> Grant {
        Grant::parse(&format!("grants:\n{entries}")).unwrap()
    }

    fn deployment() -> Gvk {
        Gvk::new("apps/v1", "Deployment")
    }

    #[test]
    fn what_is_not_granted_is_denied() {
        let grant = rules("- {apiVersion: apps/v1, kinds: [Deployment, StatefulSet], verbs: [get, apply]}\n");
        let permits = |verb, gvk: &Gvk| grant.rule_for(verb, gvk, Some("a"), Some("a")).is_some();
        for verb in Verb::ALL {
            assert_eq!(permits(verb, &deployment()), matches!(verb, Verb::Get | Verb::Apply), "{verb}");
            assert!(Grant::default().rule_for(verb, &deployment(), Some("a"), Some("a")).is_none(), "{verb}");
        }
        assert!(permits(Verb::Get, &Gvk::new("apps/v1", "StatefulSet")));
        for other in
            [Gvk::new("apps/v1", "DaemonSet"), Gvk::new("apps/v1beta1", "Deployment"), Gvk::new("v1", "Deployment")]
        {
            assert!(!permits(Verb::Get, &other), "{other}");
        }
    }

    #[test]
    fn a_rule_holds_in_its_namespaces_and_without_any_in_that_of_the_reconciled_object() {
        let (a, b) = (Some("a"), Some("b"));
        for (namespaces, namespace, home, expected) in [
            ("", a, a, true),
            ("", b, a, false),
            ("", None, a, true),
            ("", a, None, false),
            ("", None, None, true),
            (", namespaces: [b, c]", b, a, true),
            (", namespaces: [b, c]", a, a, false),
            (", namespaces: [b, c]", None, None, true),
            (r#", namespaces: ["*"]"#, b, a, true),
            (r#", namespaces: ["*"]"#, None, a, true),
            (r#", namespaces: ["*"]"#, Some("*"), a, true),
            (", namespaces: [a]", Some("*"), a, false),
            ("", Some("*"), a, false),
            ("", Some("*"), None, false),
        ] {
            let grant = rules(&format!("- {{apiVersion: apps/v1, kinds: [Deployment], verbs: [apply]{namespaces}}}"));
            let permitted = grant.rule_for(Verb::Apply, &deployment(), namespace, home).is_some();
            assert_eq!(permitted, expected, "{namespaces} {namespace:?} {home:?}");
        }
    }

    #[test]
    fn a_list_of_all_namespaces_takes_a_rule_for_all_namespaces() {
        let list = |namespaces| {
            let grant = rules(&format!("- {{apiVersion: apps/v1, kinds: [Deployment], verbs: [list]{namespaces}}}"));
            grant.rule_for(Verb::List, &deployment(), Some("*"), Some("a")).is_some()
        };
        assert!(!list("") && list(", namespaces: ['*']"));
    }

    #[test]
    fn rules_add_up_and_one_with_force_goes_first() {
        let entry = |verbs, force| format!("- {{apiVersion: v1, kinds: [Pod], verbs: [{verbs}], force: {force}}}\n");
        let grant = rules(&[entry("get, apply", false), entry("apply", true), entry("delete", false)].concat());
        let rule = |verb| grant.rule_for(verb, &Gvk::new("v1", "Pod"), Some("a"), Some("a"));
        assert_eq!(rule(Verb::Get), Some(&grant.rules[0]));
        assert_eq!(rule(Verb::Apply), Some(&grant.rules[1]));
        assert_eq!(rule(Verb::Delete), Some(&grant.rules[2]));
        assert_eq!(rule(Verb::Patch), None);
    }

    #[test]
    fn the_lines_to_add_permit_what_was_denied_and_nothing_else() {
        let places = [None, Some("a"), Some("b"), Some("123"), Some("no"), Some("*")];
        for (verb, namespace, home) in Verb::ALL
            .into_iter()
            .flat_map(|verb| places.map(|place| (verb, place)))
            .flat_map(|(verb, namespace)| places.map(|home| (verb, namespace, home)))
        {
            let lines = Grant::lines_to_add(verb, &deployment(), namespace, home);
            let grant = rules(&format!("- {lines}\n"));
            assert!(grant.rule_for(verb, &deployment(), namespace, home).is_some(), "{lines}");
            assert_eq!((grant.rules.len(), &*grant.rules[0].verbs), (1, &[verb][..]), "{lines}");
        }
        let lines = |namespace, home| Grant::lines_to_add(Verb::Apply, &deployment(), namespace, home);
        assert_eq!(lines(Some("a"), Some("a")), "{apiVersion: apps/v1, kinds: [Deployment], verbs: [apply]}");
        assert_eq!(
            lines(Some("b"), Some("a")),
            "{apiVersion: apps/v1, kinds: [Deployment], verbs: [apply], namespaces: [b]}"
        );
        assert_eq!(lines(None, Some("a")), "{apiVersion: apps/v1, kinds: [Deployment], verbs: [apply]}");
    }

    #[test]
    fn a_plugin_cannot_write_lines_of_its_own() {
        let gvk = Gvk::new("v1", "Pod], verbs: [delete], namespaces: ['*']} #\n- {");
        let lines = Grant::lines_to_add(Verb::Get, &gvk, Some("a\"]}\n"), None);
        assert_eq!(lines.lines().count(), 1);
        assert!(
            Grant::parse(&format!("grants:\n- {lines}")).unwrap_err().to_string().contains("is no kind"),
            "{lines}"
        );
    }

    #[test]
    fn a_service_account_is_a_user_to_kubernetes() {
        let account = ServiceAccount { namespace: "a".into(), name: "b".into() };
        assert_eq!((account.user(), account.to_string()), ("system:serviceaccount:a:b".into(), "a/b".into()));
        assert_eq!(account.groups(), ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]);
    }
}
