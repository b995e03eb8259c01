//! The fuzz targets, on their corpus and on mutations of it that are the same in each run.

#![allow(clippy::expect_used, reason = "a panic is how a test fails")]

mod mutate;
mod targets;

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

/// How many mutations each test makes, unless `FUZZ_RUNS` says otherwise: what takes a few seconds.
const OBJECTS: usize = 200_000;
const GRANTS: usize = 50_000;
/// Some have aliases in them, which are read many times over.
const MANIFESTS: usize = 4_000;
/// A module has to be compiled.
const PLUGINS: usize = 800;

#[test]
fn an_object_is_passed_on_as_it_is() {
    run("object", targets::object, OBJECTS);
}

#[test]
fn each_document_of_a_manifest_file_is_taken_or_named() {
    run("manifests", targets::manifests, MANIFESTS);
}

#[test]
fn a_grant_file_is_a_grant_or_its_wrong_line_is_named() {
    run("grant", targets::grant, GRANTS);
}

#[test]
fn a_plugin_file_is_a_plugin_or_is_refused() {
    run("plugin", targets::plugin, PLUGINS);
}

fn run(name: &str, target: fn(&[u8]), runs: usize) {
    let corpus = corpus(name);
    assert!(corpus.len() >= 5, "the corpus of {name}");
    for (path, bytes) in &corpus {
        attempt(name, target, bytes, &path.display().to_string());
    }
    let runs = std::env::var("FUZZ_RUNS").map_or(runs, |runs| runs.parse().expect("FUZZ_RUNS is a number"));
    let inputs: Vec<_> = corpus.into_iter().map(|(_, bytes)| bytes).collect();
    for seed in 0..runs {
        let bytes = mutate::mutation(&inputs, seed as u64);
        attempt(name, target, &bytes, &format!("mutation {seed}"));
    }
}

/// Keeps what fails where it is tried again with the corpus, if it is moved there.
fn attempt(name: &str, target: fn(&[u8]), bytes: &[u8], what: &str) {
    if let Err(failed) = panic::catch_unwind(|| target(bytes)) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        fs::write(&path, bytes).expect("the input is kept");
        eprintln!("{what} of {name} fails; it is in {}", path.display());
        panic::resume_unwind(failed);
    }
}

/// The files in order of their names, so that each run does the same.
fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("a file");
        // Modules are written as text.
        let bytes = if path.extension().is_some_and(|of| of == "wat") {
            wat::parse_bytes(&bytes).expect("wat").into_owned()
        } else {
            bytes
        };
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}
