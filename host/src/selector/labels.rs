//! Label selectors in the syntax of `kubectl get --selector`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use kube::core::{Expression, Selector, SelectorExt};

/// Selects objects by their labels. The default one selects all.
///
/// Two are equal if the API server is sent the same text for both.
#[derive(Clone, Debug, Default)]
pub struct LabelSelector {
    selector: Selector,
    text: Box<str>,
}

impl LabelSelector {
    /// Whether it selects an object with these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selector.matches(labels)
    }

    /// Whether it selects everything.
    pub fn selects_all(&self) -> bool {
        self.text.is_empty()
    }

    /// As it is sent to the API server; empty if it selects all.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Selects what both select.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let parts = [self, other].into_iter().filter(|part| !part.selects_all());
        let text = parts.map(Self::as_str).collect::<Vec<_>>().join(",");
        // Both were parsed, and a list of requirements is two lists joined.
        text.parse().unwrap_or_default()
    }
}

impl PartialEq for LabelSelector {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for LabelSelector {}

impl Hash for LabelSelector {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that is no label selector.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a label requirement: expected KEY=VALUE, KEY!=VALUE, KEY in (A,B), KEY notin (A,B), KEY or !KEY")]
pub struct InvalidSelector(String);

impl FromStr for LabelSelector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let requirements = split_requirements(text).into_iter().filter(|part| !part.is_empty());
        let selector: Selector = requirements.map(parse_requirement).collect::<Result<_, _>>()?;
        let text = selector.to_string().into();
        Ok(Self { selector, text })
    }
}

/// Splits at the commas outside parentheses.
fn split_requirements(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .collect()
}

fn parse_requirement(text: &str) -> Result<Expression, InvalidSelector> {
    let invalid = || InvalidSelector(text.to_owned());
    let checked = |part: &str, valid: fn(&str) -> bool| {
        let part = part.trim();
        if valid(part) { Ok(part.to_owned()) } else { Err(invalid()) }
    };
    let key = |part| checked(part, is_key);
    let value = |part| checked(part, is_value);

    if let Some((head, values)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let values: BTreeSet<_> = values.split(',').map(value).collect::<Result<_, _>>()?;
        return match head.split_whitespace().collect::<Vec<_>>()[..] {
            [name, "in"] => Ok(Expression::In(key(name)?, values)),
            [name, "notin"] => Ok(Expression::NotIn(key(name)?, values)),
            _ => Err(invalid()),
        };
    }
    if let Some((name, wanted)) = text.split_once("!=") {
        Ok(Expression::NotEqual(key(name)?, value(wanted)?))
    } else if let Some((name, wanted)) = text.split_once("==").or_else(|| text.split_once('=')) {
        Ok(Expression::Equal(key(name)?, value(wanted)?))
    } else if let Some(name) = text.strip_prefix('!') {
        Ok(Expression::DoesNotExist(key(name)?))
    } else {
        Ok(Expression::Exists(key(text)?))
    }
}

/// A label key as the API server accepts it: a name, and a DNS subdomain before it if there is a slash.
fn is_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').unwrap_or(("x", text));
    let is_prefix = prefix.len() <= 253 && prefix.split('.').all(|label| !label.is_empty() && is_value(label));
    is_prefix && !name.is_empty() && is_value(name)
}

/// A label value as the API server accepts it.
fn is_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && edge(text.chars().next())
        && edge(text.chars().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_syntax_selects_what_kubectl_would() {
        let labels = BTreeMap::from([("app".into(), "web".into()), ("example.com/tier".into(), "front".into())]);
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app == web , example.com/tier=front", true),
            ("app=db", false),
            ("app!=db", true),
            ("track!=x", true),
            ("app in (db, web)", true),
            ("app in(db)", false),
            ("app notin (db),app", true),
            ("track notin (x)", true),
            ("!track", true),
            ("!app", false),
            ("track", false),
        ] {
            let parsed: LabelSelector = selector.parse().unwrap();
            assert_eq!(parsed.matches(&labels), expected, "{selector}");
            let again: LabelSelector = parsed.to_string().parse().unwrap();
            assert_eq!(again.matches(&labels), expected, "{selector}, as it is sent to the API server");
        }
    }

    #[test]
    fn two_selectors_together_select_what_both_do() {
        let both = "app=web".parse::<LabelSelector>().unwrap().and(&"tier in (a, b)".parse().unwrap());
        assert_eq!(both.as_str(), "app=web,tier in (a,b)");
        assert_eq!(LabelSelector::default().and(&LabelSelector::default()), LabelSelector::default());
    }

    #[test]
    fn what_is_no_selector_is_named() {
        for selector in
            ["a=b=c", "app in web", "app of (web)", "=x", "a b", "app=web,!", "a/=b", "a=-x", "/a", "a..b/c"]
        {
            assert!(selector.parse::<LabelSelector>().is_err(), "{selector}");
        }
        let error = "app=web,app is web".parse::<LabelSelector>().unwrap_err();
        assert!(error.to_string().starts_with("`app is web` is not a label requirement"), "{error}");
    }
}
