//! Serves HTTP to whoever can reach the port, such that nobody keeps others from asking.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinError, JoinSet};

/// How many connections are open at most: for one more, the oldest is closed.
const CONNECTIONS: usize = 64;
/// How long it may take to ask.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a connection may be open, so that the answer was read.
const TIME: Duration = Duration::from_secs(15);
/// How long a question may be, in bytes; an answer is written in such parts.
const BUFFER: usize = 16 << 10;
/// How long to wait when no connection can be accepted, as when there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers one question for each connection, for as long as the future is polled.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let (mut connections, mut oldest) = (JoinSet::new(), VecDeque::<AbortHandle>::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                oldest.retain(|connection| !connection.is_finished());
                if oldest.len() >= CONNECTIONS || accepted.is_err() {
                    oldest.pop_front().inspect(AbortHandle::abort);
                }
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                let service = TowerToHyperService::new(router.clone());
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIME)
                    .keep_alive(false)
                    .max_buf_size(BUFFER)
                    .serve_connection(TokioIo::new(stream), service);
                oldest.push_back(connections.spawn(async {
                    // How it ends is the matter of whoever asked.
                    let _ = tokio::time::timeout(TIME, connection).await;
                }));
            }
            Some(ended) = connections.join_next() => if let Some(panic) = ended.err().filter(JoinError::is_panic) {
                std::panic::resume_unwind(panic.into_panic());
            },
        }
    }
}
