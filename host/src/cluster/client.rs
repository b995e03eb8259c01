//! Clients that are built anew when what they were built from may be another by now.
//!
//! A client of kube's keeps the certificates, and for a minute the token, that it has begun with. Where the API server
//! cannot be reached or does not know who speaks, the kubeconfig or the files of the pod are read again. Requests go on
//! with the clients that there are meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode, Uri};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use kube::core::response::StatusDetails;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{ClusterOptions, find};
use crate::grant::ServiceAccount;
use crate::metrics::Requests;

/// How long a client is kept at least: what it is built from may be a program that takes its time.
const KEPT: Duration = Duration::from_secs(5);

/// How long a request waits for the client that is built because of it. Files are read by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is not built by then may hang, as a program can, or a file on a server that is away. Another try is begun then.
const HANGS: Duration = Duration::from_mins(1);

/// How many tries that hang there may be: each is a thread, and perhaps a process.
const MOST_HANG: usize = 4;

/// The header that says as whom something is done.
const IMPERSONATE: HeaderName = HeaderName::from_static("impersonate-user");

/// What clients are built from, and the last that were.
pub(super) struct Origin {
    options: ClusterOptions,
    current: Mutex<Pair>,
    /// Something has failed that other clients may do better.
    in_doubt: AtomicBool,
    /// Not sooner are others built.
    due: Mutex<Instant>,
    /// A permit for each that is being built.
    builders: Arc<Semaphore>,
    requests: Requests,
}

/// Clients of the same origin.
#[derive(Clone)]
struct Pair {
    /// Speaks for whom the kubeconfig says.
    own: Client,
    /// Speaks for whom the request says.
    bare: Client,
    /// Where the API server is, as a label says it.
    host: Arc<str>,
}

impl Origin {
    /// With clients of that configuration, which is what the options say as yet.
    pub(super) fn new(
        options: ClusterOptions,
        config: kube::Config,
        requests: Requests,
    ) -> Result<Arc<Self>, kube::Error> {
        Ok(Arc::new(Self {
            options,
            current: Mutex::new(build(config)?),
            in_doubt: AtomicBool::new(false),
            due: Mutex::new(Instant::now() + KEPT),
            builders: Arc::new(Semaphore::new(MOST_HANG)),
            requests,
        }))
    }

    /// A client that speaks for that account, by impersonation, or for the host.
    pub(super) fn client(
        self: &Arc<Self>,
        account: Option<&ServiceAccount>,
        namespace: &str,
    ) -> Result<Client, kube::Error> {
        let account = account.map(|account| HeaderValue::try_from(account.user())).transpose();
        let account = account.map_err(|error| kube::Error::HttpError(error.into()))?;
        let origin = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (origin, account) = (Arc::clone(&origin), account.clone());
            async move { origin.send(request, account).await }
        });
        Ok(Client::new(service, namespace))
    }

    async fn send(
        self: Arc<Self>,
        mut request: Request<Body>,
        account: Option<HeaderValue>,
    ) -> Result<Response<Body>, kube::Error> {
        let Pair { own, bare, host } = self.clients().await;
        let client = match account {
            None => own,
            Some(account) => {
                // The API server adds the groups of a service account itself.
                request.headers_mut().insert(IMPERSONATE, account);
                bare
            }
        };
        let mut asked = self.requests.begin(request.method().as_str(), &host);
        let answer = client.send(request).await;
        asked.code = answer.as_ref().ok().map(|response| response.status().as_u16());
        drop(asked);
        if answer.as_ref().map_or(true, |response| response.status() == StatusCode::UNAUTHORIZED) {
            self.in_doubt.store(true, Ordering::Relaxed);
        }
        answer.and_then(told_when_to_ask_again)
    }

    async fn clients(self: &Arc<Self>) -> Pair {
        if self.in_doubt.load(Ordering::Relaxed)
            && let Some(built) = self.build_anew()
        {
            // Those that there are may do.
            let _ = tokio::time::timeout(PATIENCE, built).await;
        }
        lock(&self.current).clone()
    }

    /// Begins to build others. None: others have just been built, or are being built.
    fn build_anew(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        let (mut due, now) = (lock(&self.due), Instant::now());
        if now < *due {
            return None;
        }
        let builder = Arc::clone(&self.builders).try_acquire_owned().ok()?;
        *due = now + HANGS;
        drop(due);
        let (origin, runtime) = (Arc::clone(self), Handle::current());
        // It reads files, and may run a program.
        Some(tokio::task::spawn_blocking(move || {
            let config = runtime.block_on(find(&origin.options));
            match config.and_then(|config| Ok(build(config)?)) {
                Ok(clients) => {
                    origin.in_doubt.store(false, Ordering::Relaxed);
                    *lock(&origin.current) = clients;
                }
                // A file may be half written.
                Err(error) => tracing::debug!("cannot read anew how to reach the API server: {error:#}"),
            }
            *lock(&origin.due) = Instant::now() + KEPT;
            drop(builder);
        }))
    }
}

fn build(mut config: kube::Config) -> Result<Pair, kube::Error> {
    let own = Client::try_from(config.clone())?;
    let host = host_of(&config.cluster_url).into();
    let auth = &mut config.auth_info;
    let mut speaks_for_another = auth.impersonate.take().is_some();
    speaks_for_another |= auth.impersonate_groups.take().is_some();
    speaks_for_another |= auth.impersonate_uid.take().is_some();
    speaks_for_another |= auth.impersonate_user_extra.take().is_some();
    let bare = if speaks_for_another { Client::try_from(config)? } else { own.clone() };
    Ok(Pair { own, bare, host })
}

/// The host, and the port where one is named.
fn host_of(url: &Uri) -> String {
    let host = url.host().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What is under these locks is put in place as a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn clients_are_built_one_at_a_time_and_beside_those_that_hang_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let [kubeconfig, hangs] = ["kubeconfig", "hangs"].map(|name| folder.path().join(name));
        let script = format!("while [ -e {} ]; do sleep 0.1; done; echo '{{\"status\": {{}}}}'", hangs.display());
        let exec = serde_json::json!({"command": "sh", "args": ["-c", script], "interactiveMode": "Never"});
        let config = serde_json::json!({
            "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
            "users": [{"name": "a", "user": {"exec": exec}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "current-context": "a",
        });
        fs::write(&kubeconfig, config.to_string()).unwrap();
        let options = ClusterOptions { kubeconfig: Some(kubeconfig), ..ClusterOptions::default() };
        let origin = Origin::new(options.clone(), find(&options).await.unwrap(), Requests::default()).unwrap();
        let is_time = || *lock(&origin.due) = Instant::now();
        assert!(origin.build_anew().is_none(), "there are new ones");

        fs::write(&hangs, "").unwrap();
        let mut hanging = Vec::new();
        for _ in 0..MOST_HANG {
            is_time();
            hanging.push(origin.build_anew().unwrap());
            assert!(origin.build_anew().is_none(), "one is being built");
        }
        is_time();
        assert!(origin.build_anew().is_none(), "so many hang");
        fs::remove_file(&hangs).unwrap();
        for build in hanging {
            build.await.unwrap();
        }
        assert!(origin.build_anew().is_none(), "there are new ones");
        is_time();
        origin.build_anew().unwrap().await.unwrap();
    }
}
