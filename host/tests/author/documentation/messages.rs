//! The messages on the page about troubleshooting, held against the source.

use std::fs;
use std::path::{Path, PathBuf};

use super::{page, rows};

const PAGE: &str = "docs/troubleshooting.md";

/// A message with `…` where it varies.
struct Message(String);

impl Message {
    /// Whether the literal of the source is that message.
    fn is(&self, literal: &str) -> bool {
        let mut rest = literal;
        let parts = self.0.split('…').map(str::trim).filter(|part| !part.is_empty());
        parts.into_iter().all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    }
}

/// The messages that are explained: the code that a row begins with.
fn explained() -> Vec<Message> {
    let page = page(PAGE);
    let rows = rows(&page);
    let spans = rows.iter().filter_map(|row| row[0].strip_prefix('`')?.strip_suffix('`'));
    spans.map(|span| Message(span.trim_matches('`').trim().to_owned())).collect()
}

/// What the source says, without tests and comments, each text that goes over several lines made one.
fn sources() -> Vec<String> {
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                sources.push(plain(&path));
            }
        }
    }
    sources
}

fn plain(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut parts = code.join("\n");
    while let Some((before, after)) = parts.split_once("\\\n") {
        parts = format!("{before}{}", after.trim_start());
    }
    parts.replace("\\\"", "'")
}

/// The texts in a source: what is between quotes.
fn literals(source: &str) -> impl Iterator<Item = &str> {
    source.split('"').skip(1).step_by(2)
}

#[test]
fn every_message_that_is_explained_is_one_of_the_hosts() {
    let (sources, explained) = (sources(), explained());
    assert!(explained.len() > 60, "{}", explained.len());
    let limits = page("docs/limits.md");
    let of_limits = limits.split('`').skip(1).step_by(2).filter(|span| span.contains('…'));
    for message in explained.into_iter().chain(of_limits.map(|span| Message(span.to_owned()))) {
        let is_said = sources.iter().any(|source| source.split('"').any(|text| message.is(text)));
        assert!(is_said, "nothing in the source says `{}`", message.0);
    }
}

#[test]
fn every_warning_and_error_of_the_log_is_explained() {
    let (explained, mut count) = (explained(), 0);
    for source in sources() {
        for call in ["tracing::warn!(", "tracing::error!("].into_iter().flat_map(|call| source.split(call).skip(1)) {
            let text = literals(call).next().unwrap();
            let words = text.split('{').map(|part| part.rsplit('}').next().unwrap()).collect::<String>();
            // What has no words of its own says what was made elsewhere.
            if words.chars().filter(|c| c.is_alphabetic()).count() > 10 {
                assert!(explained.iter().any(|message| message.is(text)), "{PAGE} does not explain `{text}`");
                count += 1;
            }
        }
    }
    assert!(count > 30, "{count}");
}
