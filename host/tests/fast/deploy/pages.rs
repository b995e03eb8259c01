//! The files of `deploy/` that are no manifests, and what is written about it.

use std::path::Path;
use std::process::Command;

use crate::support::deploy::{DEPLOY, output, tool};
use crate::support::documentation::{Place, blocks, pages};

#[test]
fn dockerfiles_have_nothing_that_a_linter_finds() {
    let root = Path::new(DEPLOY);
    output(tool("hadolint").args([root.join("Dockerfile"), root.join("overlays/image/Dockerfile")]));
}

#[test]
fn one_version_is_named_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, line) in [
        ("Dockerfile", "ARG VERSION="),
        ("base/kustomization.yaml", "  newTag: "),
        ("chart/Chart.yaml", "version: "),
        ("chart/Chart.yaml", "appVersion: "),
    ] {
        let text = std::fs::read_to_string(Path::new(DEPLOY).join(file)).unwrap();
        assert!(text.lines().any(|found| found == format!("{line}{version}")), "{line}{version} in {file}");
    }
}

#[test]
fn commands_that_no_test_runs_are_shell_and_name_files_that_are_there() {
    let (root, mut count) = (Path::new(DEPLOY).parent().unwrap(), 0);
    for page in pages() {
        for block in blocks(&page).into_iter().filter(|block| block.place == Place::ByHand) {
            output(Command::new("bash").args(["-n", "-c", &block.script]));
            let words = block.script.split_whitespace().map(|word| word.trim_end_matches('/'));
            for word in words.filter(|word| word.starts_with("deploy/")) {
                assert!(root.join(word).exists(), "{page} line {}: {word}", block.line);
                count += 1;
            }
        }
    }
    assert!(count > 5, "{count}");
}
