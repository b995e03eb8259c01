//! The JSON of an object, as it is kept.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::pack::Dictionary;

/// The JSON of an object. It may be kept packed, and is unpacked by whoever needs it.
#[derive(Clone)]
pub struct Json(Form);

#[derive(Clone)]
enum Form {
    Plain(Box<str>),
    Packed {
        bytes: Box<[u8]>,
        /// Of the text, in bytes.
        length: u32,
        dictionary: Arc<Dictionary>,
    },
}

impl Json {
    /// The text of so many bytes, packed with that dictionary.
    pub(super) fn packed(bytes: &[u8], length: u32, dictionary: &Arc<Dictionary>) -> Self {
        Self(Form::Packed { bytes: bytes.into(), length, dictionary: Arc::clone(dictionary) })
    }

    /// The text.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Form::Plain(text) => Cow::Borrowed(text),
            Form::Packed { bytes, length, dictionary } => Cow::Owned(dictionary.unpack(bytes, *length)),
        }
    }

    /// How many bytes the text has.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Plain(text) => text.len(),
            Form::Packed { length, .. } => *length as usize,
        }
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes are kept for it.
    pub fn kept(&self) -> usize {
        match &self.0 {
            Form::Plain(text) => text.len(),
            Form::Packed { bytes, .. } => bytes.len(),
        }
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self(Form::Plain(text.into_boxed_str()))
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self(Form::Plain(text.into()))
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}
