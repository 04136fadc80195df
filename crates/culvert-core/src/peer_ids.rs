//! Hands out the numbers that name clients in data packets.

use std::collections::VecDeque;

use culvert_wire::PeerId;

/// Free peer ids below a limit. Those given back longest ago are reused first, so that a late packet of a client
/// that left rarely meets the id's next owner.
#[derive(Debug)]
pub(crate) struct PeerIds {
    released: VecDeque<PeerId>,
    next: u32,
    limit: u32,
}

impl PeerIds {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            released: VecDeque::new(),
            next: 0,
            limit,
        }
    }

    /// A free id, fresh ones first.
    pub(crate) fn allocate(&mut self) -> Option<PeerId> {
        if self.next < self.limit {
            let id = PeerId::new(self.next)?;
            self.next += 1;
            return Some(id);
        }
        self.released.pop_front()
    }

    pub(crate) fn release(&mut self, id: PeerId) {
        self.released.push_back(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_small_and_reused_in_the_order_given_back() {
        let mut ids = PeerIds::new(3);
        let all: Vec<_> = std::iter::from_fn(|| ids.allocate()).collect();
        assert_eq!(all.iter().map(|id| id.value()).collect::<Vec<_>>(), [0, 1, 2]);
        ids.release(all[2]);
        ids.release(all[0]);
        assert_eq!(ids.allocate(), Some(all[2]));
        assert_eq!(ids.allocate(), Some(all[0]));
        assert_eq!(ids.allocate(), None);
    }
}
