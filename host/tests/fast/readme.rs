//! What the README says, done.

use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn readme() -> String {
    fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap()
}

/// The first block of code that begins so.
fn block(begins: &str) -> String {
    let readme = readme();
    let mut blocks = readme.split("\n```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap().1);
    blocks
        .find(|block| block.starts_with(begins))
        .unwrap_or_else(|| panic!("a block that begins `{begins}`"))
        .to_owned()
}

#[test]
fn the_plugin_that_it_shows_is_the_default_plugin_in_twenty_lines() {
    let path = Path::new(ROOT).join("plugins/print-containers/src/lib.rs");
    let source = fs::read_to_string(path).unwrap();
    let code = source.lines().filter(|line| !line.starts_with("//!")).collect::<Vec<_>>().join("\n");
    assert_eq!(block("use oarlock_sdk::").trim(), code.trim());
    assert!(code.trim().lines().filter(|line| !line.is_empty()).count() <= 20);
}
