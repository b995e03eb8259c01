//! Which objects a read selects.

use crate::{Value, Watch};

/// Whether a list of this selection has the object in it. An error names the requirement that is none.
pub(super) fn selects(selection: &Watch, object: &Value) -> Result<bool, String> {
    let metadata = &object["metadata"];
    let is_there = object["apiVersion"] == *selection.api_version
        && object["kind"] == *selection.kind
        && selection.namespace.as_deref().is_none_or(|namespace| metadata["namespace"] == *namespace);
    let label = |key: &str| metadata["labels"][key].as_str();
    let mut selected = is_there;
    for requirement in requirements(selection.label_selector.as_deref()) {
        selected &= meets(requirement, label)?;
    }
    let field = |path: &str| object.pointer(&format!("/{}", path.replace('.', "/"))).and_then(Value::as_str);
    for requirement in requirements(selection.field_selector.as_deref()) {
        selected &= meets(requirement, |path| Some(field(path).unwrap_or_default()))?;
    }
    Ok(selected)
}

/// The parts between the commas outside of parentheses.
fn requirements(selector: Option<&str>) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    let parts = selector.unwrap_or_default().split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// Whether a requirement of a selector, such as `app in (a, b)`, is met by what has these values.
fn meets<'a>(requirement: &str, value: impl Fn(&str) -> Option<&'a str>) -> Result<bool, String> {
    let invalid = || format!("`{requirement}` is no requirement of a selector");
    let value = |key: &str| match key.trim() {
        "" => Err(invalid()),
        key if key.contains(|c: char| c.is_whitespace() || "=!(),".contains(c)) => Err(invalid()),
        key => Ok(value(key)),
    };
    if let Some((head, set)) = requirement.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let (key, operator) = head.trim().split_once(char::is_whitespace).ok_or_else(invalid)?;
        let is_in = value(key)?.is_some_and(|value| set.split(',').any(|one| one.trim() == value));
        return match operator.trim() {
            "in" => Ok(is_in),
            "notin" => Ok(!is_in),
            _ => Err(invalid()),
        };
    }
    if let Some((key, other)) = requirement.split_once("!=") {
        Ok(value(key)? != Some(other.trim()))
    } else if let Some((key, wanted)) = requirement.split_once("==").or_else(|| requirement.split_once('=')) {
        Ok(value(key)? == Some(wanted.trim()))
    } else if let Some(key) = requirement.strip_prefix('!') {
        Ok(value(key)?.is_none())
    } else {
        Ok(value(requirement)?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn labels_and_fields_select_what_kubectl_would() {
        let labels = json!({"app": "web", "example.com/tier": "front"});
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": "shop", "name": "web", "labels": labels}, "spec": {"nodeName": "a"},
        });
        let pods = || Watch::all("v1", "Pod");
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app == web , example.com/tier=front", true),
            ("app=db", false),
            ("app!=db", true),
            ("track!=x", true),
            ("app in (db, web)", true),
            ("app in (db)", false),
            ("app notin (db),app", true),
            ("track notin (x)", true),
            ("!track", true),
            ("!app", false),
            ("track", false),
        ] {
            assert_eq!(selects(&pods().labels(selector), &pod), Ok(expected), "{selector}");
        }
        for (selector, expected) in [
            ("metadata.name=web", true),
            ("metadata.name=web,metadata.namespace!=shop", false),
            ("spec.nodeName=a", true),
            ("status.phase=Running", false),
            ("status.phase!=Running", true),
        ] {
            assert_eq!(selects(&pods().fields(selector), &pod), Ok(expected), "{selector}");
        }
        assert_eq!(selects(&pods().in_namespace("shop"), &pod), Ok(true));
        for other in [pods().in_namespace("blue"), Watch::all("v1", "Service"), Watch::all("v2", "Pod")] {
            assert_eq!(selects(&other, &pod), Ok(false), "{other:?}");
        }
        for selector in ["a b", "=x", "app of (web)", "!", "a in (b"] {
            assert!(selects(&pods().labels(selector), &pod).is_err(), "{selector}");
        }
    }
}
