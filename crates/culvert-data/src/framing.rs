//! The byte that clients with `comp-lzo` put in front of every packet.

use crate::DropReason;

/// First byte of a packet that is not compressed, under `comp-lzo` framing.
///
/// Source: OpenVPN 2.6 behaviour of `comp-lzo no`.
pub const UNCOMPRESSED: u8 = 0xfa;

/// Outermost part of the plaintext of every packet of a client, pings included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// The packet as it is. Also what `compress stub-v2` amounts to.
    #[default]
    None,
    /// One byte, always [`UNCOMPRESSED`]: clients older than 2.4 that have `comp-lzo` in their profile.
    LzoByte,
}

impl Framing {
    /// Bytes in front of the packet.
    pub const fn len(self) -> usize {
        match self {
            Self::None => 0,
            Self::LzoByte => 1,
        }
    }

    /// True if nothing stands in front of the packet.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The bytes in front of the packet.
    pub(crate) const fn prefix(self) -> &'static [u8] {
        match self {
            Self::None => &[],
            Self::LzoByte => &[UNCOMPRESSED],
        }
    }

    /// Takes the framing off a received plaintext.
    pub(crate) fn strip(self, plaintext: &mut [u8]) -> Result<&mut [u8], DropReason> {
        match (self, plaintext) {
            (Self::None, plaintext) => Ok(plaintext),
            (Self::LzoByte, [UNCOMPRESSED, packet @ ..]) => Ok(packet),
            (Self::LzoByte, _) => Err(DropReason::Compressed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_uncompressed_mark_is_accepted() {
        assert_eq!(Framing::LzoByte.strip(&mut [0xfa, 0x45]).unwrap(), &[0x45]);
        for first in [0x66, 0x69, 0xfb, 0x45] {
            assert_eq!(
                Framing::LzoByte.strip(&mut [first, 0]),
                Err(DropReason::Compressed)
            );
        }
        assert_eq!(Framing::LzoByte.strip(&mut []), Err(DropReason::Compressed));
    }

    #[test]
    fn without_framing_no_byte_is_special() {
        assert_eq!(Framing::None.strip(&mut [0x66, 1]).unwrap(), &[0x66, 1]);
        assert_eq!(Framing::None.prefix().len(), Framing::None.len());
        assert_eq!(Framing::LzoByte.prefix().len(), Framing::LzoByte.len());
    }
}
