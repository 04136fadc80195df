//! The time an input happened, handed to the core by whoever owns the clocks.

use std::time::{Duration, Instant};

/// One moment, on the monotonic clock for timers and on the wall clock for what goes on the wire.
///
/// The core never reads a clock; every `handle_*` call brings its `Now`, and time never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time: timers and durations.
    pub instant: Instant,
    /// Wall clock: seconds since the Unix epoch.
    pub unix: u64,
}

impl Now {
    /// The moment `by` later on both clocks; whole seconds only are added to the wall clock.
    ///
    /// A sum no clock can represent leaves that clock where it was.
    pub fn later(self, by: Duration) -> Self {
        Self {
            instant: self.instant.checked_add(by).unwrap_or(self.instant),
            unix: self.unix.saturating_add(by.as_secs()),
        }
    }

    /// Wall clock seconds as the 32-bit value that control wrappers carry; wraps in 2106.
    pub fn unix32(self) -> u32 {
        (self.unix & u64::from(u32::MAX)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_moves_both_clocks() {
        let now = Now {
            instant: Instant::now(),
            unix: 100,
        };
        let then = now.later(Duration::from_millis(2500));
        assert_eq!(then.instant - now.instant, Duration::from_millis(2500));
        assert_eq!(then.unix, 102);
    }

    #[test]
    fn the_wall_clock_wraps_to_32_bits() {
        let now = Now {
            instant: Instant::now(),
            unix: (1 << 32) + 7,
        };
        assert_eq!(now.unix32(), 7);
    }
}
