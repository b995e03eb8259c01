//! How fast a plugin is called, on this machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::given::Given;
use super::ms;
use super::reads::GivenReader;
use crate::object::{Object, ObjectRef};
use crate::plugin::{Answer, Caller, Plugin, Reader, ReconcileId, Request};

/// How many calls are made before any is counted, at least.
const WARM_UP_CALLS: usize = 20;

/// Which part of the time is spent on calls that are not counted.
const WARM_UP_SHARE: u32 = 10;

/// How many calls are counted at most, of either kind.
const MOST_CALLS: usize = 1_000_000;

/// How many fresh instances are looked at, at least.
const FEWEST_FRESH: usize = 10;

/// How fast a plugin is called: the shape of `oarlock bench --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// The object that it was called for.
    pub object: String,
    /// Its size as JSON, in bytes.
    pub object_bytes: usize,
    /// Calls of an instance that was called before. None: it is a command, or fresh by its grant file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm: Option<Calls>,
    /// Calls of a new instance each, with the start of it.
    pub fresh: Calls,
    /// Milliseconds to compile it, of one try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compile_ms: Option<f64>,
    /// Milliseconds from its compiled form to an instance that has described itself, of one try.
    pub start_ms: f64,
    /// Bytes of all memories and tables of an instance after its last call.
    pub memory: usize,
}

/// Calls, one after the other.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Calls {
    /// How many there were.
    pub count: usize,
    /// How many there were in a second.
    pub per_second: f64,
    /// Microseconds that half of them took at most.
    pub p50_us: f64,
    /// The same of 90 in 100.
    pub p90_us: f64,
    /// The same of 99 in 100.
    pub p99_us: f64,
    /// Microseconds that the longest one took.
    pub max_us: f64,
}

/// A call did not end well, so that there is nothing to measure.
#[derive(Debug, thiserror::Error)]
#[error("the call for {target} fails, so that there is nothing to measure: {reason}")]
pub struct Fails {
    target: String,
    reason: String,
}

/// Calls a plugin for an object, for about that long. What it asks for is neither checked nor done.
pub async fn measure(
    plugin: &Arc<Plugin>,
    given: &Given,
    target: &ObjectRef,
    time: Duration,
) -> Result<Measured, Fails> {
    let world = Arc::new(given.world(None));
    let object = world.look_up(target);
    let reads = Arc::new(GivenReader::new(&world, plugin, target));
    let object_bytes = object.as_ref().map_or(0, |object| object.json.len());
    let mut bench = Bench { plugin, target, object, reads, caller: Caller::default(), memory: 0 };

    let is_kept = bench.is_kept().await?;
    // Half of the time for each.
    let fresh = bench.calls(time / 2, FEWEST_FRESH, Start::Fresh).await?;
    let warm = if is_kept { Some(bench.calls(time / 2, 1, Start::Warm).await?) } else { None };
    Ok(Measured {
        object: target.to_string(),
        object_bytes,
        warm,
        fresh,
        compile_ms: plugin.arrival.compile.map(ms),
        start_ms: ms(plugin.arrival.start),
        memory: bench.memory,
    })
}

/// What a call begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// A new instance.
    Fresh,
    /// The instance of the call before.
    Warm,
}

struct Bench<'a> {
    plugin: &'a Arc<Plugin>,
    target: &'a ObjectRef,
    object: Option<Object>,
    reads: Arc<GivenReader>,
    caller: Caller,
    /// Of the instance that was called last.
    memory: usize,
}

impl Bench<'_> {
    /// Whether an instance is called again after a call.
    async fn is_kept(&mut self) -> Result<bool, Fails> {
        self.call().await?;
        Ok(self.caller.keeps().is_some())
    }

    async fn call(&mut self) -> Result<Duration, Fails> {
        let reader: Arc<dyn Reader> = Arc::clone(&self.reads) as _;
        let request = Request {
            target: self.target,
            object: self.object.as_ref(),
            attempt: 0,
            id: ReconcileId(0),
            reader: &reader,
        };
        let begin = Instant::now();
        let answer = self.caller.reconcile(self.plugin, request, self.plugin.limits.writing).await;
        let took = begin.elapsed();
        let Answer { result, usage, .. } = answer;
        self.memory = usage.memory;
        let denied = self.reads.denied().map(|denied| denied.to_string());
        let failed = denied.or_else(|| result.err().map(|error| error.to_string()));
        failed.map_or(Ok(took), |reason| Err(Fails { target: self.target.to_string(), reason }))
    }

    /// Calls it for that long and at least so often, after calls that do not count.
    async fn calls(&mut self, time: Duration, fewest: usize, start: Start) -> Result<Calls, Fails> {
        self.run(time / WARM_UP_SHARE, WARM_UP_CALLS.min(fewest), start).await?;
        let (took, all) = self.run(time, fewest, start).await?;
        Ok(Calls::of(took, all))
    }

    /// How long each call took, and how long all of them.
    async fn run(&mut self, time: Duration, fewest: usize, start: Start) -> Result<(Vec<Duration>, Duration), Fails> {
        let (mut took, begin) = (Vec::new(), Instant::now());
        while took.len() < fewest || begin.elapsed() < time && took.len() < MOST_CALLS {
            if start == Start::Fresh {
                self.caller.rest();
            }
            took.push(self.call().await?);
        }
        Ok((took, begin.elapsed()))
    }
}

impl Calls {
    /// Of calls that took so long each, at least one, and all of them together.
    fn of(mut took: Vec<Duration>, all: Duration) -> Self {
        took.sort_unstable();
        let count = took.len();
        let us = |time: Duration| (time.as_secs_f64() * 1e9).round() / 1e3;
        // The smallest one that so many in a hundred do not exceed.
        let percentile = |percent: usize| us(took[(count * percent).div_ceil(100).max(1) - 1]);
        #[allow(clippy::cast_precision_loss, reason = "there are not that many")]
        let per_second = (count as f64 / all.as_secs_f64()).round();
        Self {
            count,
            per_second,
            p50_us: percentile(50),
            p90_us: percentile(90),
            p99_us: percentile(99),
            max_us: percentile(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_calls_that_there_were() {
        let calls = |number: u64| {
            let took = (1..=number).rev().map(Duration::from_micros).collect();
            Calls::of(took, Duration::from_millis(number))
        };
        let expected =
            Calls { count: 200, per_second: 1000.0, p50_us: 100.0, p90_us: 180.0, p99_us: 198.0, max_us: 200.0 };
        assert_eq!(calls(200), expected);
        assert_eq!(
            calls(1),
            Calls { count: 1, per_second: 1000.0, p50_us: 1.0, p90_us: 1.0, p99_us: 1.0, max_us: 1.0 }
        );
        let three = calls(3);
        assert_eq!((three.p50_us, three.p90_us), (2.0, 3.0));
    }
}
