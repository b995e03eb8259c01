//! Clients that are built anew when what they were built from may be another by now.
//!
//! A client of kube's keeps the certificates, and for a minute the token, that it has begun with. Where the API server
//! cannot be reached or does not know who speaks, the kubeconfig or the files of the pod are read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use kube::core::response::StatusDetails;
use tokio::sync::Mutex;

use super::{ClusterOptions, find};
use crate::grant::ServiceAccount;

/// How long a client is kept at least: what it is built from may be a program that takes its time.
const KEPT: Duration = Duration::from_secs(5);

/// What a client is built from, and the last that was.
struct Origin {
    options: ClusterOptions,
    account: Option<ServiceAccount>,
    current: Mutex<(Client, Instant)>,
    /// Something has failed that another client may do better.
    in_doubt: AtomicBool,
}

/// A client that speaks for that account, by impersonation, or for the host.
pub(super) fn client(
    options: &ClusterOptions,
    account: Option<&ServiceAccount>,
    config: kube::Config,
) -> Result<Client, kube::Error> {
    let (options, account) = (options.clone(), account.cloned());
    let namespace = config.default_namespace.clone();
    let current = Mutex::new((build(config, account.as_ref())?, Instant::now()));
    let origin = Arc::new(Origin { options, account, current, in_doubt: AtomicBool::new(false) });
    let service = tower::service_fn(move |request: Request<Body>| {
        let origin = Arc::clone(&origin);
        async move { origin.send(request).await }
    });
    Ok(Client::new(service, namespace))
}

impl Origin {
    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        let answer = self.client().await.send(request).await;
        if answer.as_ref().map_or(true, |response| response.status() == StatusCode::UNAUTHORIZED) {
            self.in_doubt.store(true, Ordering::Relaxed);
        }
        answer.and_then(told_when_to_ask_again)
    }

    async fn client(&self) -> Client {
        let mut current = self.current.lock().await;
        let (client, built) = &mut *current;
        if built.elapsed() >= KEPT && self.in_doubt.swap(false, Ordering::Relaxed) {
            match self.build_anew().await {
                Ok(anew) => *client = anew,
                // A file may be half written.
                Err(error) => tracing::debug!("cannot read anew how to reach the API server: {error:#}"),
            }
            *built = Instant::now();
        }
        client.clone()
    }

    async fn build_anew(&self) -> anyhow::Result<Client> {
        let (config, account) = (find(&self.options).await?, self.account.clone());
        // It may run a program.
        Ok(tokio::task::spawn_blocking(move || build(config, account.as_ref())).await??)
    }
}

fn build(mut config: kube::Config, account: Option<&ServiceAccount>) -> Result<Client, kube::Error> {
    if let Some(account) = account {
        // The API server adds the groups of a service account itself.
        config.auth_info.impersonate = Some(account.user());
        config.auth_info.impersonate_groups = None;
        config.auth_info.impersonate_uid = None;
        config.auth_info.impersonate_user_extra = None;
    }
    Client::try_from(config)
}

/// An API server that has too much to do says in a header when to ask again, and kube's errors have no headers. Where
/// the body tells, it is left as it is.
fn told_when_to_ask_again(response: Response<Body>) -> Result<Response<Body>, kube::Error> {
    let (status, headers) = (response.status(), response.headers());
    let is_told = headers.get(CONTENT_TYPE).is_some_and(|content| content.as_bytes().starts_with(b"application/json"));
    let is_pushed_back = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match seconds {
        Some(seconds) if is_pushed_back && !is_told => {
            let details = StatusDetails {
                name: String::new(),
                group: String::new(),
                kind: String::new(),
                uid: String::new(),
                causes: Vec::new(),
                retry_after_seconds: seconds,
            };
            let message = format!("{status}: to be asked again after {seconds} s");
            let reason = status.canonical_reason().unwrap_or_default();
            let status = Status::failure(&message, reason).with_code(status.as_u16()).with_details(details);
            Err(kube::Error::Api(status.boxed()))
        }
        _ => Ok(response),
    }
}
