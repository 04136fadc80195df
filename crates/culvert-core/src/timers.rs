//! Every deadline of the server in one ordered set, so that time costs nothing for clients that are not due.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::ClientId;

/// What a deadline is for. Reported by [`crate::Server::poll_timeout`] so that a busy loop explains itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKind {
    /// The control channel has something to do: retransmission, hand window, renegotiation, lame duck.
    Control,
    /// A verdict on credentials is overdue.
    Verdict,
    /// A ping may be due, or the client may have fallen silent.
    Keepalive,
    /// The session reaches its longest allowed duration.
    SessionTimeout,
    /// Time to look whether the client moved enough traffic to stay.
    Inactive,
    /// The newer data key becomes the sending one.
    KeySwitch,
    /// The auth token is renewed.
    TokenRenewal,
    /// Changed options that had to wait are pushed.
    PushUpdate,
    /// A client that was told goodbye is forgotten.
    Close,
    /// Ended sessions are old enough to be forgotten entirely.
    Tombstones,
}

/// Kinds that belong to a client, the size of its deadline table.
const CLIENT_KINDS: usize = 9;

impl TimerKind {
    const fn index(self) -> usize {
        self as usize
    }

    /// Name for metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Verdict => "verdict",
            Self::Keepalive => "keepalive",
            Self::SessionTimeout => "session_timeout",
            Self::Inactive => "inactive",
            Self::KeySwitch => "key_switch",
            Self::TokenRenewal => "token_renewal",
            Self::PushUpdate => "push_update",
            Self::Close => "close",
            Self::Tombstones => "tombstones",
        }
    }
}

/// The deadlines one client has in the queue; lives in the client, so that rescheduling needs no lookup.
#[derive(Debug, Default)]
pub(crate) struct Deadlines([Option<Instant>; CLIENT_KINDS]);

impl Deadlines {
    /// When the timer of `kind` fires, if it is set.
    #[cfg(test)]
    pub(crate) fn at(&self, kind: TimerKind) -> Option<Instant> {
        self.0.get(kind.index()).copied().flatten()
    }
}

/// All timers of a server, ordered by deadline.
#[derive(Debug, Default)]
pub(crate) struct TimerQueue {
    set: BTreeSet<(Instant, ClientId, TimerKind)>,
}

impl TimerQueue {
    /// Sets, moves or (with `None`) clears one timer of a client.
    pub(crate) fn set(
        &mut self,
        deadlines: &mut Deadlines,
        client: ClientId,
        kind: TimerKind,
        at: Option<Instant>,
    ) {
        let Some(slot) = deadlines.0.get_mut(kind.index()) else {
            return;
        };
        if *slot == at {
            return;
        }
        if let Some(old) = slot.take() {
            self.set.remove(&(old, client, kind));
        }
        if let Some(new) = at {
            self.set.insert((new, client, kind));
        }
        *slot = at;
    }

    /// Removes every timer of a client that is about to go.
    pub(crate) fn clear(&mut self, deadlines: &mut Deadlines, client: ClientId) {
        const KINDS: [TimerKind; CLIENT_KINDS] = [
            TimerKind::Control,
            TimerKind::Verdict,
            TimerKind::Keepalive,
            TimerKind::SessionTimeout,
            TimerKind::Inactive,
            TimerKind::KeySwitch,
            TimerKind::TokenRenewal,
            TimerKind::PushUpdate,
            TimerKind::Close,
        ];
        for kind in KINDS {
            self.set(deadlines, client, kind, None);
        }
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Option<(Instant, TimerKind)> {
        self.set.first().map(|(at, _, kind)| (*at, *kind))
    }

    /// The first timer due at `now`. It stays in the queue until [`Self::set`] or [`Self::clear`] takes it out.
    pub(crate) fn due(&self, now: Instant) -> Option<(ClientId, TimerKind)> {
        self.set
            .first()
            .filter(|(at, ..)| *at <= now)
            .map(|(_, client, kind)| (*client, *kind))
    }

    /// Number of timers, for tests that look for leaks.
    pub(crate) fn len(&self) -> usize {
        self.set.len()
    }

    /// Drops a due timer whose client no longer exists. Never needed while the books balance; keeps a mistake
    /// from becoming an endless loop.
    pub(crate) fn drop_first(&mut self) {
        self.set.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_fire_in_order_of_their_deadlines() {
        let now = Instant::now();
        let (mut queue, mut a, mut b) = (TimerQueue::default(), Deadlines::default(), Deadlines::default());
        queue.set(
            &mut a,
            ClientId(1),
            TimerKind::Keepalive,
            Some(now + Duration::from_secs(2)),
        );
        queue.set(
            &mut b,
            ClientId(2),
            TimerKind::Control,
            Some(now + Duration::from_secs(1)),
        );
        assert_eq!(queue.due(now), None);
        assert_eq!(
            queue.due(now + Duration::from_secs(5)),
            Some((ClientId(2), TimerKind::Control))
        );
        queue.set(&mut b, ClientId(2), TimerKind::Control, None);
        assert_eq!(
            queue.next(),
            Some((now + Duration::from_secs(2), TimerKind::Keepalive))
        );
    }

    #[test]
    fn moving_a_timer_leaves_no_second_entry() {
        let now = Instant::now();
        let (mut queue, mut a) = (TimerQueue::default(), Deadlines::default());
        for second in 1..50 {
            queue.set(
                &mut a,
                ClientId(1),
                TimerKind::Close,
                Some(now + Duration::from_secs(second)),
            );
        }
        assert_eq!(queue.len(), 1);
        assert_eq!(a.at(TimerKind::Close), Some(now + Duration::from_secs(49)));
        queue.clear(&mut a, ClientId(1));
        assert_eq!(queue.len(), 0);
    }

    const CLIENT_TIMERS: [TimerKind; 4] = [
        TimerKind::Control,
        TimerKind::Keepalive,
        TimerKind::KeySwitch,
        TimerKind::Close,
    ];

    proptest::proptest! {
        #[test]
        fn any_sequence_of_changes_leaves_what_a_plain_table_would(
            changes in proptest::collection::vec((0u64..4, 0usize..4, proptest::option::of(0u64..50)), 0..200),
        ) {
            let now = Instant::now();
            let mut queue = TimerQueue::default();
            let mut clients: [Deadlines; 4] = Default::default();
            let mut model = std::collections::BTreeMap::new();
            for (client, kind, at) in changes {
                let kind = CLIENT_TIMERS[kind];
                let at = at.map(|seconds| now + Duration::from_secs(seconds));
                queue.set(&mut clients[client as usize], ClientId(client), kind, at);
                match at {
                    Some(at) => model.insert((client, kind), at),
                    None => model.remove(&(client, kind)),
                };
                proptest::prop_assert_eq!(queue.len(), model.len());
                proptest::prop_assert_eq!(queue.next().map(|(at, _)| at), model.values().min().copied());
            }
            for (client, deadlines) in clients.iter_mut().enumerate() {
                queue.clear(deadlines, ClientId(client as u64));
            }
            proptest::prop_assert_eq!(queue.len(), 0);
        }
    }
}
