//! Sessions that have not authenticated, oldest first: a bounded pool in which newcomers push out the oldest.
//!
//! Two queues: sessions still in the handshake, and those whose credentials are being judged (or were refused, and
//! linger to deliver the news). The first queue gives way first, so a flood of handshakes does not throw out a
//! person in the middle of a web login.

use std::collections::BTreeMap;

use crate::ClientId;
use crate::settings::HalfOpenLimits;

/// How far a half-open session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HalfOpenStage {
    /// No complete key exchange yet.
    Handshake,
    /// Its credentials arrived.
    Credentials,
}

/// The pool. Ids grow with time, so the smallest id is the oldest session.
#[derive(Debug, Default)]
pub(crate) struct HalfOpen {
    handshake: BTreeMap<ClientId, usize>,
    credentials: BTreeMap<ClientId, usize>,
    bytes: usize,
}

impl HalfOpen {
    /// Adds a session, or moves it to another stage, and notes how many bytes it holds.
    pub(crate) fn note(&mut self, client: ClientId, stage: HalfOpenStage, bytes: usize) {
        self.remove(client);
        match stage {
            HalfOpenStage::Handshake => self.handshake.insert(client, bytes),
            HalfOpenStage::Credentials => self.credentials.insert(client, bytes),
        };
        self.bytes += bytes;
    }

    /// Takes a session out: it authenticated or ended.
    pub(crate) fn remove(&mut self, client: ClientId) {
        let bytes = self
            .handshake
            .remove(&client)
            .or_else(|| self.credentials.remove(&client));
        self.bytes -= bytes.unwrap_or(0);
    }

    /// The session to evict, if the pool is over its limits.
    pub(crate) fn over(&self, limits: &HalfOpenLimits) -> Option<ClientId> {
        if self.len() <= limits.sessions && self.bytes <= limits.bytes {
            return None;
        }
        let oldest = self
            .handshake
            .first_key_value()
            .or_else(|| self.credentials.first_key_value());
        oldest.map(|(client, _)| *client)
    }

    pub(crate) fn len(&self) -> usize {
        self.handshake.len() + self.credentials.len()
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

    #[test]
    fn the_oldest_handshake_gives_way_before_anybody_with_credentials() {
        let mut pool = HalfOpen::default();
        pool.note(ClientId(1), HalfOpenStage::Credentials, 10);
        for id in 2..=4 {
            pool.note(ClientId(id), HalfOpenStage::Handshake, 10);
        }
        assert_eq!(pool.over(&LIMITS), Some(ClientId(2)));
        pool.remove(ClientId(2));
        assert_eq!(pool.over(&LIMITS), None);
    }

    #[test]
    fn bytes_count_as_well_as_sessions_and_are_given_back() {
        let mut pool = HalfOpen::default();
        pool.note(ClientId(1), HalfOpenStage::Handshake, 60);
        pool.note(ClientId(2), HalfOpenStage::Handshake, 30);
        assert_eq!(pool.over(&LIMITS), None);
        pool.note(ClientId(2), HalfOpenStage::Credentials, 50);
        assert_eq!((pool.over(&LIMITS), pool.bytes()), (Some(ClientId(1)), 110));
        pool.remove(ClientId(1));
        pool.remove(ClientId(2));
        pool.remove(ClientId(2));
        assert_eq!((pool.len(), pool.bytes()), (0, 0));
    }
}
