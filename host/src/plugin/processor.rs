//! How much processor time a guest has had, with what the host does for it when it is called.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time of a future. A guest runs while one is polled, on the thread that does so.
#[derive(Debug, Default)]
pub(super) struct ProcessorTime {
    /// Of all polls that are over, in nanoseconds.
    before: AtomicU64,
    /// What the thread had had when the poll began that goes on.
    begin: AtomicU64,
}

impl ProcessorTime {
    /// Begins anew.
    pub(super) fn reset(&self) {
        self.before.store(0, Ordering::Relaxed);
    }

    /// What there was until now, asked for from within the poll that goes on.
    pub(super) fn used(&self) -> Duration {
        Duration::from_nanos(self.before.load(Ordering::Relaxed) + self.of_poll())
    }

    /// What there was in all polls that are over.
    pub(super) fn used_before(&self) -> Duration {
        Duration::from_nanos(self.before.load(Ordering::Relaxed))
    }

    /// Runs the future, whose time counts.
    pub(super) async fn count<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        std::future::poll_fn(move |context| {
            self.begin.store(of_thread(), Ordering::Relaxed);
            let poll: Poll<T> = future.as_mut().poll(context);
            self.before.fetch_add(self.of_poll(), Ordering::Relaxed);
            poll
        })
        .await
    }

    fn of_poll(&self) -> u64 {
        of_thread().saturating_sub(self.begin.load(Ordering::Relaxed))
    }
}

/// What this thread has had in its life, in nanoseconds.
fn of_thread() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn work() {
        let begin = of_thread();
        while of_thread() - begin < 20_000_000 {
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
                work();
                let first = own.used();
                tokio::time::sleep(Duration::from_millis(50)).await;
                thread::sleep(Duration::from_millis(50));
                work();
                (first, own.used())
            };
            counted.count(guest).await
        });
        let (first, both) = used.await.unwrap();
        let expected = Duration::from_millis(20);
        assert!((expected..expected * 5 / 4).contains(&first), "{first:?}");
        assert!((2 * expected..expected * 5 / 2).contains(&both), "{both:?}");
        assert!(time.used_before() >= both);
        time.reset();
        assert_eq!(time.used_before(), Duration::ZERO);
    }
}
