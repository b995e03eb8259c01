//! From the text of a grant file to the grant. Pure.

use std::time::Duration;

use super::values::{api_version, bytes, kind, namespace, parsed, positive_duration, resync, service_account};
use super::{Grant, Isolation, LimitOverrides, Mode, Namespaces, Rule, Verb};
use crate::object::Gvk;
use crate::selector::Selection;
use crate::yaml::{Key, Node, Value, YamlError, unknown};

type Result<T, E = YamlError> = std::result::Result<T, E>;

const MOST_CALLS: usize = 1000;
const MOST_ACTIONS: usize = 1_000_000;
/// The most changes and Events that a plugin may ask for in a second.
const MOST_WRITES: usize = 1_000_000;

pub(super) fn grant(text: &str) -> Result<Grant> {
    const FIELDS: [&str; 9] =
        ["serviceAccount", "mode", "isolation", "concurrency", "resync", "limits", "settings", "watches", "grants"];
    const ISOLATIONS: [(&str, Isolation); 2] = [("kept", Isolation::Kept), ("fresh", Isolation::Fresh)];
    let mut grant = Grant::default();
    let Some(node) = Node::parse(text)? else { return Ok(grant) };
    for (key, node) in node.fields("a grant file")? {
        match &*key.name {
            "serviceAccount" => grant.service_account = Some(node.read(&key, service_account)?),
            "mode" => grant.mode = node.choice(&key, "mode", &Mode::ALL.map(|mode| (mode.as_str(), mode)))?,
            "isolation" => grant.isolation = node.choice(&key, "isolation", &ISOLATIONS)?,
            "concurrency" => grant.concurrency = node.whole_number(&key, MOST_CALLS)?,
            "resync" => grant.resync = Some(node.time(&key, resync)?),
            "limits" => grant.limits = node.limits(&key)?,
            "settings" => grant.settings = node.settings(),
            "watches" => grant.watches = Some(node.list(&key)?.into_iter().map(watch).collect::<Result<_>>()?),
            // With every entry commented out it says what an empty list says.
            "grants" if node.is_null() => {}
            "grants" => grant.rules = node.list(&key)?.into_iter().map(rule).collect::<Result<_>>()?,
            _ => return Err(unknown("field", &key.name, key.line, &FIELDS)),
        }
    }
    Ok(grant)
}

fn watch(node: Node) -> Result<Selection> {
    const FIELDS: [&str; 5] = ["apiVersion", "kind", "namespace", "labelSelector", "fieldSelector"];
    let line = node.line;
    let (mut version, mut of_kind) = (None, None);
    let mut selection = Selection::all(Gvk::new("", ""));
    for (key, node) in node.fields("a watch")? {
        match &*key.name {
            "apiVersion" => version = Some(node.read(&key, api_version)?),
            "kind" => of_kind = Some(node.read(&key, kind)?),
            "namespace" => selection.namespace = Some(node.read(&key, namespace)?.into()),
            "labelSelector" => selection.labels = node.read(&key, parsed)?,
            "fieldSelector" => selection.fields = node.read(&key, parsed)?,
            _ => return Err(unknown("field", &key.name, key.line, &FIELDS)),
        }
    }
    let version = version.ok_or_else(|| lacks(line, "watch", "apiVersion"))?;
    let of_kind = of_kind.ok_or_else(|| lacks(line, "watch", "kind"))?;
    Ok(Selection { gvk: Gvk::new(&version, &of_kind), ..selection })
}

fn rule(node: Node) -> Result<Rule> {
    const FIELDS: [&str; 5] = ["apiVersion", "kinds", "verbs", "namespaces", "force"];
    let line = node.line;
    let (mut version, mut kinds, mut verbs) = (None, None, None);
    let (mut namespaces, mut force) = (Namespaces::default(), false);
    for (key, node) in node.fields("a grant")? {
        match &*key.name {
            "apiVersion" => version = Some(node.read(&key, api_version)?),
            "kinds" => kinds = Some(node.some(&key, |node, key| node.read(key, kind))?),
            "verbs" => {
                let words = Verb::ALL.map(|verb| (verb.as_str(), verb));
                verbs = Some(node.some(&key, |node, key| node.choice(key, "verb", &words))?);
            }
            "namespaces" => namespaces = node.namespaces(&key)?,
            "force" => force = node.boolean(&key)?,
            _ => return Err(unknown("field", &key.name, key.line, &FIELDS)),
        }
    }
    Ok(Rule {
        api_version: version.ok_or_else(|| lacks(line, "grant", "apiVersion"))?,
        kinds: kinds.ok_or_else(|| lacks(line, "grant", "kinds"))?,
        verbs: verbs.ok_or_else(|| lacks(line, "grant", "verbs"))?,
        namespaces,
        force,
    })
}

impl Node {
    fn list(self, key: &Key) -> Result<Vec<Self>> {
        match self.value {
            Value::List(items) => Ok(items),
            _ => Err(self.is_no(key, "a list")),
        }
    }

    /// A list of at least one, each of which is read so.
    fn some<T>(self, key: &Key, read: impl Fn(Self, &Key) -> Result<T>) -> Result<Vec<T>> {
        let line = self.line;
        let items = self.list(key)?;
        if items.is_empty() {
            return Err(YamlError::new(line, format!("`{}` is empty: expected at least one", key.name)));
        }
        items.into_iter().map(|item| read(item, key)).collect()
    }

    /// A text, read so.
    fn read<T>(self, key: &Key, read: impl FnOnce(&str) -> Result<T, String>) -> Result<T> {
        match &self.value {
            Value::Text(text) => {
                read(text).map_err(|reason| YamlError::new(self.line, format!("`{}`: {reason}", key.name)))
            }
            Value::Number(_) => Err(self.is_no(key, "a text (in quotes, if this number is meant)")),
            _ => Err(self.is_no(key, "a text")),
        }
    }

    fn time(self, key: &Key, read: impl FnOnce(&str) -> Result<Duration, String>) -> Result<Duration> {
        if matches!(self.value, Value::Text(_)) {
            return self.read(key, read);
        }
        Err(self.is_no(key, "a time, such as 500ms or 1m 30s"))
    }

    /// One of these words.
    fn choice<T: Copy>(self, key: &Key, what: &str, words: &[(&str, T)]) -> Result<T> {
        let Value::Text(text) = &self.value else { return Err(self.is_no(key, "a text")) };
        let found = words.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        let expected: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        found.ok_or_else(|| unknown(what, text, self.line, &expected))
    }

    fn boolean(self, key: &Key) -> Result<bool> {
        match self.value {
            Value::Bool(value) => Ok(value),
            _ => Err(self.is_no(key, "true or false")),
        }
    }

    /// One from 1 to that.
    fn whole_number(self, key: &Key, most: usize) -> Result<usize> {
        let expected = format!("a whole number from 1 to {most}");
        let Value::Number(number) = &self.value else { return Err(self.is_no(key, &expected)) };
        let found = number.as_u64().and_then(|number| usize::try_from(number).ok());
        found
            .filter(|found| (1..=most).contains(found))
            .ok_or_else(|| YamlError::new(self.line, format!("`{}`: expected {expected}, found {number}", key.name)))
    }

    fn limits(self, key: &Key) -> Result<LimitOverrides> {
        const FIELDS: [&str; 10] =
            ["cpu", "wall", "memory", "output", "log", "answer", "actions", "writes", "wasm", "compile"];
        let mut limits = LimitOverrides::default();
        if self.is_null() {
            return Ok(limits);
        }
        if !matches!(self.value, Value::Object(_)) {
            return Err(self.is_no(key, "an object"));
        }
        for (key, node) in self.fields("limits")? {
            match &*key.name {
                "cpu" => limits.cpu = Some(node.time(&key, positive_duration)?),
                "wall" => limits.wall = Some(node.time(&key, positive_duration)?),
                "memory" => limits.memory = Some(node.bytes(&key)?),
                "output" => limits.output = Some(node.bytes(&key)?),
                "log" => limits.log = Some(node.bytes(&key)?),
                "answer" => limits.answer = Some(node.bytes(&key)?),
                "wasm" => limits.wasm = Some(node.bytes(&key)?),
                "compile" => limits.compile = Some(node.time(&key, positive_duration)?),
                "actions" => limits.actions = Some(node.whole_number(&key, MOST_ACTIONS)?),
                "writes" => limits.writes = Some(node.whole_number(&key, MOST_WRITES)?),
                _ => return Err(unknown("field", &key.name, key.line, &FIELDS)),
            }
        }
        Ok(limits)
    }

    fn bytes(self, key: &Key) -> Result<usize> {
        match self.value {
            // Bytes without a unit are a number to YAML.
            Value::Number(number) => Self { line: self.line, value: Value::Text(number.to_string()) }.bytes(key),
            Value::Text(_) => self.read(key, |text| match bytes(text)? {
                0 => Err("expected more than nothing".to_owned()),
                bytes => Ok(bytes),
            }),
            _ => Err(self.is_no(key, "bytes, such as 64Mi, 1Gi or 1048576")),
        }
    }

    fn settings(self) -> Option<String> {
        (!self.is_null()).then(|| self.into_json().to_string())
    }

    fn namespaces(self, key: &Key) -> Result<Namespaces> {
        let line = self.line;
        let name = |text: &str| if text == "*" { Ok(text.to_owned()) } else { namespace(text) };
        let names = self.some(key, |node, key| node.read(key, name))?;
        match &*names {
            [all] if all == "*" => Ok(Namespaces::All),
            names if names.iter().any(|name| name == "*") => {
                let reason = "`namespaces`: `*` means all of them and stands alone: leave it or the others out";
                Err(YamlError::new(line, reason))
            }
            _ => Ok(Namespaces::Named(names)),
        }
    }
}

fn lacks(line: usize, what: &str, field: &str) -> YamlError {
    YamlError::new(line, format!("this {what} has no `{field}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::ServiceAccount;

    const GRANT: &str = "\
serviceAccount: team/deployer.x
mode: shadow
isolation: fresh
concurrency: 2
resync: 10m
limits: {cpu: 500ms, wall: 5s, memory: 64Mi, output: 2Mi, log: 1Ki, answer: 8Mi, actions: 9, writes: 8, wasm: 1Mi, compile: 9s}
settings:
  any: [json, 1]
watches:
- {apiVersion: apps/v1, kind: Deployment, namespace: x, labelSelector: a=b, fieldSelector: metadata.name=x}
- {apiVersion: v1, kind: Pod}
grants:
- apiVersion: apps/v1
  kinds: [Deployment]
  verbs: [get, list, apply, apply-status, patch, delete, event, finalize]
  namespaces: [a, b]
  force: true
- {apiVersion: v1, kinds: [Pod], verbs: [get], namespaces: ['*']}
- {apiVersion: v1, kinds: [Pod], verbs: [get]}
";

    #[test]
    fn every_field_is_read() {
        let all = Selection::all;
        let rule = |namespaces| Rule {
            api_version: "v1".into(),
            kinds: vec!["Pod".into()],
            verbs: vec![Verb::Get],
            namespaces,
            force: false,
        };
        let expected = Grant {
            service_account: Some(ServiceAccount { namespace: "team".into(), name: "deployer.x".into() }),
            mode: Mode::Shadow,
            isolation: Isolation::Fresh,
            concurrency: 2,
            resync: Some(Duration::from_mins(10)),
            limits: LimitOverrides {
                cpu: Some(Duration::from_millis(500)),
                wall: Some(Duration::from_secs(5)),
                memory: Some(64 << 20),
                output: Some(2 << 20),
                log: Some(1 << 10),
                answer: Some(8 << 20),
                actions: Some(9),
                writes: Some(8),
                wasm: Some(1 << 20),
                compile: Some(Duration::from_secs(9)),
            },
            settings: Some(r#"{"any":["json",1]}"#.into()),
            watches: Some(vec![
                Selection {
                    namespace: Some("x".into()),
                    labels: "a=b".parse().unwrap(),
                    fields: "metadata.name=x".parse().unwrap(),
                    ..all(Gvk::new("apps/v1", "Deployment"))
                },
                all(Gvk::new("v1", "Pod")),
            ]),
            rules: vec![
                Rule {
                    api_version: "apps/v1".into(),
                    kinds: vec!["Deployment".into()],
                    verbs: Verb::ALL.into(),
                    namespaces: Namespaces::Named(vec!["a".into(), "b".into()]),
                    force: true,
                },
                rule(Namespaces::All),
                rule(Namespaces::OfTarget),
            ],
        };
        assert_eq!(Grant::parse(GRANT), Ok(expected.clone()));
        assert_eq!(Grant::parse(&GRANT.replace('\n', "\r\n")), Ok(expected));
    }

    #[test]
    fn what_says_nothing_grants_nothing() {
        for text in ["", "# nothing\n", "---\n", "{}", "grants:\n# - all of it\nlimits:\nsettings:\n", "grants: []"] {
            assert_eq!(Grant::parse(text), Ok(Grant::default()), "{text}");
        }
        assert_eq!(Grant::parse("watches: []").unwrap().watches, Some(vec![]));
        assert_eq!(Grant::parse("limits: {memory: 1048576}").unwrap().limits.memory, Some(1 << 20));
    }

    fn error(text: &str) -> String {
        Grant::parse(text).map_or_else(|error| error.to_string(), |grant| format!("{grant:?}"))
    }

    #[test]
    fn what_is_wrong_in_the_file_is_told_with_its_line() {
        for (text, expected) in [
            ("- grants", "line 1: expected the fields of a grant file, found a list"),
            ("mode: shadow\n\ngrnats: []", "line 3: unknown field `grnats`; did you mean `grants`?"),
            ("mode:\nresync: 1m", "line 1: `mode`: expected a text, found nothing"),
            ("mode: shadwo", "line 1: unknown mode `shadwo`; did you mean `shadow`?"),
            ("mode: dry", "line 1: unknown mode `dry`; expected one of `enforce`, `shadow`"),
            ("serviceAccount: x", "line 1: `serviceAccount`: expected NAMESPACE/NAME, found `x`"),
            ("isolation: none", "line 1: unknown isolation `none`; expected one of `kept`, `fresh`"),
            ("concurrency: '2'", "line 1: `concurrency`: expected a whole number from 1 to 1000, found a text"),
            ("concurrency: 0", "line 1: `concurrency`: expected a whole number from 1 to 1000, found 0"),
            ("concurrency: 1001", "line 1: `concurrency`: expected a whole number from 1 to 1000, found 1001"),
            ("concurrency: 1.5", "line 1: `concurrency`: expected a whole number from 1 to 1000, found 1.5"),
            ("resync: 500ms", "line 1: `resync`: expected at least 1s, found 500ms"),
            ("resync: 10", "line 1: `resync`: expected a time, such as 500ms or 1m 30s, found a number"),
            ("resync: often", "line 1: `resync`: expected a time, such as 500ms or 1m 30s, found `often`"),
            ("limits: 5s", "line 1: `limits`: expected an object, found a text"),
            ("limits:\n  cpu: 1s\n  walls: 1s", "line 3: unknown field `walls`; did you mean `wall`?"),
            ("limits: {cpu: 0s}", "line 1: `cpu`: expected more than nothing"),
            (
                "limits:\n  memory: 64MiB",
                "line 2: `memory`: `MiB` is no unit of bytes: expected Ki, Mi, Gi, k, M, G or none, as in 64Mi",
            ),
            ("limits: {memory: -1}", "line 1: `memory`: expected bytes, such as 64Mi, 1Gi or 1048576"),
            ("limits: {memory: 0}", "line 1: `memory`: expected more than nothing"),
            ("limits: {output: much}", "line 1: `output`: expected bytes, such as 64Mi, 1Gi or 1048576"),
            ("limits: {actions: 0}", "line 1: `actions`: expected a whole number from 1 to 1000000, found 0"),
            ("settings: {a: 1,\n  a: 2}", "line 2: `a` stands here a second time"),
            ("watches:", "line 1: `watches`: expected a list, found nothing"),
            ("grants: {}", "line 1: `grants`: expected a list, found an object"),
            ("grants:\n- get", "line 2: expected the fields of a grant, found a text"),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_watch_is_told_with_its_line() {
        for (fields, expected) in [
            ("kind: Pod", "line 2: this watch has no `apiVersion`"),
            ("apiVersion: v1", "line 2: this watch has no `kind`"),
            ("kind: Pod\n  kinds: [Pod]", "line 3: unknown field `kinds`; did you mean `kind`?"),
            ("labelSelector: {a: b}", "line 2: `labelSelector`: expected a text, found an object"),
            ("labelSelector: a is b", "line 2: `labelSelector`: `a is b` is not a label requirement"),
            ("fieldSelector: a", "line 2: `fieldSelector`: `a` is not a field requirement"),
            ("namespace: '*'", "line 2: `namespace`: `*` is no name of a namespace"),
        ] {
            let error = error(&format!("watches:\n- {fields}\n"));
            assert!(error.starts_with(expected), "{fields}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_grant_is_told_with_its_line() {
        for (fields, expected) in [
            ("kinds: [Pod]\n  verbs: [get]", "line 2: this grant has no `apiVersion`"),
            ("apiVersion: v1\n  verbs: [get]", "line 2: this grant has no `kinds`"),
            ("apiVersion: v1\n  kinds: [Pod]", "line 2: this grant has no `verbs`"),
            ("apiVersion: apps", "line 2: `apiVersion`: `apps` is no API version"),
            (
                "apiVersion: 1",
                "line 2: `apiVersion`: expected a text (in quotes, if this number is meant), found a number",
            ),
            ("kinds: Pod", "line 2: `kinds`: expected a list, found a text"),
            ("kinds: []", "line 2: `kinds` is empty: expected at least one"),
            ("kinds: ['*']", "line 2: `kinds`: `*` is no kind"),
            ("verbs: []", "line 2: `verbs` is empty: expected at least one"),
            ("verbs:\n  - get\n  - aply", "line 4: unknown verb `aply`; did you mean `apply`?"),
            (
                "verbs: ['*']",
                "line 2: unknown verb `*`; expected one of `get`, `list`, `apply`, `apply-status`, `patch`",
            ),
            ("verbs: [[get]]", "line 2: `verbs`: expected a text, found a list"),
            ("force: 1", "line 2: `force`: expected true or false, found a number"),
            ("namespaces:\n  force: true", "line 2: `namespaces`: expected a list, found nothing"),
            ("namespaces: []", "line 2: `namespaces` is empty: expected at least one"),
            ("namespaces: [a, '*']", "line 2: `namespaces`: `*` means all of them and stands alone"),
            ("namespaces: [a.b]", "line 2: `namespaces`: `a.b` is no name of a namespace"),
            ("namespace: a", "line 2: unknown field `namespace`; did you mean `namespaces`?"),
            ("force: true\n  force: true", "line 3: `force` stands here a second time"),
        ] {
            let error = error(&format!("grants:\n- {fields}\n"));
            assert!(error.starts_with(expected), "{fields}: {error}");
        }
    }
}
