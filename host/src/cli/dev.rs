//! `oarlock dev`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::run::HostArgs;
use crate::project::{self, Project, Tree};

/// How often it is looked whether the source has changed.
const LOOK: Duration = Duration::from_millis(250);

/// Build a plugin whenever its source changes, and run it.
///
/// A folder with a Cargo.toml is built by cargo, one with a Makefile by make, any other as --build says. The plugin runs
/// on the project's own `manifests` folder or `sample.yaml`, if there is one, or else on the cluster of the kubeconfig,
/// which --cluster asks for in any case. Its grant file is `NAME.yaml` in the folder. A build that fails leaves the
/// plugin in force that runs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder that the plugin is written in.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,

    /// How it is built: a command of a shell, run in the folder.
    #[arg(long, value_name = "COMMAND")]
    build: Option<String>,

    /// What the build makes, seen from the folder. Without it: the only .wasm file in it, in `build` or in `dist`.
    #[arg(long, value_name = "FILE", requires = "build")]
    wasm: Option<PathBuf>,

    /// Run it on the cluster, though the project has objects of its own.
    #[arg(long, conflicts_with = "manifests", help_heading = "Objects")]
    cluster: bool,

    #[command(flatten)]
    host: HostArgs,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let Self { folder, build, wasm, cluster, mut host } = self;
        let made = Project::find(&folder, build, wasm)
            .and_then(|project| Ok((project, tempfile::tempdir().context("a folder for the plugin")?)));
        let (project, plugins) = match made {
            Ok(made) => made,
            Err(error) => {
                eprintln!("error: {error:#}");
                return ExitCode::from(2);
            }
        };
        if !cluster && host.is_without_source() {
            host.manifests = project.samples();
        }
        let (path, once) = (plugins.path().to_owned(), host.once);
        host.run(plugins.path().to_owned(), None, async move |stop: &CancellationToken| {
            let mut workbench = Workbench { project, plugins: path, built: Tree::default(), name: None };
            if once {
                return workbench.build().await;
            }
            stop.run_until_cancelled(workbench.first_build()).await;
            tokio::spawn(async move { workbench.follow().await });
            Ok(())
        })
    }
}

/// A project, and the plugin folder that it is built into.
struct Workbench {
    project: Project,
    plugins: PathBuf,
    /// The files as they were before the last build.
    built: Tree,
    /// What the plugin is called that is in the folder.
    name: Option<String>,
}

impl Workbench {
    /// Builds until it has succeeded once.
    async fn first_build(&mut self) {
        while let Err(error) = self.build().await {
            tracing::error!("the build has failed: {error:#}; it is built again when a file changes");
            self.change().await;
        }
    }

    /// Builds whenever a file has changed.
    async fn follow(&mut self) {
        loop {
            self.change().await;
            if let Err(error) = self.build().await {
                tracing::error!("the build has failed: {error:#}; the plugin in force stays");
            }
        }
    }

    /// Waits until the files are others than before the last build, and at rest.
    async fn change(&self) {
        let mut seen = self.project.look();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.project.look();
            if now == seen && now != self.built {
                return;
            }
            seen = now;
        }
    }

    /// Builds, and puts what was built into the plugin folder.
    async fn build(&mut self) -> anyhow::Result<()> {
        self.built = self.project.look();
        let start = Instant::now();
        let wasm = self.project.build().await?;
        let name = project::plugin_name(&wasm);
        tracing::info!(plugin = name, "built in {:.1} s", start.elapsed().as_secs_f64());
        let [grant_place, place] = self.places(&name);
        if let Some(before) = self.name.replace(name.clone()).filter(|before| *before != name) {
            // The same plugin under two names would do everything twice.
            self.places(&before).iter().rev().try_for_each(|place| remove(place))?;
        }
        copy(&self.project.grant(&name), &grant_place)?;
        copy(&wasm, &place)
    }

    /// Where the files of a plugin of that name are: its grant file, and itself.
    fn places(&self, name: &str) -> [PathBuf; 2] {
        ["yaml", "wasm"].map(|extension| self.plugins.join(format!("{name}.{extension}")))
    }
}

/// Has the same file there, as a whole, or none if there is none.
fn copy(file: &Path, place: &Path) -> anyhow::Result<()> {
    if !file.is_file() {
        return remove(place);
    }
    let temporary = place.with_extension("new");
    std::fs::copy(file, &temporary).with_context(|| format!("cannot copy {}", file.display()))?;
    std::fs::rename(&temporary, place).with_context(|| format!("cannot write {}", place.display()))
}

/// Takes the file away, if there is one.
fn remove(place: &Path) -> anyhow::Result<()> {
    let removed = std::fs::remove_file(place).or_else(|error| match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    removed.with_context(|| format!("cannot remove {}", place.display()))
}
