//! In-band messages of the data channel: ping, and the option-consistency messages (OCC).
//!
//! Both are recognised by a fixed 16-byte value no IP packet starts with. They travel encrypted like IP packets,
//! inside whatever compression framing is in use.

use crate::reader::Reader;

/// Plaintext of a ping. Never answered: each side sends its own.
pub const PING: [u8; 16] = [
    0x2a, 0x18, 0x7b, 0xf3, 0x64, 0x1e, 0xb4, 0xcb, 0x07, 0xed, 0x2d, 0x0a, 0x98, 0x1f, 0xc7, 0x48,
];

/// First 16 bytes of every OCC message.
pub const OCC_MAGIC: [u8; 16] = [
    0x28, 0x7f, 0x34, 0x6b, 0xd4, 0xef, 0x7a, 0x81, 0x2d, 0x56, 0xb8, 0xd3, 0xaf, 0xc5, 0x45, 0x9c,
];

/// Plaintext of the message with which a client says goodbye, opcode 6.
pub const EXIT: [u8; 17] = [
    0x28, 0x7f, 0x34, 0x6b, 0xd4, 0xef, 0x7a, 0x81, 0x2d, 0x56, 0xb8, 0xd3, 0xaf, 0xc5, 0x45, 0x9c, 6,
];

/// True if the plaintext of a data packet is a ping.
#[inline]
pub fn is_ping(plaintext: &[u8]) -> bool {
    plaintext == PING
}

/// True if the plaintext of a data packet is an OCC message.
#[inline]
pub fn is_occ(plaintext: &[u8]) -> bool {
    plaintext.starts_with(&OCC_MAGIC)
}

/// A message of the option-consistency check.
///
/// Source: OpenVPN 2.6 behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OccMessage<'a> {
    /// 0: asks for the options string; TLS clients never send it.
    Request,
    /// 1: the options string, NUL included.
    Reply(&'a [u8]),
    /// 2: asks for an MTU_LOAD of this total packet size.
    MtuLoadRequest(u16),
    /// 3: filler that probes the path.
    MtuLoad(&'a [u8]),
    /// 4: asks for the largest sizes seen.
    MtuRequest,
    /// 5: the largest packet sizes received and sent.
    MtuReply {
        /// Largest packet received, in bytes.
        max_received: u16,
        /// Largest packet sent, in bytes.
        max_sent: u16,
    },
    /// 6: the sender leaves.
    Exit,
    /// An opcode we do not know, or one whose data is cut short; to be ignored.
    Unknown(u8),
}

impl<'a> OccMessage<'a> {
    /// Reads the plaintext of a data packet; `None` if it is not an OCC message.
    pub fn parse(plaintext: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(plaintext.strip_prefix(&OCC_MAGIC)?);
        let op = reader.u8("the OCC opcode").ok()?;
        Some(match op {
            0 => Self::Request,
            1 => Self::Reply(reader.rest()),
            2 => reader
                .u16("the size")
                .map_or(Self::Unknown(op), Self::MtuLoadRequest),
            3 => Self::MtuLoad(reader.rest()),
            4 => Self::MtuRequest,
            5 => match (reader.u16("the size"), reader.u16("the size")) {
                (Ok(max_received), Ok(max_sent)) => Self::MtuReply {
                    max_received,
                    max_sent,
                },
                _ => Self::Unknown(op),
            },
            6 => Self::Exit,
            other => Self::Unknown(other),
        })
    }

    /// The plaintext to encrypt. Unknown messages encode to their opcode without data.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = OCC_MAGIC.to_vec();
        match *self {
            Self::Request => out.push(0),
            Self::Reply(options) => {
                out.push(1);
                out.extend_from_slice(options);
            }
            Self::MtuLoadRequest(size) => {
                out.push(2);
                out.extend_from_slice(&size.to_be_bytes());
            }
            Self::MtuLoad(filler) => {
                out.push(3);
                out.extend_from_slice(filler);
            }
            Self::MtuRequest => out.push(4),
            Self::MtuReply {
                max_received,
                max_sent,
            } => {
                out.push(5);
                out.extend_from_slice(&max_received.to_be_bytes());
                out.extend_from_slice(&max_sent.to_be_bytes());
            }
            Self::Exit => out.push(6),
            Self::Unknown(op) => out.push(op),
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_goodbye_is_recognised() {
        assert_eq!(OccMessage::parse(&EXIT), Some(OccMessage::Exit));
        assert_eq!(OccMessage::Exit.encode(), EXIT);
    }

    #[test]
    fn a_ping_is_exactly_sixteen_bytes_and_no_occ_message() {
        assert!(is_ping(&PING));
        assert!(!is_ping(&PING[..15]));
        assert!(OccMessage::parse(&PING).is_none());
        assert!(is_occ(&EXIT) && !is_occ(&PING));
    }

    #[test]
    fn messages_cut_short_are_unknown() {
        let mut cut = OCC_MAGIC.to_vec();
        assert_eq!(OccMessage::parse(&cut), None);
        cut.extend([2, 0]);
        assert_eq!(OccMessage::parse(&cut), Some(OccMessage::Unknown(2)));
    }

    proptest! {
        #[test]
        fn messages_encode_and_decode_back(kind in 0..7, size: u16, other: u16, data in proptest::collection::vec(any::<u8>(), 0..50)) {
            let message = match kind {
                0 => OccMessage::Request,
                1 => OccMessage::Reply(&data),
                2 => OccMessage::MtuLoadRequest(size),
                3 => OccMessage::MtuLoad(&data),
                4 => OccMessage::MtuRequest,
                5 => OccMessage::MtuReply { max_received: size, max_sent: other },
                _ => OccMessage::Exit,
            };
            let bytes = message.encode();
            prop_assert_eq!(OccMessage::parse(&bytes), Some(message));
        }

        #[test]
        fn no_message_panics(data in proptest::collection::vec(any::<u8>(), 0..8)) {
            let _ = OccMessage::parse(&[&OCC_MAGIC[..], &data].concat());
        }
    }
}
