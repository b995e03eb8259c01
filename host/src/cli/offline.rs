//! What the commands have in common that call a plugin without a cluster.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail};

use super::parse::{Target, existing_path, json, target, timestamp};
use crate::object::ObjectRef;
use crate::plugin::{AotCache, Engine, Plugin};
use crate::source::manifests::{Format, GivenFile, read_files, read_given};
use crate::trial::{self, Given};

/// A plugin, and the objects that it is called on.
#[derive(Debug, clap::Args)]
pub(super) struct Offline {
    /// The plugin.
    #[arg(value_name = "FILE.wasm", value_parser = existing_path)]
    plugin: PathBuf,

    /// File or folder of YAML or JSON manifests; `-` is stdin. May be given several times.
    #[arg(short, long = "file", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,

    /// Call it for this object only, as KIND/NAME or KIND/NAMESPACE/NAME. May be given several times.
    #[arg(long, value_name = "OBJECT", value_parser = target)]
    target: Vec<Target>,

    /// Grant file to go by. Without it: the one beside the plugin, if there is one.
    #[arg(long, value_name = "FILE")]
    grant: Option<PathBuf>,

    /// Settings to give it, in place of those of the grant file.
    #[arg(long, value_name = "JSON", value_parser = json)]
    settings: Option<String>,

    /// Have its clock show this time, and never another one: 2026-01-02T03:04:05Z.
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    now: Option<SystemTime>,
}

/// All that is needed to call the plugin.
pub(super) struct Ready {
    pub(super) plugin: Arc<Plugin>,
    pub(super) given: Given,
    /// The objects that it is to be called for, at least one.
    pub(super) targets: Vec<ObjectRef>,
}

impl Offline {
    /// Reads the files and loads the plugin.
    pub(super) async fn ready(&self, cache: AotCache) -> anyhow::Result<Ready> {
        let given = Given::new(read(&self.files)?, self.now.unwrap_or_else(SystemTime::now));
        let given = given.map_err(|faults| anyhow!(faults.join("\n")))?;
        let engine = Engine::new()?;
        let engine = if let Some(now) = self.now { engine.at(now) } else { engine };
        let loader = trial::loader(engine, cache);
        let given_settings = self.settings.clone();
        let settings = |own| given_settings.or(own);
        let plugin = trial::load(loader, &self.plugin, self.grant.as_deref(), settings).await?;
        let targets = self.targets(&plugin, &given)?;
        Ok(Ready { plugin, given, targets })
    }

    /// The objects that the plugin is to be called for, at least one.
    fn targets(&self, plugin: &Plugin, given: &Given) -> anyhow::Result<Vec<ObjectRef>> {
        let watched = given.watched_by(plugin);
        if self.target.is_empty() && watched.is_empty() {
            if given.objects().is_empty() {
                bail!("there are no objects in the files");
            }
            let names = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>().join(", ");
            bail!(
                "the plugin is called for none of the objects given: it watches {}; given are {}",
                names(&mut plugin.watches.iter().map(ToString::to_string)),
                names(&mut given.objects().iter().map(ToString::to_string)),
            );
        }
        if self.target.is_empty() {
            return Ok(watched);
        }
        let mut targets = Vec::new();
        for wanted in &self.target {
            let before = targets.len();
            targets.extend(watched.iter().filter(|object| wanted.names(object)).cloned());
            if targets.len() == before {
                let is_given = given.objects().iter().any(|object| wanted.names(object));
                let why = if is_given { "the plugin does not watch it" } else { "there is no such object" };
                bail!("--target {wanted}: {why}");
            }
        }
        Ok(targets)
    }
}

fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<GivenFile>> {
    let mut files = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            files.push(read_given("stdin".into(), Format::Yaml, io::stdin())?);
        } else {
            fs::metadata(path).with_context(|| format!("-f {}", path.display()))?;
            files.extend(read_files(path)?);
        }
    }
    Ok(files)
}
