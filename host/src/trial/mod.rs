//! Plugins tried without a cluster: what a file is, whether it would load, and what calls of it come to.
//!
//! A call is given the objects that it is for, and all that it may read, from files. What it asks for is checked as a host
//! does it, and done to a copy of those objects that is thrown away.

mod bench;
mod call;
mod expected;
mod given;
mod guest_log;
mod reads;
mod replay;
mod report;
mod shape;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::plugin::{AotCache, Compiler, Engine, Limits, Loader, Pair, Plugin};

pub use bench::{Calls, Fails, Measured, measure};
pub use call::Trial;
pub use expected::{compare, to_yaml as yaml};
pub use given::Given;
pub use guest_log::GuestLog;
pub use replay::replay;
pub use report::{Described, Figures, Grants, Report, Watched};
pub use shape::{CallFigures, Called};

/// What loads plugins as a host without flags does.
pub fn loader(engine: Engine, cache: AotCache) -> Arc<Loader> {
    Arc::new(Loader::new(engine, Compiler::Child, cache, Limits::default()))
}

/// Loads the plugin that a file is, with the grant file beside it or another one, and with what `settings` makes of the
/// settings of that.
pub async fn load(
    loader: Arc<Loader>,
    path: &Path,
    grant: Option<&Path>,
    settings: impl FnOnce(Option<String>) -> Option<String>,
) -> anyhow::Result<Arc<Plugin>> {
    let of = || format!("{} cannot be loaded", path.display());
    if let Some(grant) = grant.filter(|grant| !grant.exists()) {
        bail!("there is no grant file {}", grant.display());
    }
    let grant = grant.map_or_else(|| path.with_extension("yaml"), Path::to_owned);
    let Pair { version, plugin, grant } = Pair::read(path.to_owned(), grant, loader.limits().wasm)?;
    let mut grant = grant.with_context(of)?;
    grant.settings = settings(grant.settings.take());
    Ok(Arc::new(loader.load(name_of(path), (version.plugin, plugin), grant).await.with_context(of)?))
}

/// The name of the plugin that a file is: its own, without `.wasm`.
fn name_of(path: &Path) -> Arc<str> {
    path.file_stem().map(OsStr::to_string_lossy).unwrap_or_default().into()
}

/// Milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
