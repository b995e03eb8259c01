//! `oarlock completion` and `oarlock man`: what is made of the command line's own description.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

/// Print what makes a shell complete oarlock's subcommands and options.
///
/// For bash: `source <(oarlock completion bash)`; each shell's manual says where to keep it.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionArgs {
    shell: Shell,
}

/// Write the manual pages to a folder: oarlock.1, and one for each subcommand.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// A folder that is there, such as /usr/local/share/man/man1.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl CompletionArgs {
    pub(super) fn run(self, mut command: Command) -> ExitCode {
        // It panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "oarlock", &mut script);
        super::ended(super::say(&String::from_utf8_lossy(&script)).map(|()| ExitCode::SUCCESS))
    }
}

impl ManArgs {
    pub(super) fn run(self, command: Command) -> ExitCode {
        // Each has `--help`; a page for what prints help is none.
        let command = command.disable_help_subcommand(true);
        match clap_mangen::generate_to(command, &self.folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: cannot write the manual pages to {}: {error}", self.folder.display());
                ExitCode::FAILURE
            }
        }
    }
}
