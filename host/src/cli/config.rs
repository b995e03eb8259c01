//! `oarlock config`.

use std::process::ExitCode;

use super::options::{self, Chosen};
use super::run;

/// Show what `oarlock run` would run with, given the same options, and where each comes from.
///
/// They come from the command line, from the environment (`OARLOCK_CALL_CPU` for `--call-cpu`), from the file that `--config`
/// names, and from defaults; the first that says something counts. What is printed is such a file. Exit codes: 0 if
/// `oarlock run` would accept them, 2 if not.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    #[command(flatten)]
    run: run::Args,
}

impl Args {
    pub(super) fn run(self, chosen: &[Chosen]) -> ExitCode {
        for hint in options::unknown_variables(chosen, std::env::vars_os()) {
            eprintln!("note: {hint}");
        }
        super::ended(super::say(&options::file_of(chosen)).map(|()| match self.run.config() {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::from(2)
            }
        }))
    }
}
