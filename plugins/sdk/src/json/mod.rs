//! Reads of a JSON text what is asked for, and skips the rest faster than `serde_json`, which reads that too.
//!
//! What is skipped is taken for well-formed, as what the API server serves is. All but objects, lists and plain strings is
//! left to `serde_json`.

mod skip;

use std::borrow::Cow;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Error;
use serde_json::de::StrRead;

type SerdeJson<'de> = serde_json::Deserializer<StrRead<'de>>;

/// How deep objects and lists may be in one another, as in `serde_json`.
const DEPTH: usize = 128;

/// A place in a JSON text, from which values are read.
pub(super) struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    pub(super) fn new(text: &'de str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// Where it has come to, in bytes.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// Goes on to what is at a JSON pointer (RFC 6901). Returns whether there is something.
    pub(super) fn go_to(&mut self, pointer: &str) -> Result<bool, Error> {
        if pointer.is_empty() {
            return Ok(true);
        }
        for token in pointer.strip_prefix('/').unwrap_or(pointer).split('/') {
            let first = self.peek()?;
            let is_there = match first {
                b'{' | b'[' => {
                    self.at += 1;
                    match self.peek()? {
                        b'}' | b']' => false,
                        _ if first == b'{' => self.go_to_member(token)?,
                        _ => self.go_to_element(token)?,
                    }
                }
                b'n' => false,
                _ => return Err(Error::custom(format_args!("there is neither an object nor a list with `{token}`"))),
            };
            if !is_there {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Within an object that is not empty.
    fn go_to_member(&mut self, token: &str) -> Result<bool, Error> {
        let name =
            if token.contains('~') { token.replace("~1", "/").replace("~0", "~").into() } else { Cow::Borrowed(token) };
        loop {
            let is_it = match self.plain_string()? {
                Some(key) => key == name,
                None => serde_json::from_str::<String>(self.skip()?)? == name,
            };
            self.expect(b':')?;
            if is_it {
                return Ok(true);
            }
            self.skip()?;
            if !self.passes(b',')? {
                return Ok(false);
            }
        }
    }

    /// Within a list that is not empty.
    fn go_to_element(&mut self, token: &str) -> Result<bool, Error> {
        let Ok(index) = token.parse::<usize>() else {
            return Err(Error::custom(format_args!("`{token}` is no index of a list")));
        };
        for _ in 0..index {
            self.skip()?;
            if !self.passes(b',')? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Result<u8, Error> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
        self.at += blanks;
        rest.get(blanks).copied().ok_or_else(cut_off)
    }

    /// Passes over the next byte if it is that one.
    fn passes(&mut self, byte: u8) -> Result<bool, Error> {
        let is_there = self.peek()? == byte;
        self.at += usize::from(is_there);
        Ok(is_there)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.passes(byte)? { Ok(()) } else { Err(Error::custom(format_args!("expected `{}`", char::from(byte)))) }
    }

    /// Passes over the next value. Returns its text.
    fn skip(&mut self) -> Result<&'de str, Error> {
        let (first, begin) = (self.peek()?, self.at);
        let bytes = self.text.as_bytes();
        self.at = match first {
            b'{' | b'[' => skip::after_container(bytes, begin).ok_or_else(cut_off)?,
            b'"' => skip::end_of_string(bytes, begin + 1).ok_or_else(cut_off)?.0 + 1,
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                begin + bytes[begin..].iter().position(ends).unwrap_or(bytes.len() - begin)
            }
        };
        Ok(&self.text[begin..self.at])
    }

    /// The next value, if it is a string without escapes.
    fn plain_string(&mut self) -> Result<Option<&'de str>, Error> {
        if self.peek()? != b'"' {
            return Ok(None);
        }
        let begin = self.at + 1;
        let (end, has_escape) = skip::end_of_string(self.text.as_bytes(), begin).ok_or_else(cut_off)?;
        if has_escape {
            return Ok(None);
        }
        self.at = end + 1;
        Ok(Some(&self.text[begin..end]))
    }

    /// Has `serde_json` read the next value.
    fn by_serde_json<T>(&mut self, read: impl FnOnce(&mut SerdeJson<'de>) -> Result<T, Error>) -> Result<T, Error> {
        whole(self.skip()?, read)
    }

    /// Reads an object or a list, of which the first byte is there.
    fn within<T>(&mut self, read: impl FnOnce(Items<'_, 'de>) -> Result<T, Error>, end: u8) -> Result<T, Error> {
        if self.depth == DEPTH {
            return Err(Error::custom("recursion limit exceeded"));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(Items { reader: self, is_first: true, end })?;
        self.depth -= 1;
        self.expect(end)?;
        Ok(value)
    }
}

/// Reads all of a text.
fn whole<'de, T>(text: &'de str, read: impl FnOnce(&mut SerdeJson<'de>) -> Result<T, Error>) -> Result<T, Error> {
    let mut json = SerdeJson::from_str(text);
    let value = read(&mut json)?;
    json.end()?;
    Ok(value)
}

fn cut_off() -> Error {
    Error::custom("EOF while parsing a value")
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.peek()? {
            b'{' => self.within(|members| visitor.visit_map(members), b'}'),
            b'[' => self.within(|elements| visitor.visit_seq(elements), b']'),
            _ => match self.plain_string()? {
                Some(text) => visitor.visit_borrowed_str(text),
                None => self.by_serde_json(|json| json.deserialize_any(visitor)),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // Nothing else in JSON begins so.
        if self.peek()? == b'n' {
            self.by_serde_json(|json| json.deserialize_option(visitor))
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        // By such names, serde_json tells its own types, as that of raw text.
        if name.starts_with("$serde_json") {
            return self.by_serde_json(|json| json.deserialize_newtype_struct(name, visitor));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.by_serde_json(|json| json.deserialize_enum(name, variants, visitor))
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.by_serde_json(|json| json.deserialize_bytes(visitor))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.by_serde_json(|json| json.deserialize_byte_buf(visitor))
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.by_serde_json(|json| json.deserialize_i128(visitor))
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.by_serde_json(|json| json.deserialize_u128(visitor))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string unit unit_struct seq tuple tuple_struct map struct
        identifier
    }
}

/// What is left of an object or a list.
struct Items<'a, 'de> {
    reader: &'a mut Reader<'de>,
    is_first: bool,
    end: u8,
}

impl Items<'_, '_> {
    /// Whether another one follows, the comma before which is passed over.
    fn follows(&mut self) -> Result<bool, Error> {
        if self.reader.peek()? == self.end {
            return Ok(false);
        }
        if !std::mem::take(&mut self.is_first) {
            self.reader.expect(b',')?;
        }
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.follows()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if !self.follows()? {
            return Ok(None);
        }
        let key = match self.reader.plain_string()? {
            Some(key) => seed.deserialize(Key(key))?,
            None => seed.deserialize(&mut *self.reader)?,
        };
        self.reader.expect(b':')?;
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.reader)
    }
}

/// The name of a member, which is a number if that is asked for.
struct Key<'de>(&'de str);

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            whole(self.0, |json| json.$method(visitor))
        })*
    };
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        BorrowedStrDeserializer::new(self.0).deserialize_enum(name, variants, visitor)
    }

    numbers! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Error> {
        T::deserialize(&mut Reader::new(text))
    }

    /// Reads it as `serde_json` does, written in one line and in several.
    fn same<T: for<'de> Deserialize<'de> + PartialEq + Debug>(text: &str) {
        let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(text).unwrap()).unwrap();
        for text in [text, &pretty] {
            assert_eq!(read::<T>(text).ok(), serde_json::from_str(text).ok(), "{text}");
        }
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        name: String,
        replicas: Option<u32>,
        strategy: Option<Strategy>,
        #[serde(default)]
        ports: Vec<(String, u16)>,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    enum Strategy {
        Recreate,
        Rolling { surge: f64 },
    }

    #[test]
    fn values_are_what_serde_json_makes_of_them() {
        for text in [
            r#"{"name": "a\"\u00e4\\", "replicas": 3, "strategy": "Recreate", "x": [1, [], {}, {"y": [null, true]}]}"#,
            r#"{"strategy": {"Rolling": {"surge": 0.25}}, "ports": [["http", 80], ["s\n", 443]], "name": "", "na\u006de2": 1}"#,
            r#"{"name": "a", "replicas": null, "strategy": null, "ports": []}"#,
            r#"{"name": "a", "ports": [["http", 80, 1]]}"#,
            r#"{"name": "a", "ports": [["http"]]}"#,
            r#"{"name": "a", "replicas": -1}"#,
            r#"{"name": "a", "strategy": "Other"}"#,
            r#"{"name": 1}"#,
            "{}",
            "[]",
            "null",
        ] {
            same::<Typed>(text);
            same::<Value>(text);
        }
        same::<BTreeMap<u32, Strategy>>(r#"{"1": "Recreate", "20": {"Rolling": {"surge": 1}}}"#);
        same::<BTreeMap<u32, u32>>(r#"{"a": 1}"#);
        same::<BTreeMap<u32, u32>>(r#"{"1a": 1}"#);
        same::<Vec<u64>>("[1.5]");
        same::<BTreeMap<char, Option<i128>>>(r#"{"a": 1, "b": null, "c": -170141183460469231731687303715884105728}"#);
        same::<Vec<f32>>("[0, -1.5, 1e3]");
        same::<(bool, (), String)>(r#"[true, null, "x"]"#);
    }

    #[test]
    fn texts_are_borrowed_and_what_is_not_asked_for_is_skipped() {
        #[derive(Debug, Deserialize, PartialEq)]
        struct Named<'a> {
            name: &'a str,
        }
        let text = r#"[{"skipped": {"a": "]}\"", "b": [1, "{"]}, "name": "a", "n": -1.5e3}, {"name":"b","s":"\\"}]"#;
        assert_eq!(read::<Vec<Named>>(text).unwrap(), [Named { name: "a" }, Named { name: "b" }]);
    }

    #[test]
    fn what_is_cut_off_or_no_json_is_refused() {
        let text = r#"{"a": [1, {"b": "c\n"}], "d": null}"#;
        for end in 0..text.len() {
            assert!(read::<Value>(&text[..end]).is_err(), "{}", &text[..end]);
        }
        for text in ["[1 2]", "[1,]", r#"{"a" 1}"#, r#"{"a": 1 "b": 2}"#, "{1: 2}", "[}", "nul", "x"] {
            assert!(read::<Value>(text).is_err(), "{text}");
        }
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read::<Value>(&deep(DEPTH)).is_ok());
        assert!(read::<Value>(&deep(DEPTH + 1)).is_err());
    }
}
