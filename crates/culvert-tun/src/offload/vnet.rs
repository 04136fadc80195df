//! The header in front of each packet on a queue with offload.

/// Bytes of [`VnetHeader`].
pub(crate) const HEADER_LEN: usize = 10;

/// A header that says: one packet, complete checksums.
pub(crate) const NONE: [u8; HEADER_LEN] = [0; HEADER_LEN];

/// The checksum is to be completed from `csum_start` on.
const F_NEEDS_CSUM: u8 = 1;
/// TCP segments may carry the CWR flag.
const GSO_ECN: u8 = 0x80;

/// What is to be cut out of a super-packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gso {
    None,
    TcpV4,
    TcpV6,
    /// UDP over either family (`VIRTIO_NET_HDR_GSO_UDP_L4`).
    Udp,
    /// A kind we did not ask for.
    Unknown,
}

/// `struct virtio_net_hdr`: `flags:8 gso_type:8 hdr_len:16 gso_size:16 csum_start:16 csum_offset:16`, native
/// order.
///
/// Source: virtio specification 1.1, section 5.1.6, in its legacy byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VnetHeader {
    /// Whether the transport checksum covers the pseudo header only.
    pub(crate) needs_csum: bool,
    pub(crate) gso: Gso,
    /// Length of all headers; from the kernel a hint only.
    pub(crate) header_len: u16,
    /// Payload of each segment but the last.
    pub(crate) gso_size: u16,
    /// Where the transport header starts.
    pub(crate) csum_start: u16,
    /// Where in it the checksum is.
    pub(crate) csum_offset: u16,
}

impl VnetHeader {
    pub(crate) fn parse(bytes: &[u8; HEADER_LEN]) -> Self {
        let [flags, gso, h0, h1, g0, g1, s0, s1, o0, o1] = *bytes;
        let gso = match gso & !GSO_ECN {
            0 => Gso::None,
            1 => Gso::TcpV4,
            4 => Gso::TcpV6,
            5 => Gso::Udp,
            _ => Gso::Unknown,
        };
        Self {
            needs_csum: flags & F_NEEDS_CSUM != 0,
            gso,
            header_len: u16::from_ne_bytes([h0, h1]),
            gso_size: u16::from_ne_bytes([g0, g1]),
            csum_start: u16::from_ne_bytes([s0, s1]),
            csum_offset: u16::from_ne_bytes([o0, o1]),
        }
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let gso = match self.gso {
            Gso::None | Gso::Unknown => 0,
            Gso::TcpV4 => 1,
            Gso::TcpV6 => 4,
            Gso::Udp => 5,
        };
        let [h0, h1] = self.header_len.to_ne_bytes();
        let [g0, g1] = self.gso_size.to_ne_bytes();
        let [s0, s1] = self.csum_start.to_ne_bytes();
        let [o0, o1] = self.csum_offset.to_ne_bytes();
        [u8::from(self.needs_csum), gso, h0, h1, g0, g1, s0, s1, o0, o1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_encoding() {
        for gso in [Gso::None, Gso::TcpV4, Gso::TcpV6, Gso::Udp] {
            let header = VnetHeader {
                needs_csum: true,
                gso,
                header_len: 66,
                gso_size: 1348,
                csum_start: 20,
                csum_offset: 16,
            };
            assert_eq!(VnetHeader::parse(&header.encode()), header);
        }
        let mut ecn = NONE;
        ecn[1] = 0x81;
        assert_eq!(VnetHeader::parse(&ecn).gso, Gso::TcpV4);
        ecn[1] = 3; // fragmentation of UDP, which we never ask for
        assert_eq!(VnetHeader::parse(&ecn).gso, Gso::Unknown);
    }
}
