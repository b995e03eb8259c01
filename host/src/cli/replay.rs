//! `oarlock replay`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail};

use super::default_cache;
use super::parse::existing_path;
use crate::digest::Digest;
use crate::plugin::{AotCache, Engine};
use crate::recording::Recording;
use crate::text;
use crate::trial::{self, GuestLog};

/// Make recorded calls again, and compare what the plugin answers with what it answered then.
///
/// It is given the object, the settings, the time and the answers to its reads as they were recorded, by `oarlock run
/// --record` or `oarlock record`. There is no cluster, and nothing that it asks for is done.
///
/// Exit codes: 0 if all answers are the same; 1 if one is not; 2 for wrong usage.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The plugin, in the recorded version or in another one.
    #[arg(value_name = "FILE.wasm", value_parser = existing_path)]
    plugin: PathBuf,

    /// Recordings, or folders of them.
    #[arg(value_name = "RECORDING", required = true, value_parser = existing_path)]
    recordings: Vec<PathBuf>,

    /// Take what it answers over into the recordings.
    #[arg(long)]
    update: bool,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        super::to_its_end(self.replay())
    }

    async fn replay(self) -> anyhow::Result<ExitCode> {
        let log = GuestLog::start()?;
        let digest = Digest::of(&fs::read(&self.plugin)?).to_string();
        let recordings = files(&self.recordings)?;
        let mut different = 0;
        for path in &recordings {
            let difference = self.again(path, &digest).await.with_context(|| path.display().to_string())?;
            let said = log.take();
            if let Some(difference) = difference {
                different += 1;
                print!("{}", text::lines(&difference));
                for line in &said {
                    eprintln!("{}", text::one_line(line));
                }
            }
        }
        println!("{} of {} recorded calls came to the same", recordings.len() - different, recordings.len());
        Ok(if different == 0 || self.update { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Makes one call again. None: it came to the same.
    async fn again(&self, path: &Path, digest: &str) -> anyhow::Result<Option<String>> {
        let mut recording = Recording::parse(&fs::read_to_string(path)?).map_err(|error| anyhow!(error))?;
        let time: SystemTime =
            humantime::parse_rfc3339(&recording.time).with_context(|| format!("time: {}", recording.time))?;
        let cache = default_cache().map_or_else(AotCache::off, |folder| AotCache::in_folder(&folder));
        let loader = trial::loader(Engine::new()?.at(time), cache);
        let settings = recording.settings.as_ref().map(ToString::to_string);
        let plugin = trial::load(loader, &self.plugin, None, settings).await?;
        let result = trial::replay(&plugin, &recording).await.map_err(|error| anyhow!(error))?;
        // What stands for the values of Secrets is what the plugin was given.
        let then = trial::yaml(&[&recording.result]);
        let name = path.display().to_string();
        let Some(difference) = trial::compare(&name, &then, &[&result]).map_err(|error| anyhow!(error))? else {
            return Ok(None);
        };
        let mut notes = Vec::new();
        if recording.digest != digest {
            notes.push(format!("# {name} is of version {:.12}, this is {digest:.12}\n", recording.digest));
        }
        if recording.redacted {
            notes.push(format!("# {name}: values of Secrets were left out, which may be the difference\n"));
        }
        if self.update {
            recording.result = result;
            recording.digest = digest.to_owned();
            fs::write(path, recording.text()).with_context(|| "it cannot be written")?;
        }
        notes.push(difference);
        Ok(Some(notes.concat()))
    }
}

/// The recordings, in the order of their names within a folder.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut within = Vec::new();
        for entry in path.read_dir().with_context(|| path.display().to_string())? {
            within.push(entry?.path());
        }
        within.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        if within.is_empty() {
            bail!("there is no recording in {}", path.display());
        }
        within.sort();
        files.extend(within);
    }
    Ok(files)
}
