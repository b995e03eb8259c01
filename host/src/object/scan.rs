//! Finds its way through JSON by its strings and brackets alone.
//!
//! That is all it takes to tell an object of a list from the next one, or the metadata of an object from the rest, and
//! beside calling plugins that is most of what a host does with an object. Reading JSON to pass over it takes longer. Text
//! that is no JSON leads it astray, but never out of the text.

/// Where the string ends that `from` is in: behind its closing quote. Or else how many bytes of what follows the text
/// belong to an escape.
pub fn end_of_string(text: &[u8], from: usize) -> Result<usize, usize> {
    let mut at = from;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return Ok(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Err(at - text.len())
}

/// The next quote or bracket, and the place behind it.
pub fn next_mark(text: &[u8], from: usize) -> Option<(u8, usize)> {
    let is_mark = |byte: &u8| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']');
    let length = text.get(from..)?.iter().position(is_mark)?;
    Some((text[from + length], from + length + 1))
}

/// The members of an object, name and value as they stand in its text, as far as it is an object.
pub fn members(object: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = object.trim_ascii_start().strip_prefix('{').unwrap_or_default();
    std::iter::from_fn(move || {
        let text = rest.trim_ascii_start();
        let text = text.strip_prefix(',').unwrap_or(text).trim_ascii_start().strip_prefix('"')?;
        let (name, text) = text.split_at_checked(end_of_string(text.as_bytes(), 0).ok()?)?;
        let text = text.trim_ascii_start().strip_prefix(':')?.trim_ascii_start();
        let (value, text) = text.split_at_checked(end_of_value(text.as_bytes())?)?;
        rest = text;
        Some((name.strip_suffix('"')?, value))
    })
}

/// Where the value ends that the text begins with.
fn end_of_value(text: &[u8]) -> Option<usize> {
    if !matches!(text.first()?, b'"' | b'{' | b'[') {
        return text.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b',' | b'}' | b']'));
    }
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        let (mark, behind) = next_mark(text, at)?;
        at = behind;
        match mark {
            b'"' => at = end_of_string(text, at).ok()?,
            b'{' | b'[' => depth += 1,
            _ => depth = depth.checked_sub(1)?,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_as_they_stand() {
        let text = r#" {"a":"x\\\"}", "b" : {"c":[1,"]}",{}]} ,"d":-1.5e3,"e":null,"":[] } "#;
        let expected =
            [("a", r#""x\\\"}""#), ("b", r#"{"c":[1,"]}",{}]}"#), ("d", "-1.5e3"), ("e", "null"), ("", "[]")];
        assert_eq!(members(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["", "3", "[1]", "\"a\"", "null", "{}", "{", r#"{"a"}"#, r#"{"a":"#, r#"{"a":]}"#, r#"{"a":[1"#] {
            assert_eq!(members(text).filter(|(_, value)| !value.is_empty()).count(), 0, "{text}");
        }
    }

    #[test]
    fn whatever_a_text_is_it_is_not_left() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..100_000 {
            let text: String = (0..random.usize(..30))
                .map(|_| *random.choice(&['{', '}', '[', ']', '"', '\\', ':', ',', 'ü', ' ']).unwrap())
                .collect();
            members(&text).for_each(drop);
        }
    }
}
