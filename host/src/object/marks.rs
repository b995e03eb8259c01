//! By what the API server tells objects of one name, and versions of one object, from one another.

use std::fmt;

/// `metadata.uid`. What the API server gives is a UUID, and takes 16 bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Uid(UidForm);

#[derive(Clone, PartialEq, Eq, Hash)]
enum UidForm {
    /// In lower case, with hyphens.
    Uuid([u8; 16]),
    Other(Box<str>),
}

/// `metadata.resourceVersion`. It is a number that grows (KEP-5504), or a text that says nothing but whether it is the same.
#[derive(Clone, PartialEq, Eq)]
pub struct ResourceVersion(VersionForm);

#[derive(Clone, PartialEq, Eq)]
enum VersionForm {
    Number(u64),
    Other(Box<str>),
}

impl ResourceVersion {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, VersionForm::Other(text) if text.is_empty())
    }

    /// None: it is no number.
    pub fn number(&self) -> Option<u64> {
        match self.0 {
            VersionForm::Number(number) => Some(number),
            VersionForm::Other(_) => None,
        }
    }

    /// Whether it is older than `other`. Where they are no numbers, it cannot be told.
    pub fn is_surely_older(&self, other: &Self) -> bool {
        matches!((self.number(), other.number()), (Some(this), Some(other)) if this < other)
    }

    /// Whether it is older than `other`. Where they are no numbers, only an equal one counts as no older.
    pub fn is_older(&self, other: &Self) -> bool {
        match (self.number(), other.number()) {
            (Some(this), Some(other)) => this < other,
            _ => self != other,
        }
    }
}

impl From<&str> for Uid {
    fn from(text: &str) -> Self {
        Self(uuid(text).map_or_else(|| UidForm::Other(text.into()), UidForm::Uuid))
    }
}

impl From<&str> for ResourceVersion {
    fn from(text: &str) -> Self {
        // Others that are parsed, such as `007`, would be written otherwise again.
        let is_plain = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
        let number = text.parse().ok().filter(|_| is_plain);
        Self(number.map_or_else(|| VersionForm::Other(text.into()), VersionForm::Number))
    }
}

impl Default for Uid {
    fn default() -> Self {
        "".into()
    }
}

impl Default for ResourceVersion {
    fn default() -> Self {
        "".into()
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            UidForm::Uuid(bytes) => {
                for (at, byte) in bytes.iter().enumerate() {
                    let hyphen = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
                    write!(f, "{hyphen}{byte:02x}")?;
                }
                Ok(())
            }
            UidForm::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            VersionForm::Number(number) => number.fmt(f),
            VersionForm::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bytes of a UUID in the one form that it is written in again.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let (text, mut bytes) = (text.as_bytes(), [0; 16]);
    if text.len() != 36 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut at = 0;
    for (number, byte) in bytes.iter_mut().enumerate() {
        if matches!(number, 4 | 6 | 8 | 10) {
            (text[at] == b'-').then_some(())?;
            at += 1;
        }
        *byte = digit(text[at])? << 4 | digit(text[at + 1])?;
        at += 2;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_text_it_is_written_again_as_it_was() {
        let whole = "6c18d982-d1dc-ec53-212a-8d9bc17a9262";
        let odd = [
            "",
            "u",
            "6C18d982-d1dc-ec53-212a-8d9bc17a9262",
            "6c18d982xd1dc-ec53-212a-8d9bc17a9262",
            "6c18d982-d1dc-ec53-212a-8d9bc17a926g",
            "6c18d982-d1dc-ec53-212a-8d9bc17a9262 ",
            "é".repeat(18).as_str(),
        ]
        .map(str::to_owned);
        for text in odd.iter().map(String::as_str).chain([whole]) {
            let uid = Uid::from(text);
            assert_eq!(uid.to_string(), text);
            assert_eq!(matches!(uid.0, UidForm::Uuid(_)), text == whole, "{text}");
            assert_eq!(uid == Uid::from(whole), text == whole, "{text}");
        }
        for text in ["", "0", "7", "18446744073709551615", "18446744073709551616", "007", "+7", "-7", "7a", "00"] {
            let version = ResourceVersion::from(text);
            assert_eq!((version.to_string(), version.is_empty()), (text.to_owned(), text.is_empty()));
        }
        assert_ne!(ResourceVersion::from("007"), ResourceVersion::from("7"));
    }

    #[test]
    fn numbers_are_in_order_and_other_versions_are_in_none() {
        let version = ResourceVersion::from;
        for (this, other, surely, taken_for) in [
            ("9", "10", true, true),
            ("10", "9", false, false),
            ("9", "9", false, false),
            ("a", "a", false, false),
            ("a", "b", false, true),
            ("9", "b", false, true),
            ("", "1", false, true),
        ] {
            let (this, other) = (version(this), version(other));
            assert_eq!((this.is_surely_older(&other), this.is_older(&other)), (surely, taken_for), "{this} {other}");
        }
    }

    #[test]
    fn they_take_little() {
        assert_eq!((size_of::<Uid>(), size_of::<ResourceVersion>()), (24, 16));
    }
}
