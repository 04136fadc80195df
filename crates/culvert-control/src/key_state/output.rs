//! The packets a key sends.

use std::time::Instant;

use culvert_wire::control::{MAX_ACKS, MAX_ACKS_WITH_MESSAGE};
use culvert_wire::{MessageId, Opcode};

use super::{KeyState, Packet, Stage};

impl KeyState {
    /// The next packet to send now, with at most `room` bytes of TLS in it. `wrapped_key` is what a packet
    /// with the client's wrapped key carries on top.
    pub(crate) fn next_packet(&mut self, now: Instant, room: usize, wrapped_key: usize) -> Option<Packet> {
        if self.quiet_at.is_some_and(|at| at <= now) {
            self.send.clear();
            self.output.clear();
        }
        while !self.output.is_empty() && self.stage != Stage::Waiting && self.send.has_room() {
            self.cut(now, room, wrapped_key);
        }
        if let Some(due) = self.send.take_due(now) {
            let (opcode, message) = (due.opcode, (due.id, due.payload.clone()));
            let acks = self.acks.take(MAX_ACKS_WITH_MESSAGE);
            return Some(Packet {
                opcode,
                acks,
                message: Some(message),
            });
        }
        if self.acks.is_pending() {
            return Some(Packet {
                opcode: Opcode::AckV1,
                acks: self.acks.take(MAX_ACKS),
                message: None,
            });
        }
        None
    }

    /// Moves the next piece of TLS output into the send window.
    fn cut(&mut self, now: Instant, room: usize, wrapped_key: usize) {
        let with_key = self.resend_wrapped_key && self.send.next_id() == MessageId(1);
        let (opcode, room) = if with_key {
            // A ClientHello of the usual size stays in one packet even if that is a little larger then.
            (
                Opcode::ControlWkcV1,
                room.saturating_sub(wrapped_key).max(room / 2),
            )
        } else {
            (Opcode::ControlV1, room)
        };
        let rest = self.output.split_off(room.clamp(1, self.output.len()));
        let piece = std::mem::replace(&mut self.output, rest);
        self.send.queue(now, opcode, piece);
    }
}
