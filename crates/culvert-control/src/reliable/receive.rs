//! Receiving half: puts messages back in order, drops duplicates, bounds what is kept.

use culvert_wire::{MessageId, Opcode};

/// Ids accepted from the next expected one on. Source: OpenVPN 2.6 behaviour.
pub(crate) const RECEIVE_WINDOW: u32 = 12;

/// Most bytes kept out of order. Twelve full packets of the common size fit.
const BYTES_LIMIT: usize = 16 * 1024;

/// What to do about the id of an arriving packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// Stored; acknowledge it.
    New,
    /// Seen before; acknowledge it again, as our acknowledgement was lost.
    Duplicate,
    /// Too far ahead, or no room: drop without acknowledgement, the peer will send it again.
    Refused,
}

/// A message that is waiting for its turn.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) opcode: Opcode,
    pub(crate) payload: Vec<u8>,
}

/// Messages from the next expected id on.
#[derive(Debug)]
pub(crate) struct ReceiveWindow {
    next: MessageId,
    /// Slot `i` is for id `next + i`.
    slots: [Option<Message>; RECEIVE_WINDOW as usize],
    bytes: usize,
}

impl ReceiveWindow {
    /// A window whose next expected id is `next`: 0 for a new channel, 1 if the reset was handled elsewhere.
    pub(crate) fn new(next: MessageId) -> Self {
        Self {
            next,
            slots: Default::default(),
            bytes: 0,
        }
    }

    /// Judges and stores a message.
    pub(crate) fn store(&mut self, id: MessageId, opcode: Opcode, payload: &[u8]) -> Received {
        let ahead = id.distance_from(self.next);
        if ahead >= RECEIVE_WINDOW {
            // Half of the number space lies behind us.
            return if ahead > u32::MAX / 2 {
                Received::Duplicate
            } else {
                Received::Refused
            };
        }
        // The next expected message goes straight through, so it may always exceed the limit.
        if ahead > 0 && self.bytes + payload.len() > BYTES_LIMIT {
            return Received::Refused;
        }
        match self.slots.get_mut(ahead as usize) {
            Some(slot @ None) => {
                *slot = Some(Message {
                    opcode,
                    payload: payload.to_vec(),
                });
                self.bytes += payload.len();
                Received::New
            }
            Some(Some(_)) => Received::Duplicate,
            None => Received::Refused,
        }
    }

    /// Takes the next message in order, if it has arrived.
    pub(crate) fn pop(&mut self) -> Option<(MessageId, Message)> {
        let message = self.slots.first_mut()?.take()?;
        self.slots.rotate_left(1);
        self.bytes -= message.payload.len();
        let id = self.next;
        self.next = id.next();
        Some((id, message))
    }

    /// Bytes of payload kept.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(window: &mut ReceiveWindow, id: u32) -> Received {
        window.store(MessageId(id), Opcode::ControlV1, &id.to_be_bytes())
    }

    fn drain(window: &mut ReceiveWindow) -> Vec<u32> {
        std::iter::from_fn(|| window.pop()).map(|(id, _)| id.0).collect()
    }

    #[test]
    fn messages_come_out_in_order_whatever_the_order_of_arrival() {
        let mut window = ReceiveWindow::new(MessageId(0));
        assert_eq!(store(&mut window, 2), Received::New);
        assert_eq!(store(&mut window, 1), Received::New);
        assert_eq!(drain(&mut window), []);
        assert_eq!(store(&mut window, 0), Received::New);
        assert_eq!(drain(&mut window), [0, 1, 2]);
        assert_eq!(window.bytes(), 0);
    }

    #[test]
    fn old_and_stored_ids_are_acknowledged_again() {
        let mut window = ReceiveWindow::new(MessageId(0));
        store(&mut window, 0);
        drain(&mut window);
        assert_eq!(store(&mut window, 0), Received::Duplicate);
        store(&mut window, 5);
        assert_eq!(store(&mut window, 5), Received::Duplicate);
    }

    #[test]
    fn expecting_3_id_14_is_kept_and_15_dropped() {
        let mut window = ReceiveWindow::new(MessageId(3));
        assert_eq!(store(&mut window, 14), Received::New);
        assert_eq!(store(&mut window, 15), Received::Refused);
    }

    #[test]
    fn bytes_out_of_order_are_bounded_but_the_next_one_always_fits() {
        let mut window = ReceiveWindow::new(MessageId(0));
        let large = vec![0; 9000];
        assert_eq!(
            window.store(MessageId(1), Opcode::ControlV1, &large),
            Received::New
        );
        assert_eq!(
            window.store(MessageId(2), Opcode::ControlV1, &large),
            Received::Refused
        );
        assert_eq!(
            window.store(MessageId(0), Opcode::ControlV1, &large),
            Received::New
        );
        assert_eq!(drain(&mut window), [0, 1]);
    }

    #[test]
    fn ids_may_wrap_around() {
        let mut window = ReceiveWindow::new(MessageId(u32::MAX));
        assert_eq!(store(&mut window, 0), Received::New);
        assert_eq!(store(&mut window, u32::MAX), Received::New);
        assert_eq!(drain(&mut window), [u32::MAX, 0]);
        assert_eq!(store(&mut window, u32::MAX), Received::Duplicate);
    }
}
