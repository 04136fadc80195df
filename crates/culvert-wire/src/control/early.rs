//! Early negotiation: what a tls-crypt-v2 client and server tell each other inside the hard resets.
//!
//! A client that supports it counts its replay ids from [`FIRST_REPLAY_ID`]. The server's answer then carries a
//! list of `type u16 | length u16 | value` records instead of TLS bytes. One type is known: flags, whose bit 0
//! asks the client to send its wrapped key again, so that the server need not keep it before the cookie returns.

use crate::ParseError;
use crate::reader::Reader;

/// First replay id of a client that understands early negotiation; it counts on from there.
pub const FIRST_REPLAY_ID: u32 = 0x0f00_0001;

/// True if a tls-crypt-v2 client's replay id announces early negotiation: the top byte is 0x0f.
pub fn announced_by(replay_id: u32) -> bool {
    replay_id >> 24 == 0x0f
}

const TYPE_FLAGS: u16 = 1;
const FLAG_RESEND_WKC: u16 = 1;

/// What the server asks for in its answer to a tls-crypt-v2 reset.
///
/// Source: OpenVPN 2.6 behaviour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EarlyNegotiation {
    /// The client shall append its wrapped key to message 1 as well.
    pub resend_wkc: bool,
}

impl EarlyNegotiation {
    /// Reads the payload of a server reset; an empty payload asks for nothing, unknown types are skipped.
    ///
    /// # Errors
    /// [`ParseError::Truncated`] if a record runs past the end, [`ParseError::LengthMismatch`] if the flags
    /// do not take two bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(payload);
        let mut parsed = Self::default();
        while !reader.is_empty() {
            let kind = reader.u16("an early-negotiation type")?;
            let len = reader.u16("an early-negotiation length")?;
            let value = reader.take(usize::from(len), "an early-negotiation value")?;
            if kind == TYPE_FLAGS {
                let flags = value
                    .try_into()
                    .map_err(|_| ParseError::LengthMismatch("early-negotiation flags"))?;
                parsed.resend_wkc = u16::from_be_bytes(flags) & FLAG_RESEND_WKC != 0;
            }
        }
        Ok(parsed)
    }

    /// The payload of the reset: `00 01 00 02 00 01` to have the key sent again.
    pub fn encode(self) -> [u8; 6] {
        let [type_hi, type_lo] = TYPE_FLAGS.to_be_bytes();
        let flags = if self.resend_wkc { FLAG_RESEND_WKC } else { 0 };
        let [flags_hi, flags_lo] = flags.to_be_bytes();
        [type_hi, type_lo, 0, 2, flags_hi, flags_lo]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn asking_for_the_wrapped_key_takes_six_bytes() {
        assert_eq!(EarlyNegotiation { resend_wkc: true }.encode(), [0, 1, 0, 2, 0, 1]);
    }

    #[test]
    fn unknown_types_are_skipped_and_an_empty_list_asks_for_nothing() {
        let list = [0, 9, 0, 3, 1, 2, 3, 0, 1, 0, 2, 0, 1];
        assert!(EarlyNegotiation::parse(&list).unwrap().resend_wkc);
        assert!(!EarlyNegotiation::parse(&[]).unwrap().resend_wkc);
    }

    #[test]
    fn lists_whose_lengths_lie_are_refused() {
        assert!(EarlyNegotiation::parse(&[0, 1, 0, 2, 0]).is_err());
        assert!(EarlyNegotiation::parse(&[0, 1, 0, 1, 1]).is_err());
        assert!(EarlyNegotiation::parse(&[0, 1, 255, 255, 1]).is_err());
        assert!(EarlyNegotiation::parse(&[0]).is_err());
    }

    #[test]
    fn the_marker_is_the_top_byte_of_the_replay_id() {
        assert!(announced_by(FIRST_REPLAY_ID));
        assert!(announced_by(0x0f00_1234));
        assert!(!announced_by(1));
    }

    proptest! {
        #[test]
        fn flags_encode_and_decode_back(resend_wkc: bool) {
            let flags = EarlyNegotiation { resend_wkc };
            prop_assert_eq!(EarlyNegotiation::parse(&flags.encode()).unwrap(), flags);
        }

        #[test]
        fn no_list_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = EarlyNegotiation::parse(&bytes);
        }
    }
}
