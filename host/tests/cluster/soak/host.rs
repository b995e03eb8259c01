//! The host of the soak, with what it prints read as it comes: there is too much of it to be kept.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::poll;

/// How many lines of the log are kept.
const KEPT: usize = 60;

/// The host; it is killed when dropped.
pub(super) struct Soaked {
    child: Child,
    pub(super) seen: Arc<Mutex<Seen>>,
    log: Arc<Mutex<VecDeque<String>>>,
    /// Of the admin server.
    address: String,
}

/// What the well-behaved plugins have told.
pub(super) struct Seen {
    /// By plugin and object: the counter that was told last.
    last: Vec<Vec<State>>,
    pub(super) calls: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It was not told of, or is gone.
    None,
    Counter(u32),
}

impl Seen {
    /// A line is `version-PPVV default/object-N MODE attempt A counter C`, or `... gone`: of plugin PP, from 1.
    fn take(&mut self, line: &str) {
        let Some((version, rest)) = line.strip_prefix("version-").and_then(|rest| rest.split_once(' ')) else { return };
        let plugin = version.parse::<usize>().unwrap() / 100;
        let Some(last) = plugin.checked_sub(1).and_then(|plugin| self.last.get_mut(plugin)) else { return };
        let (object, state) = rest.strip_prefix("default/object-").and_then(|rest| rest.split_once(' ')).unwrap();
        last[object.parse::<usize>().unwrap()] = match state.rsplit_once(" counter ") {
            Some((_, counter)) => State::Counter(counter.parse().unwrap()),
            None => State::None,
        };
        self.calls += 1;
    }

    /// How many objects all plugins together have not seen as they are.
    pub(super) fn unseen(&self, objects: &[State]) -> usize {
        let of = |last: &Vec<State>| last.iter().zip(objects).filter(|(had, is)| had != is).count();
        self.last.iter().map(of).sum()
    }

    /// Whether all plugins have seen an object with that counter or a later one.
    pub(super) fn have_all_seen(&self, object: usize, counter: u32) -> bool {
        self.last.iter().all(|last| matches!(last[object], State::Counter(had) if had >= counter))
    }
}

impl Soaked {
    /// Starts it. The first so many plugins behave well.
    pub(super) fn start(mut command: Command, plugins: usize, objects: usize) -> Self {
        command.args(["--admin", "127.0.0.1:0", "--log-format", "json"]);
        command.args(["--log", "warn,oarlock::admin=info,oarlock::cli=info"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let seen = Arc::new(Mutex::new(Seen { last: vec![vec![State::None; objects]; plugins], calls: 0 }));
        let (stdout, taken) = (child.stdout.take().unwrap(), Arc::clone(&seen));
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                taken.lock().unwrap().take(&line);
            }
        });
        let log = Arc::<Mutex<VecDeque<String>>>::default();
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&log));
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_back(line);
                if kept.len() > KEPT {
                    kept.pop_front();
                }
            }
        });
        let address = poll("address", || {
            log.lock().unwrap().iter().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                Some(line["address"].as_str()?.to_owned())
            })
        });
        Self { child, seen, log, address }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The last lines of its log.
    pub(super) fn log(&self) -> String {
        self.log.lock().unwrap().iter().cloned().collect::<Vec<_>>().join("\n")
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, and returns what it says of its work.
    pub(super) fn stop(mut self) -> String {
        assert!(Command::new("kill").arg(self.pid().to_string()).status().unwrap().success());
        poll("end", || self.child.try_wait().unwrap());
        poll("summary", || {
            let log = self.log.lock().unwrap();
            let messages = log.iter().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            messages.into_iter().find_map(|line| Some(line["message"].as_str()?.strip_prefix("stopped: ")?.to_owned()))
        })
    }
}

impl Drop for Soaked {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The memory of a process, in MiB. None: it is gone.
pub(super) fn memory(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(memory.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}

/// The answer to a GET; an error says why there is none.
pub(super) fn get(address: &str, path: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}
