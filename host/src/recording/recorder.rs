//! Writes calls down in a folder, which never grows beyond a size.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use super::reads::RecordingReader;
use super::result::{CallResult, Ending, Manifest, lines};
use super::{FORMAT, Recording, SUFFIX};
use crate::digest::Digest;
use crate::object::{Object, ObjectRef};
use crate::plugin::{CallError, Outcome, Plugin, ReconcileId};

/// How many calls wait to be written at most, and how many bytes of objects they may have been given. Of more, each is
/// dropped.
const MAX_WAITING: usize = 64;
const MAX_WAITING_BYTES: usize = 16 << 20;
/// How many characters of a name are in that of a file, which may have 255 bytes.
const MAX_NAME: usize = 180;

/// What is recorded, and where.
#[derive(Clone, Debug)]
pub struct RecorderOptions {
    /// The folder.
    pub folder: PathBuf,
    /// Which calls.
    pub which: Which,
    /// How many bytes there may be in it. The oldest recordings are removed.
    pub size: usize,
}

/// Which calls are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// Those whose reconcile failed, and of each object the last one.
    Failed,
    /// All.
    All,
}

/// Writes calls down, on a thread of its own.
pub struct Recorder {
    which: Which,
    /// None: it is closed.
    sender: Mutex<Option<SyncSender<Tape>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    waiting: Arc<Waiting>,
}

/// What waits to be written.
#[derive(Default)]
struct Waiting {
    calls: AtomicUsize,
    bytes: AtomicUsize,
    /// Whether it was told that a call was dropped since one was taken last.
    told: AtomicBool,
}

/// A call, as it was given and as it ended. It is written out only if it is kept.
pub struct Tape {
    plugin: Arc<Plugin>,
    target: ObjectRef,
    object: Option<Arc<Object>>,
    attempt: u32,
    id: Option<ReconcileId>,
    time: SystemTime,
    reads: Arc<RecordingReader>,
    answer: Option<Result<Outcome, (Ending, String)>>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    failure: Option<String>,
}

impl Recorder {
    /// Begins to write to that folder, which is made if it is not there.
    pub fn start(options: &RecorderOptions) -> anyhow::Result<Self> {
        let about = || format!("cannot record to {} (--record)", options.folder.display());
        let shelf = Shelf::open(&options.folder, options.size).with_context(about)?;
        let (sender, tapes) = sync_channel(MAX_WAITING);
        let waiting = Arc::<Waiting>::default();
        let (thread, taken) = (std::thread::Builder::new().name("recorder".to_owned()), Arc::clone(&waiting));
        let thread = thread.spawn(move || write_all(shelf, &tapes, &taken)).with_context(about)?;
        let (sender, thread) = (Mutex::new(Some(sender)), Mutex::new(Some(thread)));
        Ok(Self { which: options.which, sender, thread, waiting })
    }

    /// Begins to record a call that reads through that.
    pub fn begin(
        &self,
        plugin: &Arc<Plugin>,
        target: &ObjectRef,
        (object, attempt): (Option<&Arc<Object>>, u32),
        id: ReconcileId,
        reads: Arc<RecordingReader>,
    ) -> Tape {
        Tape {
            plugin: Arc::clone(plugin),
            target: target.clone(),
            object: object.cloned(),
            attempt,
            id: (self.which == Which::All).then_some(id),
            time: SystemTime::now(),
            reads,
            answer: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
            failure: None,
        }
    }

    /// Keeps a call whose reconcile has ended, if it is one of those that are recorded.
    pub fn keep(&self, mut tape: Tape, failure: Option<String>) {
        if self.which == Which::Failed && failure.is_none() {
            return;
        }
        tape.failure = failure;
        let (plugin, target) = (Arc::clone(&tape.plugin), tape.target.clone());
        // Who waits for the disk is the thread that writes, and not the plugin.
        if !self.send(tape) && !self.waiting.told.swap(true, Ordering::Relaxed) {
            let (plugin, kind, object) = (&*plugin.name, target.gvk.kind(), &target.key);
            tracing::warn!(plugin, kind, %object, "calls are not recorded: more of them come than can be written");
        }
    }

    /// Whether there is room for it.
    fn send(&self, tape: Tape) -> bool {
        let bytes = tape.bytes();
        if self.waiting.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_WAITING_BYTES {
            self.waiting.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.waiting.calls.fetch_add(1, Ordering::Relaxed);
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = sender.as_ref().is_some_and(|sender| sender.try_send(tape).is_ok());
        if !sent {
            self.waiting.taken(bytes);
        }
        sent
    }

    /// Writes what waits, for as long as that may take. No call is kept after it.
    pub async fn close(&self, time: Duration) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A panic of that thread was told of when it came.
        let ended = tokio::task::spawn_blocking(move || drop(thread.map(JoinHandle::join)));
        if tokio::time::timeout(time, ended).await.is_err() {
            let lost = self.waiting.calls.load(Ordering::Relaxed);
            tracing::warn!("given up: {lost} calls are not recorded, because the disk is too slow (--record)");
        }
    }
}

impl Waiting {
    fn taken(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tape {
    /// Takes in what the plugin answered, printed and wrote to stderr.
    pub fn answered(&mut self, result: &Result<Outcome, CallError>, stdout: &[u8], stderr: &[u8]) {
        let ended = |error: &CallError| (Ending::of(error, self.plugin.is_command()), error.to_string());
        self.answer = Some(result.as_ref().map_err(ended).cloned());
        (self.stdout, self.stderr) = (stdout.to_vec(), stderr.to_vec());
    }

    /// About how many bytes it holds on to.
    fn bytes(&self) -> usize {
        let object = self.object.as_ref().map_or(0, |object| object.json.len());
        self.reads.bytes() + object + self.stdout.len() + self.stderr.len()
    }

    /// The call written out. None: it has read too much.
    fn recording(&self) -> Option<Recording> {
        let answer = self.answer.as_ref()?.as_ref().map_err(Clone::clone);
        let settings = self.plugin.grant.settings.as_deref();
        let mut recording = Recording {
            recording: FORMAT,
            plugin: self.plugin.name.to_string(),
            digest: self.plugin.digest.to_string(),
            time: humantime::format_rfc3339_millis(self.time).to_string(),
            failure: self.failure.clone(),
            redacted: false,
            target: (&self.target).into(),
            attempt: self.attempt,
            settings: settings.and_then(|text| serde_json::from_str(text).ok()),
            object: self.object.as_ref().map(|object| Manifest::of(&object.json.text())),
            reads: self.reads.reads()?,
            result: CallResult::of(&self.target, self.object.is_none(), &self.stdout, answer),
            stderr: lines(&self.stderr),
        };
        recording.leave_out_secrets();
        Some(recording)
    }
}

/// What the file of a recording is called: `PLUGIN.KIND.GROUP.NAMESPACE.NAME.recording.yaml`, without the parts that the
/// object does not have, or with the id of its call after its name.
fn file_name(plugin: &str, target: &ObjectRef, id: Option<ReconcileId>) -> String {
    let parts = [plugin, target.gvk.kind(), target.gvk.group(), target.key.namespace().unwrap_or_default()];
    let parts = parts.into_iter().chain([target.key.name()]).filter(|part| !part.is_empty());
    let whole = parts.collect::<Vec<_>>().join(".");
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' };
    let mut name: String = whole.chars().take(MAX_NAME).map(fit).collect();
    if name != whole {
        // Others may have become the same.
        name.push('.');
        name.push_str(&Digest::of(whole.as_bytes()).to_string()[..8]);
    }
    let id = id.map(|id| format!(".{id}")).unwrap_or_default();
    format!("{name}{id}{SUFFIX}")
}

fn write_all(mut shelf: Shelf, tapes: &Receiver<Tape>, waiting: &Waiting) {
    let mut failing = false;
    for tape in tapes {
        waiting.told.store(false, Ordering::Relaxed);
        let bytes = tape.bytes();
        if let Some(recording) = tape.recording() {
            let name = file_name(&tape.plugin.name, &tape.target, tape.id);
            let written = shelf.put(&name, &recording.text());
            if let Err(error) = &written
                && !failing
            {
                tracing::warn!("cannot write {}: {error} (--record)", shelf.folder.join(&name).display());
            }
            failing = written.is_err();
        } else {
            let (plugin, kind, object) = (&*tape.plugin.name, tape.target.gvk.kind(), &tape.target.key);
            tracing::warn!(plugin, kind, %object, "the call is not recorded: it has read too much");
        }
        waiting.taken(bytes);
    }
}

/// A folder of recordings, the oldest of which make way.
struct Shelf {
    folder: PathBuf,
    size: usize,
    files: VecDeque<(PathBuf, usize)>,
    used: usize,
}

impl Shelf {
    /// With what is there from before.
    fn open(folder: &Path, size: usize) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut there = Vec::new();
        for entry in folder.read_dir()? {
            let (path, metadata) = {
                let entry = entry?;
                (entry.path(), entry.metadata()?)
            };
            if metadata.is_file() && path.to_string_lossy().ends_with(SUFFIX) {
                there.push((metadata.modified()?, path, usize::try_from(metadata.len()).unwrap_or(usize::MAX)));
            }
        }
        there.sort();
        let files: VecDeque<_> = there.into_iter().map(|(_, path, bytes)| (path, bytes)).collect();
        let used = files.iter().map(|(_, bytes)| bytes).sum();
        Ok(Self { folder: folder.to_owned(), size, files, used })
    }

    /// Writes a file as a whole, and removes the oldest ones for which there is no room then.
    fn put(&mut self, name: &str, text: &str) -> io::Result<()> {
        if text.len() > self.size {
            return Err(io::Error::other(format!("it has {} bytes, and there is room for {}", text.len(), self.size)));
        }
        let path = self.folder.join(name);
        if let Some(place) = self.files.iter().position(|(other, _)| *other == path) {
            self.used -= self.files.remove(place).map_or(0, |(_, bytes)| bytes);
        }
        while self.used + text.len() > self.size
            && let Some((oldest, bytes)) = self.files.pop_front()
        {
            self.used -= bytes;
            // Somebody else may have removed it.
            fs::remove_file(oldest)
                .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        }
        let temporary = path.with_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        fs::rename(temporary, &path)?;
        self.used += text.len();
        self.files.push_back((path, text.len()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Gvk, ObjectKey};

    #[test]
    fn the_oldest_make_way_also_those_from_before_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine.yaml"), "a file of somebody's").unwrap();
        let names = || {
            let entries = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = entries.map(|name| name.to_str().unwrap().replace(SUFFIX, "")).collect();
            names.sort();
            names
        };
        let put = |shelf: &mut Shelf, name: &str, text: &str| shelf.put(&format!("{name}{SUFFIX}"), text);
        let mut shelf = Shelf::open(folder.path(), 10).unwrap();
        for name in ["a", "b", "c"] {
            put(&mut shelf, name, "1234").unwrap();
        }
        assert_eq!(names(), ["b", "c", "mine.yaml"]);
        put(&mut shelf, "b", "12").unwrap();
        assert_eq!(names(), ["b", "c", "mine.yaml"], "it is written anew");

        let mut shelf = Shelf::open(folder.path(), 7).unwrap();
        put(&mut shelf, "d", "1234").unwrap();
        assert_eq!(names(), ["b", "d", "mine.yaml"], "c was older than b");
        assert!(put(&mut shelf, "e", "12345678").is_err());
        assert_eq!(names(), ["b", "d", "mine.yaml"], "for what has no room at all, nothing makes way");
        std::fs::remove_file(folder.path().join(format!("b{SUFFIX}"))).unwrap();
        put(&mut shelf, "f", "1234").unwrap();
        assert_eq!(names(), ["f", "mine.yaml"], "one that somebody has removed is in nobody's way");
    }

    #[test]
    fn a_file_is_called_after_the_object_whatever_that_is_called() {
        let name = |version, kind, name: &str, id: Option<u64>| {
            let target = ObjectRef { gvk: Gvk::new(version, kind), key: ObjectKey::new(Some("a"), name) };
            file_name("demo", &target, id.map(ReconcileId))
        };
        assert_eq!(name("v1", "Pod", "x.y", None), "demo.Pod.a.x.y.recording.yaml");
        assert_eq!(
            name("apps/v1", "Deployment", "x", Some(7)),
            "demo.Deployment.apps.a.x.0000000000000007.recording.yaml"
        );
        let odd = name("v1", "Role", "system:x/../y", None);
        assert!(odd.starts_with("demo.Role.a.system_x_.._y."), "{odd}");
        assert_ne!(odd, name("v1", "Role", "system_x/../y", None));
        assert!(name("v1", "Pod", &"x".repeat(253), None).len() < 220);
    }
}
