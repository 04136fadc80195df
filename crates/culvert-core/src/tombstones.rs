//! Sessions that ended moments ago. A late packet of such a session still carries a valid cookie and would bring it
//! back to life; while the tombstone stands it is dropped.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use crate::link::SessionKey;

/// How long a session stays dead. Source: OpenVPN 2.6 behaviour (5 s after EXIT).
const LIFETIME: Duration = Duration::from_secs(5);

/// Most tombstones; the oldest fall first. 64 bytes each, twice.
const MOST: usize = 1 << 16;

/// The graveyard: constant lifetime, so it is ordered by age without sorting.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    known: HashSet<SessionKey>,
    order: VecDeque<(Instant, SessionKey)>,
}

impl Tombstones {
    /// Remembers a session that ends now.
    pub(crate) fn bury(&mut self, now: Instant, session: SessionKey) {
        self.expire(now);
        if self.order.len() >= MOST {
            self.pop();
        }
        if self.known.insert(session) {
            self.order.push_back((now + LIFETIME, session));
        }
    }

    /// Whether the session ended within the last seconds.
    pub(crate) fn contains(&self, session: &SessionKey) -> bool {
        self.known.contains(session)
    }

    /// Forgets what is old enough.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.pop();
        }
    }

    /// When the next one may be forgotten.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.front().map(|(until, _)| *until)
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    fn pop(&mut self) {
        if let Some((_, session)) = self.order.pop_front() {
            self.known.remove(&session);
        }
    }
}

#[cfg(test)]
mod tests {
    use culvert_wire::{LinkAddr, SessionId, TcpLink};

    use super::*;

    fn session(id: u64) -> SessionKey {
        let link = LinkAddr::Tcp(TcpLink {
            id,
            remote: "192.0.2.1:1".parse().unwrap(),
        });
        SessionKey::new(&link, SessionId::new([1; 8]).unwrap())
    }

    #[test]
    fn a_tombstone_stands_for_five_seconds() {
        let now = Instant::now();
        let mut tombstones = Tombstones::default();
        tombstones.bury(now, session(1));
        tombstones.expire(now + Duration::from_secs(4));
        assert!(tombstones.contains(&session(1)));
        assert!(!tombstones.contains(&session(2)));
        tombstones.expire(now + Duration::from_secs(5));
        assert!(!tombstones.contains(&session(1)));
        assert_eq!(tombstones.len(), 0);
    }

    #[test]
    fn the_graveyard_is_bounded() {
        let now = Instant::now();
        let mut tombstones = Tombstones::default();
        for id in 0..MOST as u64 + 10 {
            tombstones.bury(now, session(id));
        }
        assert_eq!(tombstones.len(), MOST);
        assert!(!tombstones.contains(&session(0)));
        assert!(tombstones.contains(&session(MOST as u64)));
    }
}
