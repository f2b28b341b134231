//! Time on a processor, which a busy machine or a slow disk does not lengthen.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time that this thread has been on a processor.
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
