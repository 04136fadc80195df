//! Leases: keys that vanish when their owner stops saying that it lives.

use std::fmt;
use std::time::{Duration, Instant};

use crate::error::StoreError;

/// Shortest time to live: etcd counts in seconds.
pub const MIN_TTL: Duration = Duration::from_secs(1);

/// Longest time to live: a year.
pub const MAX_TTL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Names a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A lease that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// How long it lives after it was granted or kept alive.
    pub ttl: Duration,
    /// How long it lives from now on.
    pub remaining: Duration,
}

/// Refuses a time to live that not every store could keep.
pub(crate) fn check_ttl(ttl: Duration) -> Result<(), StoreError> {
    if (MIN_TTL..=MAX_TTL).contains(&ttl) {
        Ok(())
    } else {
        Err(StoreError::Ttl { ttl })
    }
}

/// Where a store that keeps its own time gets it from. The real one is `Instant::now`, given by the daemon.
pub trait Clock: Send + Sync {
    /// The moment, on a clock that never goes back.
    fn now(&self) -> Instant;
}

impl<F: Fn() -> Instant + Send + Sync> Clock for F {
    fn now(&self) -> Instant {
        self()
    }
}
