//! `oarlock record`.

use std::path::PathBuf;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::run::HostArgs;
use crate::recording::Which;

/// Run the plugins of a folder without changing anything, and write down each call in another folder.
///
/// What a plugin was given and has read, and what it answered, is a file for `oarlock replay`. Values of Secrets are left
/// out. It is `oarlock run --record DIR --record-calls all --dry-run`; a host that carries things out records with
/// `oarlock run --record DIR`, by default the calls that failed.
#[derive(Debug, clap::Args)]
#[command(mut_arg("dry_run", |dry_run| dry_run.hide(true)))]
pub(super) struct Args {
    /// YAML file with more of these options, as `oarlock run` takes it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Folder to write to; it is made if it is not there.
    #[arg(value_name = "DIR")]
    to: PathBuf,

    /// Folder with the plugins, a .wasm file each; followed live.
    #[arg(long, value_name = "DIR")]
    plugins: PathBuf,

    #[command(flatten)]
    host: HostArgs,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let Self { config: _, to, plugins, mut host } = self;
        host.dry_run = true;
        host.run(plugins, Some((to, Which::All)), async |_: &CancellationToken| Ok(()))
    }
}
