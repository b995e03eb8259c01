//! Splits the body of a list into its objects while it arrives.
//!
//! A list of a hundred thousand objects is half a gigabyte. Read as one text, it would be there several times over before
//! the first object is reconciled; here there is one object of it at a time.

use std::mem;
use std::str::Utf8Error;

use serde::Deserialize;

use crate::object::scan;

/// Why a body is no list.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It is something else.
    #[error("the API server has sent something else than a list")]
    NoList,
    /// It ends in the middle.
    #[error("the API server has sent a list that breaks off")]
    Cut,
    /// It does not say what a list says of itself.
    #[error("the API server has sent a list whose metadata cannot be read: {0}")]
    Metadata(#[from] serde_json::Error),
    /// It is not UTF-8.
    #[error("the API server has sent a list that is no text: {0}")]
    NoText(#[from] Utf8Error),
}

/// The part of a list's [`ListMeta`] that the host goes by.
///
/// [`ListMeta`]: k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListMeta {
    resource_version: Option<String>,
    /// Asks for the next page.
    #[serde(rename = "continue")]
    token: Option<String>,
}

impl ListMeta {
    /// The resource version of all of it.
    pub fn version(&self) -> Option<String> {
        self.resource_version.clone().filter(|version| !version.is_empty())
    }

    /// What asks for the next page. None: this is the last one.
    pub fn token(&self) -> Option<String> {
        self.token.clone().filter(|token| !token.is_empty())
    }
}

/// How far the body of a list has arrived.
///
/// It goes by brackets and strings alone: whether an object is JSON is seen by whoever reads it.
#[derive(Debug, Default)]
pub struct ListBody {
    meta: ListMeta,
    /// It has begun.
    is_object: bool,
    /// How many objects and arrays are open.
    depth: usize,
    in_string: bool,
    /// How many bytes of the next piece belong to an escape.
    escaped: usize,
    /// The last string that stands in the list object itself, with its closing quote: the name of its member, once a bracket
    /// follows.
    member: Vec<u8>,
    /// What is being read, which ends when no more than so many brackets are open.
    reading: Option<(Part, usize)>,
    /// What has arrived of that in pieces before.
    begun: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Metadata,
    Item,
}

impl ListBody {
    /// Takes in the piece of the body that comes next, and tells of each object that is complete with it.
    pub fn push(&mut self, piece: &[u8], item: &mut impl FnMut(&str)) -> Result<(), Malformed> {
        if !self.is_object
            && let Some(first) = piece.trim_ascii_start().first()
        {
            self.is_object = *first == b'{';
            if !self.is_object {
                return Err(Malformed::NoList);
            }
        }
        let (mut at, mut begin) = (mem::take(&mut self.escaped), 0);
        loop {
            if self.in_string {
                let end = scan::end_of_string(piece, at);
                if self.depth == 1 {
                    self.member.extend_from_slice(&piece[at.min(piece.len())..end.unwrap_or(piece.len())]);
                }
                match end {
                    Ok(end) => (at, self.in_string) = (end, false),
                    Err(escaped) => {
                        self.escaped = escaped;
                        break;
                    }
                }
            }
            let Some((mark, behind)) = scan::next_mark(piece, at) else { break };
            at = behind;
            match mark {
                b'"' => {
                    self.in_string = true;
                    if self.depth == 1 {
                        self.member.clear();
                    }
                }
                b'{' | b'[' => {
                    if self.reading.is_none()
                        && let Some(part) = self.part(mark)
                    {
                        self.reading = Some((part, self.depth));
                        begin = at - 1;
                    }
                    self.depth += 1;
                }
                _ => {
                    self.depth = self.depth.checked_sub(1).ok_or(Malformed::NoList)?;
                    if let Some((part, depth)) = self.reading
                        && depth == self.depth
                    {
                        self.reading = None;
                        self.complete(part, &piece[begin..at], item)?;
                    }
                }
            }
        }
        if self.reading.is_some() {
            self.begun.extend_from_slice(&piece[begin..]);
        }
        Ok(())
    }

    /// What the list says of itself, once all of it has arrived.
    pub fn end(self) -> Result<ListMeta, Malformed> {
        if self.is_object && self.depth == 0 { Ok(self.meta) } else { Err(Malformed::Cut) }
    }

    /// What an opening bracket is the beginning of, if that is to be read.
    fn part(&self, bracket: u8) -> Option<Part> {
        match (self.depth, &*self.member, bracket) {
            (1, b"metadata\"", b'{') => Some(Part::Metadata),
            (2, b"items\"", b'{') => Some(Part::Item),
            _ => None,
        }
    }

    fn complete(&mut self, part: Part, last: &[u8], item: &mut impl FnMut(&str)) -> Result<(), Malformed> {
        let whole = if self.begun.is_empty() {
            last
        } else {
            self.begun.extend_from_slice(last);
            &self.begun
        };
        let text = str::from_utf8(whole)?;
        match part {
            Part::Metadata => self.meta = serde_json::from_str(text)?,
            Part::Item => item(text),
        }
        self.begun.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"kind":"List","note":"items","metadata":{"resourceVersion":"7","continue":"t"},"other":[{"a":1}],
        "items":[{"a":"}\"]","b":[{"items":[{}]}]}, {"metadata":{"name":"ü"}},{}],"last":"\\"}"#;

    fn read(pieces: &[&[u8]]) -> Result<(Vec<String>, ListMeta), Malformed> {
        let (mut body, mut items) = (ListBody::default(), Vec::new());
        for piece in pieces {
            body.push(piece, &mut |item| items.push(item.to_owned()))?;
        }
        Ok((items, body.end()?))
    }

    #[test]
    fn objects_and_metadata_are_found_wherever_the_body_is_cut() {
        let expected = [r#"{"a":"}\"]","b":[{"items":[{}]}]}"#, r#"{"metadata":{"name":"ü"}}"#, "{}"];
        let meta = ListMeta { resource_version: Some("7".into()), token: Some("t".into()) };
        for cut in 0..LIST.len() {
            let (first, rest) = LIST.as_bytes().split_at(cut);
            let (items, found) = read(&[first, rest]).unwrap();
            assert_eq!((items.as_slice(), &found), (&expected.map(str::to_owned)[..], &meta), "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = LIST.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes).unwrap().0, expected);
    }

    #[test]
    fn the_metadata_may_come_last() {
        let (items, meta) = read(&[br#" {"items":[{}], "metadata":{"resourceVersion":"9"}} "#]).unwrap();
        assert_eq!((items.len(), meta.resource_version.as_deref()), (1, Some("9")));
    }

    #[test]
    fn a_list_of_nothing_is_a_list() {
        for text in [r#"{"items":[]}"#, r#"{"items":null}"#, "{}"] {
            assert_eq!(read(&[text.as_bytes()]).unwrap(), (Vec::new(), ListMeta::default()), "{text}");
        }
    }

    #[test]
    fn a_body_that_breaks_off_is_no_list() {
        for cut in 0..LIST.len() {
            assert!(matches!(read(&[&LIST.as_bytes()[..cut]]), Err(Malformed::Cut)), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_list_is_told() {
        for text in ["<html>", "}", "null", "3"] {
            assert!(matches!(read(&[text.as_bytes()]), Err(Malformed::NoList)), "{text}");
        }
        assert!(matches!(read(&[b"{\"items\":[{\"a\":\"\xff\"}]}"]), Err(Malformed::NoText(_))));
        assert!(matches!(read(&[br#"{"metadata":{"resourceVersion":7}}"#]), Err(Malformed::Metadata(_))));
    }
}
