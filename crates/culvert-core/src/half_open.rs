//! Sessions that have not authenticated: a bounded pool in which newcomers push out the oldest.
//!
//! Three queues. Sessions that were refused and linger to deliver the news give way first. Of the others, those in
//! the handshake and those whose credentials are being judged, the longer queue gives way: neither a flood of
//! handshakes nor one of logins that are never decided can take the whole pool.

use std::collections::BTreeMap;

use crate::ClientId;
use crate::settings::HalfOpenLimits;

/// How far a half-open session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HalfOpenStage {
    /// No complete key exchange yet.
    Handshake,
    /// Its credentials arrived and are being judged.
    Judging,
    /// Refused, and about to be forgotten.
    Refused,
}

/// The pool. Ids grow with time, so the smallest id is the oldest session.
#[derive(Debug, Default)]
pub(crate) struct HalfOpen {
    handshake: BTreeMap<ClientId, usize>,
    judging: BTreeMap<ClientId, usize>,
    refused: BTreeMap<ClientId, usize>,
    bytes: usize,
}

impl HalfOpen {
    /// Adds a session, or moves it to another stage, and notes how many bytes it holds.
    pub(crate) fn note(&mut self, client: ClientId, stage: HalfOpenStage, bytes: usize) {
        self.remove(client);
        let queue = match stage {
            HalfOpenStage::Handshake => &mut self.handshake,
            HalfOpenStage::Judging => &mut self.judging,
            HalfOpenStage::Refused => &mut self.refused,
        };
        queue.insert(client, bytes);
        self.bytes += bytes;
    }

    /// Takes a session out: it authenticated or ended.
    pub(crate) fn remove(&mut self, client: ClientId) {
        for queue in [&mut self.handshake, &mut self.judging, &mut self.refused] {
            self.bytes -= queue.remove(&client).unwrap_or(0);
        }
    }

    /// The session to evict, if the pool is over its limits.
    pub(crate) fn over(&self, limits: &HalfOpenLimits) -> Option<ClientId> {
        if self.len() <= limits.sessions && self.bytes <= limits.bytes {
            return None;
        }
        let longer = if self.judging.len() > self.handshake.len() {
            &self.judging
        } else {
            &self.handshake
        };
        let oldest = self
            .refused
            .first_key_value()
            .or_else(|| longer.first_key_value());
        oldest.map(|(client, _)| *client)
    }

    pub(crate) fn len(&self) -> usize {
        self.handshake.len() + self.judging.len() + self.refused.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HalfOpenLimits = HalfOpenLimits {
        sessions: 3,
        bytes: 100,
    };

    fn filled(stages: &[HalfOpenStage]) -> HalfOpen {
        let mut pool = HalfOpen::default();
        for (id, stage) in (1..).zip(stages) {
            pool.note(ClientId(id), *stage, 10);
        }
        pool
    }

    #[test]
    fn who_was_refused_gives_way_first() {
        use HalfOpenStage::{Handshake, Judging, Refused};
        let pool = filled(&[Handshake, Judging, Refused, Refused]);
        assert_eq!(pool.over(&LIMITS), Some(ClientId(3)));
    }

    #[test]
    fn the_oldest_of_the_longer_queue_gives_way() {
        use HalfOpenStage::{Handshake, Judging};
        let mut pool = filled(&[Judging, Handshake, Handshake, Handshake]);
        assert_eq!(pool.over(&LIMITS), Some(ClientId(2)));
        pool.remove(ClientId(2));
        assert_eq!(pool.over(&LIMITS), None);
        assert_eq!(
            filled(&[Handshake, Judging, Judging, Judging]).over(&LIMITS),
            Some(ClientId(2))
        );
    }

    #[test]
    fn bytes_count_as_well_as_sessions_and_are_given_back() {
        let mut pool = HalfOpen::default();
        pool.note(ClientId(1), HalfOpenStage::Handshake, 60);
        pool.note(ClientId(2), HalfOpenStage::Handshake, 30);
        assert_eq!(pool.over(&LIMITS), None);
        pool.note(ClientId(2), HalfOpenStage::Judging, 50);
        assert_eq!((pool.over(&LIMITS), pool.bytes()), (Some(ClientId(1)), 110));
        pool.remove(ClientId(1));
        pool.remove(ClientId(2));
        pool.remove(ClientId(2));
        assert_eq!((pool.len(), pool.bytes()), (0, 0));
    }

    proptest::proptest! {
        #[test]
        fn evicting_always_brings_the_pool_within_its_limits(
            notes in proptest::collection::vec((1u64..20, 0u8..4, 0usize..60), 0..100),
        ) {
            let mut pool = HalfOpen::default();
            let mut model = BTreeMap::new();
            for (id, action, bytes) in notes {
                let stage = [HalfOpenStage::Handshake, HalfOpenStage::Judging, HalfOpenStage::Refused];
                match stage.get(usize::from(action)) {
                    Some(stage) => {
                        pool.note(ClientId(id), *stage, bytes);
                        model.insert(id, bytes);
                    }
                    None => {
                        pool.remove(ClientId(id));
                        model.remove(&id);
                    }
                }
                while let Some(oldest) = pool.over(&LIMITS) {
                    pool.remove(oldest);
                    proptest::prop_assert!(model.remove(&oldest.0).is_some());
                }
                proptest::prop_assert_eq!((pool.len(), pool.bytes()), (model.len(), model.values().sum::<usize>()));
                proptest::prop_assert!(pool.len() <= 3 && pool.bytes() <= 100);
            }
        }
    }
}
