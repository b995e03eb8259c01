//! What single texts of a grant file mean: names, times and sizes. Pure.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::ServiceAccount;
use crate::names;

pub(super) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// The text, if it passes the check.
fn checked(text: &str, check: fn(&str) -> Result<(), String>) -> Result<String, String> {
    check(text).map(|()| text.to_owned())
}

pub(super) fn namespace(text: &str) -> Result<String, String> {
    checked(text, names::check_namespace)
}

pub(super) fn api_version(text: &str) -> Result<String, String> {
    checked(text, names::check_api_version)
}

pub(super) fn kind(text: &str) -> Result<String, String> {
    checked(text, names::check_kind)
}

pub(super) fn service_account(text: &str) -> Result<ServiceAccount, String> {
    let (of_namespace, name) =
        text.split_once('/').ok_or_else(|| format!("expected NAMESPACE/NAME, found `{text}`"))?;
    if !names::is_subdomain(name) {
        return Err(format!(
            "`{name}` is no name of a service account: expected lower-case letters, digits, `-` and `.`"
        ));
    }
    Ok(ServiceAccount { namespace: namespace(of_namespace)?, name: name.to_owned() })
}

pub(super) fn resync(text: &str) -> Result<Duration, String> {
    let every = duration(text)?;
    if every < Duration::from_secs(1) { Err(format!("expected at least 1s, found {text}")) } else { Ok(every) }
}

pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() { Err("expected more than nothing".to_owned()) } else { Ok(duration) }
}

/// A time, such as `100ms` or `1m 30s`, that the clocks can hold.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let longest = Duration::from_hours(24 * 365);
    let duration = humantime::parse_duration(text)
        .map_err(|_| format!("expected a time, such as 500ms or 1m 30s, found `{text}`"))?;
    if duration > longest { Err("longer than a year".into()) } else { Ok(duration) }
}

/// A number of bytes, in the notation of Kubernetes quantities: `64Mi`, `1Gi`, `500k`, `1048576`.
pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    let number_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    if number.is_empty() {
        return Err("expected bytes, such as 64Mi, 1Gi or 1048576".into());
    }
    let unit = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1000 * 1000,
        "G" => 1000 * 1000 * 1000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return Err(format!("`{unit}` is no unit of bytes: expected Ki, Mi, Gi, k, M, G or none, as in 64Mi")),
    };
    number.parse().ok().and_then(|number: usize| number.checked_mul(unit)).ok_or_else(|| "too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kubernetes_takes() {
        let long = "a".repeat(63);
        for text in ["a", "0", "a-b", "kube-system", &long] {
            assert!(namespace(text).is_ok(), "{text}");
        }
        for text in ["", "-a", "a-", "A", "a_b", "a.b", "a b", "*", "ä", &(long + "a")] {
            assert!(namespace(text).is_err(), "{text}");
        }
        for text in ["a/b", "a/b.c"] {
            assert_eq!(service_account(text).unwrap().to_string(), text);
        }
        for text in ["", "a", "a/", "/a", "a/b/c", "a.b/c", "a/b..c", "system:serviceaccount:a:b"] {
            assert!(service_account(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_core_group_needs_no_name() {
        for text in ["v1", "v2beta1", "apps/v1", "batch/v1", "example.com/v1alpha1", "example.com/stable"] {
            assert!(api_version(text).is_ok(), "{text}");
        }
        for text in ["", "apps", "1", "v", "apps/", "/v1", "a/b/c", "Apps/v1", "apps/V1", "apps/*", "*", "apps v1"] {
            assert!(api_version(text).is_err(), "{text}");
        }
        for text in ["", "*", "Pod]", "pods/status", "Pod Pod", "1Pod"] {
            assert!(kind(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_is_one_that_the_clocks_can_hold() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for text in ["", "5", "-1s", "500000000000years", "366days"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(resync("1s").is_ok() && resync("999ms").is_err());
        assert!(positive_duration("1ns").is_ok() && positive_duration("0s").is_err());
    }

    #[test]
    fn bytes_are_written_as_kubernetes_writes_them() {
        assert_eq!(bytes("64Mi"), Ok(64 << 20));
        assert_eq!(bytes("500k"), Ok(500_000));
        assert_eq!(bytes("1048576"), Ok(1 << 20));
        for text in ["", "Mi", "64MiB", "-1", "1.5Gi", "99999999999Gi"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        let told = "`KiB` is no unit of bytes: expected Ki, Mi, Gi, k, M, G or none, as in 64Mi";
        assert_eq!(bytes("2KiB").unwrap_err(), told);
        assert_eq!(bytes("99999999999999999999").unwrap_err(), "too large");
    }
}
