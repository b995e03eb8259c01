//! What calls are measured against: the copy that cannot be done without, and the same code without a sandbox.

use criterion::Criterion;
use sdk::{Object, ObjectRef, Request};
use wasmtime::{Engine, Instance, Module, Store};

use crate::objects::texts;
use crate::processor::Processor;
use crate::{SIZES, sized};

#[path = "../../../plugins/print-containers/src/lib.rs"]
mod print_containers;

/// A module with a memory of 17 pages, which is exported as `memory`, and nothing else.
const MEMORY: &[u8] = b"\0asm\x01\0\0\0\x05\x03\x01\0\x11\x07\x0a\x01\x06memory\x02\0";

pub(crate) fn measure(criterion: &mut Criterion<Processor>) {
    copy(criterion);
    native(criterion);
}

/// The bytes of an object into the memory of an instance, to a place that is there.
fn copy(criterion: &mut Criterion<Processor>) {
    let engine = Engine::default();
    let module = Module::new(&engine, MEMORY).expect("a module");
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
    let memory = instance.get_memory(&mut store, "memory").expect("a memory");
    let mut group = criterion.benchmark_group("copy");
    for size in SIZES {
        let mut texts = texts(size);
        group.bench_function(sized(size), |bencher| {
            texts.ready();
            bencher.iter(|| memory.write(&mut store, 1 << 16, texts.next().as_bytes()).expect("it fits"));
        });
    }
}

/// The code of print-containers in this process. It owns its object, as it does in a sandbox.
fn native(criterion: &mut Criterion<Processor>) {
    let mut group = criterion.benchmark_group("native");
    for size in SIZES {
        let mut texts = texts(size);
        group.bench_function(sized(size), |bencher| {
            texts.ready();
            bencher.iter(|| {
                let request = Request {
                    target: ObjectRef::new("apps/v1", "ReplicaSet", "checkout-1234").in_namespace("shop-12"),
                    object: Some(Object::new(texts.next().as_str())),
                    attempt: 0,
                    deleting: false,
                };
                print_containers::RECONCILE(&request)
            });
        });
    }
}
