//! One direction of a link that loses, delays, reorders and duplicates, all by a seed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use culvert_crypto::{Entropy, SeededEntropy};

/// How bad a link is. Rates are out of 1000.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quality {
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    /// Packets are delayed by up to this much more than the 10 ms each takes.
    pub(crate) jitter_ms: u64,
}

pub(crate) struct Link {
    quality: Quality,
    random: SeededEntropy,
    flying: BTreeMap<(Instant, u64), Vec<u8>>,
    sequence: u64,
    pub(crate) cut: bool,
}

impl Link {
    pub(crate) fn new(quality: Quality, seed: u64) -> Self {
        Self {
            quality,
            random: SeededEntropy::new(seed),
            flying: BTreeMap::new(),
            sequence: 0,
            cut: false,
        }
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        self.random.next_u64() % 1000 < per_mille
    }

    pub(crate) fn send(&mut self, now: Instant, packet: Vec<u8>) {
        if self.cut || self.chance(self.quality.loss) {
            return;
        }
        let copies = if self.chance(self.quality.duplication) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let jitter = self.random.next_u64() % (self.quality.jitter_ms + 1);
            let at = now + Duration::from_millis(10 + jitter);
            self.sequence += 1;
            self.flying.insert((at, self.sequence), packet.clone());
        }
    }

    /// Nothing gets through any more, not even what is on its way.
    pub(crate) fn sever(&mut self) {
        self.cut = true;
        self.flying.clear();
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.flying.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        let entry = self.flying.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }
}
