//! Writes calls down in a folder, which never grows beyond a size.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

use anyhow::Context as _;

use super::reads::RecordingReader;
use super::result::{CallResult, Ending, Manifest};
use super::{FORMAT, Recording};
use crate::digest::Digest;
use crate::object::{Object, ObjectRef};
use crate::plugin::{CallError, Outcome, Plugin, ReconcileId};

/// How many recordings wait to be written at most; of more, each is dropped.
const MAX_WAITING: usize = 64;
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
///
/// When it is dropped, what waits is written first.
pub struct Recorder {
    which: Which,
    /// None: it is being dropped.
    sender: Option<SyncSender<(String, Recording)>>,
    thread: Option<JoinHandle<()>>,
}

/// A call that is under way.
pub struct Tape {
    recording: Recording,
    reads: Arc<RecordingReader>,
    id: ReconcileId,
}

impl Recorder {
    /// Begins to write to that folder, which is made if it is not there.
    pub fn start(options: &RecorderOptions) -> anyhow::Result<Self> {
        let about = || format!("cannot record to {} (--record)", options.folder.display());
        let shelf = Shelf::open(&options.folder, options.size).with_context(about)?;
        let (sender, recordings) = sync_channel(MAX_WAITING);
        let thread = std::thread::Builder::new().name("recorder".to_owned());
        let thread = thread.spawn(move || write_all(shelf, &recordings)).with_context(about)?;
        Ok(Self { which: options.which, sender: Some(sender), thread: Some(thread) })
    }

    /// Begins to record a call that reads through that.
    pub fn begin(
        &self,
        plugin: &Plugin,
        target: &ObjectRef,
        (object, attempt): (Option<&Object>, u32),
        id: ReconcileId,
        reads: Arc<RecordingReader>,
    ) -> Tape {
        let recording = Recording {
            recording: FORMAT,
            plugin: plugin.name.to_string(),
            digest: plugin.digest.to_string(),
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            failure: None,
            redacted: false,
            target: target.into(),
            attempt,
            settings: plugin.grant.settings.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            object: object.map(|object| Manifest::of(&object.json)),
            reads: Vec::new(),
            result: CallResult { call: target.to_string(), gone: object.is_none(), ..CallResult::default() },
            stderr: Vec::new(),
        };
        Tape { recording, reads, id }
    }

    /// Keeps a call whose reconcile has ended, if it is one of those that are recorded.
    pub fn keep(&self, tape: Tape, failure: Option<String>) {
        if self.which == Which::Failed && failure.is_none() {
            return;
        }
        let Tape { mut recording, reads, id } = tape;
        let Some(reads) = reads.reads() else {
            tracing::warn!(
                plugin = recording.plugin,
                "a call for {} is not recorded: it read too much",
                recording.result.call
            );
            return;
        };
        recording.reads = reads;
        recording.failure = failure;
        let name = file_name(&recording, (self.which == Which::All).then_some(id));
        // Who waits for the disk is the thread that writes, and not the plugin.
        if self.sender.as_ref().is_some_and(|sender| sender.try_send((name, recording)).is_err()) {
            tracing::warn!("a call is not recorded: the disk is too slow, or cannot be written");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.sender = None;
        // A panic of that thread was told of when it came.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Tape {
    /// Takes in what the plugin answered, printed and wrote to stderr.
    pub fn answered(&mut self, result: &Result<Outcome, CallError>, is_command: bool, stdout: &[u8], stderr: &[u8]) {
        let lines = |text: &[u8]| String::from_utf8_lossy(text).lines().map(str::to_owned).collect();
        let called = &mut self.recording.result;
        called.printed = lines(stdout);
        self.recording.stderr = lines(stderr);
        match result {
            Ok(outcome) => called.answered(outcome),
            Err(error) => (called.result, called.reason) = (Ending::of(error, is_command), Some(error.to_string())),
        }
    }
}

/// What the file of a recording is called: `PLUGIN.KIND.NAMESPACE.NAME.yaml`, or with the id of its call before `.yaml`.
fn file_name(recording: &Recording, id: Option<ReconcileId>) -> String {
    let target = ObjectRef::from(&recording.target);
    let parts = [&*recording.plugin, target.gvk.kind(), target.key.namespace().unwrap_or_default(), target.key.name()];
    let whole = parts.join(".");
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' };
    let mut name: String = whole.chars().take(MAX_NAME).map(fit).collect();
    if name != whole {
        // Others may have become the same.
        name.push('.');
        name.push_str(&Digest::of(whole.as_bytes()).to_string()[..8]);
    }
    let id = id.map(|id| format!(".{id}")).unwrap_or_default();
    format!("{name}{id}.yaml")
}

fn write_all(mut shelf: Shelf, recordings: &Receiver<(String, Recording)>) {
    let mut failing = false;
    for (name, recording) in recordings {
        let text = recording.without_secrets().text();
        let written = shelf.put(&name, &text);
        if let Err(error) = &written
            && !failing
        {
            tracing::warn!("cannot write {}: {error} (--record)", shelf.folder.join(&name).display());
        }
        failing = written.is_err();
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
            if metadata.is_file() && path.extension().is_some_and(|extension| extension == "yaml") {
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
        let path = self.folder.join(name);
        if let Some(place) = self.files.iter().position(|(other, _)| *other == path) {
            self.used -= self.files.remove(place).map_or(0, |(_, bytes)| bytes);
        }
        while self.used + text.len() > self.size
            && let Some((oldest, bytes)) = self.files.pop_front()
        {
            self.used -= bytes;
            fs::remove_file(oldest)?;
        }
        if text.len() > self.size {
            return Err(io::Error::other(format!("it has {} bytes, and there is room for {}", text.len(), self.size)));
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

    #[test]
    fn the_oldest_make_way_also_those_from_before() {
        let folder = tempfile::tempdir().unwrap();
        let names = || {
            let mut names: Vec<_> = folder
                .path()
                .read_dir()
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let mut shelf = Shelf::open(folder.path(), 10).unwrap();
        for name in ["a.yaml", "b.yaml", "c.yaml"] {
            shelf.put(name, "1234").unwrap();
        }
        assert_eq!(names(), ["b.yaml", "c.yaml"]);
        shelf.put("b.yaml", "12").unwrap();
        assert_eq!(names(), ["b.yaml", "c.yaml"], "it is written anew");

        let mut shelf = Shelf::open(folder.path(), 7).unwrap();
        shelf.put("d.yaml", "1234").unwrap();
        assert_eq!(names(), ["b.yaml", "d.yaml"], "c was older than b");
        assert!(shelf.put("e.yaml", "12345678").is_err());
        std::fs::write(folder.path().join("other.txt"), "stays").unwrap();
    }

    #[test]
    fn a_file_is_called_after_the_object_whatever_that_is_called() {
        let recording = |name: &str| {
            let target = serde_json::json!({"apiVersion": "v1", "kind": "Role", "namespace": "a", "name": name});
            Recording {
                recording: 1,
                plugin: "demo".into(),
                digest: String::new(),
                time: String::new(),
                failure: None,
                redacted: false,
                target: serde_json::from_value(target).unwrap(),
                attempt: 0,
                settings: None,
                object: None,
                reads: Vec::new(),
                result: CallResult::default(),
                stderr: Vec::new(),
            }
        };
        assert_eq!(file_name(&recording("x.y"), None), "demo.Role.a.x.y.yaml");
        assert_eq!(file_name(&recording("x"), Some(ReconcileId(7))), "demo.Role.a.x.0000000000000007.yaml");
        let odd = file_name(&recording("system:x/../y"), None);
        assert!(odd.starts_with("demo.Role.a.system_x_.._y."), "{odd}");
        assert_ne!(odd, file_name(&recording("system_x/../y"), None));
        assert!(file_name(&recording(&"x".repeat(253)), None).len() < 220);
    }
}
