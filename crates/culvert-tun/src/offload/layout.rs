//! Where the fields are that splitting and joining read and write.

use super::{checksum::Sum, vnet::Gso};

/// Bytes of an IPv4 header without options.
const IPV4_HEADER: usize = 20;
/// Bytes of an IPv6 header.
const IPV6_HEADER: usize = 40;
/// Bytes of a UDP header.
const UDP_HEADER: usize = 8;
/// Bytes of a TCP header without options.
const TCP_HEADER: usize = 20;

/// TCP flags.
pub(crate) mod flag {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const PSH: u8 = 0x08;
    pub(crate) const ACK: u8 = 0x10;
    pub(crate) const CWR: u8 = 0x80;
}

/// Transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// Where the checksum is in the transport header.
    pub(crate) fn checksum_at(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }
}

/// The headers of a TCP or UDP packet.
///
/// Whoever has a value knows that the packet it was made from is at least `header_len` long, and that
/// `transport` and the fixed part of the transport header lie within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) v6: bool,
    pub(crate) protocol: Protocol,
    /// Where the transport header starts.
    pub(crate) transport: usize,
    /// Length of all headers.
    pub(crate) header_len: usize,
}

impl Layout {
    /// The layout of a super-packet, whose transport header the kernel told the place of.
    pub(crate) fn of_super(packet: &[u8], gso: Gso, transport: usize) -> Option<Self> {
        let v6 = packet.first()? >> 4 == 6;
        let protocol = match gso {
            Gso::TcpV4 | Gso::TcpV6 => Protocol::Tcp,
            Gso::Udp => Protocol::Udp,
            Gso::None | Gso::Unknown => return None,
        };
        let least = if v6 { IPV6_HEADER } else { IPV4_HEADER };
        if transport < least || (gso == Gso::TcpV4 && v6) || (gso == Gso::TcpV6 && !v6) {
            return None;
        }
        Self::with_transport(packet, v6, protocol, transport)
    }

    /// The layout of a plain TCP or UDP packet over IP without options, extension headers or fragmentation
    /// whose length is the stated one; `None` for all others.
    pub(crate) fn of_packet(packet: &[u8]) -> Option<Self> {
        let be16 = |at: usize| {
            packet
                .get(at..at + 2)
                .map(|two| usize::from(two[0]) << 8 | usize::from(two[1]))
        };
        match packet.first()? >> 4 {
            4 => {
                // Any fragment bit, the reserved one included, makes it another thing than it looks.
                let plain =
                    packet.first() == Some(&0x45) && be16(6)? & !0x4000 == 0 && be16(2)? == packet.len();
                let protocol = Protocol::from_number(*packet.get(9)?)?;
                if plain {
                    Self::with_transport(packet, false, protocol, IPV4_HEADER)
                } else {
                    None
                }
            }
            6 => {
                let protocol = Protocol::from_number(*packet.get(6)?)?;
                if be16(4)? + IPV6_HEADER != packet.len() {
                    return None;
                }
                Self::with_transport(packet, true, protocol, IPV6_HEADER)
            }
            _ => None,
        }
    }

    fn with_transport(packet: &[u8], v6: bool, protocol: Protocol, transport: usize) -> Option<Self> {
        let header_len = transport
            + match protocol {
                Protocol::Udp => UDP_HEADER,
                Protocol::Tcp => usize::from(packet.get(transport + 12)? >> 4) * 4,
            };
        let least = match protocol {
            Protocol::Udp => UDP_HEADER,
            Protocol::Tcp => TCP_HEADER,
        };
        (header_len >= transport + least && header_len <= packet.len()).then_some(Self {
            v6,
            protocol,
            transport,
            header_len,
        })
    }

    /// Sum of the pseudo header for `len` bytes of transport header and payload.
    pub(crate) fn pseudo(&self, header: &[u8], len: usize) -> Sum {
        let addresses = if self.v6 { 8..40 } else { 12..20 };
        Sum::of(header.get(addresses).unwrap_or_default())
            + Sum::of_u16(self.protocol.number().into())
            + Sum::of_u16(len as u16)
    }

    /// Whether the IPv4 header's and the transport's checksums fit. UDP without checksum does not.
    pub(crate) fn is_intact(&self, packet: &[u8]) -> bool {
        let (ip, segment) = packet.split_at(self.transport);
        if !self.v6 && !Sum::of(ip).is_valid() {
            return false;
        }
        if self.protocol == Protocol::Udp && segment.get(6..8) == Some(&[0, 0]) {
            return false;
        }
        (self.pseudo(ip, segment.len()) + Sum::of(segment)).is_valid()
    }

    /// Writes the lengths for `payload` bytes into the IP header, and UDP's; and IPv4's header checksum.
    pub(crate) fn write_lengths(&self, header: &mut [u8], payload: usize) {
        let total = self.header_len + payload;
        if self.v6 {
            put(header, 4, ((total - IPV6_HEADER) as u16).to_be_bytes());
        } else {
            put(header, 2, (total as u16).to_be_bytes());
            put(header, 10, [0, 0]);
            let checksum = Sum::of(header.get(..self.transport).unwrap_or_default()).checksum();
            put(header, 10, checksum);
        }
        if self.protocol == Protocol::Udp {
            put(
                header,
                self.transport + 4,
                ((total - self.transport) as u16).to_be_bytes(),
            );
        }
    }

    /// Writes the complete transport checksum of `header` and `payload`.
    pub(crate) fn write_checksum(&self, header: &mut [u8], payload: &[u8]) {
        let at = self.transport + self.protocol.checksum_at();
        put(header, at, [0, 0]);
        let len = self.header_len - self.transport + payload.len();
        let sum = self.pseudo(header, len)
            + Sum::of(header.get(self.transport..).unwrap_or_default())
            + Sum::of(payload);
        let checksum = match self.protocol {
            Protocol::Tcp => sum.checksum(),
            Protocol::Udp => sum.checksum_nonzero(),
        };
        put(header, at, checksum);
    }

    /// Writes the sum of the pseudo header for `payload` bytes, for the kernel to complete.
    pub(crate) fn write_partial_checksum(&self, header: &mut [u8], payload: usize) {
        let partial = self
            .pseudo(header, self.header_len - self.transport + payload)
            .partial();
        put(header, self.transport + self.protocol.checksum_at(), partial);
    }

    /// IPv4's identification.
    pub(crate) fn id(&self, header: &[u8]) -> u16 {
        header
            .get(4..6)
            .map_or(0, |two| u16::from_be_bytes([two[0], two[1]]))
    }

    /// TCP's sequence number.
    pub(crate) fn sequence(&self, header: &[u8]) -> u32 {
        let bytes = header.get(self.transport + 4..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |four| u32::from_be_bytes(*four))
    }

    /// TCP's flags, without the two that share a byte with the header length.
    pub(crate) fn flags(&self, header: &[u8]) -> u8 {
        header.get(self.transport + 13).copied().unwrap_or(0)
    }

    pub(crate) fn set_id(&self, header: &mut [u8], id: u16) {
        put(header, 4, id.to_be_bytes());
    }

    pub(crate) fn set_sequence(&self, header: &mut [u8], sequence: u32) {
        put(header, self.transport + 4, sequence.to_be_bytes());
    }

    pub(crate) fn set_flags(&self, header: &mut [u8], flags: u8) {
        put(header, self.transport + 13, [flags]);
    }
}

/// Writes a field. A [`Layout`] vouches for its place, so none is ever left out.
fn put<const N: usize>(header: &mut [u8], at: usize, value: [u8; N]) {
    if let Some(field) = header.get_mut(at..at + N) {
        field.copy_from_slice(&value);
    }
}
