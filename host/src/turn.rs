//! Taking turns: what the host does for one call, however much it is, holds up nobody else. Of guests themselves, wasmtime
//! sees to that.

/// After so many bytes of JSON others get their turn. They take a millisecond or two.
const BYTES: usize = 1 << 20;

/// A turn of work on the JSON of many objects, which ends now and then to let others run.
#[derive(Debug, Default)]
pub struct Turn {
    worked: usize,
}

impl Turn {
    /// So many bytes more are to be worked on.
    pub async fn work(&mut self, bytes: usize) {
        if self.worked >= BYTES {
            self.worked = 0;
            tokio::task::yield_now().await;
        }
        self.worked += bytes;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn others_run_after_so_many_bytes_and_however_many_an_object_has() {
        let mut turn = Turn::default();
        for _ in 0..2 {
            assert!(turn.work(BYTES / 2).now_or_never().is_some());
        }
        assert!(turn.work(10 * BYTES).now_or_never().is_none());
        turn.work(10 * BYTES).await;
        assert!(turn.work(1).now_or_never().is_none());
    }
}
