//! What the README says, done.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::host::Host;

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

#[test]
fn a_plugin_from_nothing_is_made_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(Path::new(ROOT).canonicalize().unwrap(), folder.path().join("oarlock")).unwrap();
    let steps = block("cargo new");
    let (making, run) = steps.rsplit_once("\n../oarlock/target/release/oarlock run ").unwrap();
    // One folder for what is built in all runs: it is the commands that are tested, not how long they take.
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    let built = Command::new("sh")
        .args(["-euc", making])
        .current_dir(folder.path())
        .env("CARGO_BUILD_BUILD_DIR", shared)
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let args: Vec<_> = run.split_whitespace().collect();
    let ["--plugins", plugins, "--manifests", manifests] = args[..] else { panic!("{run}") };
    let mut command = Host::command(Path::new(plugins));
    command.current_dir(folder.path().join("hello")).args(["--once", "--manifests", manifests]);
    let finished = Host::spawn(command).finish();
    assert_eq!(finished.sorted_stdout(), ["default/web wants 3 replicas", "jobs/queue wants 1 replicas"], "{finished}");
}
