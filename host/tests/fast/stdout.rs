//! Commands whose output nobody reads to its end, or for which there is no place.

use std::fs::OpenOptions;
use std::io;
use std::process::{Command, Output, Stdio};

use crate::support::host::{Host, Workplace};

/// Commands that print something and end, without a host.
fn commands(place: &Workplace) -> Vec<Command> {
    place.example("website");
    let website = "{apiVersion: example.com/v1, kind: Website, metadata: {name: a}, spec: {image: web, replicas: 1}}";
    place.manifest("a.yaml", website);
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (folder, website) = (path(&place.plugins), path(&place.plugins.join("website.wasm")));
    let (object, expected) = (path(&place.manifests.join("a.yaml")), path(&place.folder.path().join("expected")));
    std::fs::write(&expected, "").unwrap();
    let commands: [&[&str]; 8] = [
        &["completion", "bash"],
        &["config", "--plugins", &folder],
        &["rbac", "--plugins", &folder],
        &["check", &website],
        &["call", &website, "-f", &object],
        &["call", &website, "-f", &object, "--expect", &expected],
        &["bench", &website, "-f", &object, "--time", "10ms"],
        &["new", "a-plugin", "--lang", "c"],
    ];
    let command = |args: &&[&str]| {
        let mut command = Host::program();
        command.args(*args).current_dir(place.folder.path());
        command
    };
    commands.iter().map(command).collect()
}

fn ended(mut command: Command, stdout: impl Into<Stdio>) -> (Output, String) {
    let output = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, stderr)
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    for command in commands(&Workplace::new()) {
        let what = format!("{command:?}");
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (output, stderr) = ended(command, writer);
        // That the call came to something else is said on stderr.
        let code = i32::from(what.contains("--expect"));
        assert_eq!(output.status.code(), Some(code), "{what}: {stderr}");
        assert!(!stderr.contains("ipe") && !stderr.contains("panicked"), "{what}: {stderr}");
    }
}

#[test]
fn a_disk_that_is_full_is_an_error() {
    for command in commands(&Workplace::new()) {
        let what = format!("{command:?}");
        let (output, stderr) = ended(command, OpenOptions::new().write(true).open("/dev/full").unwrap());
        assert_eq!(output.status.code(), Some(1), "{what}: {stderr}");
        assert!(stderr.contains("error: cannot write to stdout: No space left"), "{what}: {stderr}");
    }
}
