//! Memory that is free goes back to the kernel.
//!
//! glibc's allocator keeps most of what is freed, for whoever allocates next: what was needed once, for the first list or by
//! plugins that are not called any more, would be the host's for ever.

use std::time::Duration;

/// How often free memory is given back. It takes less than a millisecond for each hundred MB that the host has.
const EVERY: Duration = Duration::from_secs(15);

/// Gives back what is large as soon as it is free, and the rest from time to time.
pub async fn give_back() {
    allocator::give_back_at_once();
    loop {
        tokio::time::sleep(EVERY).await;
        // It has each of the allocator's locks for a moment.
        let _ = tokio::task::spawn_blocking(allocator::give_back).await;
    }
}

#[cfg(target_env = "gnu")]
mod allocator {
    /// From so many bytes on, memory is had from the kernel, and goes back there.
    const LARGE: i32 = 128 << 10;

    /// By default that is so at first, and glibc keeps ever larger pieces, once pieces of their size were freed.
    pub(super) fn give_back_at_once() {
        // SAFETY: it may be called at any time, from any thread.
        #[allow(unsafe_code, reason = "no crate wraps it")]
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        }
    }

    pub(super) fn give_back() {
        // SAFETY: it may be called at any time, from any thread.
        #[allow(unsafe_code, reason = "no crate wraps it")]
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Other allocators do it by themselves.
#[cfg(not(target_env = "gnu"))]
mod allocator {
    pub(super) fn give_back_at_once() {}

    pub(super) fn give_back() {}
}
