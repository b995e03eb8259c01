//! What the process takes, under the names of Prometheus' own client libraries, as far as the system tells.

use std::fs;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Registers what it takes now. It began at that time.
pub(super) fn register(registry: &mut Registry, began: SystemTime) {
    let since = Gauge::<f64, AtomicU64>::default();
    since.set(began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    registry.register("process_start_time_seconds", "When the process began, in seconds since 1970", since);
    let processor = Counter::<f64, AtomicU64>::default();
    processor.inc_by(processor_time().as_secs_f64());
    registry.register("process_cpu_seconds", "Processor time of the process", processor);

    let mut gauge = |name: &str, help: &str, value: Option<u64>| {
        if let Some(value) = value {
            let gauge = Gauge::<i64>::default();
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            registry.register(name, help, gauge);
        }
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    gauge("process_resident_memory_bytes", "Resident memory", bytes(&status, "VmRSS:"));
    gauge("process_virtual_memory_bytes", "Address space", bytes(&status, "VmSize:"));
    // One of them is for this folder.
    let open = fs::read_dir("/proc/self/fd").ok().map(|open| open.count().saturating_sub(1) as u64);
    gauge("process_open_fds", "Open file descriptors", open);
    gauge("process_max_fds", "How many file descriptors may be open", getrlimit(Resource::Nofile).current);
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::from_secs(time.tv_sec.cast_unsigned()) + Duration::from_nanos(time.tv_nsec.cast_unsigned())
}

/// A line of `/proc/self/status` that is in kB; see `proc_pid_status(5)`.
fn bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
