//! From the texts of arguments to values.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

pub(super) use crate::grant::values::{bytes, duration};

/// A path at which there is something.
pub(super) fn existing_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    path.metadata().map_err(|error| error.to_string())?;
    Ok(path)
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
}
