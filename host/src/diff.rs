//! What a change of a Kubernetes object comes to, for people. Pure.
//!
//! Invariants:
//! - what only the server sets is not shown;
//! - the values of a Secret are not shown, only their sizes and whether they differ.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use similar::TextDiff;

/// What the server sets in the metadata of each object, whatever one asks for.
const SET_BY_SERVER: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// The members that come first, in this order; others follow by name.
const FIRST: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// Where `kubectl apply` keeps the manifest, with the values of a Secret in it.
const LAST_APPLIED: &str = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";

/// How many lines around a change are shown.
const CONTEXT_LINES: usize = 3;

/// The length in characters to which values are shortened.
const SHOWN_CHARS: usize = 60;

/// Of what is the same in two long values, so many characters are shown before the first difference.
const SAME_CHARS: usize = 15;

/// A field that differs between two versions of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// Where it is: `spec.replicas`, `spec.containers[0].image`, `metadata.labels["app.kubernetes.io/name"]`; `.` for the
    /// whole object.
    pub path: String,
    /// Its old value as JSON, shortened to 60 characters. None: it was not set.
    pub before: Option<String>,
    /// Its new value as JSON, shortened to 60 characters. None: it is no longer set.
    pub after: Option<String>,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = [&self.before, &self.after].map(|value| value.as_deref().unwrap_or("(unset)"));
        write!(f, "{}: {before} -> {after}", self.path)
    }
}

/// The difference between two versions of an object, both JSON, as a unified diff of YAML. None: there is nothing to show.
///
/// `before` is none for an object that is created, `after` for one that is deleted. `title` names the object and says in
/// parentheses, which only the new version gets, where that comes from:
/// `apps/v1 Deployment default/web (as website would have it)`.
pub fn unified(title: &str, before: Option<&str>, after: Option<&str>) -> Option<String> {
    let (name, note) = title.split_at(title.find(" (").unwrap_or(title.len()));
    let header = |version: Option<&str>| if version.is_some() { name } else { "/dev/null" };
    let (old_header, new_header) = (header(before), format!("{}{note}", header(after)));

    let (old, new) = shown(before, after);
    let (old, new) = (yaml(old.as_ref()), yaml(new.as_ref()));
    if old == new {
        return None;
    }
    let diff = TextDiff::from_lines(&old, &new);
    Some(diff.unified_diff().context_radius(CONTEXT_LINES).header(old_header, &new_header).to_string())
}

/// The fields that differ between two versions of an object, both JSON, sorted by their names.
///
/// Items of lists are compared if there are as many of them; else the list as a whole has changed.
pub fn changed_fields(before: &str, after: &str) -> Vec<FieldChange> {
    let (old, new) = shown(Some(before), Some(after));
    let mut changes = Vec::new();
    compare("", old.as_ref(), new.as_ref(), &mut changes);
    changes
}

/// Both versions without what is not to be shown.
fn shown(before: Option<&str>, after: Option<&str>) -> (Option<Value>, Option<Value>) {
    let (mut old, mut new) = (before.map(parse), after.map(parse));
    let is_secret = |version: &Option<Value>| version.as_ref().is_some_and(|object| object["kind"] == "Secret");
    if is_secret(&old) || is_secret(&new) {
        // The new version first, because it is compared with the values of the old one.
        mask_secret(new.as_mut(), old.as_ref());
        mask_secret(old.as_mut(), None);
    }
    (old, new)
}

/// An object without what the server sets. What is not JSON is not quoted: it might be a Secret.
fn parse(text: &str) -> Value {
    let mut value = serde_json::from_str(text).unwrap_or_else(|error| format!("not JSON: {error}").into());
    if let Value::Object(object) = &mut value
        && let Some(Value::Object(metadata)) = object.get_mut("metadata")
    {
        metadata.retain(|name, _| !SET_BY_SERVER.contains(&&**name));
        if metadata.is_empty() {
            object.remove("metadata");
        }
    }
    value
}

/// Puts the sizes of the values in their place, and whether they differ from those of the `earlier` version.
fn mask_secret(secret: Option<&mut Value>, earlier: Option<&Value>) {
    let Some(secret) = secret else { return };
    for (path, size) in [("/data", base64_size as fn(&str) -> usize), ("/stringData", str::len)] {
        let earlier = earlier.and_then(|object| object.pointer(path));
        match secret.pointer_mut(path) {
            Some(Value::Object(values)) => {
                for (key, value) in values {
                    mask(value, earlier.and_then(|values| values.get(key)), size);
                }
            }
            Some(value) => mask(value, earlier, str::len),
            None => {}
        }
    }
    let earlier = earlier.and_then(|object| object.pointer(LAST_APPLIED));
    if let Some(manifest) = secret.pointer_mut(LAST_APPLIED) {
        mask(manifest, earlier, str::len);
    }
}

fn mask(value: &mut Value, earlier: Option<&Value>, size: fn(&str) -> usize) {
    let size = value.as_str().map_or_else(|| value.to_string().len(), size);
    let changed = if earlier.is_some_and(|earlier| earlier != value) { ", changed" } else { "" };
    let unit = if size == 1 { "byte" } else { "bytes" };
    *value = format!("*** ({size} {unit}{changed})").into();
}

/// How many bytes that much base64 stands for.
fn base64_size(text: &str) -> usize {
    text.bytes().filter(|byte| !matches!(byte, b'=' | b'\r' | b'\n')).count() * 3 / 4
}

fn yaml(version: Option<&Value>) -> String {
    let Some(version) = version else { return String::new() };
    // A folded line would have all of it in the diff, whatever word of it has changed.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    let text = match version {
        Value::Object(object) => serde_saphyr::to_string_with_options(&InOrder(object), options),
        other => serde_saphyr::to_string_with_options(other, options),
    };
    text.unwrap_or_else(|error| format!("# not to be shown as YAML: {error}\n"))
}

/// An object with its members in the order of manifests.
pub struct InOrder<'a>(pub &'a Map<String, Value>);

impl Serialize for InOrder<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members: Vec<_> = self.0.iter().collect();
        members.sort_by_key(|(name, _)| {
            (FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()), name.as_str())
        });
        serializer.collect_map(members)
    }
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<FieldChange>) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
                compare(&member(path, name), old.get(name), new.get(name), changes);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{path}[{index}]"), Some(old), Some(new), changes);
            }
        }
        _ => {
            let path = if path.is_empty() { "." } else { path }.to_owned();
            let (before, after) = shorten(old.map(Value::to_string), new.map(Value::to_string));
            changes.push(FieldChange { path, before, after });
        }
    }
}

/// The path of a member, in brackets if its name has what means something in paths.
fn member(path: &str, name: &str) -> String {
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match (is_plain, path) {
        (true, "") => name.to_owned(),
        (true, _) => format!("{path}.{name}"),
        (false, _) => format!("{path}[{}]", Value::from(name)),
    }
}

/// Shortens two values that differ such that one sees where they begin to.
fn shorten(old: Option<String>, new: Option<String>) -> (Option<String>, Option<String>) {
    let same = match (&old, &new) {
        (Some(old), Some(new)) => old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count(),
        _ => 0,
    };
    let cut = |text: String| {
        let length = text.chars().count();
        if length <= SHOWN_CHARS {
            return text;
        }
        let skipped = if same < SHOWN_CHARS / 2 { 0 } else { (same - SAME_CHARS).min(length - SHOWN_CHARS + 1) };
        let start = if skipped == 0 { "" } else { "…" };
        let room = SHOWN_CHARS - start.chars().count();
        let (rest, end) = if length - skipped <= room { (room, "") } else { (room - 1, "…") };
        format!("{start}{}{end}", text.chars().skip(skipped).take(rest).collect::<String>())
    };
    (old.map(cut), new.map(cut))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TITLE: &str = "apps/v1 Deployment default/web (as website would have it)";

    fn deployment() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web", "namespace": "default", "uid": "u1", "resourceVersion": "7", "generation": 3,
                "creationTimestamp": "2026-01-02T03:04:05Z", "selfLink": "/x", "managedFields": [{"manager": "m"}],
                "labels": {"app": "web"},
            },
            "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "web", "image": "nginx:1"}]}}},
            "status": {"replicas": 1},
        })
    }

    fn secret(data: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": data, "type": "Opaque"})
    }

    fn diff(before: &Value, after: &Value) -> Option<String> {
        unified(TITLE, Some(&before.to_string()), Some(&after.to_string()))
    }

    fn fields(before: &Value, after: &Value) -> Vec<String> {
        changed_fields(&before.to_string(), &after.to_string()).iter().map(ToString::to_string).collect()
    }

    /// An object with `change` made to it.
    fn changed(mut object: Value, change: impl FnOnce(&mut Value)) -> Value {
        change(&mut object);
        object
    }

    #[test]
    fn a_change_is_shown_with_what_is_around_it() {
        let after = changed(deployment(), |object| object["spec"]["replicas"] = 3.into());
        let expected = "\
--- apps/v1 Deployment default/web
+++ apps/v1 Deployment default/web (as website would have it)
@@ -6,7 +6,7 @@
   name: web
   namespace: default
 spec:
-  replicas: 1
+  replicas: 3
   template:
     spec:
       containers:
";
        assert_eq!(diff(&deployment(), &after).as_deref(), Some(expected));
    }

    #[test]
    fn a_created_object_is_all_new_and_a_deleted_one_all_old() {
        let object = json!({"kind": "ConfigMap", "data": {"a": "1"}, "apiVersion": "v1", "metadata": {"uid": "u"}});
        let created = unified("v1 ConfigMap a (as x would have it)", None, Some(&object.to_string()));
        let expected = "\
--- /dev/null
+++ v1 ConfigMap a (as x would have it)
@@ -0,0 +1,4 @@
+apiVersion: v1
+kind: ConfigMap
+data:
+  a: \"1\"
";
        assert_eq!(created.as_deref(), Some(expected));
        let deleted = unified("v1 ConfigMap a", Some(&object.to_string()), None).unwrap();
        assert!(deleted.starts_with("--- v1 ConfigMap a\n+++ /dev/null\n@@ -1,4 +0,0 @@\n-api"), "{deleted}");
        assert_eq!(unified(TITLE, None, None), None);
    }

    #[test]
    fn what_the_server_sets_is_no_change() {
        let after = changed(deployment(), |object| {
            object["metadata"] = json!({"name": "web", "namespace": "default", "labels": {"app": "web"}, "uid": "u2"});
        });
        assert_eq!(diff(&deployment(), &after), None);
        assert_eq!(fields(&deployment(), &after), [""; 0]);
        assert_eq!(diff(&json!({"kind": "A", "metadata": {"uid": "u"}}), &json!({"kind": "A"})), None);
        let nested = |uid| json!({"spec": {"ref": {"uid": uid}}});
        assert_eq!(fields(&nested("a"), &nested("b")), [r#"spec.ref.uid: "a" -> "b""#], "but elsewhere it is one");
    }

    #[test]
    fn members_stand_in_the_order_of_manifests() {
        let text =
            yaml(Some(&json!({"z": 1, "a": 2, "status": 3, "spec": 4, "kind": 5, "apiVersion": 6, "metadata": 7})));
        assert_eq!(text, "apiVersion: 6\nkind: 5\nmetadata: 7\nspec: 4\nstatus: 3\na: 2\nz: 1\n");
    }

    #[test]
    fn long_texts_are_neither_folded_nor_escaped() {
        let text =
            |word: &str| json!({"data": {"a": format!("{word}\n{}\nend\n", "word ".repeat(40)), "b": "x ".repeat(90)}});
        let shown = diff(&text("one"), &text("two")).unwrap();
        let changes = shown.lines().skip(2).filter(|line| line.starts_with(['+', '-']));
        assert_eq!(changes.collect::<Vec<_>>(), ["-    one", "+    two"], "{shown}");
    }

    #[test]
    fn changed_fields_are_named_by_their_paths() {
        let after = changed(deployment(), |object| {
            object["spec"]["replicas"] = 2.into();
            object["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:2".into();
            object["metadata"]["labels"] = json!({"app.kubernetes.io/name": "web"});
            object["status"] = json!(null);
        });
        assert_eq!(
            fields(&deployment(), &after),
            [
                r#"metadata.labels.app: "web" -> (unset)"#,
                r#"metadata.labels["app.kubernetes.io/name"]: (unset) -> "web""#,
                "spec.replicas: 1 -> 2",
                r#"spec.template.spec.containers[0].image: "nginx:1" -> "nginx:2""#,
                r#"status: {"replicas":1} -> null"#,
            ],
        );
    }

    #[test]
    fn lists_of_other_lengths_change_as_a_whole() {
        let list = |items: &[&str]| json!({"metadata": {"finalizers": items}});
        assert_eq!(fields(&list(&["a"]), &list(&["a", "b"])), [r#"metadata.finalizers: ["a"] -> ["a","b"]"#]);
        assert_eq!(fields(&json!([1, [2]]), &json!([1, [3]])), ["[1][0]: 2 -> 3"]);
        assert_eq!(fields(&json!([1]), &json!({})), [".: [1] -> {}"]);
    }

    #[test]
    fn long_values_are_shortened_to_where_they_differ() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2000 {
            let mut text =
                |length| (0..random.usize(..length)).map(|_| if random.bool() { 'é' } else { 'b' }).collect();
            let (same, [old, new]): (String, [String; 2]) = (text(200), [text(200), text(200)]);
            let (old, new) = (format!("{same}<{old}"), format!("{same}>{new}"));
            let (short_old, short_new) = shorten(Some(old.clone()), Some(new));
            let (short_old, short_new) = (short_old.unwrap(), short_new.unwrap());
            assert!(short_old.contains('<') && short_new.contains('>'), "{short_old} {short_new}");
            assert!(short_old.chars().count() == old.chars().count().min(SHOWN_CHARS), "{short_old}");
            assert!(old.contains(short_old.trim_matches('…')));
        }
        let (old, new) = shorten(Some("a".repeat(60)), None);
        assert_eq!((old, new), (Some("a".repeat(60)), None));
        assert_eq!(shorten(None, Some("a".repeat(61))).1, Some("a".repeat(59) + "…"));
    }

    #[test]
    fn values_of_secrets_show_no_more_than_their_sizes_and_whether_they_differ() {
        let before = secret(&json!({"same": "c2FtZQ==", "other": "b25lMQ==", "gone": "Z29uZQ=="}));
        let after = secret(&json!({"same": "c2FtZQ==", "other": "dHdvMg==", "new": "bmV3"}));
        assert_eq!(
            fields(&before, &after),
            [
                r#"data.gone: "*** (4 bytes)" -> (unset)"#,
                r#"data.new: (unset) -> "*** (3 bytes)""#,
                r#"data.other: "*** (4 bytes)" -> "*** (4 bytes, changed)""#,
            ],
        );
        let shown = diff(&before, &after).unwrap();
        let changes = shown.lines().skip_while(|line| *line != " data:");
        assert_eq!(
            changes.collect::<Vec<_>>(),
            [
                " data:",
                r#"-  gone: "*** (4 bytes)""#,
                r#"-  other: "*** (4 bytes)""#,
                r#"+  new: "*** (3 bytes)""#,
                r#"+  other: "*** (4 bytes, changed)""#,
                r#"   same: "*** (4 bytes)""#,
                " type: Opaque",
            ],
        );
    }

    #[test]
    fn no_value_of_a_secret_gets_out_wherever_it_stands() {
        let hidden = "aHVudGVyMg==";
        let last_applied = json!({"annotations": {"kubectl.kubernetes.io/last-applied-configuration": hidden}});
        for leak in [
            json!({"data": {"a": hidden}}),
            json!({"stringData": {"a": hidden}}),
            json!({"data": hidden}),
            json!({"data": {"a": {"b": [hidden]}}}),
            json!({"data": [hidden]}),
            json!({"metadata": last_applied}),
        ] {
            let leak = changed(leak, |object| object["kind"] = "Secret".into());
            for other in [json!({"kind": "Secret"}), json!({}), json!({"data": {"a": "b"}}), json!({"data": 1})] {
                for (before, after) in [(&leak, &other), (&other, &leak)] {
                    let shown = diff(before, after).unwrap() + &fields(before, after).join("\n");
                    assert!(shown.contains("***") && !shown.contains(hidden), "{shown}");
                }
            }
            let shown = unified("a", None, Some(&leak.to_string())).unwrap();
            assert!(shown.contains("***") && !shown.contains(hidden), "{shown}");
        }
        let config_map = json!({"kind": "ConfigMap", "data": {"a": hidden}});
        assert!(unified("a", None, Some(&config_map.to_string())).unwrap().contains(hidden));
    }

    #[test]
    fn what_is_not_json_is_told_and_not_quoted() {
        let shown = unified("a", None, Some(r#"{"kind":"Secret","data":{"a":"hunter2"}"#)).unwrap();
        assert!(shown.contains("not JSON") && !shown.contains("hunter2"), "{shown}");
        assert_eq!(changed_fields("", "{}").len(), 1);
    }
}
