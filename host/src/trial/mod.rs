//! Plugins tried without a cluster: what a file is, whether it would load, and what calls of it come to.

mod report;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use crate::plugin::{AotCache, Compiler, Engine, Limits, Loader};

pub use report::{Described, Figures, Grants, Report, Watched};

/// What loads plugins as a host without flags does, and keeps nothing of them.
pub fn loader() -> anyhow::Result<Arc<Loader>> {
    Ok(Arc::new(Loader::new(Engine::new()?, Compiler::Child, AotCache::off(), Limits::default())))
}

/// The name of the plugin that a file is: its own, without `.wasm`.
fn name_of(path: &Path) -> Arc<str> {
    path.file_stem().map(OsStr::to_string_lossy).unwrap_or_default().into()
}
