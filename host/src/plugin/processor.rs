//! How much processor time a guest has had, with what the host does for it when it is called.
//!
//! Asking the kernel for it takes longer than many a call. So a call is only timed, by a clock that is read without the
//! kernel, until its first epoch ends; from then on the kernel is asked.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::sandbox::TICK;

/// The processor time of a future. A guest runs while one is polled, on the thread that does so.
#[derive(Debug, Default)]
pub(super) struct ProcessorTime {
    /// Of all polls that are over, in nanoseconds.
    before: AtomicU64,
    /// What the clock showed when the poll began that goes on.
    begin: AtomicU64,
    /// An epoch has ended in the call, and the clock is that of the thread.
    is_long: AtomicBool,
}

impl ProcessorTime {
    /// Begins anew.
    pub(super) fn reset(&self) {
        self.before.store(0, Ordering::Relaxed);
        self.is_long.store(false, Ordering::Relaxed);
    }

    /// What there was until now, at the end of an epoch, within the poll that goes on.
    pub(super) fn used_at_tick(&self) -> Duration {
        if !self.is_long.load(Ordering::Relaxed) {
            self.end_poll();
            self.is_long.store(true, Ordering::Relaxed);
            self.begin_poll();
        }
        Duration::from_nanos(self.before.load(Ordering::Relaxed) + self.of_poll())
    }

    /// What there was in all polls that are over. Of a call within one epoch, it is the time that these took, which is more
    /// where the thread had to wait for a processor, but no more than an epoch for each.
    pub(super) fn used_before(&self) -> Duration {
        Duration::from_nanos(self.before.load(Ordering::Relaxed))
    }

    /// Runs the future, whose time counts.
    pub(super) async fn count<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        std::future::poll_fn(move |context| {
            self.begin_poll();
            let poll: Poll<T> = future.as_mut().poll(context);
            self.end_poll();
            poll
        })
        .await
    }

    fn begin_poll(&self) {
        self.begin.store(self.clock(), Ordering::Relaxed);
    }

    fn end_poll(&self) {
        self.before.fetch_add(self.of_poll(), Ordering::Relaxed);
    }

    fn of_poll(&self) -> u64 {
        let time = self.clock().saturating_sub(self.begin.load(Ordering::Relaxed));
        if self.is_long.load(Ordering::Relaxed) { time } else { time.min(EPOCH) }
    }

    /// In nanoseconds.
    fn clock(&self) -> u64 {
        read(if self.is_long.load(Ordering::Relaxed) { ClockId::ThreadCPUTime } else { ClockId::Monotonic })
    }
}

/// In nanoseconds. What runs for longer is interrupted by the end of an epoch.
#[allow(clippy::cast_possible_truncation, reason = "it is 10 ms")]
const EPOCH: u64 = TICK.as_nanos() as u64;

/// What that clock shows, in nanoseconds.
fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn work(milliseconds: u64) {
        let begin = read(ClockId::ThreadCPUTime);
        while read(ClockId::ThreadCPUTime) - begin < milliseconds * 1_000_000 {
            std::hint::black_box(begin);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_worked_counts_on_whatever_thread_and_what_is_waited_does_not() {
        let time = Arc::new(ProcessorTime::default());
        let counted = Arc::clone(&time);
        let used = tokio::spawn(async move {
            let own = Arc::clone(&counted);
            let guest = async move {
                // As at the end of an epoch that ends at once.
                own.used_at_tick();
                work(20);
                let first = own.used_at_tick();
                tokio::time::sleep(Duration::from_millis(50)).await;
                thread::sleep(Duration::from_millis(50));
                work(20);
                (first, own.used_at_tick())
            };
            counted.count(guest).await
        });
        let (first, both) = used.await.unwrap();
        let expected = Duration::from_millis(20);
        // Less than with one of the pauses.
        assert!((expected..expected * 3).contains(&first), "{first:?}");
        assert!((2 * expected..expected * 4).contains(&both), "{both:?}");
        assert!(time.used_before() >= both);
        time.reset();
        assert_eq!(time.used_before(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_call_within_an_epoch_counts_what_it_worked_and_one_that_is_held_up_no_more_than_an_epoch() {
        let time = ProcessorTime::default();
        time.count(async { work(1) }).await;
        let short = time.used_before();
        assert!(short >= Duration::from_millis(1) && short <= TICK, "{short:?}");
        time.reset();
        time.count(async { thread::sleep(4 * TICK) }).await;
        assert_eq!(time.used_before(), TICK);
        time.reset();
        let held_up = async {
            thread::sleep(4 * TICK);
            time.used_at_tick()
        };
        let used = time.count(held_up).await;
        assert!((TICK..2 * TICK).contains(&used), "{used:?}");
    }
}
