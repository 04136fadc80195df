//! Sending half: a window of unacknowledged messages, each with its own retransmission timer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use culvert_wire::{MessageId, Opcode};

/// Window every OpenVPN release can receive. Source: OpenVPN 2.4 behaviour.
pub(crate) const WINDOW_ANY: u32 = 4;

/// Window for a peer known to be 2.6 or newer. Source: OpenVPN 2.6 behaviour.
pub(crate) const WINDOW_NEW: u32 = 6;

/// First retransmission; doubles from there.
const FIRST_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_TIMEOUT: Duration = Duration::from_secs(16);

/// A message is resent at once when so many later ones were acknowledged before it.
const EARLY_RETRANSMIT: u8 = 3;

/// One message on its way.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) id: MessageId,
    pub(crate) opcode: Opcode,
    pub(crate) payload: Vec<u8>,
    next_try: Instant,
    timeout: Duration,
    passed: u8,
}

/// Messages that were handed over and are not acknowledged yet, oldest first.
#[derive(Debug)]
pub(crate) struct SendWindow {
    next: MessageId,
    window: u32,
    unacked: VecDeque<Outgoing>,
}

impl SendWindow {
    /// A window whose first message gets id `next`.
    pub(crate) fn new(next: MessageId) -> Self {
        Self {
            next,
            window: WINDOW_ANY,
            unacked: VecDeque::new(),
        }
    }

    /// Sets how many messages may be unacknowledged.
    pub(crate) fn set_window(&mut self, window: u32) {
        self.window = window;
    }

    /// True if another message may be queued now.
    pub(crate) fn has_room(&self) -> bool {
        self.unacked
            .front()
            .is_none_or(|lowest| self.next.distance_from(lowest.id) < self.window)
    }

    /// Id that the next queued message gets.
    pub(crate) fn next_id(&self) -> MessageId {
        self.next
    }

    /// Adds a message, due at once. The caller has asked [`SendWindow::has_room`].
    pub(crate) fn queue(&mut self, now: Instant, opcode: Opcode, payload: Vec<u8>) -> MessageId {
        let id = self.next;
        self.next = id.next();
        self.unacked.push_back(Outgoing {
            id,
            opcode,
            payload,
            next_try: now,
            timeout: FIRST_TIMEOUT,
            passed: 0,
        });
        id
    }

    /// Takes note of an acknowledgement. Unknown ids are ignored: acknowledgements are repeated freely.
    pub(crate) fn acknowledge(&mut self, now: Instant, id: MessageId) {
        let Some(position) = self.unacked.iter().position(|message| message.id == id) else {
            return;
        };
        self.unacked.remove(position);
        for earlier in self.unacked.iter_mut().take(position) {
            earlier.passed = earlier.passed.saturating_add(1);
            if earlier.passed >= EARLY_RETRANSMIT {
                earlier.next_try = now;
            }
        }
    }

    /// Makes everything due now with fresh timers: the peer has just been heard for the first time.
    pub(crate) fn burst(&mut self, now: Instant) {
        for message in &mut self.unacked {
            message.next_try = now;
            message.timeout = FIRST_TIMEOUT;
        }
    }

    /// The oldest message that is due, with its timer moved on: the caller sends it.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<&Outgoing> {
        let message = self.unacked.iter_mut().find(|message| message.next_try <= now)?;
        message.next_try = now + message.timeout;
        message.timeout = (message.timeout * 2).min(MAX_TIMEOUT);
        message.passed = 0;
        Some(message)
    }

    /// Gives up on everything unacknowledged.
    pub(crate) fn clear(&mut self) {
        self.unacked.clear();
    }

    /// When the next message becomes due.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.unacked.iter().map(|message| message.next_try).min()
    }

    /// True if everything sent was acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.unacked.is_empty()
    }

    /// Bytes of payload kept for retransmission.
    pub(crate) fn bytes(&self) -> usize {
        self.unacked
            .iter()
            .map(|message| message.payload.capacity())
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(from: Instant, secs: u64) -> Instant {
        from + Duration::from_secs(secs)
    }

    fn filled(now: Instant, count: u32) -> SendWindow {
        let mut window = SendWindow::new(MessageId(0));
        window.set_window(count.max(WINDOW_ANY));
        (0..count).for_each(|_| {
            window.queue(now, Opcode::ControlV1, vec![0; 10]);
        });
        while window.take_due(now).is_some() {}
        window
    }

    #[test]
    fn retransmissions_come_after_2_6_14_30_seconds_and_then_every_16() {
        let start = Instant::now();
        let mut window = SendWindow::new(MessageId(0));
        window.queue(start, Opcode::ControlHardResetClientV2, Vec::new());
        let mut sent = Vec::new();
        for second in 0..70 {
            if window.take_due(secs(start, second)).is_some() {
                sent.push(second);
            }
        }
        assert_eq!(sent, [0, 2, 6, 14, 30, 46, 62]);
    }

    #[test]
    fn the_window_counts_from_the_lowest_unacknowledged_id() {
        let now = Instant::now();
        let mut window = filled(now, 4);
        assert!(!window.has_room());
        window.acknowledge(now, MessageId(2));
        assert!(!window.has_room(), "id 0 still holds the window");
        window.acknowledge(now, MessageId(0));
        assert!(window.has_room());
        assert_eq!(window.next_id(), MessageId(4));
    }

    #[test]
    fn three_later_acknowledgements_bring_an_early_retransmission() {
        let now = Instant::now();
        let mut window = filled(now, 6);
        window.acknowledge(now, MessageId(1));
        window.acknowledge(now, MessageId(1));
        window.acknowledge(now, MessageId(2));
        assert!(window.take_due(now).is_none());
        window.acknowledge(now, MessageId(4));
        assert_eq!(window.take_due(now).unwrap().id, MessageId(0));
        assert!(
            window.take_due(now).is_none(),
            "only once, and only what was passed three times"
        );
    }

    #[test]
    fn a_burst_makes_everything_due_with_fresh_timers() {
        let start = Instant::now();
        let mut window = filled(start, 2);
        let later = secs(start, 3);
        while window.take_due(later).is_some() {}
        window.burst(later);
        assert_eq!(window.take_due(later).unwrap().id, MessageId(0));
        assert_eq!(window.take_due(later).unwrap().id, MessageId(1));
        assert_eq!(window.next_timeout(), Some(later + FIRST_TIMEOUT));
    }

    #[test]
    fn unknown_acknowledgements_change_nothing() {
        let now = Instant::now();
        let mut window = filled(now, 3);
        window.acknowledge(now, MessageId(99));
        assert_eq!(window.unacked.len(), 3);
        assert_eq!(window.bytes(), 30);
    }
}
