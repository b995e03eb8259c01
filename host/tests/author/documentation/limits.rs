//! The numbers on the page about limits, held against the source and the program.

use std::fs;
use std::path::Path;

use super::{page, rows};
use crate::support::host::Host;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

#[test]
fn every_limit_on_its_page_is_that_of_the_program() {
    let config = Host::program().args(["config", "--plugins", "."]).output().unwrap();
    let config = String::from_utf8(config.stdout).unwrap();
    let (limits, grant) = (source("plugin/limits.rs"), source("grant/mod.rs"));
    let mut count = 0;
    for row in rows(&page("docs/limits.md")) {
        let [limit, default, _, set_by] = row[..] else { panic!("{row:?}") };
        let spans: Vec<_> = set_by.split('`').skip(1).step_by(2).collect();
        assert_eq!(spans.is_empty(), set_by == "set by", "{row:?}");
        for set_by in spans {
            let text = if let Some(option) = set_by.strip_prefix("--") {
                after(&config, &format!("\n{option}: "))
            } else if let Some(field) = set_by.strip_prefix("limits.") {
                after(&limits, &format!("impl Default for Limits …{field}: "))
            } else if let Some((file, constant)) = set_by.split_once(' ') {
                after(&source(file), &format!("const {constant}: … = "))
            } else {
                after(&grant, &format!("impl Default for Grant …{set_by}: "))
            };
            let found = text.as_deref().map_or_else(|| panic!("{limit}: there is no `{set_by}`"), value);
            assert_eq!(default, found, "{limit}, by `{set_by}`");
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(SOURCE).join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What follows the words, up to the end of the expression. `…` is for anything between two of them.
fn after(text: &str, words: &str) -> Option<String> {
    let rest = words.split('…').try_fold(text, |rest, words| Some(rest.split_once(words)?.1))?;
    Some(rest.split([',', ';', '\n', '}', '#']).next()?.trim().to_owned())
}

/// An expression as the page writes it.
fn value(expression: &str) -> String {
    let number = |text: &str| text.replace('_', "").trim_end_matches(".0").parse::<u64>().ok();
    if let Some(plain) = number(expression) {
        return plain.to_string();
    }
    if let Some((number_of, shift)) = expression.split_once(" << ") {
        let unit = ["KiB", "MiB", "GiB"][shift.parse::<usize>().unwrap() / 10 - 1];
        return format!("{number_of} {unit}");
    }
    let digits = expression.trim_start_matches("Duration::from_").trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let amount = number(&digits[..end]).unwrap_or_else(|| panic!("`{expression}` is not understood"));
    let units = [("millis(", "ms"), ("secs(", "s"), ("mins(", "min")];
    let unit = units.iter().find_map(|(constructor, unit)| expression.contains(constructor).then_some(*unit));
    match (amount, unit.unwrap_or(&digits[end..])) {
        (60, "s") | (1, "m") => "1 min".to_owned(),
        (amount, "Mi") => format!("{amount} MiB"),
        (amount, unit) => format!("{amount} {unit}"),
    }
}
