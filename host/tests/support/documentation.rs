//! The commands in the documentation, run as a reader would run them.
//!
//! A block of code marked `sh` is run from a copy of this repository in which `make plugins` was done, with `oarlock` on
//! the path; one marked `sh cluster` on a cluster of its page's own; one marked `sh by-hand` is not run, because it needs
//! what no test has. A block marked `text` after it is what is printed, in which a line `...` stands for any: it is waited
//! for before the next block is run, as a reader does.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::DEADLINE;
use super::host::Host;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Where the commands of a block are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Here,
    Cluster,
    ByHand,
}

/// A block of commands.
#[derive(Debug)]
pub(crate) struct Block {
    /// Of its first line, counted from 1.
    pub(crate) line: usize,
    pub(crate) place: Place,
    pub(crate) script: String,
    /// The lines that are printed.
    pub(crate) output: Vec<String>,
}

/// All pages with commands, by their path from the root.
pub(crate) fn pages() -> Vec<String> {
    all_pages().into_iter().filter(|page| !blocks(page).is_empty()).collect()
}

/// All pages, by their path from the root.
pub(crate) fn all_pages() -> Vec<String> {
    let mut pages = Vec::new();
    let mut folders = vec![PathBuf::from(ROOT)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !["target", ".git", "node_modules", "templates"].contains(&name) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path.strip_prefix(ROOT).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    pages.sort();
    pages
}

/// The blocks of commands on a page.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let text = fs::read_to_string(Path::new(ROOT).join(page)).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = text.lines().enumerate();
    // Whether only empty lines are between a block of commands and here.
    let mut follows = false;
    while let Some((index, line)) = lines.next() {
        let Some(marks) = line.strip_prefix("```") else {
            follows &= line.is_empty();
            continue;
        };
        let code: Vec<_> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let place = match marks {
            "sh" => Place::Here,
            "sh cluster" => Place::Cluster,
            "sh by-hand" => Place::ByHand,
            "text" if follows => {
                blocks.last_mut().unwrap().output = code.iter().map(ToString::to_string).collect();
                continue;
            }
            other => {
                assert!(!other.starts_with("sh") && other != "console", "{page} line {}: `{other}`", index + 1);
                follows = false;
                continue;
            }
        };
        blocks.push(Block { line: index + 2, place, script: code.join("\n"), output: Vec::new() });
        follows = true;
    }
    blocks
}

/// Runs the blocks of a page for that place, one after the other. `oarlock run` and `oarlock dev` without `--once` go on
/// in the background until the end of the page, as in another terminal. `programs` is a folder of programs to use before
/// those that are installed.
pub(crate) fn run(page: &str, place: Place, programs: Option<&Path>, environment: &[(&str, &Path)]) {
    let copy = Copy::new();
    let mut script = format!("set -euo pipefail\n{EXPECT}tries={}\n", 10 * DEADLINE.as_secs());
    for block in blocks(page).into_iter().filter(|block| block.place == place) {
        writeln!(script, "echo '{page} line {}' >&2\n{}", block.line, block.script).unwrap();
        for line in block.output.iter().filter(|line| *line != "...") {
            writeln!(script, "expect '{}'", line.replace('\'', r"'\''")).unwrap();
        }
    }
    let mut command = Command::new("timeout");
    command.args(["900", "bash", "-c", &script]).current_dir(copy.folder.path().join("oarlock"));
    let path = std::env::var_os("PATH").unwrap();
    let programs = [copy.folder.path().join("bin")].into_iter().chain(programs.map(Path::to_owned));
    command.env("PATH", std::env::join_paths(programs.chain(std::env::split_paths(&path))).unwrap());
    command.env("LIVE", copy.folder.path().join("live"));
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command.env("CARGO_BUILD_BUILD_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("documentation"));
    command.env_remove("CARGO_TARGET_DIR").envs(environment.iter().copied());
    let status = command.stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "{page}: {status}\n{}", copy.printed());
}

/// A copy of the repository, and programs to run in it.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [root, bin, live] = ["oarlock", "bin", "live"].map(|name| folder.path().join(name));
        for path in [&root.join("target"), &bin, &live] {
            fs::create_dir_all(path).unwrap();
        }
        let real = Path::new(ROOT).canonicalize().unwrap();
        for entry in fs::read_dir(&real).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "target" && !entry.file_name().to_str().unwrap().starts_with('.') {
                copy(&entry.path(), &root.join(entry.file_name()));
            }
        }
        // Plugins are copied as well: a page may replace one.
        copy(&real.join("target/plugins"), &root.join("target/plugins"));
        program(&bin.join("oarlock"), &OARLOCK.replace("HOST", Host::program().get_program().to_str().unwrap()));
        program(&bin.join("kubectl"), KUBECTL);
        // What it builds was built before; whether there is such a target is seen.
        program(&bin.join("make"), "#!/bin/sh\nexec /usr/bin/make --dry-run \"$@\" >/dev/null\n");
        Self { folder }
    }

    /// What was printed, in the background too.
    fn printed(&self) -> String {
        let files = fs::read_dir(self.folder.path().join("live")).unwrap().map(|entry| entry.unwrap().path());
        let files = files.filter(|path| path.extension().is_some_and(|extension| extension != "pid"));
        files.map(|path| fs::read_to_string(path).unwrap()).collect()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.folder.path().join("live")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "pid") {
                let pid = fs::read_to_string(&path).unwrap();
                let _ = Command::new("kill").arg(pid.trim()).status();
            }
        }
    }
}

/// Has all that is printed put in a file, and waits for lines to be printed there or in the background.
const EXPECT: &str = r#"exec >"$LIVE/page.output" 2>&1
expect() {
  for ((try = 0; try < tries; try++)); do
    if grep -qsF --exclude='*.pid' -e "$1" -r "$LIVE"; then return; fi
    sleep 0.1
  done
  echo "nothing prints \`$1\`"
  exit 1
}
"#;

/// Runs the host in the background, until it has reconciled what there is.
const OARLOCK: &str = r#"#!/bin/bash
case "${1:-}" in
run | dev) ;;
*) exec HOST "$@" ;;
esac
for argument in "$@"; do
  case "$argument" in --once | --help) exec HOST "$@" ;; esac
done
name=$LIVE/$RANDOM$RANDOM
HOST "$@" >"$name.stdout" 2>"$name.stderr" &
echo $! >"$name.pid"
for _ in {1..1200}; do
  if grep -q "everything there was is reconciled" "$name.stderr"; then exit 0; fi
  if ! kill -0 $!; then cat "$name.stderr" >&2; exit 1; fi
  sleep 0.1
done
cat "$name.stderr" >&2
exit 1
"#;

/// A reader looks again for what is not there yet. The API server of the tests knows disruption budgets in their former
/// version alone.
const KUBECTL: &str = r#"#!/bin/bash
set -o pipefail
PATH=${PATH#*:}
if [[ "$*" =~ ^apply\ (.*)-k\ ([^\ ]+)$ ]]; then
  kubectl kustomize "${BASH_REMATCH[2]}" | sed 's#^apiVersion: policy/v1$#&beta1#; /unhealthyPodEvictionPolicy/d' | kubectl apply ${BASH_REMATCH[1]} -f -
  exit
fi
case " $* " in *" get "*) tries=200 ;; *) tries=1 ;; esac
for ((try = 1; try < tries; try++)); do
  if kubectl "$@" 2>/dev/null; then exit 0; fi
  sleep 0.1
done
exec kubectl "$@"
"#;

fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(copied.success(), "{} to {}", from.display(), to.display());
}
