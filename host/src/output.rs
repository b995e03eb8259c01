//! The host's stdout: what plugins print, in whole lines.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How many bytes of output may wait before calls wait for it.
const MOST: u32 = 32 << 10;

/// Where the output of calls goes; cheap to clone.
#[derive(Clone, Debug)]
pub struct Output {
    sender: mpsc::UnboundedSender<Printed>,
    /// For so many bytes there is room.
    room: Arc<Semaphore>,
}

/// What one call printed, and the room that it takes until it is written.
type Printed = (Vec<u8>, OwnedSemaphorePermit);

/// Ends when all clones of the [`Output`] are dropped and all that they were given is written.
#[derive(Debug)]
pub struct Drained(oneshot::Receiver<()>);

impl Output {
    /// Starts the thread that writes to `to`, one call's output at a time, and flushes when nothing more is waiting.
    /// When writing fails, nobody reads what plugins print, and `closed` is cancelled.
    pub fn start(to: impl Write + Send + 'static, closed: CancellationToken) -> anyhow::Result<(Self, Drained)> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (done, drained) = oneshot::channel();
        let room = Arc::new(Semaphore::new(MOST as usize));
        let closing = Arc::clone(&room);
        let write = move || {
            if let Err(error) = write_all(to, &mut receiver) {
                closing.close();
                closed.cancel();
                tracing::error!("what plugins print cannot be written to stdout: {error}");
            }
            // Nobody waits for it when the host is ending in a hurry.
            let _ = done.send(());
        };
        thread::Builder::new().name("stdout".into()).spawn(write).context("stdout thread")?;
        Ok((Self { sender, room }, Drained(drained)))
    }

    /// Writes what one call printed, ended with a line feed if it is not. Waits while too much is waiting already.
    pub async fn print(&self, mut bytes: Vec<u8>) {
        match bytes.last() {
            None => return,
            Some(b'\n') => {}
            Some(_) => bytes.push(b'\n'),
        }
        // What is more than there ever is room for waits until there is nothing else.
        let room = u32::try_from(bytes.len()).map_or(MOST, |bytes| bytes.min(MOST));
        // Both fail after stdout was closed, which has been said.
        if let Ok(room) = Arc::clone(&self.room).acquire_many_owned(room).await {
            let _ = self.sender.send((bytes, room));
        }
    }
}

impl Drained {
    /// Waits for the end.
    pub async fn wait(self) {
        let _ = self.0.await;
    }
}

fn write_all(mut to: impl Write, receiver: &mut mpsc::UnboundedReceiver<Printed>) -> io::Result<()> {
    let write = |to: &mut dyn Write, (bytes, _room): Printed| to.write_all(&bytes);
    while let Some(printed) = receiver.blocking_recv() {
        write(&mut to, printed)?;
        loop {
            while let Ok(printed) = receiver.try_recv() {
                write(&mut to, printed)?;
            }
            to.flush()?;
            // Where all processors are busy, calls print more in the meantime, and need not wake this thread for each line.
            thread::yield_now();
            if receiver.is_empty() {
                break;
            }
        }
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
    use std::sync::Mutex;

    use futures::FutureExt as _;
    use tokio::task::unconstrained;

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
        for _ in 0..4 {
            output.print(vec![b'.'; MOST as usize]).await;
        }
        closed.cancelled().await;
    }

    #[tokio::test]
    async fn calls_wait_while_too_much_is_waiting() {
        let (reader, writer) = io::pipe().unwrap();
        let (output, drained) = Output::start(writer, CancellationToken::new()).unwrap();
        let (most, line) = (vec![b'.'; 8 * MOST as usize], b"a line\n".to_vec());
        output.print(most).await;
        assert!(unconstrained(output.print(line.clone())).now_or_never().is_none(), "nobody reads");
        drop(reader);
        output.print(line).await;
        drop(output);
        drained.wait().await;
    }
}
