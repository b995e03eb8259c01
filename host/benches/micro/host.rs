//! What the host does with an object before and after a call.

use std::time::Instant;

use criterion::Criterion;
use oarlock::object::{Gvk, Object, ObjectRef};
use oarlock::queue::{End, Priority, Queue};
use oarlock::source::list::ListBody;

use crate::objects::{objects, replica_set, with_managed_fields};
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
        let items: Vec<_> = (0..count).map(|number| with_managed_fields(replica_set(size * 1000, number))).collect();
        let list = serde_json::json!({
            "apiVersion": "apps/v1", "items": items, "kind": "ReplicaSetList", "metadata": {"resourceVersion": "1"}
        });
        let text = list.to_string();
        group.bench_function(sized(size), |bencher| {
            bencher.iter_custom(|pages| {
                let begin = time();
                for _ in 0..pages {
                    let (mut body, mut objects) = (ListBody::default(), Vec::with_capacity(count));
                    for piece in text.as_bytes().chunks(PIECE) {
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
        let texts: Vec<_> = (0..on_a_page(size))
            .map(|number| with_managed_fields(replica_set(size * 1000, number)).to_string())
            .collect();
        let mut texts = texts.iter().cycle();
        group.bench_function(sized(size), |bencher| {
            bencher.iter(|| Object::read(texts.next().expect("a text"), &gvk).expect("it has a name"));
        });
    }
}
