//! Calls of plugins, as a worker makes them: with an instance that is kept, and with one that is made for the call.

use std::sync::Arc;

use criterion::Criterion;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use oarlock::object::{Object, ObjectRef};
use oarlock::plugin::{Caller, Engine, Plugin, Reader, ReconcileId, Request};
use oarlock::selector::Selection;
use tokio::runtime::Runtime;

use crate::objects::objects;
use crate::processor::{Processor, time};
use crate::{SIZES, plugins, sized};

/// The plugins that are called.
pub(crate) const PLUGINS: [&str; 4] = ["empty", "print-containers", "fields", "get"];

/// What a call begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// The instance of the call before.
    Warm,
    /// A new instance.
    Fresh,
    /// A new instance, in memory that another one had.
    Pooled,
}

pub(crate) fn measure(criterion: &mut Criterion<Processor>, runtime: &Runtime) {
    for name in PLUGINS {
        for (start, name_of_start) in [(Start::Warm, "warm"), (Start::Fresh, "fresh"), (Start::Pooled, "pooled")] {
            let engine = if start == Start::Pooled { Engine::pooled() } else { Engine::new() };
            let plugin = runtime.block_on(plugins::load(engine.expect("an engine"), name));
            let mut group = criterion.benchmark_group(format!("{name}-{name_of_start}"));
            for size in SIZES {
                let mut objects = objects(size);
                group.bench_function(sized(size), |bencher| {
                    objects.ready();
                    let mut caller = Caller::default();
                    bencher.iter_custom(|count| {
                        runtime.block_on(async {
                            let begin = time();
                            for _ in 0..count {
                                call(&mut caller, &plugin, objects.next(), start).await;
                            }
                            time().saturating_sub(begin)
                        })
                    });
                });
            }
        }
    }
}

async fn call(caller: &mut Caller, plugin: &Arc<Plugin>, object: &Arc<Object>, start: Start) {
    if start != Start::Warm {
        caller.rest();
    }
    let target = ObjectRef { gvk: plugin.watches[0].gvk.clone(), key: object.key.clone() };
    let reader: Arc<dyn Reader> = Arc::new(OneObject(Arc::clone(object)));
    let request = Request { target: &target, object: Some(object), attempt: 0, id: ReconcileId(0), reader: &reader };
    let answer = caller.reconcile(plugin, request, plugin.limits.writing).await;
    answer.result.expect("an answer");
}

/// A cache in which every object is found.
struct OneObject(Arc<Object>);

impl Reader for OneObject {
    fn get(&self, _: ObjectRef) -> BoxFuture<'_, Result<Option<Arc<Object>>, String>> {
        ready(Ok(Some(Arc::clone(&self.0)))).boxed()
    }

    fn list(&self, _: Selection) -> BoxFuture<'_, Result<Vec<Arc<Object>>, String>> {
        ready(Ok(vec![Arc::clone(&self.0)])).boxed()
    }
}
