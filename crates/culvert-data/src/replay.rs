//! The replay window: which packet ids of one key were already seen.
//!
//! A sliding bitmap as in RFC 6479. It is deliberately larger than the 64 ids stock OpenVPN keeps and has no time rule:
//! a peer cannot tell the difference, and packets that several receive queues reordered still get in.

/// 64-bit words of the bitmap.
const WORDS: usize = 32;

/// Bits in one word.
const WORD_BITS: u64 = u64::BITS as u64;

/// How far below the highest id an id is still accepted.
///
/// One word less than the bitmap holds, because the word the highest id lives in is only partly used.
pub const REPLAY_WINDOW: u64 = (WORDS as u64 - 1) * WORD_BITS;

/// Where an accepted id stands among those seen before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Higher than every id seen before.
    Newest,
    /// A late packet, still within the window.
    Late,
}

/// Sliding window over the packet ids of one key in one direction.
///
/// Ask it only about packets that authenticated: it believes what it is told.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    highest: u64,
    seen: [u64; WORDS],
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplayWindow {
    /// A window that has seen nothing; the first acceptable id is 1.
    pub const fn new() -> Self {
        Self {
            highest: 0,
            seen: [0; WORDS],
        }
    }

    /// The highest id accepted so far; 0 before the first.
    pub const fn highest(&self) -> u64 {
        self.highest
    }

    /// Marks `id` as seen; `None` if it is 0, was seen before, or lies below the window.
    pub fn accept(&mut self, id: u64) -> Option<Freshness> {
        if id == 0 {
            return None;
        }
        let freshness = if id > self.highest {
            self.slide_to(id);
            Freshness::Newest
        } else if self.highest - id >= REPLAY_WINDOW {
            return None;
        } else {
            Freshness::Late
        };
        let word = &mut self.seen[Self::word_of(id)];
        let bit = 1u64 << (id % WORD_BITS);
        if *word & bit != 0 {
            return None;
        }
        *word |= bit;
        Some(freshness)
    }

    /// Makes `id` the highest and forgets the words that leave the window.
    fn slide_to(&mut self, id: u64) {
        let from = self.highest / WORD_BITS;
        let to = id / WORD_BITS;
        let steps = (to - from).min(WORDS as u64);
        for step in 1..=steps {
            self.seen[((from + step) % WORDS as u64) as usize] = 0;
        }
        self.highest = id;
    }

    const fn word_of(id: u64) -> usize {
        ((id / WORD_BITS) % WORDS as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn id_zero_is_never_accepted() {
        assert_eq!(ReplayWindow::new().accept(0), None);
    }

    #[test]
    fn an_id_is_accepted_once() {
        let mut window = ReplayWindow::new();
        assert_eq!(window.accept(1), Some(Freshness::Newest));
        assert_eq!(window.accept(1), None);
        assert_eq!(window.accept(5), Some(Freshness::Newest));
        assert_eq!(window.accept(3), Some(Freshness::Late));
        assert_eq!(window.accept(3), None);
        assert_eq!(window.accept(5), None);
    }

    #[test]
    fn the_window_is_at_least_as_wide_as_the_one_stock_keeps() {
        let mut window = ReplayWindow::new();
        window.accept(1_000_000);
        assert_eq!(window.accept(1_000_000 - 63), Some(Freshness::Late));
        assert_eq!(
            window.accept(1_000_000 - (REPLAY_WINDOW - 1)),
            Some(Freshness::Late)
        );
        assert_eq!(window.accept(1_000_000 - REPLAY_WINDOW), None);
    }

    #[test]
    fn a_jump_over_the_whole_window_forgets_the_old_bits_and_keeps_refusing_old_ids() {
        let mut window = ReplayWindow::new();
        for id in 1..=2048 {
            assert!(window.accept(id).is_some());
        }
        assert!(window.accept(u64::MAX).is_some());
        assert_eq!(window.accept(2048), None);
        assert_eq!(window.accept(u64::MAX - 1), Some(Freshness::Late));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_set_of_seen_ids(ids in prop::collection::vec(
            prop_oneof![1u64..300, 1u64..6000, 1_000_000u64..1_000_100], 0..600)) {
            let mut window = ReplayWindow::new();
            let mut seen = HashSet::new();
            let mut highest = 0;
            for id in ids {
                let fresh = (id > highest || highest - id < REPLAY_WINDOW) && seen.insert(id);
                let newest = id > highest;
                highest = highest.max(id);
                let verdict = window.accept(id);
                prop_assert_eq!(verdict.is_some(), fresh);
                if fresh {
                    prop_assert_eq!(verdict == Some(Freshness::Newest), newest);
                }
                prop_assert_eq!(window.highest(), highest);
            }
        }
    }
}
