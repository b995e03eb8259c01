//! What a guest writes on its stdout and stderr during a call.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Collects one stream of a guest, up to a limit past which bytes are counted and dropped.
#[derive(Clone)]
pub(super) struct Capture {
    /// What a line counts beyond its bytes.
    line_cost: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    allowance: Allowance,
    bytes: Vec<u8>,
}

/// What a guest wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Captured {
    /// Up to the limit, and only whole lines if there was more.
    pub(super) bytes: Vec<u8>,
    /// What of the limit they take.
    pub(super) cost: usize,
    /// How many bytes more there were.
    pub(super) dropped: usize,
}

/// How much a guest may write in a call, and how much it has written.
#[derive(Default)]
pub(super) struct Allowance {
    limit: usize,
    /// What of the limit is taken.
    pub(super) cost: usize,
    /// How many bytes were left out.
    pub(super) dropped: usize,
}

impl Allowance {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Whether so many bytes are taken, which count `more` than they are. After something is left out, nothing more is.
    pub(super) fn takes(&mut self, bytes: usize, more: usize) -> bool {
        let cost = self.cost.saturating_add(bytes).saturating_add(more);
        let takes = self.dropped == 0 && cost <= self.limit;
        if takes {
            self.cost = cost;
        } else {
            self.dropped = self.dropped.saturating_add(bytes);
        }
        takes
    }
}

impl Capture {
    pub(super) fn new(line_cost: usize) -> Self {
        Self { line_cost, state: Arc::default() }
    }

    /// Begins anew, with another limit.
    pub(super) fn begin(&self, limit: usize) {
        *self.lock() = State { allowance: Allowance::new(limit), bytes: Vec::new() };
    }

    /// What was captured since the beginning.
    pub(super) fn take(&self) -> Captured {
        let State { allowance: Allowance { cost, dropped, .. }, bytes } = std::mem::take(&mut *self.lock());
        let mut captured = Captured { bytes, cost, dropped };
        if captured.dropped > 0 {
            let whole = captured.bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            captured.dropped += captured.bytes.len() - whole;
            captured.bytes.truncate(whole);
        }
        captured
    }

    fn put(&self, bytes: &[u8]) {
        let State { allowance, bytes: taken } = &mut *self.lock();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let more = if line.ends_with(b"\n") { self.line_cost } else { 0 };
            if allowance.takes(line.len(), more) {
                taken.extend_from_slice(line);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for Capture {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Capture {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Capture {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.put(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Capture {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Capture {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.put(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(limit: usize, line_cost: usize, writes: &[&'static str]) -> (String, usize) {
        let capture = Capture::new(line_cost);
        capture.begin(limit);
        let mut stream = capture.p2_stream();
        for text in writes {
            stream.write((*text).into()).unwrap();
        }
        let Captured { bytes, dropped, .. } = capture.take();
        (String::from_utf8(bytes).unwrap(), dropped)
    }

    #[test]
    fn past_the_limit_whole_lines_are_left_and_the_rest_is_counted() {
        assert_eq!(captured(6, 0, &["a\nb", "c\n", "d"]), ("a\nbc\nd".into(), 0));
        assert_eq!(captured(6, 0, &["a\nb", "c\n", "de"]), ("a\nbc\n".into(), 2));
        assert_eq!(captured(6, 0, &["a\nb", "c\n", "d", "e"]), ("a\nbc\n".into(), 2));
        assert_eq!(captured(6, 0, &["a\nbcdefgh\n", "c\n"]), ("a\n".into(), 10));
        assert_eq!(captured(6, 0, &["abcdefgh", "\n"]), (String::new(), 9));
    }

    #[test]
    fn lines_count_more_than_their_bytes_where_they_cost_more() {
        assert_eq!(captured(6, 1, &["\n\n\n"]), ("\n\n\n".into(), 0));
        assert_eq!(captured(6, 2, &["\n\n\n"]), ("\n\n".into(), 1));
    }

    #[test]
    fn each_call_begins_anew() {
        let capture = Capture::new(0);
        for _ in 0..2 {
            capture.begin(2);
            capture.put(b"a\nb\n");
            assert_eq!(capture.take(), Captured { bytes: b"a\n".to_vec(), cost: 2, dropped: 2 });
        }
    }
}
