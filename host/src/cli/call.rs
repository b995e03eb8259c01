//! `oarlock call`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::ValueEnum;
use indicatif::HumanBytes;

use super::default_cache;
use super::offline::{Offline, Ready};
use crate::plugin::AotCache;
use crate::text;
use crate::trial::{self, CallFigures, Called, GuestLog, Trial};

/// Call a plugin on objects from files, without a cluster, and print what comes of it.
///
/// Each of the objects that the plugin watches is reconciled once, in the order of the files; all of them answer its reads.
/// What it asks for is checked against its grant file, and done to nothing but a copy of these objects.
///
/// Exit codes: 0 if no call failed or, with --expect, all came to what is expected; 1 otherwise; 2 for wrong usage.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    offline: Offline,

    /// Tell it that the objects that it is called for are gone.
    #[arg(long)]
    gone: bool,

    /// Form of what is printed.
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml", conflicts_with = "expect")]
    output: Form,

    /// Compare what comes of it with this file, and print what differs.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,

    /// Write what comes of it to the file, if that differs.
    #[arg(long, requires = "expect")]
    update: bool,
}

/// Form of what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A document for each call; log and figures are comments.
    Yaml,
    /// A list of objects, one for each call.
    Json,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        super::to_its_end(self.call())
    }

    async fn call(self) -> anyhow::Result<ExitCode> {
        let log = GuestLog::start()?;
        let cache = default_cache().map_or_else(AotCache::off, |folder| AotCache::in_folder(&folder));
        let Ready { plugin, given, targets } = self.offline.ready(cache).await?;
        let mut trial = Trial::new(plugin, given, log);
        let mut calls = Vec::new();
        for target in &targets {
            calls.push(trial.call(target, self.gone).await);
        }
        match &self.expect {
            Some(path) => expect(path, &calls, self.update),
            None => print(&calls, self.output),
        }
    }
}

/// Prints what came of the calls. What plugins and objects say is shown, and moves no cursor.
fn print(calls: &[Called], form: Form) -> anyhow::Result<ExitCode> {
    let text = match form {
        Form::Json => text::json(&serde_json::to_string_pretty(calls)?).into_owned() + "\n",
        Form::Yaml => calls.iter().map(document).collect::<Vec<_>>().join("---\n"),
    };
    super::say(&text)?;
    let is_well = calls.iter().all(|call| call.result.result.is_well());
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A call as YAML, with what is for people in comments.
fn document(call: &Called) -> String {
    let Called { result, figures, .. } = call;
    let CallFigures { call_ms, processor_ms, memory } = figures;
    let memory = HumanBytes(*memory as u64);
    let head =
        format!("{} in {call_ms:.2} ms, {processor_ms:.2} ms of processor time, with {memory} of memory", result.call);
    let comments = [head].into_iter().chain(said(call)).map(|line| format!("# {}", text::one_line(&line)));
    let lines: Vec<_> = comments.chain([text::lines(&trial::yaml(&[result])).into_owned()]).collect();
    lines.join("\n")
}

/// What a plugin said for people.
fn said(call: &Called) -> impl Iterator<Item = String> {
    call.log.iter().cloned().chain(call.stderr.iter().map(|line| format!("stderr: {line}")))
}

/// Compares what came of the calls with a file, or writes it there.
fn expect(path: &Path, calls: &[Called], update: bool) -> anyhow::Result<ExitCode> {
    let results: Vec<_> = calls.iter().map(|call| &call.result).collect();
    let name = path.display();
    let there = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && update => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!("there is no {name}; --update writes it"),
        text => Some(text.with_context(|| name.to_string())?),
    };
    let difference = match there {
        None => Some(String::new()),
        Some(text) => match trial::compare(&name.to_string(), &text, &results) {
            Err(_) if update => Some(String::new()),
            compared => compared.map_err(|error| anyhow!("{name}: {error}"))?,
        },
    };
    match difference {
        None => Ok(ExitCode::SUCCESS),
        Some(_) if update => {
            fs::write(path, trial::yaml(&results)).with_context(|| name.to_string())?;
            eprintln!("wrote {name}");
            Ok(ExitCode::SUCCESS)
        }
        Some(difference) => {
            super::say(&text::lines(&difference))?;
            // Which may tell why.
            calls.iter().flat_map(said).for_each(|line| eprintln!("{}", text::one_line(&line)));
            eprintln!("error: it did not come to what {name} expects; --update takes it over");
            Ok(ExitCode::FAILURE)
        }
    }
}
