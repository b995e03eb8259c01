//! The command line, a file per subcommand.

mod bench;
mod call;
mod ask;
mod check;
mod config;
mod dev;
mod generate;
mod new;
mod offline;
mod options;
mod parse;
mod plugins;
mod queue;
mod rbac;
mod record;
mod replay;
mod run;
mod table;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::plugin;
use crate::text;

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
    Plugins(plugins::Args),
    Queue(queue::Args),
    Config(Box<config::Args>),
    Rbac(rbac::Args),
    New(new::Args),
    Dev(Box<dev::Args>),
    Check(check::Args),
    Call(Box<call::Args>),
    Bench(bench::Args),
    Record(Box<record::Args>),
    Replay(replay::Args),
    Completion(generate::CompletionArgs),
    Man(generate::ManArgs),
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
    let options = match options::take_in(Cli::command(), std::env::args_os().collect()) {
        Ok(options) => options,
        Err(error) => return error.say(),
    };
    let cli = match Cli::from_arg_matches(&options.matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match cli.command {
        Command::Run(args) => args.run(),
        Command::Plugins(args) => args.run(),
        Command::Queue(args) => args.run(),
        Command::Config(args) => args.run(&options.layered),
        Command::Rbac(args) => args.run(),
        Command::New(args) => args.run(),
        Command::Dev(args) => args.run(),
        Command::Check(args) => args.run(),
        Command::Call(args) => args.run(),
        Command::Bench(args) => args.run(),
        Command::Record(args) => args.run(),
        Command::Replay(args) => args.run(),
        Command::Completion(args) => args.run(Cli::command()),
        Command::Man(args) => args.run(Cli::command()),
        Command::CompilePlugin { cpu_seconds, memory } => plugin::compile_stdin(cpu_seconds, memory),
    }
}

/// Runs a command that has an end, and says why it failed, if it did.
fn to_its_end(command: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("async runtime");
    ended(runtime.and_then(|runtime| runtime.block_on(command)))
}

/// The exit code of a command that has come to this, and says why it failed, if it did.
fn ended(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {}", text::paragraph(&format!("{error:#}")));
        ExitCode::FAILURE
    })
}

/// Writes it to stdout. A reader that has read enough is no error; a disk that is full is one, where `println!` panics.
fn say(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write to stdout"),
        _ => Ok(()),
    }
}

/// Where compiled plugins are kept if nothing else is said. None: the user has no such folder.
fn default_cache() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "oarlock").map(|user| user.cache_dir().join("plugins"))
}
