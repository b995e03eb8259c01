//! What is known of the files of a plugin, from one reading of them to the next.

use std::path::PathBuf;
use std::sync::Weak;
use std::time::{Duration, Instant};

use super::files::{PairSignature, Unreadable, Version};
use super::program::Plugin;
use crate::journal::FileState;

/// When a version is tried again that has failed by no fault of its own: twice as late each time, up to the other.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// What is known of a plugin's files.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) grant_path: PathBuf,
    /// When the last reading of it was begun. None: it has to be read to tell whether it has changed.
    pub(super) signature: Option<PairSignature>,
    /// Whether the file was settled then, and need not be read again while its signature is the same.
    pub(super) settled: bool,
    /// The reading that was begun last.
    pub(super) begun: u64,
    /// The reading that was heeded last: those begun before it are overtaken.
    pub(super) heeded: u64,
    /// Of the version that was told as loaded last or, if that has been taken back, of the one before.
    pub(super) in_force: Option<Version>,
    pub(super) in_force_is: Weak<Plugin>,
    /// Was taken back: it is not loaded again until the files have been others.
    pub(super) refused: Option<Version>,
    pub(super) fault: Option<Fault>,
    /// When it is read again though it has not changed, because its fault may have passed by then.
    pub(super) retry_at: Option<Instant>,
    /// How long it was left alone for before.
    pause: Duration,
}

pub(super) struct Fault {
    /// None: it could not be read.
    pub(super) version: Option<Version>,
    pub(super) reason: String,
    /// None: it has been told.
    pub(super) tell_at: Option<Instant>,
}

impl File {
    /// A file that is not read yet. Readings up to that generation were of another file of its name.
    pub(super) fn new(path: PathBuf, generation: u64) -> Self {
        Self {
            grant_path: path.with_extension("yaml"),
            path,
            signature: None,
            settled: false,
            begun: generation,
            heeded: generation,
            in_force: None,
            in_force_is: Weak::new(),
            refused: None,
            fault: None,
            retry_at: None,
            pause: Duration::ZERO,
        }
    }

    /// What files of that version are, if they are no new ones.
    pub(super) fn known(&self, version: Version) -> Option<FileState> {
        let is = |known: Option<Version>| known == Some(version);
        let known = is(self.in_force).then_some(FileState::InForce);
        known.or_else(|| is(self.refused).then_some(FileState::RolledBack))
    }

    pub(super) fn is_being_read(&self) -> bool {
        self.begun > self.heeded
    }

    pub(super) fn look(&self) -> Result<PairSignature, Unreadable> {
        PairSignature::of(&self.path, &self.grant_path)
    }

    /// Whether the files may be others than those that are being, or were, read.
    pub(super) fn has_changed(&self, signature: &PairSignature) -> bool {
        self.signature.as_ref() != Some(signature) || !(self.settled || self.is_being_read())
    }

    pub(super) fn unreadable(&mut self, Unreadable(path, error): &Unreadable, grace: Duration) {
        self.signature = None;
        let what = if *path == self.path { "it".to_owned() } else { format!("its grant file {}", path.display()) };
        self.fault(None, format!("{what} cannot be read: {error}"), grace);
    }

    /// Has a version read again after a while, which failed by no fault of its own. To be called before that is noted.
    pub(super) fn retry_later(&mut self, version: Version, now: Instant) {
        if self.fault.as_ref().is_none_or(|fault| fault.version != Some(version)) {
            self.pause = Duration::ZERO;
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.retry_at = Some(now + self.pause);
    }

    /// Whether it is time to read it again, which is true once.
    pub(super) fn take_retry(&mut self, now: Instant) -> bool {
        let is_time = !self.is_being_read() && self.retry_at.is_some_and(|at| at <= now);
        if is_time {
            (self.retry_at, self.signature) = (None, None);
        }
        is_time
    }

    /// When there is something to be done about it that is no event.
    pub(super) fn due(&self) -> Option<Instant> {
        let tell_at = self.fault.as_ref().and_then(|fault| fault.tell_at);
        [tell_at, self.retry_at].into_iter().flatten().filter(|_| !self.is_being_read()).min()
    }

    pub(super) fn fault(&mut self, version: Option<Version>, reason: String, grace: Duration) {
        let known = |fault: &Fault| fault.version == version && fault.reason == reason;
        if !self.fault.as_ref().is_some_and(known) {
            self.fault = Some(Fault { version, reason, tell_at: Some(Instant::now() + grace) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_version_is_tried_again_ever_later_and_another_one_soon() {
        let (mut file, mut now) = (File::new("p.wasm".into(), 0), Instant::now());
        let [one, other] = [b"one", b"two"].map(|bytes| Version { plugin: Digest::of(bytes), grant: None });
        let mut pause_of = |version| {
            file.retry_later(version, now);
            file.fault(Some(version), "killed".into(), Duration::ZERO);
            let at = file.retry_at.unwrap();
            assert!(!file.take_retry(now) && file.take_retry(at) && !file.take_retry(at));
            let pause = at - now;
            now = at;
            pause.as_secs()
        };
        assert_eq!([(); 9].map(|()| pause_of(one)), [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!([(); 2].map(|()| pause_of(other)), [5, 10]);
    }
}
