//! The command line, a file per subcommand.

mod parse;
mod rbac;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::plugin;

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
    /// Compile a plugin, as the child of a host.
    #[command(hide = true)]
    CompilePlugin {
        /// The processor time that it may take.
        cpu_seconds: u64,
        /// The memory that it may take, in bytes.
        memory: u64,
    },
}

/// Does what the command line says. Wrong usage ends the process with code 2.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => args.run(),
        Command::Rbac(args) => args.run(),
        Command::CompilePlugin { cpu_seconds, memory } => plugin::compile_stdin(cpu_seconds, memory),
    }
}
