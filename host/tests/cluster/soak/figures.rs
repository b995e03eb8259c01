//! What is measured, and what is said of it.

use std::time::{Duration, Instant};

/// How much the memory may have grown from the end of the warm-up to the end, as a part of its mean: by a straight line
/// through the least of each quarter of a minute, because calls that take all they may come and go.
pub(super) const MAX_GROWTH: f64 = 0.1;

/// How long to warm up, as a part of the time; ten minutes of an hour.
const WARM_UP: f64 = 1.0 / 6.0;

/// How often memory is measured.
pub(super) const EVERY: Duration = Duration::from_millis(250);

/// So many samples are one for the straight line, the least of them.
const AT_ONCE: usize = 60;

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
        let points: Vec<_> = self.least(AT_ONCE).into_iter().filter(|(at, _)| *at >= end * WARM_UP).collect();
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| {
            let (sum, count) = points.iter().fold((0.0, 0.0), |(sum, count), point| (sum + of(point), count + 1.0));
            sum / count
        };
        let (mean_at, mean_memory) = (mean(&|(at, _)| *at), mean(&|(_, memory)| *memory));
        let covariance = mean(&|(at, memory)| (at - mean_at) * (memory - mean_memory));
        let variance = mean(&|(at, _)| (at - mean_at).powi(2));
        (covariance / variance * end * (1.0 - WARM_UP), mean_memory)
    }

    /// The least of each twelfth of the run.
    pub(super) fn course(&self) -> String {
        let least = self.least(self.samples.len().div_ceil(12));
        least.iter().map(|(_, memory)| format!("{memory:.0}")).collect::<Vec<_>>().join(", ")
    }

    /// Of each so many samples, the second of the first one and the least memory.
    fn least(&self, samples: usize) -> Vec<(f64, f64)> {
        let least = |part: &[(Duration, f64)]| {
            let memory = part.iter().map(|(_, memory)| *memory).fold(f64::INFINITY, f64::min);
            (part[0].0.as_secs_f64(), memory)
        };
        self.samples.chunks(samples).map(least).collect()
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

#[test]
fn growth_is_what_a_line_through_the_least_says_after_the_warm_up() {
    let of = |number: u32| {
        let at = f64::from(number) / 10.0;
        // What is taken for a moment does not count.
        let memory = if number.is_multiple_of(3) { 5000.0 } else { 100.0 + at };
        (Duration::from_secs_f64(at), if at < 60.0 { 5.0 } else { memory })
    };
    let (growth, mean) = Memory { start: Instant::now(), samples: (0..6000).map(of).collect() }.growth();
    assert!((growth - 500.0).abs() < 5.0 && (mean - 450.0).abs() < 10.0, "{growth} {mean}");
}
