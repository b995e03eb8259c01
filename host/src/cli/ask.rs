//! Asks a host that runs how it stands, at the address of its `--admin`.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use axum::body::{Body, to_bytes};
use http::header;
use http::uri::{PathAndQuery, Scheme, Uri};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::api::Problem;
use crate::text;

/// How long an answer may take in all.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an answer may be, in bytes.
const MOST: usize = 64 << 20;
/// Where a host is asked if nothing else is said.
const DEFAULT: &str = "127.0.0.1:8080";

/// Where to ask, and how to show the answer.
#[derive(Debug, clap::Args)]
pub(super) struct Ask {
    /// Where the host serves its --admin: `127.0.0.1:8080`, `:8080` on this machine, or `http://...`. Without it:
    /// `$OARLOCK_ADMIN`, or 127.0.0.1:8080.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,

    /// How to show it.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(super) output: Format,
}

/// How an answer is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// For people, with more columns.
    Wide,
    /// As the host tells it.
    Json,
    /// The same as YAML.
    Yaml,
}

impl Ask {
    /// What the host tells at this path, for people as `show` makes a text of it.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        show: impl FnOnce(&T, bool) -> String,
    ) -> anyhow::Result<String> {
        let answer = self.ask(path).await?;
        Ok(match self.output {
            Format::Json => text::json(&format!("{answer:#}\n")).into_owned(),
            Format::Yaml => text::lines(&serde_saphyr::to_string(&answer)?).into_owned(),
            Format::Table | Format::Wide => {
                let answer =
                    serde_json::from_value(answer).context("the host is of another version than this program")?;
                show(&answer, self.output == Format::Wide)
            }
        })
    }

    async fn ask(&self, path: &str) -> anyhow::Result<Value> {
        let address = self.admin.clone().or_else(|| std::env::var("OARLOCK_ADMIN").ok());
        let address = address.filter(|address| !address.is_empty()).unwrap_or_else(|| DEFAULT.to_owned());
        let base = base(&address).with_context(|| format!("--admin {address}"))?;
        let asked = tokio::time::timeout(PATIENCE, ask(&base, path)).await;
        let asked = asked.unwrap_or_else(|_| Err(anyhow!("no answer in {} s", PATIENCE.as_secs())));
        let (status, body) = asked.with_context(|| {
            format!(
                "no host answers at {address} (is it run with --admin? for one in a cluster: kubectl -n oarlock port-forward \
                 deployment/oarlock 8080)"
            )
        })?;
        if status.is_success() {
            return serde_json::from_slice(&body).with_context(|| format!("what answers at {address} is no host"));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => bail!("{}", problem.error),
            Err(_) => bail!("{address} answers {status}; it is no host, or one of another version"),
        }
    }
}

/// The URL that an address means.
fn base(address: &str) -> anyhow::Result<Uri> {
    let url = match address {
        _ if address.contains("://") => address.to_owned(),
        _ if address.starts_with(':') => format!("http://127.0.0.1{address}"),
        _ => format!("http://{address}"),
    };
    let url: Uri = url.parse().context("expected ADDRESS:PORT or http://ADDRESS:PORT")?;
    if url.scheme() != Some(&Scheme::HTTP) {
        bail!("hosts speak plain HTTP: expected ADDRESS:PORT or http://ADDRESS:PORT");
    }
    Ok(url)
}

async fn ask(base: &Uri, path: &str) -> anyhow::Result<(http::StatusCode, bytes::Bytes)> {
    let (host, port) = (base.host().unwrap_or_default(), base.port_u16().unwrap_or(80));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // How it ends is told by the answer.
    let connection = tokio::spawn(connection);
    let path: PathAndQuery = format!("{}{path}", base.path().trim_end_matches('/')).parse()?;
    let request = http::Request::get(path)
        .header(header::HOST, base.authority().map_or("", |authority| authority.as_str()))
        .body(Body::empty())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = to_bytes(Body::new(answer.into_body()), MOST).await?;
    connection.abort();
    Ok((status, body))
}

/// A name as it stands in a path.
pub(super) fn in_path(name: &str) -> String {
    use std::fmt::Write as _;
    let mut path = String::new();
    for byte in name.bytes() {
        // Writing to a string does not fail.
        let _ = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => path.write_char(char::from(byte)),
            _ => write!(path, "%{byte:02X}"),
        };
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_with_or_without_what_goes_without_saying() {
        for (address, url) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            (":81", "http://127.0.0.1:81/"),
            ("[::1]:8080", "http://[::1]:8080/"),
            ("http://oarlock.oarlock.svc/proxy", "http://oarlock.oarlock.svc/proxy"),
        ] {
            assert_eq!(base(address).unwrap().to_string(), url);
        }
        assert!(base("https://localhost").unwrap_err().to_string().contains("plain HTTP"));
        assert!(base("a b").is_err());
    }

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(in_path("print-containers"), "print-containers");
        assert_eq!(in_path("a/b?ü"), "a%2Fb%3F%C3%BC");
    }
}
