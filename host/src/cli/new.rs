//! `oarlock new`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::templates::{self, Language};

/// Begin a plugin: a folder with its source, a test, an object to try it on, and a README with the commands.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to make. It has the name of the plugin.
    #[arg(value_name = "NAME", value_parser = plugin_folder)]
    folder: PathBuf,

    /// What the plugin is written in.
    #[arg(long, value_name = "LANGUAGE", default_value = "rust")]
    lang: Language,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        super::ended(self.make())
    }

    fn make(self) -> anyhow::Result<ExitCode> {
        let Self { folder, lang } = self;
        make(&folder, lang)?;
        let folder = folder.display();
        super::say(&format!(
            "{folder} is there. Next:\n\n  cd {folder}\n  oarlock dev\n\nThe README.md in it says the rest.\n"
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A path whose last part can be the name of a plugin.
fn plugin_folder(text: &str) -> Result<PathBuf, String> {
    let folder = PathBuf::from(text);
    templates::check_name(&name(&folder))?;
    Ok(folder)
}

fn name(folder: &Path) -> String {
    // A path such as `.` has no last part, and is shown as it is.
    folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned()
}

/// Fills a folder that is empty, or not there.
fn make(folder: &Path, language: Language) -> anyhow::Result<()> {
    let place = folder.display();
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {place}"))?;
    let mut entries = folder.read_dir().with_context(|| format!("cannot read the folder {place}"))?;
    if entries.next().is_some() {
        bail!("{place} is there already, and not empty: choose another name");
    }
    for (path, text) in templates::files(language, &name(folder)) {
        write_new(&folder.join(&path), &text).with_context(|| format!("cannot write {place}/{}", path.display()))?;
    }
    Ok(())
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}
