//! Which received ids are still to be acknowledged, and which were lately.

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use culvert_wire::MessageId;
use culvert_wire::control::MAX_ACKS;

/// More than a receive window plus re-acknowledged old ids of one burst. When it overflows, the peer's
/// retransmission brings the id back.
const PENDING_LIMIT: usize = 24;

/// Acknowledgements waiting for a packet to ride on.
///
/// Recently sent ones are repeated in free places, as 2.6 and later do, so that one lost packet seldom costs a
/// retransmission.
#[derive(Debug, Default)]
pub(crate) struct AckQueue {
    pending: VecDeque<MessageId>,
    /// Most recent first, at most [`MAX_ACKS`].
    recent: VecDeque<MessageId>,
}

impl AckQueue {
    /// Notes that `id` has arrived.
    pub(crate) fn push(&mut self, id: MessageId) {
        if self.pending.len() < PENDING_LIMIT && !self.pending.contains(&id) {
            self.pending.push_back(id);
        }
    }

    /// True if an acknowledgement waits that was never sent.
    pub(crate) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes up to `limit` ids for one packet: new ones in order of arrival, then repeated ones.
    pub(crate) fn take(&mut self, limit: usize) -> ArrayVec<MessageId, MAX_ACKS> {
        let mut acks = ArrayVec::new();
        let limit = limit.min(acks.capacity());
        while acks.len() < limit {
            let Some(id) = self.pending.pop_front() else { break };
            acks.push(id);
        }
        let fresh = acks.len();
        for id in &self.recent {
            if acks.len() == limit {
                break;
            }
            if !acks.contains(id) {
                acks.push(*id);
            }
        }
        for id in acks.iter().take(fresh) {
            self.recent.retain(|known| known != id);
            self.recent.push_front(*id);
        }
        self.recent.truncate(MAX_ACKS);
        acks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u32]) -> Vec<MessageId> {
        ids.iter().copied().map(MessageId).collect()
    }

    #[test]
    fn new_acks_come_first_and_old_ones_fill_up() {
        let mut acks = AckQueue::default();
        acks.push(MessageId(0));
        assert_eq!(acks.take(4).as_slice(), ids(&[0]));
        acks.push(MessageId(1));
        acks.push(MessageId(2));
        assert_eq!(acks.take(4).as_slice(), ids(&[1, 2, 0]));
        assert!(!acks.is_pending());
        assert_eq!(acks.take(8).as_slice(), ids(&[2, 1, 0]));
    }

    #[test]
    fn what_does_not_fit_waits_for_the_next_packet() {
        let mut acks = AckQueue::default();
        (0..6).for_each(|id| acks.push(MessageId(id)));
        assert_eq!(acks.take(4).as_slice(), ids(&[0, 1, 2, 3]));
        assert!(acks.is_pending());
        assert_eq!(acks.take(4).as_slice(), ids(&[4, 5, 3, 2]));
        assert!(!acks.is_pending());
    }

    #[test]
    fn an_id_is_queued_once_and_the_queue_is_bounded() {
        let mut acks = AckQueue::default();
        acks.push(MessageId(7));
        acks.push(MessageId(7));
        assert_eq!(acks.take(8).as_slice(), ids(&[7]));
        (0..1000).for_each(|id| acks.push(MessageId(id)));
        assert_eq!(acks.pending.len(), PENDING_LIMIT);
    }
}
