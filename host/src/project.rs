//! The folder that a plugin is written in: what it is made of, and how it is built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tokio::process::Command;

/// Where a build that is no cargo's may leave its plugin, from the folder on.
const PLACES: [&str; 3] = ["", "build", "dist"];
/// What cargo builds for.
const TARGET: &str = "wasm32-wasip1";

/// The folder that a plugin is written in.
#[derive(Debug)]
pub struct Project {
    folder: PathBuf,
    build: Build,
    /// What the build makes. None: it is looked for.
    wasm: Option<PathBuf>,
}

/// How a plugin is built.
#[derive(Debug, PartialEq, Eq)]
enum Build {
    /// By cargo.
    Cargo,
    /// By a command of a shell, in the folder.
    Shell(String),
}

/// The files of a project, without those that git would ignore and what is built.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<PathBuf, (Option<SystemTime>, u64)>);

/// A line of what cargo says.
#[derive(Deserialize)]
struct CargoMessage {
    reason: String,
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

impl Project {
    /// The project in that folder. Without a command it is built as its files say: by cargo, or else by make.
    pub fn find(folder: &Path, command: Option<String>, wasm: Option<PathBuf>) -> anyhow::Result<Self> {
        let is_there = |name: &str| folder.join(name).is_file();
        let folder = folder.canonicalize().with_context(|| format!("the project {}", folder.display()))?;
        let build = match command {
            Some(command) => Build::Shell(command),
            None if is_there("Cargo.toml") => Build::Cargo,
            None if is_there("Makefile") => Build::Shell("make".to_owned()),
            None => bail!(
                "there is neither a Cargo.toml nor a Makefile in {}: say with --build how it is built",
                folder.display()
            ),
        };
        Ok(Self { folder, build, wasm })
    }

    /// The objects to try it on that come with it, if there are some.
    pub fn samples(&self) -> Option<PathBuf> {
        let mut places = ["manifests", "sample.yaml"].iter().map(|name| self.folder.join(name));
        places.find(|place| place.exists())
    }

    /// The grant file of the plugin of that name.
    pub fn grant(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.yaml"))
    }

    /// Builds it, and returns what was built. What the tools say goes to stderr.
    pub async fn build(&self) -> anyhow::Result<PathBuf> {
        match &self.build {
            Build::Cargo => self.build_by_cargo().await,
            Build::Shell(command) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", command]).current_dir(&self.folder).stdin(Stdio::null()).kill_on_drop(true);
                // stdout is for what plugins print.
                let status = shell.stdout(std::io::stderr()).status().await.context("sh")?;
                if !status.success() {
                    bail!("`{command}` ended with {status}");
                }
                self.built()
            }
        }
    }

    async fn build_by_cargo(&self) -> anyhow::Result<PathBuf> {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
        cargo.current_dir(&self.folder).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        let output = cargo.output().await.context("cannot run cargo, which comes with Rust: https://rustup.rs")?;
        if !output.status.success() {
            bail!("cargo ended with {}", output.status);
        }
        let messages = output.stdout.split(|byte| *byte == b'\n');
        let messages = messages.filter_map(|line| serde_json::from_slice::<CargoMessage>(line).ok());
        let manifest = self.folder.join("Cargo.toml");
        let of_this = |message: &CargoMessage| {
            message.reason == "compiler-artifact" && message.manifest_path.as_ref() == Some(&manifest)
        };
        let mut files = messages.filter(of_this).flat_map(|message| message.filenames);
        let wasm = files.find(|path| is_wasm(path));
        let lacking =
            r#"cargo made no .wasm file of it: Cargo.toml needs crate-type = ["cdylib"] under [lib], or a main.rs"#;
        wasm.context(lacking)
    }

    /// What a build has left where one looks for it.
    fn built(&self) -> anyhow::Result<PathBuf> {
        if let Some(wasm) = &self.wasm {
            let wasm = self.folder.join(wasm);
            return if wasm.is_file() { Ok(wasm) } else { bail!("the build made no {} (--wasm)", wasm.display()) };
        }
        let mut found = Vec::new();
        for place in PLACES {
            let Ok(entries) = self.folder.join(place).read_dir() else { continue };
            found.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_wasm(path)));
        }
        match &*found {
            [one] => Ok(one.clone()),
            [] => bail!("the build made no .wasm file in {}: name it with --wasm", self.folder.display()),
            [one, two, ..] => {
                bail!("there is more than one plugin, {} and {}: name it with --wasm", one.display(), two.display())
            }
        }
    }

    /// The files as they are.
    pub fn look(&self) -> Tree {
        let mut files = BTreeMap::new();
        let walk = ignore::WalkBuilder::new(&self.folder).require_git(false).build();
        // What cannot be read does not change.
        for entry in walk.filter_map(Result::ok) {
            // Where the folder itself is says nothing.
            let path = entry.path().strip_prefix(&self.folder).unwrap_or(entry.path());
            let is_made = path.components().any(|part| part.as_os_str() == "target") || is_wasm(path);
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() && !is_made {
                files.insert(entry.into_path(), (metadata.modified().ok(), metadata.len()));
            }
        }
        Tree(files)
    }
}

fn is_wasm(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm")
}

/// What a plugin is called that was built as that file.
pub fn plugin_name(wasm: &Path) -> String {
    let stem = wasm.file_stem().unwrap_or_default().to_string_lossy();
    // cargo names libraries so that Rust can.
    stem.replace('_', "-")
}
