//! The thread that writes the log, so that nobody else waits for whoever reads it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

/// How much of the log may wait to be written, in bytes; lines beyond that are lost.
const CAPACITY: usize = 16 << 20;
/// How long the end waits for what is still to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where events are written, one at a time; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Sink(Arc<Shared>);

/// While it is there, the log is written. When it is dropped, what is still to be written has a second for that.
#[derive(Debug)]
#[must_use]
pub(super) struct LogGuard(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    /// Of all lines that are not written yet.
    bytes: usize,
    lost: usize,
    ending: bool,
    ended: bool,
}

/// Starts the thread. It writes to `to` what `fit` makes of each event, and nothing of those that cannot be written.
pub(super) fn start(
    to: impl Write + Send + 'static,
    fit: fn(&str) -> Cow<'_, str>,
) -> anyhow::Result<(Sink, LogGuard)> {
    let shared = Arc::<Shared>::default();
    let written = Arc::clone(&shared);
    thread::Builder::new().name("log".into()).spawn(move || written.write_all(to, fit)).context("log thread")?;
    Ok((Sink(Arc::clone(&shared)), LogGuard(shared)))
}

impl Shared {
    fn write_all(&self, mut to: impl Write, fit: fn(&str) -> Cow<'_, str>) {
        while let Some(line) = self.next() {
            // Whom should it be told?
            let _ = to.write_all(fit(&String::from_utf8_lossy(&line)).as_bytes()).and_then(|()| to.flush());
            let mut waiting = self.lock();
            waiting.bytes -= line.len();
            // There has to be room for saying so.
            let lost = if waiting.bytes < CAPACITY / 2 { std::mem::take(&mut waiting.lost) } else { 0 };
            drop(waiting);
            if lost > 0 {
                tracing::warn!("{lost} lines of the log are lost, because stderr was not read");
            }
        }
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits for a line. None: there are no more.
    fn next(&self) -> Option<Vec<u8>> {
        let nothing_to_do = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.ending;
        let waiting = self.changed.wait_while(self.lock(), nothing_to_do);
        waiting.unwrap_or_else(PoisonError::into_inner).lines.pop_front()
    }

    /// Nothing panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut waiting = self.0.lock();
        if waiting.bytes + line.len() > CAPACITY {
            waiting.lost += 1;
        } else {
            waiting.bytes += line.len();
            waiting.lines.push_back(line.to_vec());
        }
        drop(waiting);
        self.0.changed.notify_all();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.ending = true;
        self.0.changed.notify_all();
        // If nobody reads it by then, nobody will.
        drop(self.0.changed.wait_timeout_while(waiting, PATIENCE, |waiting| !waiting.ended));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a line each time it is told to.
    struct Reader {
        may: std::sync::mpsc::Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.may.recv().map_err(io::Error::other)?;
            self.taken.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_who_stalls_and_what_there_is_no_room_for_is_lost_in_whole_lines() {
        let (go_on, may) = std::sync::mpsc::channel();
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let (mut sink, guard) = start(Reader { may, taken: Arc::clone(&taken) }, |line| line.into()).unwrap();
        let line = |number: usize| format!("{number:0>1023}\n");
        let (all, room) = (3 * CAPACITY / 1024, CAPACITY / 1024);
        for number in 0..all {
            sink.write_all(line(number).as_bytes()).unwrap();
        }
        assert_eq!(sink.0.lock().lost, all - room);
        for _ in 0..room {
            go_on.send(()).unwrap();
        }
        drop(guard);
        let text = String::from_utf8(std::mem::take(&mut *taken.lock().unwrap())).unwrap();
        assert!(text.lines().eq((0..room).map(|number| line(number).trim_end().to_owned())), "{} bytes", text.len());
        assert_eq!(sink.0.lock().lost, 0, "it was told");
    }

    #[test]
    fn the_end_waits_for_what_is_read_and_not_for_what_never_is() {
        let (go_on, may) = std::sync::mpsc::channel();
        let (mut sink, guard) = start(Reader { may, taken: Arc::default() }, |line| line.into()).unwrap();
        sink.write_all(b"nobody reads this\n").unwrap();
        drop(guard);
        assert!(!sink.0.lock().ended);
        drop(go_on);
    }
}
