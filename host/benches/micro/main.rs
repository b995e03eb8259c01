//! What the parts of the way of an object cost, each alone: `make bench-micro`, or with a filter
//! `cargo bench -p bench-micro -- FILTER >/dev/null`. A run without a filter puts its tables into
//! `docs/benchmarks.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what does not work here is shown to whoever runs it")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures are small, and shown with three digits"
)]

mod calls;
#[path = "../support/figures.rs"]
#[allow(dead_code, reason = "there is more in it for other benchmarks")]
mod figures;
mod host;
mod objects;
#[path = "../support/page.rs"]
#[allow(dead_code, reason = "there is more in it for other benchmarks")]
mod page;
mod plugins;
mod processor;
mod table;
mod yardsticks;

use std::path::PathBuf;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use tokio::runtime::Runtime;

use crate::processor::Processor;

// print-containers is a module of this program, and takes it for the SDK: its macro hands out the function that it is given.
extern crate self as oarlock_sdk;
pub(crate) use sdk::{Failure, Outcome, Request};
macro_rules! reconciler {
    ($reconcile:path) => {
        pub(crate) const RECONCILE: fn(&crate::Request) -> Result<crate::Outcome, crate::Failure> = $reconcile;
    };
}
pub(crate) use reconciler;

/// Sizes of objects, in KB of 1000 bytes.
const SIZES: [usize; 4] = [1, 4, 16, 256];

/// Where the measuring is kept, so that the table can be made of it.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("micro")
}

/// What is measured for an object of so many KB.
fn sized(kilobytes: usize) -> BenchmarkId {
    BenchmarkId::new("KB", kilobytes)
}

fn main() {
    let criterion = Criterion::default()
        .with_measurement(Processor)
        .output_directory(&folder())
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .without_plots();
    let mut criterion = criterion.configure_from_args();
    let runtime = Runtime::new().expect("a runtime");
    yardsticks::measure(&mut criterion);
    calls::measure(&mut criterion, &runtime);
    plugins::measure(&mut criterion, &runtime);
    host::measure(&mut criterion);
    // Cargo's own argument begins with dashes; any other is a filter.
    table::tell(std::env::args().skip(1).all(|argument| argument.starts_with("--")));
}
