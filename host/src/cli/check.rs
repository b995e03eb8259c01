//! `oarlock check`.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use indicatif::HumanBytes;

use super::parse::existing_path;
use crate::plugin::{AotCache, Engine};
use crate::text;
use crate::trial::{self, Figures, Report};

/// Say what plugin files are, what they need, and whether a host would load them.
///
/// The grant file beside a plugin counts, as it does for a host. Exit codes: 0 if all would load, 1 if one would not, 2 for
/// wrong usage.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Plugin files, or folders with them.
    #[arg(value_name = "FILE.wasm", required = true, value_parser = existing_path)]
    files: Vec<PathBuf>,

    /// Print a list of JSON objects, one a file.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        super::to_its_end(self.check())
    }

    async fn check(self) -> anyhow::Result<ExitCode> {
        let loader = trial::loader(Engine::new()?, AotCache::off());
        let mut reports = Vec::new();
        for path in plugin_files(self.files)? {
            reports.push(Report::of(&path, &loader).await);
        }
        let text = if self.json {
            text::json(&serde_json::to_string_pretty(&reports)?).into_owned() + "\n"
        } else {
            let texts: Vec<_> = reports.iter().map(describe).collect();
            texts.join("\n")
        };
        super::say(&text)?;
        let all_load = reports.iter().all(|report| report.loads);
        Ok(if all_load { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The files, and those in the folders.
fn plugin_files(paths: Vec<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path);
            continue;
        }
        let entries = path.read_dir().with_context(|| path.display().to_string())?;
        let entries = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
        let mut plugins: Vec<_> =
            entries.into_iter().filter(|path| path.extension() == Some("wasm".as_ref())).collect();
        if plugins.is_empty() {
            bail!("there are no plugins in the folder {}: their files end with .wasm", path.display());
        }
        plugins.sort();
        files.extend(plugins);
    }
    Ok(files)
}

/// A report for people.
fn describe(report: &Report) -> String {
    let mut lines = vec![(String::new(), report.file.clone())];
    let mut add = |label: &str, values: Vec<String>| {
        // The label stands beside the first of its values.
        let labels = [format!("{label}:")].into_iter().chain(std::iter::repeat(String::new()));
        lines.extend(labels.zip(values));
    };
    // What it wrote when it did not start is on lines of its own.
    let reason = report.reason.as_ref().map(|reason| format!("no: {reason}"));
    add("Loads", reason.as_deref().unwrap_or("yes").lines().map(str::to_owned).collect());
    add("Advice", report.advice.clone());
    add("Is", what_it_is(report).into_iter().collect());
    add("SHA-256", report.sha256.iter().cloned().collect());
    if let Some(described) = &report.describes {
        let titles = described.name.iter().zip(&described.version);
        add("Describes", titles.map(|(name, version)| format!("{name} {version}")).collect());
        add("Watches", described.watches.iter().map(|watched| watched.as_str().to_owned()).collect());
        add("Owns", described.owns.iter().map(|watched| watched.as_str().to_owned()).collect());
        add("Finalizer", described.finalizer.iter().cloned().collect());
    }
    add("Imports", by_package(&report.imports));
    add("Missing", report.missing.clone());
    add("Takes", report.figures.iter().flat_map(what_it_takes).collect());
    match &report.grant {
        Some(grant) => {
            let nothing = if grant.grants.is_empty() { ", which grants nothing" } else { "" };
            let head = format!("{} (mode {}){nothing}", grant.file, grant.mode);
            add("Grant file", [head].into_iter().chain(grant.grants.iter().cloned()).collect());
        }
        None if report.loads => {
            add("Grant file", vec!["none: it may print, log, and read what it is called for".into()]);
        }
        None => {}
    }
    let line = |(label, value): (String, String)| match &*label {
        "" if value == report.file => format!("{}\n", text::one_line(&value)),
        _ => format!("  {label:<12}{}\n", text::one_line(&value)),
    };
    lines.into_iter().map(line).collect()
}

fn what_it_is(report: &Report) -> Option<String> {
    let size = HumanBytes(report.size? as u64);
    let form = report.form.unwrap_or("file");
    let style = match report.style {
        Some("command") => ", a program that is run for each object",
        Some(_) => ", a reconciler",
        None => "",
    };
    let contract = report.contract.as_ref().map(|version| format!(" for version {version} of the contract"));
    Some(format!("a {form} of {size}{style}{}", contract.unwrap_or_default()))
}

/// Interfaces of the same package and version on one line: `wasi:cli@0.2.12: exit, stdin`.
fn by_package(imports: &[String]) -> Vec<String> {
    let mut packages: Vec<(String, Vec<&str>)> = Vec::new();
    for import in imports {
        let parts = import.split_once('/').and_then(|(package, rest)| Some((package, rest.split_once('@')?)));
        let (package, name) = match parts {
            Some((package, (name, version))) => (format!("{package}@{version}"), name),
            None => (import.clone(), ""),
        };
        match packages.iter_mut().find(|(known, _)| *known == package) {
            Some((_, names)) => names.push(name),
            None => packages.push((package, vec![name])),
        }
    }
    let line = |(package, names): (String, Vec<&str>)| match &*names {
        [""] => package,
        names => format!("{package}: {}", names.join(", ")),
    };
    packages.into_iter().map(line).collect()
}

fn what_it_takes(figures: &Figures) -> Vec<String> {
    let Figures { compile_ms, componentize_ms, start_ms, memory } = figures;
    let compile = compile_ms.map(|compile| {
        let part = componentize_ms.map(|ms| format!(", of which {ms:.0} ms to make a component of it"));
        format!("{compile:.0} ms to compile{}", part.unwrap_or_default())
    });
    let memory = memory.map(|bytes| format!(", with {} of memory", HumanBytes(bytes as u64)));
    let start = format!("{start_ms:.1} ms to start once compiled{}", memory.unwrap_or_default());
    compile.into_iter().chain([start]).collect()
}
