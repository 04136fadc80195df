//! The fixed part of an IPv4 or IPv6 header: what routing and policy need to know about a packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ParseError;

/// Smallest IPv4 header, in bytes.
pub const V4_HEADER_LEN: usize = 20;
/// IPv6 header without extensions, in bytes.
pub const V6_HEADER_LEN: usize = 40;

/// What the header of an IP packet says, checked against the length of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpHeader {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Protocol of the payload (IPv4), or the first next-header value (IPv6): 6 TCP, 17 UDP, 1 and 58 ICMP.
    pub protocol: u8,
    /// Where the payload starts: after IPv4 options, after the fixed IPv6 header.
    pub header_len: usize,
    /// Length of the packet in bytes, header included; never more than there are bytes.
    pub total_len: usize,
    /// Offset of this fragment in bytes; 0 for the first fragment, whole packets and all of IPv6.
    pub fragment_offset: u16,
}

impl IpHeader {
    /// Reads the header at the front of `packet`. Bytes beyond the packet's own length are allowed.
    ///
    /// # Errors
    /// [`ParseError`] if the version is neither 4 nor 6 or a length field contradicts the packet's length.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<Self, ParseError> {
        match packet.first().map(|byte| byte >> 4) {
            Some(4) => Self::parse_v4(packet),
            Some(6) => Self::parse_v6(packet),
            Some(other) => Err(ParseError::IpVersion(other)),
            None => Err(ParseError::Empty),
        }
    }

    /// 4 or 6.
    #[inline]
    pub fn version(&self) -> u8 {
        if self.source.is_ipv4() { 4 } else { 6 }
    }

    /// False for all but the first fragment of an IPv4 packet, which carries no transport header.
    #[inline]
    pub fn is_first_fragment(&self) -> bool {
        self.fragment_offset == 0
    }

    #[inline]
    fn parse_v4(packet: &[u8]) -> Result<Self, ParseError> {
        let header: &[u8; V4_HEADER_LEN] = packet
            .first_chunk()
            .ok_or(ParseError::Truncated("the IPv4 header"))?;
        let [
            vihl,
            _,
            len_hi,
            len_lo,
            _,
            _,
            frag_hi,
            frag_lo,
            _,
            protocol,
            _,
            _,
            addresses @ ..,
        ] = *header;
        let [a, b, c, d, e, f, g, h] = addresses;
        let header_len = usize::from(vihl & 0x0f) * 4;
        let total_len = usize::from(u16::from_be_bytes([len_hi, len_lo]));
        if header_len < V4_HEADER_LEN || total_len < header_len {
            return Err(ParseError::LengthMismatch("the IPv4 header"));
        }
        if total_len > packet.len() {
            return Err(ParseError::Truncated("the IPv4 packet"));
        }
        Ok(Self {
            source: Ipv4Addr::new(a, b, c, d).into(),
            destination: Ipv4Addr::new(e, f, g, h).into(),
            protocol,
            header_len,
            total_len,
            // The field counts units of 8 bytes in 13 bits.
            fragment_offset: (u16::from_be_bytes([frag_hi, frag_lo]) & 0x1fff) << 3,
        })
    }

    #[inline]
    fn parse_v6(packet: &[u8]) -> Result<Self, ParseError> {
        let (header, _) = packet
            .split_first_chunk::<V6_HEADER_LEN>()
            .ok_or(ParseError::Truncated("the IPv6 header"))?;
        let (fixed, addresses) = header.split_at(8);
        let &[_, _, _, _, len_hi, len_lo, protocol, _] = fixed else {
            return Err(ParseError::Truncated("the IPv6 header"));
        };
        let (source, destination) = addresses.split_at(16);
        let address = |bytes: &[u8]| {
            bytes
                .try_into()
                .map(|bytes: [u8; 16]| IpAddr::V6(Ipv6Addr::from(bytes)))
                .map_err(|_| ParseError::Truncated("the IPv6 header"))
        };
        let total_len = V6_HEADER_LEN + usize::from(u16::from_be_bytes([len_hi, len_lo]));
        if total_len > packet.len() {
            return Err(ParseError::Truncated("the IPv6 packet"));
        }
        Ok(Self {
            source: address(source)?,
            destination: address(destination)?,
            protocol,
            header_len: V6_HEADER_LEN,
            total_len,
            fragment_offset: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v4(total: u16, ihl: u8, fragment: u16) -> Vec<u8> {
        let mut packet = vec![0x40 | ihl, 0];
        packet.extend(total.to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, 17, 0, 0, 10, 8, 0, 2, 192, 0, 2, 1]);
        packet.resize(usize::from(total).max(20), 0);
        packet
    }

    /// The router solicitation inside vector V17.
    fn v6() -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 8, 0x3a, 0xff];
        packet.extend("fe80::c1ce:f4da:66:ca63".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend("ff02::2".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend([0x85, 0, 0xfb, 0xc3, 0, 0, 0, 0]);
        packet
    }

    #[test]
    fn ipv4_headers_are_read() {
        let header = IpHeader::parse(&v4(28, 5, 0x4000)).unwrap();
        assert_eq!(header.source, IpAddr::from([10, 8, 0, 2]));
        assert_eq!(header.destination, IpAddr::from([192, 0, 2, 1]));
        assert_eq!(
            (
                header.version(),
                header.protocol,
                header.header_len,
                header.total_len
            ),
            (4, 17, 20, 28)
        );
        assert!(
            header.is_first_fragment(),
            "the do-not-fragment flag is no offset"
        );
        assert_eq!(IpHeader::parse(&v4(40, 6, 0x2001)).unwrap().fragment_offset, 8);
    }

    #[test]
    fn ipv6_headers_are_read() {
        let header = IpHeader::parse(&v6()).unwrap();
        assert_eq!(header.destination, "ff02::2".parse::<IpAddr>().unwrap());
        assert_eq!((header.version(), header.protocol, header.total_len), (6, 58, 48));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        assert!(IpHeader::parse(&v4(28, 4, 0)).is_err());
        assert!(IpHeader::parse(&v4(19, 5, 0)).is_err());
        assert!(IpHeader::parse(&v4(28, 5, 0)[..27]).is_err());
        assert!(IpHeader::parse(&v6()[..47]).is_err());
        assert!(IpHeader::parse(&v6()[..39]).is_err());
        assert_eq!(IpHeader::parse(&[0x50, 0]), Err(ParseError::IpVersion(5)));
        assert_eq!(IpHeader::parse(&[]), Err(ParseError::Empty));
    }

    #[test]
    fn padding_behind_the_packet_is_allowed() {
        let mut packet = v4(28, 5, 0);
        packet.extend([0; 18]);
        assert_eq!(IpHeader::parse(&packet).unwrap().total_len, 28);
    }

    proptest! {
        #[test]
        fn every_accepted_header_lies_within_the_packet(mut packet in proptest::collection::vec(any::<u8>(), 0..100), version in 0u8..16) {
            if let Some(first) = packet.first_mut() {
                *first = *first & 0x0f | version << 4;
            }
            if let Ok(header) = IpHeader::parse(&packet) {
                prop_assert!(header.header_len <= header.total_len && header.total_len <= packet.len());
            }
        }
    }
}
