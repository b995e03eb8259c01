//! From the texts of arguments to values.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

/// A path at which there is something.
pub(super) fn existing_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    path.metadata().map_err(|error| error.to_string())?;
    Ok(path)
}

/// A number of bytes, in the notation of Kubernetes quantities: `64Mi`, `1Gi`, `500k`, `1048576`.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let number_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let unit = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1000 * 1000,
        "G" => 1000 * 1000 * 1000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return Err("expected bytes, such as 64Mi, 1Gi or 1048576".into()),
    };
    let number: usize = number.parse().map_err(|error| format!("{error}"))?;
    number.checked_mul(unit).ok_or_else(|| "too large".into())
}

/// A time, such as `100ms` or `1m 30s`, that the clocks can hold.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let longest = Duration::from_hours(24 * 365);
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration > longest { Err("longer than a year".into()) } else { Ok(duration) }
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
    fn bytes_are_written_as_kubernetes_writes_them() {
        assert_eq!(bytes("64Mi"), Ok(64 << 20));
        assert_eq!(bytes("500k"), Ok(500_000));
        assert_eq!(bytes("1048576"), Ok(1 << 20));
        for text in ["", "Mi", "64MiB", "-1", "1.5Gi", "99999999999Gi"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_is_one_that_the_clocks_can_hold() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for text in ["", "5", "-1s", "500000000000years"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_alone_is_a_port_of_all_addresses() {
        let all = listen_addresses(":8080").unwrap().0;
        assert_eq!(all, [SocketAddr::from(([0; 8], 8080)), ([0, 0, 0, 0], 8080).into()]);
        assert_eq!(listen_addresses("127.0.0.1:0").unwrap().0, [([127, 0, 0, 1], 0).into()]);
        assert!(listen_addresses("8080").is_err());
    }
}
