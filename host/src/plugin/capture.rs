//! What a guest writes on its stdout and stderr during a call.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Collects one stream of a guest, up to a limit past which bytes are counted and dropped.
#[derive(Clone)]
pub(super) struct Capture {
    limit: usize,
    captured: Arc<Mutex<Captured>>,
}

/// What a guest wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Up to the limit.
    pub bytes: Vec<u8>,
    /// How many bytes more there were.
    pub dropped: usize,
}

impl Capture {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, captured: Arc::default() }
    }

    /// What was captured since the last time.
    pub(super) fn take(&self) -> Captured {
        std::mem::take(&mut *self.captured.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, bytes: &[u8]) {
        let mut captured = self.captured.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = bytes.len().min(self.limit - captured.bytes.len());
        captured.bytes.extend_from_slice(&bytes[..kept]);
        captured.dropped += bytes.len() - kept;
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

    #[test]
    fn past_the_limit_bytes_are_counted_and_dropped() {
        let capture = Capture::new(4);
        let mut stream = capture.p2_stream();
        stream.write("abc".into()).unwrap();
        stream.write("defg".into()).unwrap();
        assert_eq!(capture.take(), Captured { bytes: b"abcd".to_vec(), dropped: 3 });
        stream.write("h".into()).unwrap();
        assert_eq!(capture.take(), Captured { bytes: b"h".to_vec(), dropped: 0 });
    }
}
