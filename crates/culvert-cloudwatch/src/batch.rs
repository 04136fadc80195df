//! When events gathered so far are to be delivered.

use std::time::{Duration, Instant};

/// Most events of a call.
const MAX_EVENTS: usize = 10_000;
/// Most bytes of a call, with [`OVERHEAD`] for each event.
const MAX_BYTES: usize = 1 << 20;
/// What an event counts beside its text.
const OVERHEAD: usize = 26;
/// How long events wait for others.
const PATIENCE: Duration = Duration::from_secs(2);

/// Events that are delivered together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Batch {
    events: usize,
    bytes: usize,
    began: Option<Instant>,
}

impl Batch {
    /// Whether there is room for an event of this length.
    pub(crate) const fn fits(&self, length: usize) -> bool {
        self.events < MAX_EVENTS && self.bytes + length + OVERHEAD <= MAX_BYTES
    }

    /// Adds an event. One that is too long for any batch is for the service to refuse.
    pub(crate) fn add(&mut self, length: usize, now: Instant) {
        self.events += 1;
        self.bytes += length + OVERHEAD;
        self.began.get_or_insert(now);
    }

    /// When it is to be delivered; `None` while it is empty.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.began.map(|began| began + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_full_by_number_or_size_and_due_after_a_while() {
        let now = Instant::now();
        let mut batch = Batch::default();
        assert_eq!(batch.due(), None);
        for _ in 0..MAX_EVENTS {
            assert!(batch.fits(10));
            batch.add(10, now);
        }
        assert!(!batch.fits(10));
        assert_eq!(batch.due(), Some(now + PATIENCE));
        let mut large = Batch::default();
        large.add(MAX_BYTES - 2 * OVERHEAD - 5, now + PATIENCE);
        assert!(large.fits(5) && !large.fits(6));
    }
}
