//! `oarlock new`: plugins from nothing, made and built as their READMEs say.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::host::Host;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const WANTS: &str = "default/web wants 1";
const EVENT: &str = "Event Warning SingleReplica ReplicaSet default/web: no other Pod stands in for its only one";

fn new(folder: &Path, args: &[&str]) -> Output {
    Host::program().arg("new").args(args).current_dir(folder).output().unwrap()
}

/// Makes a plugin of that language and runs all commands of its README, which are to print each of these lines twice.
fn from_nothing(language: &str, lines: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let made = new(folder.path(), &["my-plugin", "--lang", language]);
    assert!(made.status.success(), "{made:?}");
    assert!(String::from_utf8_lossy(&made.stdout).contains("cd my-plugin\n  oarlock dev\n"), "{made:?}");

    let project = folder.path().join("my-plugin");
    let is_rust = language.starts_with("rust");
    for file in ["Cargo.lock", ".cargo/config.toml"] {
        assert_eq!(project.join(file).exists(), is_rust, "{file}");
    }
    let readme = fs::read_to_string(project.join("README.md")).unwrap();
    let blocks = readme.split("\n```sh\n").skip(1).map(|block| block.split_once("\n```").unwrap().0);
    let script = blocks.collect::<Vec<_>>().join("\n");
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let program = Host::program();
    std::os::unix::fs::symlink(program.get_program(), bin.join("oarlock")).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut command = Command::new("timeout");
    command.args(["900", "bash", "-euc", &script]).current_dir(&project);
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", path);
    command.env("COMPONENTIZE_PY", componentize_py());
    // What it depends on was fetched for this repository; and one folder for what is built in all runs: it is the commands
    // that are tested, not how long they take.
    command.env("CARGO_NET_OFFLINE", "true");
    command.env("CARGO_BUILD_BUILD_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("new"));
    let output = command.env_remove("CARGO_TARGET_DIR").output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    for line in lines {
        assert_eq!(stdout.lines().filter(|other| other == line).count(), 2, "`{line}` in\n{stdout}\n{stderr}");
    }
    if is_rust {
        is_locked_as_here(&project);
    }
}

/// Whether all that a project was built with is of the version that this repository has, and nothing else is locked.
fn is_locked_as_here(project: &Path) {
    let [here, there] = [Path::new(ROOT), project].map(|folder| fs::read_to_string(folder.join("Cargo.lock")).unwrap());
    let of_registry: Vec<_> = there.split("\n\n").filter(|package| package.contains("\nchecksum = ")).collect();
    assert!((5..100).contains(&of_registry.len()), "{there}");
    for package in of_registry {
        let version = package.split("\ndependencies = ").next().unwrap().trim_end();
        assert!(here.contains(version), "{version}");
    }
}

/// Where `make` keeps it.
fn componentize_py() -> PathBuf {
    let makefile = fs::read_to_string(Path::new(ROOT).join("Makefile")).unwrap();
    let version = makefile.lines().find_map(|line| line.strip_prefix("COMPONENTIZE_PY := ")).unwrap();
    let set = |name: &str| std::env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").unwrap_or_else(|| set("HOME").unwrap().join(".cache"));
    cache.join(format!("oarlock/componentize-py-{version}/bin/componentize-py"))
}

#[test]
fn a_plugin_in_rust_is_made_from_nothing() {
    from_nothing("rust", &[WANTS, EVENT]);
}

#[test]
fn a_program_in_rust_is_made_from_nothing() {
    from_nothing("rust-command", &[WANTS]);
}

#[test]
fn a_plugin_in_python_is_made_from_nothing() {
    from_nothing("python", &[WANTS, EVENT]);
}

#[test]
fn a_program_in_c_is_made_from_nothing() {
    from_nothing("c", &[WANTS]);
}

#[test]
fn what_is_there_is_not_written_over_and_what_is_no_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    fs::create_dir_all(place.join("deep/empty")).unwrap();
    assert!(new(place, &["deep/empty", "--lang", "c"]).status.success());
    let before = fs::read(place.join("deep/empty/README.md")).unwrap();

    let again = new(place, &["deep/empty"]);
    assert_eq!(again.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&again.stderr);
    assert!(stderr.contains("deep/empty is there already, and not empty"), "{stderr}");
    assert_eq!(fs::read(place.join("deep/empty/README.md")).unwrap(), before);
    assert!(!place.join("deep/empty/Cargo.toml").exists());

    for (args, reason) in [
        (&["My_Plugin"][..], "`My_Plugin` is no name for a plugin"),
        (&[".."], "`..` is no name for a plugin"),
        (&["."], "`.` is no name for a plugin"),
        (&["deep/self"], "`self` is no name for a plugin: Rust or cargo takes it for something else"),
        (&["web", "--lang", "cobol"], "possible values: rust, rust-command, python, c"),
    ] {
        let refused = new(place, args);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains(reason), "{refused:?}");
    }
    assert_eq!(fs::read_dir(place).unwrap().count(), 1);
}
