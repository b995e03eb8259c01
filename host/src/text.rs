//! Foreign text, made fit to be shown. Pure.
//!
//! What plugins say, what objects are called and what an API server answers may hold anything. On a terminal or in a log,
//! it must not pass for a line of the host's, nor move the cursor, nor change the order in which a line is read.

use std::borrow::Cow;
use std::fmt::Write as _;

/// To how many bytes a text is shortened.
const MAX_BYTES: usize = 4096;

/// Without what would flood a log.
pub fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_BYTES {
        return text.into();
    }
    format!("{} ...", &text[..text.floor_char_boundary(MAX_BYTES)]).into()
}

/// On one line, and without what would flood a log.
pub fn shortened(text: &str) -> String {
    one_line(&cut(text)).into_owned()
}

/// On one line.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false, |c| c.escape_default().to_string())
}

/// On as many lines as it has, of which all but the first are indented, as no line of the host's is.
pub fn paragraph(text: &str) -> Cow<'_, str> {
    let lines = escaped(text, |c| matches!(c, '\n' | '\t'), |c| c.escape_default().to_string());
    if lines.contains('\n') { lines.trim_end_matches('\n').replace('\n', "\n    ").into() } else { lines }
}

/// On the lines that it has.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'), |c| c.escape_default().to_string())
}

/// A line of JSON that says the same.
pub fn json(line: &str) -> Cow<'_, str> {
    // What comes before this is not in the strings of JSON, and all that is hidden fits in four digits.
    escaped(line, |c| c < '\u{7f}', |c| format!("\\u{:04x}", u32::from(c)))
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    let is_bad = |c: char| is_hidden(c) && !is_kept(c);
    if !text.contains(is_bad) {
        return text.into();
    }
    let mut fit = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // Writing to a string does not fail.
        let _ = if is_bad(c) { fit.write_str(&escape(c)) } else { fit.write_char(c) };
    }
    fit.into()
}

/// Whether a character is none that is seen, but one that does something: controls, separators of lines and paragraphs,
/// and what changes the direction of text.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_stays_as_it_is() {
        for text in ["", "a b", "größer, 漢字 🦀", "C:\\path"] {
            assert!(matches!(one_line(text), Cow::Borrowed(same) if same == text), "{text}");
            assert_eq!(shortened(text), text);
        }
        assert_eq!(lines("a\n\tb\n"), "a\n\tb\n");
    }

    #[test]
    fn nothing_passes_for_another_line_or_moves_the_cursor() {
        let forged = "it failed\n2026-01-01 INFO all is well\r\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\u{2028}\0";
        for fit in [one_line(forged).into_owned(), shortened(forged), json(&one_line(forged)).into_owned()] {
            assert!(!fit.contains(is_hidden), "{fit:?}");
            assert!(fit.starts_with("it failed\\n2026-01-01 INFO all is well\\r\\u{1b}[2J"), "{fit:?}");
        }
        let paragraph = paragraph(forged);
        let further: Vec<_> = paragraph.lines().skip(1).collect();
        assert!(further.len() == 1 && further[0].starts_with("    2026-01-01 INFO all is well\\r"), "{paragraph:?}");
        assert!(!paragraph.replace('\n', "").contains(is_hidden), "{paragraph:?}");
    }

    #[test]
    fn a_line_of_json_says_the_same_afterwards() {
        let text = "\u{9b}31m red \u{202e} and \u{7f}, \"quoted\"\n";
        let line = serde_json::json!({ "message": text }).to_string() + "\n";
        let fit = json(&line);
        assert!(fit.ends_with("}\n") && !fit.trim_end().contains(is_hidden), "{fit:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&fit).unwrap()["message"], text);
    }

    #[test]
    fn a_text_that_would_flood_the_log_is_cut_between_characters() {
        let text = "ü".repeat(MAX_BYTES);
        let cut = shortened(&text);
        assert!(cut.len() <= MAX_BYTES + 4 && cut.ends_with("ü ..."), "{} bytes", cut.len());
    }
}
