//! The clocks: the time for the clients, and what this process used of the processors.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use culvert_wire::Now;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

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

/// Time and processor time since a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    started: Instant,
    cpu: Duration,
}

impl Stopwatch {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            cpu: cpu_time(),
        }
    }

    /// Seconds that passed.
    pub(crate) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Seconds this process kept a processor busy, in user space and in the kernel.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_time().saturating_sub(self.cpu).as_secs_f64()
    }
}

/// What this process has used so far. Zero where the kernel doesn't tell, which Linux always does.
fn cpu_time() -> Duration {
    let duration = |time: TimeVal| {
        let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
        Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    };
    getrusage(UsageWho::RUSAGE_SELF)
        .map(|usage| duration(usage.user_time()) + duration(usage.system_time()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_as_processor_time_and_sleep_does_not() {
        let watch = Stopwatch::start();
        std::thread::sleep(Duration::from_millis(50));
        let asleep = watch.cpu_seconds();
        while watch.seconds() < 0.1 {
            std::hint::spin_loop();
        }
        // Other tests of this process may work meanwhile, so only the growth is certain.
        assert!(watch.cpu_seconds() > asleep);
        assert!(watch.seconds() >= 0.1);
    }
}
