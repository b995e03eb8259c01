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
const MAX_BYTES: usize = 16 << 20;

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

    fn keep(&self, answer: impl FnOnce() -> Answer, bytes: usize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += bytes;
        if kept.bytes <= MAX_BYTES {
            kept.answers.push(answer());
        }
    }
}

impl Answer {
    fn read(&self) -> Read {
        match self {
            Self::Get(target, answer) => Read::Get {
                target: target.into(),
                object: answer.as_ref().ok().and_then(Option::as_ref).map(|object| Manifest::of(&object.json)),
                error: answer.as_ref().err().cloned(),
            },
            Self::List(selection, answer) => Read::List {
                selection: Selected::of(selection),
                objects: answer.iter().flatten().map(|object| Manifest::of(&object.json)).collect(),
                error: answer.as_ref().err().cloned(),
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
    /// Those that were not read yet come before those that were.
    reads: Mutex<Vec<(Read, bool)>>,
}

impl Recorded {
    /// Those answers, each of which is given once, and again if there is no other.
    pub fn new(reads: Vec<Read>) -> Self {
        Self { reads: Mutex::new(reads.into_iter().map(|read| (read, false)).collect()) }
    }

    fn find<T>(&self, what: &str, answer: impl Fn(&Read) -> Option<Result<T, String>>) -> Result<T, String> {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let found = |reads: &[(Read, bool)], given: bool| {
            let matching = |(read, was_given): &(Read, bool)| *was_given == given && answer(read).is_some();
            if given { reads.iter().rposition(matching) } else { reads.iter().position(matching) }
        };
        let place = found(&reads, false).or_else(|| found(&reads, true));
        let Some((read, given)) = place.map(|place| &mut reads[place]) else {
            return Err(format!("the recorded call did not read {what}"));
        };
        *given = true;
        answer(read).unwrap_or_else(|| Err(String::new()))
    }
}

impl Reader for Recorded {
    fn get(&self, wanted: ObjectRef) -> BoxFuture<'_, Result<Option<Arc<Object>>, String>> {
        let named = Reference::from(&wanted);
        let answer = self.find(&wanted.to_string(), |read| match read {
            Read::Get { target, object, error } if *target == named => Some(match error {
                Some(error) => Err(error.clone()),
                None => object.as_ref().map(|object| parsed(object, &wanted.gvk)).transpose(),
            }),
            _ => None,
        });
        ready(answer).boxed()
    }

    fn list(&self, wanted: Selection) -> BoxFuture<'_, Result<Vec<Arc<Object>>, String>> {
        let selected = Selected::of(&wanted);
        let answer = self.find(&format!("a list of {wanted}"), |read| match read {
            Read::List { selection, objects, error } if *selection == selected => Some(match error {
                Some(error) => Err(error.clone()),
                None => objects.iter().map(|object| parsed(object, &wanted.gvk)).collect(),
            }),
            _ => None,
        });
        ready(answer).boxed()
    }
}

fn parsed(manifest: &Manifest, gvk: &Gvk) -> Result<Arc<Object>, String> {
    manifest.object(gvk).map(Arc::new).ok_or_else(|| format!("a {gvk} in the recording is no object"))
}
