//! The host's stdout: what plugins print, in whole lines.

use std::borrow::Cow;
use std::io::{self, Write};
use std::thread;

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How many calls' output may wait before calls wait for it.
const CAPACITY: usize = 64;

/// Where the output of calls goes; cheap to clone.
#[derive(Clone, Debug)]
pub struct Output(mpsc::Sender<Vec<u8>>);

/// Ends when all clones of the [`Output`] are dropped and all that they were given is written.
#[derive(Debug)]
pub struct Drained(oneshot::Receiver<()>);

impl Output {
    /// Starts the thread that writes to `to`, one call's output at a time, and flushes when nothing more is waiting.
    /// When writing fails, nobody reads what plugins print, and `closed` is cancelled.
    pub fn start(to: impl Write + Send + 'static, closed: CancellationToken) -> anyhow::Result<(Self, Drained)> {
        let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(CAPACITY);
        let (done, drained) = oneshot::channel();
        let write = move || {
            if let Err(error) = write_all(to, &mut receiver) {
                closed.cancel();
                tracing::error!("what plugins print cannot be written to stdout: {error}");
            }
            // Nobody waits for it when the host is ending in a hurry.
            let _ = done.send(());
        };
        thread::Builder::new().name("stdout".into()).spawn(write).context("stdout thread")?;
        Ok((Self(sender), Drained(drained)))
    }

    /// Writes what one call printed, ended with a line feed if it is not. Waits while too much is waiting already.
    pub async fn print(&self, mut bytes: Vec<u8>) {
        match bytes.last() {
            None => return,
            Some(b'\n') => {}
            Some(_) => bytes.push(b'\n'),
        }
        // It fails after stdout was closed, which has been said.
        let _ = self.0.send(bytes).await;
    }
}

impl Drained {
    /// Waits for the end.
    pub async fn wait(self) {
        let _ = self.0.await;
    }
}

fn write_all(mut to: impl Write, receiver: &mut mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(bytes) = receiver.blocking_recv() {
        to.write_all(&bytes)?;
        while let Ok(bytes) = receiver.try_recv() {
            to.write_all(&bytes)?;
        }
        to.flush()?;
    }
    Ok(())
}

/// Makes each text that is written to it as a whole fit to be shown.
#[derive(Debug)]
pub struct Fit<W> {
    to: W,
    how: fn(&str) -> Cow<'_, str>,
}

impl<W: Write> Fit<W> {
    /// Writes to `to` what `how` makes of it.
    pub fn new(to: W, how: fn(&str) -> Cow<'_, str>) -> Self {
        Self { to, how }
    }
}

impl<W: Write> Write for Fit<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write_all((self.how)(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut sink = self.0.lock().unwrap();
            if sink.len() > 12 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            sink.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn calls_are_written_in_whole_lines_and_before_the_end() {
        let (sink, closed) = (Sink::default(), CancellationToken::new());
        let (output, drained) = Output::start(sink.clone(), closed.clone()).unwrap();
        for text in ["one\n", "", "two", "3\n4"] {
            output.print(text.into()).await;
        }
        drop(output);
        drained.wait().await;
        assert_eq!(*sink.0.lock().unwrap(), b"one\ntwo\n3\n4\n");
        assert!(!closed.is_cancelled());
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_is_told_and_holds_nobody_up() {
        let closed = CancellationToken::new();
        let (output, _drained) = Output::start(Sink::default(), closed.clone()).unwrap();
        for _ in 0..2 * CAPACITY {
            output.print(b"a line\n".to_vec()).await;
        }
        closed.cancelled().await;
    }
}
