//! One YAML document as a tree in which each value knows its line. Pure.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};
use serde_saphyr::{Error, Location, MergeKeyPolicy, MessageFormatter as _, Spanned, UserMessageFormatter};

use super::GrantError;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(Key, Node)>),
}

/// The name of a field and where it stands.
#[derive(Debug)]
pub(super) struct Key {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) name: String,
}

impl Node {
    /// The document of this text, in which no name stands twice in one object. None: there is nothing in it.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, GrantError> {
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
        node.map_err(|error| GrantError::new(error.location().map_or(1, line), reason(&error)))
    }

    /// What it is, for one who expected something else.
    pub(super) fn type_name(&self) -> &'static str {
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
    pub(super) fn into_json(self) -> Json {
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

fn line(location: Location) -> usize {
    usize::try_from(location.line()).unwrap_or(usize::MAX).max(1)
}

/// What is wrong, without where: the line is told beside it.
fn reason(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => reason(error),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("`{key}` stands here a second time"),
        Error::MultipleDocuments { .. } => "a second document begins: a grant file is one document".into(),
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
            ("a: 1\n---\nb: 2\n", "line 3: a second document begins: a grant file is one document"),
            ("\n---\na: 1\n---\n", "line 4: a second document begins: a grant file is one document"),
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
