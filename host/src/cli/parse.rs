//! From the texts of arguments to values.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

pub(super) use crate::grant::values::{bytes, duration};
use crate::names;
use crate::object::ObjectRef;

/// A path at which there is something.
pub(super) fn existing_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    path.metadata().map_err(|error| error.to_string())?;
    Ok(path)
}

/// A number of these.
pub(super) fn number(range: RangeInclusive<u16>) -> impl Fn(&str) -> Result<u16, String> + Clone + Send + Sync {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("expected a number from {} to {}", range.start(), range.end()))
    }
}

/// A time of at least one second, and no part of one.
pub(super) fn whole_seconds(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.as_secs() == 0 || time.subsec_nanos() > 0 || time > Duration::from_hours(1) {
        return Err("expected whole seconds, at least 1s and at most 1h".to_owned());
    }
    Ok(time)
}

/// A time that a watch can be asked to go on for: kube asks for none of 295 s or more, and a watch that ends within the
/// first second has failed.
pub(super) fn api_timeout(text: &str) -> Result<Duration, String> {
    let time = whole_seconds(text)?;
    if !(2..295).contains(&time.as_secs()) {
        return Err("expected at least 2s and less than 295s".to_owned());
    }
    Ok(time)
}

/// The name of a lease that others are called after, which is also the value of a label.
pub(super) fn lease_name(text: &str) -> Result<String, String> {
    if names::is_label(text) {
        return Ok(text.to_owned());
    }
    Err("expected at most 63 lower-case letters, digits and `-`".to_owned())
}

/// A JSON text.
pub(super) fn json(text: &str) -> Result<String, String> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| format!("no JSON: {error}"))?;
    Ok(text.to_owned())
}

/// A time as RFC 3339 has it.
pub(super) fn timestamp(text: &str) -> Result<SystemTime, String> {
    humantime::parse_rfc3339(text).map_err(|_| "expected a time such as 2026-01-02T03:04:05Z".to_owned())
}

/// An object among those that are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    kind: String,
    /// None: any.
    namespace: Option<String>,
    name: String,
}

/// Reads `KIND/NAME` or `KIND/NAMESPACE/NAME`.
pub(super) fn target(text: &str) -> Result<Target, String> {
    let parts: Vec<_> = text.split('/').collect();
    let (kind, namespace, name) = match *parts {
        [kind, name] => (kind, None, name),
        [kind, namespace, name] => (kind, Some(namespace.to_owned()), name),
        _ => return Err("expected KIND/NAME or KIND/NAMESPACE/NAME".to_owned()),
    };
    Ok(Target { kind: kind.to_owned(), namespace, name: name.to_owned() })
}

impl Target {
    /// Whether this is one of its objects.
    pub(super) fn names(&self, object: &ObjectRef) -> bool {
        let is_there = self.namespace.is_none() || self.namespace.as_deref() == object.key.namespace();
        // As kubectl has it, in which kinds are written in any case.
        is_there && self.kind.eq_ignore_ascii_case(object.gvk.kind()) && self.name == object.key.name()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        let place = namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        write!(f, "{kind}/{place}{name}")
    }
}

/// Where to listen: `ADDRESS:PORT`, or `:PORT` for all addresses, of IPv4 alone where there is no IPv6.
pub(super) fn listen_addresses(text: &str) -> Result<Listen, String> {
    let wanted =
        if text.starts_with(':') { vec![format!("[::]{text}"), format!("0.0.0.0{text}")] } else { vec![text.into()] };
    let mut addresses = Vec::new();
    for address in wanted {
        let found = address.to_socket_addrs().map_err(|error| format!("{error}; expected ADDRESS:PORT or :PORT"))?;
        addresses.extend(found);
    }
    Ok(Listen(addresses))
}

/// Addresses to try in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listen(pub(super) Vec<SocketAddr>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_a_port_of_all_addresses() {
        let all = listen_addresses(":8080").unwrap().0;
        assert_eq!(all, [SocketAddr::from(([0; 8], 8080)), ([0, 0, 0, 0], 8080).into()]);
        assert_eq!(listen_addresses("127.0.0.1:0").unwrap().0, [([127, 0, 0, 1], 0).into()]);
        assert!(listen_addresses("8080").is_err());
    }

    #[test]
    fn a_number_that_is_none_of_those_expected_is_told_which_they_are() {
        let shards = number(1..=256);
        assert_eq!((shards("1"), shards("256")), (Ok(1), Ok(256)));
        for text in ["0", "257", "99999", "-1", "x", ""] {
            assert_eq!(shards(text).unwrap_err(), "expected a number from 1 to 256", "{text}");
        }
    }

    #[test]
    fn a_lease_lasts_whole_seconds() {
        assert_eq!(whole_seconds("1m 5s"), Ok(Duration::from_secs(65)));
        for text in ["0s", "1500ms", "2h", "5"] {
            assert!(whole_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_api_server_is_given_seconds_that_kube_can_ask_for() {
        assert_eq!(api_timeout("60s"), Ok(Duration::from_mins(1)));
        assert_eq!(api_timeout("2s"), Ok(Duration::from_secs(2)));
        for text in ["500ms", "1s", "2500ms", "295s"] {
            assert!(api_timeout(text).is_err(), "{text}");
        }
    }
}
