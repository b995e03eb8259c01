//! Memory that is free goes back to the kernel.
//!
//! glibc's allocator keeps most of what is freed, for whoever allocates next: what was needed once, for the first list or by
//! plugins that are not called any more, would be the host's for ever.

use std::time::Duration;

/// How often that is done. It takes less than a millisecond for each hundred MB that the host has.
const EVERY: Duration = Duration::from_secs(15);

/// Gives back what is free, from time to time.
pub async fn give_back() {
    loop {
        tokio::time::sleep(EVERY).await;
        // It has each of the allocator's locks for a moment.
        let _ = tokio::task::spawn_blocking(trim).await;
    }
}

#[cfg(target_env = "gnu")]
fn trim() {
    // SAFETY: it may be called at any time, from any thread.
    #[allow(unsafe_code, reason = "no crate wraps it")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators do it by themselves.
#[cfg(not(target_env = "gnu"))]
fn trim() {}
