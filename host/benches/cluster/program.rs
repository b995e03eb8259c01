//! A program that is measured: when its lines come, and what it takes of processor and memory.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long the lines of a program are waited for.
const DEADLINE: Duration = Duration::from_mins(10);

/// The host.
pub(crate) fn host() -> Command {
    built("oarlock")
}

/// One of the package's examples.
pub(crate) fn example(name: &str) -> Command {
    built(&format!("examples/{name}"))
}

/// What is built with the profile that images are built with, beside this benchmark, which is not.
fn built(name: &str) -> Command {
    let path = Path::new(env!("CARGO_BIN_EXE_oarlock")).with_file_name("../dist").join(name);
    assert!(path.exists(), "{} is not there: `make bench` builds it", path.display());
    Command::new(path)
}

/// A running program; it is killed when dropped.
pub(crate) struct Program {
    child: Killed,
    arrived: Receiver<Arrived>,
    reader: JoinHandle<Vec<u8>>,
    log: PathBuf,
}

/// When the last line that was expected had come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    /// Since the program was started.
    pub(crate) wall: Duration,
    /// Processor time of all of its threads, in user and kernel mode.
    pub(crate) cpu: Duration,
}

/// In bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// The most that was resident, `VmHWM`.
    pub(crate) peak: f64,
    /// What is resident, `VmRSS`.
    pub(crate) resident: f64,
    /// What of that is no file's, `RssAnon`.
    pub(crate) anonymous: f64,
}

impl Memory {
    /// What that process has.
    pub(crate) fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
        };
        Self { peak: field("VmHWM"), resident: field("VmRSS"), anonymous: field("RssAnon") }
    }
}

impl Program {
    /// Starts it, with its log in a file of that name in that folder. So many lines are expected on its stdout.
    pub(crate) fn start(mut command: Command, lines: usize, log: PathBuf) -> Self {
        let stderr = fs::File::create(&log).unwrap();
        let started = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let (mut stdout, pid) = (child.stdout.take().unwrap(), child.id());
        let (sender, arrived) = mpsc::channel();
        // It does as little as it can meanwhile: the processors are those of the program.
        let reader = thread::spawn(move || {
            let (mut text, mut buffer, mut count) = (Vec::new(), vec![0; 1 << 16], 0);
            loop {
                let read = stdout.read(&mut buffer).unwrap();
                if read == 0 {
                    return text;
                }
                let before = count;
                count += buffer[..read].split(|byte| *byte == b'\n').count() - 1;
                if before < lines && count >= lines {
                    // Nobody waits for it when the program was given up.
                    let _ = sender.send(Arrived { wall: started.elapsed(), cpu: cpu(pid) });
                }
                text.extend_from_slice(&buffer[..read]);
            }
        });
        Self { child: Killed(child), arrived, reader, log }
    }

    /// Waits until the lines have come.
    pub(crate) fn arrived(&self) -> Arrived {
        self.arrived.recv_timeout(DEADLINE).unwrap_or_else(|_| {
            panic!("the lines do not come; log:\n{}", fs::read_to_string(&self.log).unwrap_or_default())
        })
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory::of(self.child.0.id())
    }

    /// Kills it, and returns the lines that it has printed.
    pub(crate) fn end(self) -> Vec<String> {
        drop(self.child);
        let text = String::from_utf8(self.reader.join().unwrap()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// A process that is killed when this is dropped.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processor time that a process has had. What the scheduler tells of each thread is exact, but without those that
/// have ended; what it tells of the whole process is in hundredths of a second, rounded down.
fn cpu(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let exact = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
    });
    let exact: Duration = exact.sum();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // After the name of the program, which may have spaces: utime and stime, the 14th and 15th of all.
    let mut fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11);
    let mut ticks = || fields.next().unwrap().parse::<u64>().unwrap();
    exact.max(Duration::from_millis(10 * (ticks() + ticks())))
}
