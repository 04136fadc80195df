//! A bound on concurrent work with a bounded, impatient queue in front.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Most that wait for a free slot, per slot.
const QUEUE_PER_SLOT: usize = 64;

/// Longest wait for a free slot. A VPN client gives up on its handshake after 60 s.
const PATIENCE: Duration = Duration::from_secs(20);

/// Admits a bounded number at a time.
#[derive(Debug)]
pub struct Gate {
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
    patience: Duration,
}

/// Counts a waiter for as long as it waits, also if its future is dropped.
struct Waiter<'a>(&'a AtomicUsize);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// A gate with that many slots (at least one).
    pub fn new(slots: usize) -> Self {
        Self::with_patience(slots, PATIENCE)
    }

    fn with_patience(slots: usize, patience: Duration) -> Self {
        let slots = slots.max(1);
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            waiting: AtomicUsize::new(0),
            max_waiting: slots.saturating_mul(QUEUE_PER_SLOT),
            patience,
        }
    }

    /// A slot, or `None` if too many wait or the wait takes too long.
    pub async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.max_waiting {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let _waiter = Waiter(&self.waiting);
        timeout(self.patience, Arc::clone(&self.slots).acquire_owned())
            .await
            .ok()?
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_gate_lets_nobody_wait_for_ever() {
        let gate = Gate::with_patience(1, Duration::from_millis(50));
        let held = gate.enter().await.unwrap();
        assert!(gate.enter().await.is_none(), "after the patience is over");
        drop(held);
        assert!(gate.enter().await.is_some());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_recovers() {
        let gate = Arc::new(Gate::new(1));
        let held = gate.enter().await.unwrap();
        let mut waiters = Vec::new();
        for _ in 0..QUEUE_PER_SLOT {
            let gate = Arc::clone(&gate);
            waiters.push(tokio::spawn(async move { gate.enter().await.is_some() }));
        }
        while gate.waiting.load(Ordering::Relaxed) < QUEUE_PER_SLOT {
            tokio::task::yield_now().await;
        }
        let refused = timeout(Duration::from_secs(5), gate.enter()).await;
        assert!(matches!(refused, Ok(None)), "at once, not after the patience");
        waiters.iter().for_each(tokio::task::JoinHandle::abort);
        for waiter in waiters {
            assert!(waiter.await.is_err());
        }
        drop(held);
        assert!(gate.enter().await.is_some());
    }
}
