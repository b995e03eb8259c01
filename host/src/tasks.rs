//! The tasks that the host consists of. None may end in a way that nobody notices.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use tokio::sync::SetOnce;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of the host; cheap to clone.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failure: Arc<SetOnce<anyhow::Error>>,
}

impl Tasks {
    /// No tasks yet. `stop` is cancelled when one fails.
    pub fn new(stop: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), stop, failure: Arc::default() }
    }

    /// Runs a task. If it fails or panics, the host stops, and [`Tasks::finish`] tells why.
    pub fn spawn(
        &self,
        what: impl Into<String>,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) -> JoinHandle<()> {
        let (what, stop, failure) = (what.into(), self.stop.clone(), Arc::clone(&self.failure));
        self.tracker.spawn(async move {
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            let error = match ended {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(_) => anyhow::anyhow!("it panicked, which is a defect of the host"),
            };
            // The first failure is the one to tell of.
            let _ = failure.set(error.context(what));
            stop.cancel();
        })
    }

    /// Waits for all tasks to end. An error is why one of them failed.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.tracker.close();
        self.tracker.wait().await;
        self.failure.get().map_or(Ok(()), |failure| Err(anyhow::anyhow!("{failure:#}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_or_fails_stops_the_host_and_is_told() {
        for (task, reason) in [
            (async { panic!("on purpose") }.boxed(), "counting: it panicked, which is a defect of the host"),
            (async { Err(anyhow::anyhow!("no more numbers")) }.boxed(), "counting: no more numbers"),
        ] {
            let stop = CancellationToken::new();
            let tasks = Tasks::new(stop.clone());
            tasks.spawn("counting", task);
            stop.cancelled().await;
            assert_eq!(format!("{:#}", tasks.finish().await.unwrap_err()), reason);
        }
    }

    #[tokio::test]
    async fn tasks_that_end_well_stop_nothing() {
        let stop = CancellationToken::new();
        let tasks = Tasks::new(stop.clone());
        tasks.spawn("counting", async { Ok(()) });
        tasks.finish().await.unwrap();
        assert!(!stop.is_cancelled());
    }
}
