//! The clear header of data packets.
//!
//! ```text
//! DATA_V1  | opcode:5 key_id:3 | encrypted part
//! DATA_V2  | opcode:5 key_id:3 | peer id 3 | encrypted part
//! ```

use arrayvec::ArrayVec;

use crate::{EncodeError, FirstByte, KeyId, Opcode, ParseError, PeerId};

/// Bytes of a DATA_V1 header.
pub const V1_LEN: usize = 1;
/// Bytes of a DATA_V2 header.
pub const V2_LEN: usize = 4;

/// Header of a data packet.
///
/// Source: wire draft, "data channel packets".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHeader {
    /// Key the packet is encrypted with.
    pub key_id: KeyId,
    /// Peer id of a DATA_V2 packet, [`PeerId::UNDEFINED`] included; `None` for DATA_V1.
    pub peer: Option<PeerId>,
    /// Bytes the header takes: [`V1_LEN`] or [`V2_LEN`]. The encrypted part starts there.
    pub len: usize,
}

impl DataHeader {
    /// A DATA_V1 header.
    #[inline]
    pub fn v1(key_id: KeyId) -> Self {
        Self {
            key_id,
            peer: None,
            len: V1_LEN,
        }
    }

    /// A DATA_V2 header.
    #[inline]
    pub fn v2(key_id: KeyId, peer: PeerId) -> Self {
        Self {
            key_id,
            peer: Some(peer),
            len: V2_LEN,
        }
    }

    /// Reads the header at the front of a packet.
    ///
    /// # Errors
    /// [`ParseError`] if the packet is too short or not a data packet.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<Self, ParseError> {
        let first = FirstByte::peek(packet)?;
        match (first.opcode, packet) {
            (Opcode::DataV1, _) => Ok(Self::v1(first.key_id)),
            (Opcode::DataV2, &[_, a, b, c, ..]) => Ok(Self::v2(first.key_id, PeerId::from_bytes([a, b, c]))),
            (Opcode::DataV2, _) => Err(ParseError::Truncated("the peer id")),
            (other, _) => Err(ParseError::WrongOpcode(other.value())),
        }
    }

    /// The peer to look up, or `None` if only the source address tells who sent the packet.
    #[inline]
    pub fn named_peer(&self) -> Option<PeerId> {
        self.peer.filter(|peer| peer.is_defined())
    }

    /// The header's bytes on the wire.
    #[inline]
    pub fn encode(&self) -> ArrayVec<u8, V2_LEN> {
        let mut out = ArrayVec::new();
        let opcode = if self.peer.is_some() {
            Opcode::DataV2
        } else {
            Opcode::DataV1
        };
        out.push(
            FirstByte {
                opcode,
                key_id: self.key_id,
            }
            .encode(),
        );
        out.extend(self.peer.into_iter().flat_map(PeerId::bytes));
        out
    }

    /// Writes the header to the front of `out` and returns its length.
    ///
    /// # Errors
    /// [`EncodeError::NoRoom`] if `out` is too short.
    #[inline]
    pub fn write(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let bytes = self.encode();
        let have = out.len();
        let room = out.get_mut(..bytes.len()).ok_or(EncodeError::NoRoom {
            need: bytes.len(),
            have,
        })?;
        room.copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_of_stock_packets_decode() {
        let v2 = DataHeader::parse(&[0x48, 0, 0, 5, 0, 0, 0, 1]).unwrap();
        assert_eq!(v2, DataHeader::v2(KeyId::FIRST, PeerId::new(5).unwrap()));
        let v1 = DataHeader::parse(&[0x33, 0, 0, 0x12, 0x34]).unwrap();
        assert_eq!(v1, DataHeader::v1(KeyId::new(3).unwrap()));
    }

    #[test]
    fn the_undefined_peer_id_names_nobody() {
        let header = DataHeader::parse(&[0x48, 0xff, 0xff, 0xff]).unwrap();
        assert_eq!((header.named_peer(), header.len), (None, 4));
    }

    #[test]
    fn short_and_control_packets_are_refused() {
        assert_eq!(
            DataHeader::parse(&[0x48, 0, 0]),
            Err(ParseError::Truncated("the peer id"))
        );
        assert_eq!(
            DataHeader::parse(&[0x20, 0, 0, 0]),
            Err(ParseError::WrongOpcode(4))
        );
        assert_eq!(DataHeader::parse(&[]), Err(ParseError::Empty));
        assert!(
            DataHeader::v2(KeyId::FIRST, PeerId::MAX)
                .write(&mut [0; 3])
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn headers_encode_and_decode_back(key in 0u8..8, peer in proptest::option::of(0u32..1 << 24)) {
            let key_id = KeyId::new(key).unwrap();
            let header = peer.map_or_else(|| DataHeader::v1(key_id), |p| DataHeader::v2(key_id, PeerId::new(p).unwrap()));
            let mut out = [0; 8];
            prop_assert_eq!(header.write(&mut out).unwrap(), header.len);
            prop_assert_eq!(DataHeader::parse(&out).unwrap(), header);
        }
    }
}
