//! Memory that a flood of questions took goes back to the system.
//!
//! Thousands of questions wait at a time while upstreams are silent. When they are gone, glibc keeps their memory for itself,
//! because something that lasts lies behind it in every heap; only `malloc_trim(3)` gives back what lies between.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::dns::Handler;
use crate::resolver::Snapshots;

/// How often the questions that wait are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Questions that waited at the same time: below, their memory is too little to care.
const MANY: usize = 256;
/// Of as many as waited, no more than one in so many may still wait.
const FEW: usize = 8;

/// Gives memory back after each flood of questions, until the task is dropped.
pub async fn give_back<P: Snapshots>(handler: Arc<Handler<P>>) {
    let mut most = 0;
    loop {
        sleep(LOOK).await;
        let waiting = handler.waiting.length();
        most = most.max(handler.waiting.take_longest());
        if most >= MANY && waiting < most / FEW {
            trim();
            most = 0;
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    // SAFETY: the call takes no pointer and may be made at any time by any thread (malloc_trim(3)).
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators give memory back themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
