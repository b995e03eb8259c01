//! Where plugins are compiled: in a process of its own, whose time and memory are bounded.
//!
//! That process is this program again, started with the subcommand `compile-plugin`. It is given the bytes of the plugin
//! on stdin and answers on stdout: the code, or with exit code 1 why there is none.

use std::io::{self, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, thread};

use indicatif::HumanBytes;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, nice, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use super::compile::compile;
use super::engine::{Engine, compiling_engine};
use super::room::Room;

/// How much is kept of what the compiler says, in bytes.
const MAX_TEXT: u64 = 4096;

/// How much code a plugin may come to, in bytes: the host has it twice while it takes it in.
const MAX_CODE: u64 = 256 << 20;

/// How many threads compile one plugin: each takes memory.
const MAX_THREADS: usize = 8;

/// Where plugins are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// In a process of its own, of this program, which has to be `oarlock`.
    Child,
    /// On a thread, in whatever time and memory that takes.
    Thread,
}

/// Why a plugin was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompilerError {
    /// It is none.
    #[error("{0}")]
    Refused(String),
    /// It takes too much processor time.
    #[error(
        "compiling it takes more than {} of processor time (compile, among limits in its grant file)",
        humantime::format_duration(*.0)
    )]
    Time(Duration),
    /// It takes too long, because the machine has other things to do.
    #[error(
        "compiling it takes more than {}, twice what it may take of processor time (compile, among limits in its grant \
         file), which is tried again",
        humantime::format_duration(*.0)
    )]
    Busy(Duration),
    /// Somebody else has ended the compiler, and for such reasons as the kernel has when memory runs out.
    #[error("the compiler was killed, perhaps because there is no more memory, which is tried again")]
    Killed,
    /// The compiler did not come to its end.
    #[error(
        "compiling it, for which there are {memory_mib} MiB of memory (half of the limit of the host, 1 GiB at most), ended with \
         {status}: {said}"
    )]
    Ended {
        /// How much memory it had.
        memory_mib: u64,
        /// How.
        status: ExitStatus,
        /// What it said last.
        said: String,
    },
    /// The compiler panicked, where it is no process.
    #[error("compiling it panicked, which is a defect of the compiler; the panic is on stderr")]
    Panicked,
    /// There is no compiler: a matter of this machine, not of the plugin.
    #[error("the compiler cannot be run, which is tried again: {0}")]
    NotRun(#[from] io::Error),
}

impl Compiler {
    /// The code of the plugin with these bytes.
    pub(super) async fn compile(
        self,
        engine: &Arc<Engine>,
        room: &Room,
        bytes: Vec<u8>,
        time: Duration,
    ) -> Result<Vec<u8>, CompilerError> {
        match self {
            Self::Child => {
                // Nobody closes the semaphore.
                let _place = room.places.acquire().await;
                let wall = time.saturating_mul(2);
                timeout(wall, in_child(&bytes, time, room.memory)).await.unwrap_or(Err(CompilerError::Busy(wall)))
            }
            Self::Thread => {
                let engine = Arc::clone(engine);
                let code = tokio::task::spawn_blocking(move || compile(&engine.wasmtime, &bytes)).await;
                code.map_err(|_| CompilerError::Panicked)?.map_err(|error| CompilerError::Refused(error.to_string()))
            }
        }
    }
}

/// Has a child compile the plugin in so many bytes of memory. If the future is dropped, the child is killed.
async fn in_child(bytes: &[u8], time: Duration, memory: u64) -> Result<Vec<u8>, CompilerError> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let cpu_seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let mut child = Command::new(this_program()?)
        .args(["compile-plugin", &cpu_seconds.to_string(), &memory.to_string()])
        .env("RAYON_NUM_THREADS", threads.to_string())
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A child that has ended does not read; its status says more about it.
            let _ = stdin.write_all(bytes).await;
        }
    };
    // One that is not read to its end would not end.
    let (answer, said) = (read(stdout, MAX_CODE.min(memory)), read(stderr, MAX_TEXT));
    let ((), answer, said, status) = tokio::join!(feed, answer, said, child.wait());
    result(status?, answer?, text(&said?), (time, memory))
}

/// What comes of a child that has ended, after what it answered and said, and that had so much time and memory.
fn result(
    status: ExitStatus,
    answer: Vec<u8>,
    said: String,
    (time, memory): (Duration, u64),
) -> Result<Vec<u8>, CompilerError> {
    let is = |signal: Signal| status.signal() == Some(signal.as_raw());
    match status.code() {
        Some(0) => Ok(answer),
        Some(1) => Err(CompilerError::Refused(text(&answer))),
        None if is(Signal::XCPU) => Err(CompilerError::Time(time)),
        None if is(Signal::KILL) => Err(CompilerError::Killed),
        _ => {
            let said = if said.is_empty() { "it did not say why".to_owned() } else { said };
            Err(CompilerError::Ended { memory_mib: memory >> 20, status, said })
        }
    }
}

/// Reads a pipe, or its beginning.
async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(most).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// What the child says, which may be about names of any length.
fn text(bytes: &[u8]) -> String {
    let most = bytes.len().min(usize::try_from(MAX_TEXT).unwrap_or(usize::MAX));
    String::from_utf8_lossy(&bytes[..most]).trim_end().to_owned()
}

/// The file of this program. On Linux also if it was replaced by another since it was started.
fn this_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { env::current_exe() }
}

/// Compiles what comes on stdin, as the child of a host. It may take so much processor time, and so many bytes of memory.
pub fn compile_stdin(cpu_seconds: u64, memory: u64) -> ExitCode {
    let (answer, code) = match compile_bounded(cpu_seconds, memory) {
        Ok(code) => (code, ExitCode::SUCCESS),
        Err(error) => (error.to_string().into_bytes(), ExitCode::FAILURE),
    };
    let mut stdout = io::stdout().lock();
    if stdout.write_all(&answer).and_then(|()| stdout.flush()).is_err() {
        // The host has ended.
        return ExitCode::from(2);
    }
    code
}

fn compile_bounded(cpu_seconds: u64, memory: u64) -> anyhow::Result<Vec<u8>> {
    // Of the two limits of its time, the second one kills a process; the first one's signal tells what has ended it.
    let limits = [(Resource::Data, memory, 0), (Resource::Cpu, cpu_seconds, 1), (Resource::Core, 0, 0)];
    for (resource, current, more) in limits {
        let most = |most: u64| Some(getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most)));
        setrlimit(resource, Rlimit { current: most(current), maximum: most(current.saturating_add(more)) })?;
    }
    // Plugins that are at work go first; and if memory runs out, it is not the host that is killed.
    let _ = nice(5);
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let code = compile(&compiling_engine()?, &bytes)?;
    anyhow::ensure!(
        code.len() as u64 <= MAX_CODE,
        "it comes to {} of code, and may to {}",
        HumanBytes(code.len() as u64),
        HumanBytes(MAX_CODE)
    );
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::super::load::LoadError;
    use super::*;

    #[test]
    fn an_end_that_is_no_fault_of_the_plugin_may_pass() {
        let second = Duration::from_secs(1);
        let result = |status| result(ExitStatus::from_raw(status), b"answer".into(), String::new(), (second, 1 << 20));
        let is_passing = |error: CompilerError| LoadError::from(error).is_passing();
        let [refused, out_of_memory, out_of_time, killed] =
            [1 << 8, Signal::ABORT.as_raw(), Signal::XCPU.as_raw(), Signal::KILL.as_raw()];

        assert_eq!(result(0).unwrap(), b"answer");
        for status in [refused, out_of_memory, out_of_time] {
            assert!(!is_passing(result(status).unwrap_err()), "{status}");
        }
        for error in [result(killed).unwrap_err(), CompilerError::Busy(second), io::Error::other("fork").into()] {
            assert!(is_passing(error));
        }
        let told = [refused, out_of_memory, out_of_time].map(|status| result(status).unwrap_err().to_string());
        assert!(told[0] == "answer" && told[1].contains("1 MiB of memory") && told[2].contains("1s of processor time"));
    }
}
