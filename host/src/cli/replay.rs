//! `oarlock replay`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail};

use super::default_cache;
use super::parse::existing_path;
use crate::digest::Digest;
use crate::plugin::{AotCache, Engine};
use crate::project;
use crate::recording::{Recording, SUFFIX};
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
        let mut counts = Counts::default();
        let mut told = String::new();
        for (path, is_named) in files(&self.recordings)? {
            let outcome = self.again(&path, is_named, &digest).await;
            let said = log.take();
            match outcome {
                Ok(Outcome::Same) => counts.same += 1,
                Ok(Outcome::OfAnother) => counts.of_others += 1,
                Ok(Outcome::Different(difference)) => {
                    counts.different += 1;
                    told += &text::lines(&difference);
                    for line in &said {
                        eprintln!("{}", text::one_line(line));
                    }
                }
                // The others may tell all the same.
                Err(error) => {
                    counts.unread += 1;
                    eprintln!("error: {}: {}", path.display(), text::paragraph(&format!("{error:#}")));
                }
            }
        }
        told += &counts.to_string();
        super::say(&told)?;
        let is_well = counts.unread == 0 && (counts.different == 0 || self.update);
        Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Makes one call again.
    async fn again(&self, path: &Path, is_named: bool, digest: &str) -> anyhow::Result<Outcome> {
        let mut recording = Recording::parse(&fs::read_to_string(path)?).map_err(|error| anyhow!(error))?;
        let plugin = project::plugin_name(&self.plugin);
        if recording.plugin != plugin {
            if is_named {
                bail!("it is of the plugin {}, and this is {plugin}", recording.plugin);
            }
            return Ok(Outcome::OfAnother);
        }
        let time: SystemTime =
            humantime::parse_rfc3339(&recording.time).with_context(|| format!("time: {}", recording.time))?;
        let cache = default_cache().map_or_else(AotCache::off, |folder| AotCache::in_folder(&folder));
        let loader = trial::loader(Engine::new()?.at(time), cache);
        let settings = recording.settings.as_ref().map(ToString::to_string);
        let plugin = trial::load(loader, &self.plugin, None, |_| settings).await?;
        let result = trial::replay(&plugin, &recording).await.map_err(|error| anyhow!(error))?;

        let then = trial::yaml(&[&recording.result]);
        let name = path.display().to_string();
        let Some(difference) = trial::compare(&name, &then, &[&result]).map_err(|error| anyhow!(error))? else {
            return Ok(Outcome::Same);
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
            fs::write(path, recording.text()).context("it cannot be written")?;
        }
        notes.push(difference);
        Ok(Outcome::Different(notes.concat()))
    }
}

/// What became of a recorded call.
enum Outcome {
    Same,
    /// In what.
    Different(String),
    /// It is another plugin's.
    OfAnother,
}

/// How many recorded calls came to what.
#[derive(Default)]
struct Counts {
    same: usize,
    different: usize,
    of_others: usize,
    unread: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} recorded calls came to the same", self.same, self.same + self.different)?;
        for (count, what) in [(self.of_others, "are of other plugins"), (self.unread, "could not be made again")] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        f.write_str("\n")
    }
}

/// The recordings, in the order of their names within a folder, with whether each was named itself.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, bool)>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push((path.clone(), true));
            continue;
        }
        let mut within = Vec::new();
        for entry in path.read_dir().with_context(|| path.display().to_string())? {
            within.push(entry?.path());
        }
        within.retain(|path| path.to_string_lossy().ends_with(SUFFIX));
        if within.is_empty() {
            bail!("there is no recording in {}: their names end with {SUFFIX}", path.display());
        }
        within.sort();
        files.extend(within.into_iter().map(|path| (path, false)));
    }
    Ok(files)
}
