//! The one place where the daemon reads the clocks; the core is told the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use culvert_wire::Now;

/// The time, on both clocks.
pub(crate) fn now() -> Now {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Now {
        instant: Instant::now(),
        unix,
    }
}
