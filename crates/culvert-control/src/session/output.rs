//! Packets and the next deadline going out.

use std::time::Instant;

use culvert_wire::control::{ControlBody, MAX_ACKS_WITH_MESSAGE, ack_block_len};
use culvert_wire::{FirstByte, KeyId, Now};

use super::Session;
use crate::key_state::Packet;

/// Least TLS bytes per packet, whatever the configuration.
const MIN_ROOM: usize = 32;

impl Session {
    /// The next packet to send, wrapped and complete.
    pub fn poll_transmit(&mut self, now: Now) -> Option<Vec<u8>> {
        let wrapped_key = self.wrapping.wrapped_key_len();
        let (key_id, packet) = [
            Some(&mut self.primary),
            self.lame_duck.as_mut().and_then(|lame| lame.control.as_mut()),
            self.dying.as_mut().map(|(key, _)| key),
        ]
        .into_iter()
        .flatten()
        .find_map(|key| {
            let room = room(
                self.config.max_packet,
                self.ip_udp,
                self.wrapping.overhead(key.key_id),
            );
            Some((key.key_id, key.next_packet(now.instant, room, wrapped_key)?))
        })?;
        Some(self.seal(now, key_id, &packet))
    }

    fn seal(&mut self, now: Now, key_id: KeyId, packet: &Packet) -> Vec<u8> {
        let (message_id, payload) = match &packet.message {
            Some((id, payload)) => (Some(*id), payload.as_slice()),
            None => (None, &[][..]),
        };
        let body = ControlBody {
            acks: packet.acks.clone(),
            remote_session: self.remote.filter(|_| !packet.acks.is_empty()),
            message_id,
            payload,
        };
        let mut plain = Vec::with_capacity(body.encoded_len());
        body.encode_into(&mut plain);
        let first = FirstByte {
            opcode: packet.opcode,
            key_id,
        };
        self.wrapping.seal(now.unix, first, self.local, &plain)
    }

    /// When [`Session::handle_timeout`] and [`Session::poll_transmit`] should be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let lame = self.lame_duck.as_ref();
        let dying = self.dying.as_ref();
        [
            self.primary.next_timeout(),
            lame.and_then(|lame| lame.control.as_ref()?.next_timeout()),
            lame.map(|lame| lame.expires),
            dying.and_then(|(key, _)| key.next_timeout()),
            dying.map(|(_, until)| *until),
            self.primary_expires,
            self.renegotiate_at,
            self.retire_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// TLS bytes that fit a packet. Room is kept for the most acknowledgements a packet with a message carries,
/// so that a retransmission never grows beyond the limit.
fn room(max_packet: usize, ip_udp: usize, wrap: usize) -> usize {
    let header = 1 + 8 + ack_block_len(MAX_ACKS_WITH_MESSAGE) + 4;
    max_packet.saturating_sub(ip_udp + header + wrap).max(MIN_ROOM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_stay_within_the_limit_that_counts_ip_and_udp() {
        // IPv4, tls-crypt as stock counts it: 16 bytes more than it takes.
        assert_eq!(room(1250, 28, 56), 1250 - 28 - 9 - 25 - 4 - 56);
        assert_eq!(room(154, 48, 72), MIN_ROOM);
    }
}
