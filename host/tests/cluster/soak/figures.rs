//! What is measured, and what is said of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How much the memory may have grown from the end of the warm-up to the end, by a straight line through all that was
/// measured in between, as a part of its mean: less than what a run swings by.
pub(super) const MAX_GROWTH: f64 = 0.1;

/// How long to warm up, as a part of the time; ten minutes of an hour.
const WARM_UP: f64 = 1.0 / 6.0;

/// Memory over time, in MiB.
pub(super) struct Memory {
    start: Instant,
    samples: Vec<(Duration, f64)>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), samples: Vec::new() }
    }

    pub(super) fn add(&mut self, memory: f64) {
        self.samples.push((self.start.elapsed(), memory));
    }

    /// After the warm-up, by a straight line: how much it has grown, and its mean.
    pub(super) fn growth(&self) -> (f64, f64) {
        let end = self.samples.last().map_or(0.0, |(at, _)| at.as_secs_f64());
        let points = self.samples.iter().map(|(at, memory)| (at.as_secs_f64(), *memory));
        let points: Vec<_> = points.filter(|(at, _)| *at >= end * WARM_UP).collect();
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| {
            let (sum, count) = points.iter().fold((0.0, 0.0), |(sum, count), point| (sum + of(point), count + 1.0));
            sum / count
        };
        let (mean_at, mean_memory) = (mean(&|(at, _)| *at), mean(&|(_, memory)| *memory));
        let covariance = mean(&|(at, memory)| (at - mean_at) * (memory - mean_memory));
        let variance = mean(&|(at, _)| (at - mean_at).powi(2));
        (covariance / variance * end * (1.0 - WARM_UP), mean_memory)
    }

    /// The medians of twelve parts of the run.
    pub(super) fn course(&self) -> String {
        let median = |part: &[(Duration, f64)]| {
            let mut memory: Vec<_> = part.iter().map(|(_, memory)| *memory).collect();
            memory.sort_by(f64::total_cmp);
            format!("{:.0}", memory[memory.len() / 2])
        };
        self.samples.chunks(self.samples.len().div_ceil(12)).map(median).collect::<Vec<_>>().join(", ")
    }
}

/// The median and the greatest of times, in seconds.
pub(super) fn median_and_max(times: &[Duration]) -> String {
    let mut times: Vec<_> = times.iter().map(Duration::as_secs_f64).collect();
    times.sort_by(f64::total_cmp);
    match times.last() {
        Some(max) => format!("{:.1} s, {max:.1} s", times[times.len() / 2]),
        None => "none".to_owned(),
    }
}

/// How often an API server was asked to list and to watch ReplicaSets, which is what the host asks for, by what it counts.
pub(super) fn count_requests(metrics: &str, counts: &mut BTreeMap<String, u64>) {
    for line in metrics.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        let label = |name: &str| Some(line.split_once(&format!("{name}=\""))?.1.split_once('"')?.0);
        let (Some("replicasets"), Some(verb @ ("LIST" | "WATCH"))) = (label("resource"), label("verb")) else {
            continue;
        };
        let count = line.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        *counts.entry(verb.to_owned()).or_default() += count;
    }
}

#[test]
fn growth_is_what_a_line_says_after_the_warm_up() {
    let start = Instant::now();
    let of = |at: u32| (Duration::from_secs(at.into()), if at < 10 { 5.0 } else { 1000.0 + f64::from(at) });
    let samples = (0..60).map(of).collect();
    let (growth, mean) = Memory { start, samples }.growth();
    assert!((growth - 49.0).abs() < 0.5 && (mean - 1034.5).abs() < 0.5, "{growth} {mean}");
}
