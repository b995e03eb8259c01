//! One YAML document as a tree in which each value knows its line. Pure.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};
use serde_saphyr::{Error, Location, MergeKeyPolicy, MessageFormatter as _, Spanned, UserMessageFormatter};

use crate::nearest::nearest;

/// A text that does not say what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct YamlError {
    line: usize,
    reason: String,
}

impl YamlError {
    /// Of that line, counted from 1.
    pub fn new(line: usize, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }

    /// The line that is wrong, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

/// A value and where it stands.
#[derive(Debug)]
pub struct Node {
    /// Counted from 1.
    pub line: usize,
    /// What stands there.
    pub value: Value,
}

/// What JSON knows.
#[allow(missing_docs, reason = "JSON's own words")]
#[derive(Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(Key, Node)>),
}

/// The name of a field and where it stands.
#[derive(Debug)]
pub struct Key {
    /// Counted from 1.
    pub line: usize,
    /// As it is written.
    pub name: String,
}

impl Node {
    /// The document of this text, in which no name stands twice in one object. None: there is nothing in it.
    pub fn parse(text: &str) -> Result<Option<Self>, YamlError> {
        // A byte order mark says nothing of UTF-8.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let options = serde_saphyr::options! {
            // What a rule grants stands in that rule.
            merge_keys: MergeKeyPolicy::Error,
            // A tag would be dropped.
            reject_unsupported_tags: true,
            // The stack has room for about 45 levels without optimization.
            budget: serde_saphyr::budget! { max_depth: 32 },
            with_snippet: false
        };
        let node = serde_saphyr::from_str_with_options::<Option<Self>>(text, options);
        node.map_err(|error| YamlError::new(error.location().map_or(1, line), reason(&error)))
    }

    /// Whether nothing stands there.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The fields of what is called so in the error, if it is no object.
    pub fn fields(self, of: &str) -> Result<Vec<(Key, Self)>, YamlError> {
        let found = self.type_name();
        match self.value {
            Value::Object(fields) => Ok(fields),
            _ => Err(YamlError::new(self.line, format!("expected the fields of {of}, found {found}"))),
        }
    }

    /// The error that it is not what was expected as the value of that field.
    pub fn is_no(&self, key: &Key, expected: &str) -> YamlError {
        YamlError::new(self.line, format!("`{}`: expected {expected}, found {}", key.name, self.type_name()))
    }

    /// What it is, for one who expected something else.
    fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Object(_) => "an object",
        }
    }

    /// The same without lines.
    pub fn into_json(self) -> Json {
        match self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(value),
            Value::Number(number) => Json::Number(number),
            Value::Text(text) => Json::String(text),
            Value::List(items) => items.into_iter().map(Self::into_json).collect(),
            Value::Object(fields) => {
                Json::Object(fields.into_iter().map(|(key, node)| (key.name, node.into_json())).collect::<Map<_, _>>())
            }
        }
    }
}

/// How a text of objects is read, which may be larger than what the library takes from strangers.
pub fn of_objects() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: 50_000_000, max_events: 200_000_000, max_total_scalar_bytes: 1 << 30 },
        with_snippet: false
    }
}

/// A value as YAML. One that is none becomes a comment that says why.
pub fn text(value: &impl Serialize) -> String {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(value, options).unwrap_or_else(|error| format!("# {error}\n"))
}

/// The error of a word where only these are understood.
pub fn unknown(what: &str, word: &str, line: usize, expected: &[&str]) -> YamlError {
    let hint = match nearest(word, expected.iter().copied()) {
        Some(right) => format!("did you mean `{right}`?"),
        None => format!("expected one of `{}`", expected.join("`, `")),
    };
    YamlError::new(line, format!("unknown {what} `{word}`; {hint}"))
}

/// The text as YAML reads it back within a flow, whoever wrote it.
pub fn scalar(text: &str) -> String {
    // A number before them is no number any more.
    const UNITS: [&str; 6] = ["ms", "s", "m", "Ki", "Mi", "Gi"];
    const NOT_TEXTS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_plain = (text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') || UNITS.contains(&unit))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "./-".contains(c))
        && !NOT_TEXTS.contains(&&*text.to_ascii_lowercase());
    // A text of JSON is one of YAML.
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn line(location: Location) -> usize {
    usize::try_from(location.line()).unwrap_or(usize::MAX).max(1)
}

/// What is wrong, without where: the line is told beside it.
fn reason(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => reason(error),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("`{key}` stands here a second time"),
        Error::MultipleDocuments { .. } => "a second document begins where there may be only one".into(),
        Error::MergeKeyNotAllowed { .. } => "`<<` merges nothing here: write the fields out".into(),
        error => {
            let reason = UserMessageFormatter.format_message(error);
            // `*` for all of them is easily written without quotes.
            if reason.starts_with("while scanning an anchor or alias") {
                return "a text that begins with `*` or `&` needs quotes".into();
            }
            reason.into_owned()
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::deserialize(deserializer)?;
        Ok(Self { line: line(referenced), value })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::deserialize(deserializer)?;
        Ok(Self { line: line(referenced), name: value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value as JSON knows it")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // Those that JSON lacks were refused before.
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            fields.push(entry);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_and_every_name_knows_its_line() {
        let node =
            Node::parse("\u{feff}# a grant\n---\na: 1\nb:\n  c: [x,\n    y]\nd:\n- |\n  text\n").unwrap().unwrap();
        let Value::Object(fields) = &node.value else { panic!("an object") };
        assert_eq!(
            fields.iter().map(|(key, _)| (key.line, &*key.name)).collect::<Vec<_>>(),
            [(3, "a"), (4, "b"), (7, "d")]
        );
        assert_eq!(fields.iter().map(|(_, node)| node.line).collect::<Vec<_>>(), [3, 5, 8]);
        let Value::Object(inner) = &fields[1].1.value else { panic!("an object") };
        let Value::List(items) = &inner[0].1.value else { panic!("a list") };
        assert_eq!(items.iter().map(|node| node.line).collect::<Vec<_>>(), [5, 6]);
    }

    #[test]
    fn it_is_the_json_that_the_text_says() {
        let text = "a: [1, -2, 1.5, true, ~, '1', x, 2026-01-02]\nb: {c: &c {d: e}, f: *c}\n7: g\n";
        let expected = json!({
            "a": [1, -2, 1.5, true, null, "1", "x", "2026-01-02"], "b": {"c": {"d": "e"}, "f": {"d": "e"}}, "7": "g",
        });
        assert_eq!(Node::parse(text).unwrap().unwrap().into_json(), expected);
    }

    #[test]
    fn nothing_is_nothing() {
        for text in ["", "\n\n", "# only a comment\n", "---\n", "---\n# a\n", "~\n", "\u{feff}"] {
            assert!(Node::parse(text).unwrap().is_none(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_one_document_is_named_by_its_line() {
        for (text, expected) in [
            ("a: 1\nb: 2\na: 3\n", "line 3: `a` stands here a second time"),
            ("a: &a {b: 1, b: 2}\nc: *a\n", "line 1: `b` stands here a second time"),
            ("a: 1\n---\nb: 2\n", "line 3: a second document begins where there may be only one"),
            ("\n---\na: 1\n---\n", "line 4: a second document begins where there may be only one"),
            ("a: &a {b: 1}\nc:\n  <<: *a\n", "line 3: `<<` merges nothing here: write the fields out"),
            ("a:\n- [*]\n", "line 2: a text that begins with `*` or `&` needs quotes"),
            ("a: 1\nb: !secret x\n", "line 2: unsupported tag `!secret`"),
            ("a: [\n  b: }\n", "line 1: mismatched bracket '[' closed by '}'"),
            ("a: .inf\n", "line 1: value `.inf` is not a finite number"),
            ("a: 1\n~: c\n", "line 2: null is not allowed here"),
        ] {
            assert_eq!(Node::parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }
}
