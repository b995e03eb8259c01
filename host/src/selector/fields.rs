//! Field selectors in the syntax of `kubectl get --field-selector`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::object::ObjectKey;

/// Selects objects by their fields. The default one selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Requirement {
    path: String,
    value: String,
    /// Whether the field shall have the value, or not.
    equal: bool,
}

/// A text that is no field selector.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a field requirement: expected FIELD=VALUE or FIELD!=VALUE")]
pub struct InvalidFieldSelector(String);

impl FieldSelector {
    /// Whether it selects everything.
    pub fn selects_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it selects an object of that key, as far as the key tells. None: it asks for other fields.
    pub fn matches_key(&self, key: &ObjectKey) -> Option<bool> {
        let mut matches = Some(true);
        for Requirement { path, value, equal } in &self.0 {
            let had = match &**path {
                "metadata.name" => key.name(),
                "metadata.namespace" => key.namespace().unwrap_or_default(),
                _ => {
                    matches = None;
                    continue;
                }
            };
            if (had == value) != *equal {
                return Some(false);
            }
        }
        matches
    }

    /// Whether it selects this object, whatever fields it asks for. A field that is not there is an empty text.
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|Requirement { path, value, equal }| {
            let field = path.split('.').try_fold(object, |value, name| value.get(name));
            let had = match field {
                Some(Value::String(text)) => text.clone(),
                None | Some(Value::Null) => String::new(),
                Some(other) => other.to_string(),
            };
            (had == *value) == *equal
        })
    }
}

impl FromStr for FieldSelector {
    type Err = InvalidFieldSelector;

    fn from_str(text: &str) -> Result<Self, InvalidFieldSelector> {
        let requirement = |part: &str| {
            let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (path, value, true)
            } else {
                return Err(InvalidFieldSelector(part.to_owned()));
            };
            let (path, value) = (path.trim(), value.trim());
            let is_path = !path.is_empty() && path.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
            if !is_path || value.contains('=') {
                return Err(InvalidFieldSelector(part.to_owned()));
            }
            Ok(Requirement { path: path.to_owned(), value: value.to_owned(), equal })
        };
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(requirement)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Requirement { path, value, equal }) in self.0.iter().enumerate() {
            let (comma, sign) = (if number > 0 { "," } else { "" }, if *equal { "=" } else { "!=" });
            write!(f, "{comma}{path}{sign}{value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selector(text: &str) -> FieldSelector {
        text.parse().unwrap()
    }

    #[test]
    fn fields_are_compared_as_texts() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n", "replicas": 3}});
        for (text, expected) in [
            ("", true),
            ("spec.nodeName=n, metadata.name==a", true),
            ("spec.nodeName!=n", false),
            ("spec.replicas=3", true),
            ("status.phase=", true),
            ("status.phase!=Running", true),
        ] {
            assert_eq!(selector(text).matches(&pod), expected, "{text}");
            assert_eq!(selector(&selector(text).to_string()), selector(text));
        }
    }

    #[test]
    fn the_key_tells_of_name_and_namespace_and_of_nothing_else() {
        let key = ObjectKey::new(Some("x"), "a");
        assert_eq!(selector("metadata.name=a,metadata.namespace=x").matches_key(&key), Some(true));
        assert_eq!(selector("spec.nodeName=n").matches_key(&key), None);
        assert_eq!(selector("spec.nodeName=n,metadata.name=b").matches_key(&key), Some(false));
    }

    #[test]
    fn what_is_no_selector_is_named() {
        for text in ["a", "=a", "a=b=c", "a b=c", "metadata.name=a,b"] {
            assert!(text.parse::<FieldSelector>().is_err(), "{text}");
        }
    }
}
