//! Writes down what a call reads, and answers as it was written down.

use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};

use super::result::{Manifest, Reference};
use super::{Read, Selected};
use crate::object::{Gvk, Object, ObjectRef};
use crate::plugin::Reader;
use crate::selector::Selection;

/// How many bytes of objects are kept of what a call reads. What it reads beyond is not written down.
const MAX_BYTES: usize = 4 << 20;

/// Answers as another reader does, and keeps the answers.
pub struct RecordingReader {
    from: Arc<dyn Reader>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    answers: Vec<Answer>,
    bytes: usize,
}

/// Objects as they are in the caches: what is read is only written out if the recording is kept.
enum Answer {
    Get(ObjectRef, Result<Option<Arc<Object>>, String>),
    List(Selection, Result<Vec<Arc<Object>>, String>),
}

impl RecordingReader {
    /// Keeps what that one answers.
    pub fn new(from: Arc<dyn Reader>) -> Self {
        Self { from, kept: Mutex::default() }
    }

    /// What was read until now. None: it was too much.
    pub(super) fn reads(&self) -> Option<Vec<Read>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.bytes <= MAX_BYTES).then(|| kept.answers.iter().map(Answer::read).collect())
    }

    /// How many bytes of objects are kept: none, if it was too much.
    pub(super) fn bytes(&self) -> usize {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes <= MAX_BYTES { kept.bytes } else { 0 }
    }

    fn keep(&self, answer: impl FnOnce() -> Answer, bytes: usize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += bytes;
        if kept.bytes <= MAX_BYTES {
            kept.answers.push(answer());
        } else {
            kept.answers = Vec::new();
        }
    }
}

impl Answer {
    fn read(&self) -> Read {
        let manifest = |object: &Arc<Object>| Manifest::of(&object.json.text());
        match self {
            Self::Get(target, answer) => Read {
                get: Some(target.into()),
                object: answer.as_ref().ok().and_then(Option::as_ref).map(manifest),
                error: answer.as_ref().err().cloned(),
                ..Read::default()
            },
            Self::List(selection, answer) => Read {
                list: Some(Selected::of(selection)),
                objects: answer.iter().flatten().map(manifest).collect(),
                error: answer.as_ref().err().cloned(),
                ..Read::default()
            },
        }
    }
}

impl Reader for RecordingReader {
    fn get(&self, target: ObjectRef) -> BoxFuture<'_, Result<Option<Arc<Object>>, String>> {
        let read = async move {
            let answer = self.from.get(target.clone()).await;
            let bytes = answer.iter().flatten().map(|object| object.json.len()).sum();
            self.keep(|| Answer::Get(target, answer.clone()), bytes);
            answer
        };
        read.boxed()
    }

    fn list(&self, selection: Selection) -> BoxFuture<'_, Result<Vec<Arc<Object>>, String>> {
        let read = async move {
            let answer = self.from.list(selection.clone()).await;
            let bytes = answer.iter().flatten().map(|object| object.json.len()).sum();
            self.keep(|| Answer::List(selection, answer.clone()), bytes);
            answer
        };
        read.boxed()
    }
}

/// Answers as it was written down.
pub struct Recorded {
    /// Each with whether it was given.
    reads: Mutex<Vec<(Read, bool)>>,
}

impl Recorded {
    /// Those answers, each of which is given once, and again if there is no other.
    pub fn new(reads: Vec<Read>) -> Self {
        Self { reads: Mutex::new(reads.into_iter().map(|read| (read, false)).collect()) }
    }

    /// The next answer to that, which `what` names.
    fn find(&self, what: &str, is_it: impl Fn(&Read) -> bool) -> Result<Read, String> {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let new = reads.iter().position(|(read, given)| !given && is_it(read));
        let place = new.or_else(|| reads.iter().rposition(|(read, _)| is_it(read)));
        let Some((read, given)) = place.map(|place| &mut reads[place]) else {
            return Err(format!("the recorded call did not read {what}"));
        };
        *given = true;
        read.error.clone().map_or_else(|| Ok(read.clone()), Err)
    }
}

impl Reader for Recorded {
    fn get(&self, wanted: ObjectRef) -> BoxFuture<'_, Result<Option<Arc<Object>>, String>> {
        let named = Reference::from(&wanted);
        let read = self.find(&wanted.to_string(), |read| read.get.as_ref() == Some(&named));
        let answer = read.and_then(|read| read.object.map(|object| parsed(&object, &wanted.gvk)).transpose());
        ready(answer).boxed()
    }

    fn list(&self, wanted: Selection) -> BoxFuture<'_, Result<Vec<Arc<Object>>, String>> {
        let selected = Selected::of(&wanted);
        let read = self.find(&format!("a list of {wanted}"), |read| read.list.as_ref() == Some(&selected));
        let answer = read.and_then(|read| read.objects.iter().map(|object| parsed(object, &wanted.gvk)).collect());
        ready(answer).boxed()
    }
}

fn parsed(manifest: &Manifest, gvk: &Gvk) -> Result<Arc<Object>, String> {
    manifest.object(gvk).map(Arc::new).ok_or_else(|| format!("a {gvk} in the recording is no object"))
}
