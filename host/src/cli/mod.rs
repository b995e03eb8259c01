//! The command line, a file per subcommand.

mod parse;
mod rbac;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A Kubernetes controller host whose controllers are WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Rbac(rbac::Args),
}

/// Does what the command line says. Wrong usage ends the process with code 2.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => args.run(),
        Command::Rbac(args) => args.run(),
    }
}
