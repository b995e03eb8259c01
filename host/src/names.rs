//! Names as the API server takes them. Names end up in URLs, so that one which is none could reach something else. Pure.

/// Whether a text is the name of a namespace. An error says, for people, what is wrong; so it is for all of these.
pub fn check_namespace(text: &str) -> Result<(), String> {
    if is_label(text) {
        return Ok(());
    }
    Err(format!("`{text}` is no name of a namespace: expected at most 63 lower-case letters, digits and `-`"))
}

/// Whether a text is an API version. The core group has no name, and versions such as `v1` alone; other groups call their versions as they like.
pub fn check_api_version(text: &str) -> Result<(), String> {
    let is_valid = match text.split_once('/') {
        Some((group, version)) => is_subdomain(group) && is_label(version),
        None => {
            is_label(text) && text.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        }
    };
    if is_valid {
        return Ok(());
    }
    Err(format!("`{text}` is no API version: expected GROUP/VERSION, such as apps/v1, or v1 for the core group"))
}

/// Whether a text is the name of a kind of objects.
pub fn check_kind(text: &str) -> Result<(), String> {
    if is_label(&text.to_ascii_lowercase()) && text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok(());
    }
    Err(format!("`{text}` is no kind: expected one such as Deployment"))
}

/// A label of DNS as Kubernetes takes it for a name (RFC 1123, in lower case).
pub fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Labels with dots between them.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Whether a text can be the name of an object: kinds differ in what they allow, and none allows what would be another
/// path.
pub fn check_object_name(text: &str) -> Result<(), String> {
    let is_path = |c: char| c.is_whitespace() || c.is_control() || "/%?#".contains(c);
    if text.is_empty() || text.len() > 253 || text == "." || text == ".." || text.contains(is_path) {
        return Err(format!("`{}` is no name of an object", text.escape_debug()));
    }
    Ok(())
}

/// Whether these say of which kind and in which namespace objects are.
pub fn check_place(api_version: &str, kind: &str, namespace: Option<&str>) -> Result<(), String> {
    check_api_version(api_version)?;
    check_kind(kind)?;
    namespace.map_or(Ok(()), check_namespace)
}

/// Whether these name an object.
pub fn check_object(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Result<(), String> {
    check_place(api_version, kind, namespace)?;
    check_object_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_another_path_is_no_name() {
        for name in ["web", "system:node", "a.b-c", "A"] {
            assert_eq!(check_object_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "a/b", "pod/status", "x?y=z", "a#b", "%2e", "a b", "a\nb"] {
            assert!(check_object_name(name).is_err(), "{name}");
        }
        for namespace in ["", "a/secrets/b", "A", "-a", "x?a="] {
            assert!(check_namespace(namespace).is_err(), "{namespace}");
        }
        for api_version in ["/v1/secrets", "", "apps", "apps/v1/x", "apps/v1?"] {
            assert!(check_api_version(api_version).is_err(), "{api_version}");
        }
        assert!(check_api_version("v1").is_ok() && check_api_version("apps/v1").is_ok());
        assert!(check_kind("Pod/x").is_err() && check_kind("Pod").is_ok());
    }
}
