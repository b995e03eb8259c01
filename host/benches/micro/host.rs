//! What the host does with an object before and after a call.

use std::time::Instant;

use criterion::{BatchSize, Criterion};
use oarlock::object::{Gvk, Object, ObjectRef, Packer};
use oarlock::queue::{End, Priority, Queue};
use oarlock::source::list::ListBody;

use crate::objects::{list_texts, objects, packed, plain, whole_texts};
use crate::processor::{Processor, time};
use crate::{SIZES, sized};

/// How many bytes of a body arrive at once: a record of TLS.
const PIECE: usize = 16 << 10;

/// How many objects a page has, and how many bytes at most.
const PAGE: (usize, usize) = (500, 16 << 20);

/// How many objects of so many KB a page has.
pub(crate) fn on_a_page(kilobytes: usize) -> usize {
    PAGE.0.min(PAGE.1 / (kilobytes * 1000))
}

pub(crate) fn measure(criterion: &mut Criterion<Processor>) {
    queue(criterion);
    page(criterion);
    managed_fields(criterion);
    packing(criterion);
}

/// An object that comes and is called for while 5,000 others wait.
fn queue(criterion: &mut Criterion<Processor>) {
    let mut objects = objects(1);
    let gvk = Gvk::replica_set();
    let mut key = || ObjectRef { gvk: gvk.clone(), key: objects.next().key.clone() };
    let (mut queue, now) = (Queue::new(0), Instant::now());
    for _ in 0..4999 {
        queue.add(&key(), Priority::Backlog, now);
    }
    criterion.bench_function("queue", |bencher| {
        bencher.iter(|| {
            queue.add(&key(), Priority::Backlog, now);
            let job = queue.take(now).expect("one that waits");
            queue.finish(&job.key, End::Done, now)
        });
    });
}

/// From the text of a page of a list to the objects as the host holds them.
fn page(criterion: &mut Criterion<Processor>) {
    let (mut group, gvk) = (criterion.benchmark_group("page"), Gvk::replica_set());
    for size in SIZES {
        let count = on_a_page(size);
        let mut lists = list_texts(size, count);
        group.bench_function(sized(size), |bencher| {
            bencher.iter_custom(|pages| {
                let list = lists.next().as_bytes();
                let begin = time();
                for _ in 0..pages {
                    let (mut body, mut objects) = (ListBody::default(), Vec::with_capacity(count));
                    for piece in list.chunks(PIECE) {
                        let item = &mut |text: &str| objects.push(Object::read(text, &gvk).expect("it has a name"));
                        body.push(piece, item).expect("a list");
                    }
                    body.end().expect("all of a list");
                    assert_eq!(objects.len(), count);
                }
                time().saturating_sub(begin)
            });
        });
    }
}

/// From the text of one object to what the host holds of it.
fn managed_fields(criterion: &mut Criterion<Processor>) {
    let (mut group, gvk) = (criterion.benchmark_group("managed-fields"), Gvk::replica_set());
    for size in SIZES {
        let mut texts = whole_texts(size, on_a_page(size));
        group.bench_function(sized(size), |bencher| {
            texts.ready();
            bencher.iter(|| Object::read(texts.next(), &gvk).expect("it has a name"));
        });
    }
}

/// The JSON of an object as it is kept, and back.
fn packing(criterion: &mut Criterion<Processor>) {
    let mut group = criterion.benchmark_group("pack");
    for size in SIZES {
        let (mut objects, mut packer) = (objects(size), Packer::default());
        group.bench_function(sized(size), |bencher| {
            let mut learnt = plain(objects.next());
            while learnt.kept() == learnt.len() {
                learnt = plain(objects.next());
                packer.pack(&mut learnt);
            }
            bencher.iter_batched_ref(|| plain(objects.next()), |json| packer.pack(json), BatchSize::LargeInput);
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("unpack");
    for size in SIZES {
        let mut packed = packed(size);
        group.bench_function(sized(size), |bencher| {
            packed.ready();
            bencher.iter(|| packed.next().text().len());
        });
    }
}
