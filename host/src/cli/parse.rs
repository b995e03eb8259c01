//! From the texts of arguments to values.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

pub(super) use crate::grant::values::{bytes, duration};
use crate::names;

/// A path at which there is something.
pub(super) fn existing_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    path.metadata().map_err(|error| error.to_string())?;
    Ok(path)
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
