//! Control packets: the clear header, and the body that wrapping protects.
//!
//! ```text
//! | opcode:5 key_id:3 | session id 8 | [wrapper fields] | n | n x ack 4 | [peer session 8] | [message id 4] | payload
//! `------- ControlHeader -----------'                    `--------------------- ControlBody ----------------------'
//! ```
//!
//! The wrapper (tls-auth, tls-crypt) between the two belongs to the crypto crate. The peer's session id is
//! present only with at least one acknowledgement; the message id is absent in ACK_V1 only.

pub mod early;

use arrayvec::ArrayVec;

use crate::reader::Reader;
use crate::{FirstByte, MessageId, Opcode, ParseError, SessionId};

/// Most acknowledgements one packet may carry.
pub const MAX_ACKS: usize = 8;

/// Most acknowledgements stock puts next to a message; ACK_V1 carries up to [`MAX_ACKS`].
pub const MAX_ACKS_WITH_MESSAGE: usize = 4;

/// The clear first nine bytes of every control packet, readable without any key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlHeader {
    /// Opcode and key id.
    pub first: FirstByte,
    /// The sender's session id.
    pub session: SessionId,
}

impl ControlHeader {
    /// Bytes of the header.
    pub const LEN: usize = 9;

    /// Reads the header and returns it with the bytes after it.
    ///
    /// # Errors
    /// [`ParseError`] if the packet is too short, is a data packet or carries a zero session id.
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8]), ParseError> {
        let first = FirstByte::peek(packet)?;
        if first.opcode.is_data() {
            return Err(ParseError::WrongOpcode(first.opcode.value()));
        }
        let mut reader = Reader::new(packet);
        reader.u8("the opcode")?;
        let session = SessionId::new(reader.array("the session id")?).ok_or(ParseError::ZeroSessionId)?;
        Ok((Self { first, session }, reader.rest()))
    }

    /// The nine bytes on the wire.
    pub fn encode(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        let (first, session) = out.split_at_mut(1);
        first.fill(self.first.encode());
        session.copy_from_slice(&self.session.bytes());
        out
    }
}

/// A control packet after unwrapping: everything from the acknowledgement count on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlBody<'a> {
    /// Messages of ours that the sender has received; may repeat, may name ids we never sent.
    pub acks: ArrayVec<MessageId, MAX_ACKS>,
    /// The receiver's session id as the sender knows it; present exactly if `acks` is not empty.
    pub remote_session: Option<SessionId>,
    /// This message's number; `None` exactly for ACK_V1.
    pub message_id: Option<MessageId>,
    /// TLS bytes, or the early-negotiation list in a reset; may be empty.
    pub payload: &'a [u8],
}

impl<'a> ControlBody<'a> {
    /// Reads the body of a packet with this opcode. Bytes after an ACK_V1 are ignored, as stock does.
    ///
    /// For the tls-crypt-v2 opcodes the appended wrapped key must be cut off first.
    ///
    /// # Errors
    /// [`ParseError::TooManyAcks`] for more than 8, [`ParseError::ZeroSessionId`], [`ParseError::Truncated`],
    /// [`ParseError::WrongOpcode`] for data opcodes.
    pub fn parse(opcode: Opcode, body: &'a [u8]) -> Result<Self, ParseError> {
        if opcode.is_data() {
            return Err(ParseError::WrongOpcode(opcode.value()));
        }
        let mut reader = Reader::new(body);
        let count = reader.u8("the acknowledgement count")?;
        if usize::from(count) > MAX_ACKS {
            return Err(ParseError::TooManyAcks(count));
        }
        let mut acks = ArrayVec::new();
        for _ in 0..count {
            acks.push(MessageId(reader.u32("the acknowledgements")?));
        }
        let remote_session = if count == 0 {
            None
        } else {
            let bytes = reader.array("the peer session id")?;
            Some(SessionId::new(bytes).ok_or(ParseError::ZeroSessionId)?)
        };
        if opcode == Opcode::AckV1 {
            return Ok(Self {
                acks,
                remote_session,
                message_id: None,
                payload: &[],
            });
        }
        let message_id = Some(MessageId(reader.u32("the message id")?));
        Ok(Self {
            acks,
            remote_session,
            message_id,
            payload: reader.rest(),
        })
    }

    /// Appends the body to `out`.
    ///
    /// Acknowledgements have no meaning without the session id they are addressed to: a body that has
    /// only one of the two is written as one without acknowledgements.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.reserve(self.encoded_len());
        match self.remote_session {
            Some(session) if !self.acks.is_empty() => {
                out.push(self.acks.len() as u8);
                for ack in &self.acks {
                    out.extend_from_slice(&ack.0.to_be_bytes());
                }
                out.extend_from_slice(&session.bytes());
            }
            _ => out.push(0),
        }
        if let Some(id) = self.message_id {
            out.extend_from_slice(&id.0.to_be_bytes());
            out.extend_from_slice(self.payload);
        }
    }

    /// How many bytes [`Self::encode_into`] appends.
    pub fn encoded_len(&self) -> usize {
        let acks = if self.remote_session.is_some() {
            ack_block_len(self.acks.len())
        } else {
            1
        };
        acks + self.message_id.map_or(0, |_| 4 + self.payload.len())
    }
}

/// Bytes of the acknowledgement part of a body: the count, the ids, and the peer's session id if there are any.
pub fn ack_block_len(acks: usize) -> usize {
    if acks == 0 { 1 } else { 1 + 4 * acks + 8 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyId;
    use proptest::prelude::*;

    fn session(bytes: [u8; 8]) -> SessionId {
        SessionId::new(bytes).unwrap()
    }

    const SERVER: [u8; 8] = [0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58];

    /// The body inside vector V6: acks [0], message 1, payload "hello".
    const V6_BODY: &[u8] = b"\x01\0\0\0\0\x51\x52\x53\x54\x55\x56\x57\x58\0\0\0\x01hello";

    #[test]
    fn the_body_of_a_tls_crypt_packet_decodes_and_encodes_back() {
        let body = ControlBody::parse(Opcode::ControlV1, V6_BODY).unwrap();
        assert_eq!(body.acks.as_slice(), [MessageId(0)]);
        assert_eq!(body.remote_session, Some(session(SERVER)));
        assert_eq!(body.message_id, Some(MessageId(1)));
        assert_eq!(body.payload, b"hello");
        let mut out = Vec::new();
        body.encode_into(&mut out);
        assert_eq!(out, V6_BODY);
        assert_eq!(body.encoded_len(), V6_BODY.len());
    }

    #[test]
    fn an_unwrapped_client_reset_takes_14_bytes_and_its_answer_26() {
        let header = ControlHeader {
            first: FirstByte {
                opcode: Opcode::ControlHardResetClientV2,
                key_id: KeyId::FIRST,
            },
            session: session([0xc1; 8]),
        };
        let mut reset = header.encode().to_vec();
        let body = ControlBody {
            acks: ArrayVec::new(),
            remote_session: None,
            message_id: Some(MessageId(0)),
            payload: &[],
        };
        body.encode_into(&mut reset);
        assert_eq!(reset.len(), 14);
        let answer = ControlBody {
            acks: [MessageId(0)].into_iter().collect(),
            remote_session: Some(session(SERVER)),
            ..body
        };
        assert_eq!(ControlHeader::LEN + answer.encoded_len(), 26);
        let (parsed, rest) = ControlHeader::parse(&reset).unwrap();
        assert_eq!(parsed, header);
        assert_eq!(
            ControlBody::parse(parsed.first.opcode, rest).unwrap().message_id,
            Some(MessageId(0))
        );
    }

    #[test]
    fn an_ack_takes_18_bytes_plus_4_per_id_and_has_no_message_id() {
        for count in 1..=8u32 {
            let body = ControlBody {
                acks: (0..count).map(MessageId).collect(),
                remote_session: Some(session(SERVER)),
                message_id: None,
                payload: &[],
            };
            let mut out = Vec::new();
            body.encode_into(&mut out);
            assert_eq!(ControlHeader::LEN + out.len(), 18 + 4 * count as usize);
            assert_eq!(ControlBody::parse(Opcode::AckV1, &out).unwrap(), body);
        }
    }

    #[test]
    fn nine_or_more_acknowledgements_are_refused() {
        let mut body = vec![9];
        body.resize(100, 1);
        assert_eq!(
            ControlBody::parse(Opcode::AckV1, &body),
            Err(ParseError::TooManyAcks(9))
        );
        assert_eq!(
            ControlBody::parse(Opcode::ControlV1, &[255]),
            Err(ParseError::TooManyAcks(255))
        );
    }

    #[test]
    fn truncated_bodies_and_zero_sessions_are_refused() {
        for len in 0..17 {
            assert!(
                ControlBody::parse(Opcode::ControlV1, &V6_BODY[..len]).is_err(),
                "{len} bytes"
            );
        }
        let zero = b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
        assert_eq!(
            ControlBody::parse(Opcode::ControlV1, zero),
            Err(ParseError::ZeroSessionId)
        );
        assert_eq!(
            ControlHeader::parse(&[0x38, 0, 0, 0, 0, 0, 0, 0, 0]).err(),
            Some(ParseError::ZeroSessionId)
        );
        assert_eq!(
            ControlHeader::parse(&[0x48; 20]).err(),
            Some(ParseError::WrongOpcode(9))
        );
    }

    #[test]
    fn an_empty_payload_is_legal() {
        let body = ControlBody::parse(Opcode::ControlV1, &[0, 0, 0, 0, 9]).unwrap();
        assert_eq!((body.message_id, body.payload), (Some(MessageId(9)), &[][..]));
    }

    proptest! {
        #[test]
        fn any_body_encodes_and_decodes_back(
            acks in proptest::collection::vec(any::<u32>(), 0..=8),
            remote in any::<[u8; 8]>().prop_filter_map("zero", SessionId::new),
            id in any::<u32>(),
            payload in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let body = ControlBody {
                remote_session: (!acks.is_empty()).then_some(remote),
                acks: acks.into_iter().map(MessageId).collect(),
                message_id: Some(MessageId(id)),
                payload: &payload,
            };
            let mut out = Vec::new();
            body.encode_into(&mut out);
            prop_assert_eq!(out.len(), body.encoded_len());
            prop_assert_eq!(ControlBody::parse(Opcode::ControlV1, &out).unwrap(), body);
        }

        #[test]
        fn any_bytes_that_parse_encode_back(opcode in 3u8..=11, bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let opcode = Opcode::from_value(opcode).unwrap();
            if let Ok(body) = ControlBody::parse(opcode, &bytes) {
                let mut out = Vec::new();
                body.encode_into(&mut out);
                prop_assert!(bytes.starts_with(&out));
            }
            let _ = ControlHeader::parse(&bytes);
        }
    }
}
