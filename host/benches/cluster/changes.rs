//! Objects that change at a fixed rate, and programs that tell of it.
//!
//! A change gives the first container of an object another name, `stamp-N`, with a number that no other change has, so that
//! the line that a program prints for it says which change it has seen.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use futures::future::join_all;
use http::Request;
use kube::Client;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::sleep_until;

use crate::objects;
use crate::program::{Killed, Memory};

/// How long what must come is waited for.
const DEADLINE: Duration = Duration::from_mins(10);

/// Where the API server has each of so many objects.
pub(crate) fn paths(count: usize) -> Vec<String> {
    let path = |number| {
        let metadata = &objects::replica_set(number)["metadata"];
        let [namespace, name] = ["namespace", "name"].map(|field| metadata[field].as_str().unwrap());
        format!("/apis/apps/v1/namespaces/{namespace}/replicasets/{name}")
    };
    (0..count).map(path).collect()
}

/// A change that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// The number that it has put in the object.
    pub(crate) stamp: u32,
    /// Which object.
    pub(crate) object: usize,
    /// When it was to be made.
    pub(crate) due: Instant,
    /// When the API server had answered it.
    pub(crate) answered: Instant,
}

/// Changes one object after the other, so many a second from now on, whether the API server keeps up or not as long as no
/// more than `at_most` are unanswered, until `stop` says so of the next stamp.
pub(crate) async fn change(
    client: &Client,
    paths: &[String],
    first: u32,
    (rate, at_most): (u32, usize),
    stop: impl Fn(u32) -> bool,
) -> Vec<Change> {
    let (start, mut made, unanswered) = (Instant::now(), Vec::new(), Arc::new(Semaphore::new(at_most)));
    for stamp in (first..).take_while(|stamp| !stop(*stamp)) {
        let due = start + Duration::from_secs(1) * (stamp - first) / rate;
        sleep_until(due.into()).await;
        let permit = Arc::clone(&unanswered).acquire_owned().await.unwrap();
        let object = stamp as usize % paths.len();
        let (client, path) = (client.clone(), paths[object].clone());
        made.push(tokio::spawn(async move {
            let answered = change_one(&client, &path, stamp).await;
            drop(permit);
            Change { stamp, object, due, answered }
        }));
    }
    join_all(made).await.into_iter().map(Result::unwrap).collect()
}

/// Makes one change. Returns when it was answered.
pub(crate) async fn change_one(client: &Client, path: &str, stamp: u32) -> Instant {
    let name =
        json!({"op": "replace", "path": "/spec/template/spec/containers/0/name", "value": format!("stamp-{stamp}")});
    let request = Request::patch(path).header("Content-Type", "application/json-patch+json");
    client.request::<IgnoredAny>(request.body(json!([name]).to_string().into()).unwrap()).await.unwrap();
    Instant::now()
}

/// What is kept of the lines of a program.
pub(crate) trait Seen: Default + Send + 'static {
    /// Takes in a line that has come then.
    fn take(&mut self, line: Line, at: Instant);
}

/// A line `version-V NAMESPACE/NAME: stamp-S, ...`, or one without the version, or of an object that was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) version: Option<u32>,
    pub(crate) stamp: Option<u32>,
}

impl Line {
    fn parse(text: &str) -> Self {
        let (version, object) = match text.strip_prefix("version-").and_then(|rest| rest.split_once(' ')) {
            Some((version, object)) => (Some(version.parse().unwrap()), object),
            None => (None, text),
        };
        let stamp = object.split_once(": stamp-").map(|(_, rest)| rest.split(',').next().unwrap_or_default());
        Self { version, stamp: stamp.map(|stamp| stamp.parse().unwrap()) }
    }
}

/// A running program whose lines are looked at as they come; it is killed when dropped.
pub(crate) struct Followed<S> {
    child: Killed,
    seen: Arc<Mutex<S>>,
    log: PathBuf,
    pub(crate) started: Instant,
}

impl<S: Seen> Followed<S> {
    /// Starts it, with its log in that file.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let stderr = fs::File::create(&log).unwrap();
        let started = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let seen = Arc::<Mutex<S>>::default();
        let (stdout, taken) = (child.stdout.take().unwrap(), Arc::clone(&seen));
        thread::spawn(move || follow(stdout, &taken));
        Self { child: Killed(child), seen, log, started }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, S> {
        self.seen.lock().unwrap()
    }

    /// Waits until that is so of what it has printed.
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&S) -> bool) {
        assert!(self.wait_for(DEADLINE, is_so), "there is not {what}; log:\n{}", self.log());
    }

    /// Waits for so long at most. Returns whether it is so.
    pub(crate) fn wait_for(&self, time: Duration, is_so: impl Fn(&S) -> bool) -> bool {
        let start = Instant::now();
        while !is_so(&self.seen()) {
            if start.elapsed() > time {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Its log up to now.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory::of(self.child.0.id())
    }
}

/// Takes in lines as they come, those that come together with one look at the clock.
fn follow(mut stdout: impl io::Read, seen: &Mutex<impl Seen>) {
    let (mut text, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let read = stdout.read(&mut buffer).unwrap();
        if read == 0 {
            return;
        }
        let at = Instant::now();
        text.extend_from_slice(&buffer[..read]);
        let Some(end) = text.iter().rposition(|byte| *byte == b'\n') else { continue };
        let mut seen = seen.lock().unwrap();
        for line in std::str::from_utf8(&text[..end]).unwrap().lines() {
            seen.take(Line::parse(line), at);
        }
        drop(seen);
        text.drain(..=end);
    }
}
