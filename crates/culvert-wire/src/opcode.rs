//! The first byte of every OpenVPN packet: `opcode:5 key_id:3`.

use crate::{KeyId, ParseError};

/// What kind of packet this is: the upper five bits of the first byte.
///
/// Opcodes 1 and 2 (resets of key method 1) are not listed: OpenVPN 2.5 removed them.
/// Source: wire draft, "packet opcodes".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// Starts a renegotiation under a new key id; both directions.
    ControlSoftResetV1 = 3,
    /// TLS bytes; both directions.
    ControlV1 = 4,
    /// Acknowledgements only, no message id; both directions.
    AckV1 = 5,
    /// Data without peer id; both directions.
    DataV1 = 6,
    /// Client's first packet of a new session.
    ControlHardResetClientV2 = 7,
    /// Server's answer to a client's hard reset.
    ControlHardResetServerV2 = 8,
    /// Data with a 24-bit peer id; both directions.
    DataV2 = 9,
    /// Client's first packet under tls-crypt-v2, with its wrapped key appended.
    ControlHardResetClientV3 = 10,
    /// Like [`Self::ControlV1`], with the client's wrapped key appended.
    ControlWkcV1 = 11,
}

impl Opcode {
    /// The opcode of a value 0..=31.
    ///
    /// # Errors
    /// [`ParseError::UnknownOpcode`] for everything outside 3..=11.
    #[inline]
    pub fn from_value(value: u8) -> Result<Self, ParseError> {
        Ok(match value {
            3 => Self::ControlSoftResetV1,
            4 => Self::ControlV1,
            5 => Self::AckV1,
            6 => Self::DataV1,
            7 => Self::ControlHardResetClientV2,
            8 => Self::ControlHardResetServerV2,
            9 => Self::DataV2,
            10 => Self::ControlHardResetClientV3,
            11 => Self::ControlWkcV1,
            other => return Err(ParseError::UnknownOpcode(other)),
        })
    }

    /// The value in the upper five bits of the first byte, not shifted.
    #[inline]
    pub fn value(self) -> u8 {
        self as u8
    }

    /// True for DATA_V1 and DATA_V2: the data plane's packets.
    #[inline]
    pub fn is_data(self) -> bool {
        matches!(self, Self::DataV1 | Self::DataV2)
    }

    /// True for the hard resets of either side.
    pub fn is_hard_reset(self) -> bool {
        matches!(
            self,
            Self::ControlHardResetClientV2 | Self::ControlHardResetServerV2 | Self::ControlHardResetClientV3
        )
    }

    /// True if a wrapped client key follows the packet: the two tls-crypt-v2 opcodes.
    pub fn has_wrapped_key(self) -> bool {
        matches!(self, Self::ControlHardResetClientV3 | Self::ControlWkcV1)
    }
}

/// A packet's first byte, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FirstByte {
    /// Kind of packet.
    pub opcode: Opcode,
    /// Negotiation it belongs to.
    pub key_id: KeyId,
}

impl FirstByte {
    /// Takes a first byte apart.
    ///
    /// # Errors
    /// [`ParseError::UnknownOpcode`], or [`ParseError::ResetKeyId`] for a hard reset whose key id is not 0.
    #[inline]
    pub fn parse(byte: u8) -> Result<Self, ParseError> {
        let opcode = Opcode::from_value(byte >> 3)?;
        let key_id = KeyId::from_low_bits(byte);
        if opcode.is_hard_reset() && key_id != KeyId::FIRST {
            return Err(ParseError::ResetKeyId(key_id.value()));
        }
        Ok(Self { opcode, key_id })
    }

    /// Looks at the first byte of `packet`.
    ///
    /// # Errors
    /// [`ParseError::Empty`], or those of [`Self::parse`].
    #[inline]
    pub fn peek(packet: &[u8]) -> Result<Self, ParseError> {
        packet
            .first()
            .copied()
            .ok_or(ParseError::Empty)
            .and_then(Self::parse)
    }

    /// The byte on the wire.
    #[inline]
    pub fn encode(self) -> u8 {
        (self.opcode.value() << 3) | self.key_id.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_match_the_wire_draft() {
        let with_key_0 = [
            (Opcode::ControlSoftResetV1, 0x18),
            (Opcode::ControlV1, 0x20),
            (Opcode::AckV1, 0x28),
            (Opcode::DataV1, 0x30),
            (Opcode::ControlHardResetClientV2, 0x38),
            (Opcode::ControlHardResetServerV2, 0x40),
            (Opcode::DataV2, 0x48),
            (Opcode::ControlHardResetClientV3, 0x50),
            (Opcode::ControlWkcV1, 0x58),
        ];
        for (opcode, byte) in with_key_0 {
            let first = FirstByte {
                opcode,
                key_id: KeyId::FIRST,
            };
            assert_eq!(first.encode(), byte);
            assert_eq!(FirstByte::parse(byte), Ok(first));
        }
    }

    #[test]
    fn every_byte_either_fails_or_encodes_back() {
        for byte in 0..=255 {
            if let Ok(first) = FirstByte::parse(byte) {
                assert_eq!(first.encode(), byte);
            }
        }
    }

    #[test]
    fn key_method_1_resets_and_unknown_opcodes_are_refused() {
        assert_eq!(FirstByte::parse(0x08), Err(ParseError::UnknownOpcode(1)));
        assert_eq!(FirstByte::parse(0x10), Err(ParseError::UnknownOpcode(2)));
        assert_eq!(FirstByte::parse(0x60), Err(ParseError::UnknownOpcode(12)));
        assert_eq!(FirstByte::peek(&[]), Err(ParseError::Empty));
    }

    #[test]
    fn a_hard_reset_carries_key_id_0() {
        assert_eq!(FirstByte::parse(0x39), Err(ParseError::ResetKeyId(1)));
        assert!(FirstByte::parse(0x19).is_ok());
    }
}
