//! Interrupt moderation for a worker: under load it rests a moment before it looks for packets again, so that the next look
//! finds many.
//!
//! A peer that sends its datagrams one by one wakes a worker that is faster than itself for every single one. What a packet
//! costs then is the wake-up, the system calls and the walk through the kernel's stack; joined with its successors it costs a
//! fraction. Network cards know the same trade (`rx-usecs`). A quiet worker never rests, so a lone ping pays nothing. How long
//! a rest may be at most is the setting `moderation`: what a busy tunnel's round trip grows by, in each direction; whether it
//! becomes that long, [`Ceiling`] finds out.

mod ceiling;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use culvert_config::MIN_MODERATION;

use ceiling::Ceiling;

/// Packets a rest is meant to gather.
const GATHER: f64 = 128.0;
/// Packets per second below which a worker doesn't rest: they cost little however they come.
const BUSY: f64 = 10_000.0;
/// What is left of an observation with each further one.
const FADE: f64 = 0.75;
/// How far beyond its end the kernel may stretch a rest, in nanoseconds; its default is 50 microseconds.
const SLACK_NS: libc::c_ulong = 5_000;

/// Packets per second lately: each observation counts for less with every further one, and a long silence outweighs all
/// before it.
#[derive(Debug, Default)]
struct Rate {
    packets: f64,
    seconds: f64,
}

impl Rate {
    /// Notes what came in a stretch of time.
    fn observe(&mut self, packets: u64, time: Duration) {
        self.packets = self.packets * FADE + packets as f64;
        self.seconds = self.seconds * FADE + time.as_secs_f64();
    }

    /// Packets per second.
    fn get(&self) -> f64 {
        // Observations without length happen on coarse clocks.
        self.packets / self.seconds.max(1e-6)
    }

    /// How long to rest at this rate, if at most so long.
    fn rest(&self, longest: Duration) -> Option<Duration> {
        if self.get() < BUSY {
            return None;
        }
        let rest = Duration::from_secs_f64(GATHER / self.get()).min(longest);
        (rest >= MIN_MODERATION).then_some(rest)
    }
}

/// One worker's moderation. Only the worker's thread uses it; it is shareable because the runtime's hooks have to be.
#[derive(Debug)]
pub(crate) struct Moderation {
    longest: Duration,
    handled: AtomicU64,
    observed: Mutex<Observed>,
}

/// What was seen of the load.
#[derive(Debug)]
struct Observed {
    last: Instant,
    rate: Rate,
    ceiling: Ceiling,
}

impl Observed {
    /// Notes what came since the last time; returns how long to rest.
    fn observe(&mut self, packets: u64, now: Instant) -> Option<Duration> {
        let time = now.duration_since(self.last);
        self.last = now;
        self.rate.observe(packets, time);
        let rest = self.rate.rest(self.ceiling.get());
        if rest.is_some() {
            self.ceiling.observe(packets, time);
        } else if self.rate.get() < BUSY {
            self.ceiling.reset();
        }
        rest
    }
}

impl Moderation {
    /// The moderation of a worker that is just starting, with rests of at most so long; none at all if it is zero.
    pub(crate) fn new(longest: Duration) -> Self {
        Self {
            longest,
            handled: AtomicU64::new(0),
            observed: Mutex::new(Observed {
                last: Instant::now(),
                rate: Rate::default(),
                ceiling: Ceiling::new(longest),
            }),
        }
    }

    /// Makes rests of the calling thread end on time. A kernel that refuses rests a little longer, no more.
    pub(crate) fn prepare_thread() {
        let _rests_longer = nix::sys::prctl::set_timerslack(SLACK_NS);
    }

    /// Counts packets the worker handled.
    pub(crate) fn handled(&self, packets: u64) {
        self.handled.fetch_add(packets, Ordering::Relaxed);
    }

    /// Called when the worker is about to wait: rests if it was busy lately.
    pub(crate) fn rest(&self) {
        if self.longest.is_zero() {
            return;
        }
        let packets = self.handled.swap(0, Ordering::Relaxed);
        let rest = {
            let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
            observed.observe(packets, Instant::now())
        };
        if let Some(rest) = rest {
            std::thread::sleep(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_config::{DEFAULT_MODERATION, MAX_MODERATION};

    /// A rate after a tenth of a second of so many packets per millisecond.
    fn after_load(per_ms: u64) -> Rate {
        let mut rate = Rate::default();
        for _ in 0..100 {
            rate.observe(per_ms, Duration::from_millis(1));
        }
        rate
    }

    #[test]
    fn a_quiet_worker_does_not_rest() {
        assert_eq!(Rate::default().rest(MAX_MODERATION), None);
        assert_eq!(after_load(1).rest(MAX_MODERATION), None, "pings and calls");
    }

    #[test]
    fn a_busy_worker_rests_shorter_the_more_there_is_and_never_long() {
        for longest in [MIN_MODERATION, DEFAULT_MODERATION, MAX_MODERATION] {
            assert_eq!(after_load(50).rest(longest), Some(longest));
            let busier = after_load(2_000).rest(longest).unwrap();
            assert!(busier <= longest && busier >= MIN_MODERATION, "{busier:?}");
            let busiest = after_load(20_000).rest(longest);
            assert_eq!(busiest, None, "there is always something to do");
        }
        let (default, longer) = (DEFAULT_MODERATION, MAX_MODERATION);
        assert_eq!(after_load(2_000).rest(default), after_load(2_000).rest(longer));
        assert!(after_load(2_000).rest(default) < Some(default));
    }

    #[test]
    fn without_a_longest_rest_a_worker_never_rests() {
        assert_eq!(after_load(50).rest(Duration::ZERO), None);
    }

    #[test]
    fn one_silence_ends_the_resting() {
        let mut rate = after_load(50);
        rate.observe(1, Duration::from_millis(50));
        assert_eq!(rate.rest(MAX_MODERATION), None);
    }
}
