//! From a file to a plugin that can be called.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use oarlock::plugin::{AotCache, Compiler, Engine, Inspection, Limits, Loader, Plugin};
use oarlock::trial;
use tokio::runtime::Runtime;

use crate::processor::Processor;

/// The file of a plugin, which `make bench-guests` makes.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/bench-guests").join(name).with_extension("wasm")
}

/// The plugin of that name, compiled in this process.
pub(crate) async fn load(engine: Engine, name: &str) -> Arc<Plugin> {
    from(&loader(engine, AotCache::off()), name).await
}

fn loader(engine: Engine, cache: AotCache) -> Arc<Loader> {
    Arc::new(Loader::new(engine, Compiler::Thread, cache, Limits::default()))
}

async fn from(loader: &Arc<Loader>, name: &str) -> Arc<Plugin> {
    let plugin = trial::load(Arc::clone(loader), &file(name), None, |_| None).await;
    plugin.unwrap_or_else(|error| panic!("{name}: {error:#}; `make bench-guests`"))
}

/// Each of the default plugin. Several threads work at it, so that these are times by the clock on the wall.
pub(crate) fn measure(criterion: &mut Criterion<Processor>, runtime: &Runtime) {
    const NAME: &str = "print-containers";
    let mut group = criterion.benchmark_group("plugin");
    let bytes = fs::read(file(NAME)).expect("the default plugin");
    group.bench_function("componentize", |bencher| {
        bencher.iter_custom(|count| (0..count).map(|_| Inspection::of(&bytes).componentizing.expect("a module")).sum());
    });
    let compiling = loader(Engine::new().expect("an engine"), AotCache::off());
    group.bench_function("compile", |bencher| {
        bencher.iter_custom(|count| {
            let took = |_| runtime.block_on(from(&compiling, NAME)).arrival.compile.expect("it is compiled");
            (0..count).map(took).sum()
        });
    });
    let folder = tempfile::tempdir().expect("a folder");
    let caching = loader(Engine::new().expect("an engine"), AotCache::in_folder(&folder.path().join("cache")));
    runtime.block_on(from(&caching, NAME));
    group.bench_function("load", |bencher| {
        bencher.iter_custom(|count| {
            let took = |_| {
                let arrival = &runtime.block_on(from(&caching, NAME)).arrival;
                assert_eq!(arrival.compile, None, "it is in the cache");
                arrival.start
            };
            (0..count).map(took).sum::<Duration>()
        });
    });
}
