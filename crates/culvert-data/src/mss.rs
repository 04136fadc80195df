//! Keeps TCP connections inside the tunnel from needing fragments: lowers the MSS option of SYN packets.

use culvert_wire::LinkAddr;
use culvert_wire::ip::IpHeader;

/// TCP and IPv4 headers inside the tunnel.
const INNER_V4: usize = 40;

/// How much larger an IPv6 header is than an IPv4 header.
const INNER_V6_EXTRA: usize = 20;

/// Smallest segment ever written into a SYN; below it hosts misbehave.
const SMALLEST: usize = 88;

const TCP: u8 = 6;
const SYN: u8 = 0x02;
const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_MSS: u8 = 2;

/// What limits the size of TCP segments inside the tunnel, as `mssfix` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MssFix {
    /// Segments are left alone.
    Off,
    /// Size of the whole packet on the outside, IP header included (`mssfix N mtu`). Stock default: 1492.
    Outer(u16),
    /// Size of the payload of the outer UDP datagram (`mssfix N`).
    Payload(u16),
    /// Size of the IP packet inside the tunnel (`mssfix N fixed`).
    Inner(u16),
}

impl Default for MssFix {
    fn default() -> Self {
        Self::Outer(1492)
    }
}

/// How much a key adds to a packet, as far as segment sizes are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expansion {
    /// Bytes added to every packet, header included.
    pub fixed: usize,
    /// CBC: block size; the plaintext is preceded by [`Expansion::inside`] bytes and padded by 1..=block.
    pub block: Option<usize>,
    /// Bytes encrypted in front of the packet: the packet id of CBC, a compression framing byte.
    pub inside: usize,
}

/// Largest TCP payload that does not make a packet exceed the limit, for both inner address families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentLimit {
    /// Inside IPv4; 0 for no limit.
    pub v4: u16,
    /// Inside IPv6; 0 for no limit.
    pub v6: u16,
}

impl SegmentLimit {
    /// Computes the limit for a link and key.
    pub fn new(fix: MssFix, link: &LinkAddr, expansion: Expansion) -> Self {
        let room = match fix {
            MssFix::Off => return Self::default(),
            MssFix::Inner(size) => usize::from(size),
            MssFix::Outer(size) => {
                expansion.plaintext_room(usize::from(size).saturating_sub(link.outer_overhead()))
            }
            // TCP links count two bytes more: the length prefix is part of the payload.
            MssFix::Payload(size) => {
                let prefix = if link.is_udp() { 0 } else { 2 };
                expansion.plaintext_room(usize::from(size).saturating_sub(prefix))
            }
        };
        let segment = |headers: usize| {
            room.saturating_sub(headers)
                .clamp(SMALLEST, usize::from(u16::MAX)) as u16
        };
        Self {
            v4: segment(INNER_V4),
            v6: segment(INNER_V4 + INNER_V6_EXTRA),
        }
    }

    /// Both limits in one number, for an atomic.
    pub(crate) fn pack(self) -> u32 {
        u32::from(self.v4) << 16 | u32::from(self.v6)
    }

    /// The inverse of [`SegmentLimit::pack`].
    pub(crate) fn unpack(packed: u32) -> Self {
        Self {
            v4: (packed >> 16) as u16,
            v6: packed as u16,
        }
    }

    /// Lowers the MSS option of a TCP SYN or SYN-ACK and fixes its checksum; every other packet is left alone.
    ///
    /// `ip` is one IP packet with a complete TCP checksum, `header` its header. Returns true if it was changed.
    /// A SYN behind IPv6 extension headers is left alone, as stock does.
    #[inline]
    pub fn clamp(self, header: &IpHeader, ip: &mut [u8]) -> bool {
        if header.protocol != TCP || !header.is_first_fragment() {
            return false;
        }
        let limit = if header.source.is_ipv4() { self.v4 } else { self.v6 };
        let Some(tcp) = ip.get_mut(header.header_len..header.total_len) else {
            return false;
        };
        match tcp.get(13) {
            Some(flags) if flags & SYN != 0 && limit != 0 => lower_mss(tcp, limit).is_some(),
            _ => false,
        }
    }
}

impl Expansion {
    /// Largest inner IP packet whose sealed form fits `room` bytes.
    fn plaintext_room(self, room: usize) -> usize {
        let room = room.saturating_sub(self.fixed);
        match self.block {
            None => room.saturating_sub(self.inside),
            // Whole blocks only, and at least one byte of padding.
            Some(block) => (room / block.max(1) * block).saturating_sub(1 + self.inside),
        }
    }
}

/// Walks the options of a TCP header; `Some` if an MSS option above the limit was lowered.
#[cold]
fn lower_mss(tcp: &mut [u8], limit: u16) -> Option<()> {
    let header_len = usize::from(tcp.get(12)? >> 4) * 4;
    if header_len < 20 || tcp.len() < header_len {
        return None;
    }
    let mut at = 20;
    while at < header_len {
        match *tcp.get(at)? {
            OPTION_END => return None,
            OPTION_NOP => at += 1,
            OPTION_MSS if *tcp.get(at + 1)? == 4 && at + 4 <= header_len => {
                return lower_option(tcp, at + 2, limit);
            }
            _ => match usize::from(*tcp.get(at + 1)?) {
                0 | 1 => return None,
                len => at += len,
            },
        }
    }
    None
}

/// Lowers the value at `at` and updates the checksum for the difference (RFC 1624).
fn lower_option(tcp: &mut [u8], at: usize, limit: u16) -> Option<()> {
    let old = u16::from_be_bytes(*tcp.get(at..)?.first_chunk::<2>()?);
    if old <= limit {
        return None;
    }
    tcp.get_mut(at..at + 2)?.copy_from_slice(&limit.to_be_bytes());
    // An option may start anywhere: at an odd offset its bytes count with exchanged weight.
    let weigh = |value: u16| {
        u32::from(if at.is_multiple_of(2) {
            value
        } else {
            value.swap_bytes()
        })
    };
    let check = u16::from_be_bytes(*tcp.get(16..)?.first_chunk::<2>()?);
    let mut sum = u32::from(!check) + (0xffff - weigh(old)) + weigh(limit);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    tcp.get_mut(16..18)?
        .copy_from_slice(&(!(sum as u16)).to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icmp::checksum;
    use culvert_wire::{TcpLink, UdpPath};
    use proptest::prelude::*;

    fn udp(remote: &str) -> LinkAddr {
        LinkAddr::Udp(UdpPath {
            remote: remote.parse().unwrap(),
            local: None,
            socket: 0,
        })
    }

    fn tcp_v4() -> LinkAddr {
        LinkAddr::Tcp(TcpLink {
            id: 1,
            remote: "192.0.2.1:5".parse().unwrap(),
        })
    }

    fn aead(fixed: usize) -> Expansion {
        Expansion {
            fixed,
            block: None,
            inside: 0,
        }
    }

    fn cbc(digest: usize) -> Expansion {
        Expansion {
            fixed: 4 + digest + 16,
            block: Some(16),
            inside: 4,
        }
    }

    #[test]
    fn limits_are_those_stock_clients_print() {
        let v4 = udp("192.0.2.1:1");
        let v6 = udp("[2001:db8::1]:1");
        let outer = MssFix::Outer(1492);
        let mss = |fix, link: &LinkAddr, expansion| SegmentLimit::new(fix, link, expansion).v4;
        assert_eq!(mss(outer, &v4, aead(24)), 1400);
        assert_eq!(mss(outer, &v4, aead(21)), 1403);
        assert_eq!(mss(outer, &tcp_v4(), aead(24)), 1386);
        assert_eq!(mss(outer, &v6, aead(24)), 1380);
        assert_eq!(
            mss(
                outer,
                &v4,
                Expansion {
                    inside: 1,
                    ..aead(24)
                }
            ),
            1399
        );
        assert_eq!(mss(outer, &v4, aead(28)), 1396);
        assert_eq!(mss(outer, &v6, aead(28)), 1376);
        assert_eq!(mss(outer, &v4, cbc(20)), 1379);
        assert_eq!(mss(outer, &v4, cbc(32)), 1363);
        assert_eq!(mss(outer, &v4, cbc(64)), 1331);
        assert_eq!(mss(outer, &v6, cbc(20)), 1347);
        assert_eq!(mss(MssFix::Payload(1400), &v4, aead(24)), 1336);
        assert_eq!(mss(MssFix::Inner(1400), &v4, aead(24)), 1360);
        assert_eq!(SegmentLimit::new(outer, &v4, aead(24)).v6, 1380);
        assert_eq!(mss(MssFix::Off, &v4, aead(24)), 0);
    }

    /// A TCP packet over IPv4 or IPv6 with the given flags and options and a right checksum.
    fn tcp_packet(v6: bool, flags: u8, options: &[u8]) -> Vec<u8> {
        let mut tcp = vec![
            0x13, 0x88, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0, flags, 0xff, 0xff, 0, 0, 0, 0,
        ];
        tcp.extend_from_slice(options);
        tcp.resize(tcp.len().next_multiple_of(4), 0);
        tcp[12] = ((tcp.len() / 4) << 4) as u8;
        let mut packet = if v6 {
            let mut ip = vec![0x60, 0, 0, 0, 0, tcp.len() as u8, TCP, 64];
            ip.extend_from_slice(&[0x20; 16]);
            ip.extend_from_slice(&[0x30; 16]);
            ip
        } else {
            vec![
                0x45,
                0,
                0,
                (20 + tcp.len()) as u8,
                0,
                0,
                0x40,
                0,
                64,
                TCP,
                0,
                0,
                10,
                8,
                0,
                2,
                192,
                0,
                2,
                1,
            ]
        };
        let start = packet.len();
        packet.extend_from_slice(&tcp);
        let check = tcp_checksum(&packet, start);
        packet[start + 16..start + 18].copy_from_slice(&check.to_be_bytes());
        packet
    }

    fn tcp_checksum(packet: &[u8], start: usize) -> u16 {
        let addresses = if packet[0] >> 4 == 4 {
            &packet[12..20]
        } else {
            &packet[8..40]
        };
        let mut pseudo = addresses.to_vec();
        pseudo.extend_from_slice(&[0, TCP]);
        pseudo.extend_from_slice(&((packet.len() - start) as u16).to_be_bytes());
        checksum(u32::from(!checksum(0, &pseudo)), &packet[start..])
    }

    fn clamp(limit: SegmentLimit, packet: &mut [u8]) -> bool {
        IpHeader::parse(packet).is_ok_and(|header| limit.clamp(&header, packet))
    }

    const LIMIT: SegmentLimit = SegmentLimit { v4: 1400, v6: 1380 };

    #[test]
    fn a_syn_above_the_limit_is_lowered_and_its_checksum_stays_right() {
        for (v6, limit) in [(false, 1400u16), (true, 1380)] {
            let mut packet = tcp_packet(v6, SYN, &[2, 4, 0x05, 0xb4]);
            let start = if v6 { 40 } else { 20 };
            assert!(clamp(LIMIT, &mut packet));
            assert_eq!(packet[start + 22..start + 24], limit.to_be_bytes());
            assert_eq!(tcp_checksum(&packet, start), 0);
        }
    }

    #[test]
    fn an_option_at_an_odd_offset_keeps_the_checksum_right() {
        let mut packet = tcp_packet(false, SYN, &[1, 2, 4, 0x05, 0xb4, 1, 1, 1]);
        assert!(clamp(LIMIT, &mut packet));
        assert_eq!(packet[43..45], 1400u16.to_be_bytes());
        assert_eq!(tcp_checksum(&packet, 20), 0);
    }

    #[test]
    fn smaller_values_plain_segments_and_later_fragments_are_left_alone() {
        let mut small = tcp_packet(false, SYN, &[2, 4, 0x04, 0x00]);
        assert!(!clamp(LIMIT, &mut small));
        let mut plain = tcp_packet(false, 0x10, &[2, 4, 0x05, 0xb4]);
        assert!(!clamp(LIMIT, &mut plain));
        let mut fragment = tcp_packet(false, SYN, &[2, 4, 0x05, 0xb4]);
        fragment[7] = 1;
        assert!(!clamp(LIMIT, &mut fragment));
        let mut first_fragment = tcp_packet(false, SYN, &[2, 4, 0x05, 0xb4]);
        first_fragment[6] = 0x20;
        assert!(clamp(LIMIT, &mut first_fragment));
        let mut off = tcp_packet(false, SYN, &[2, 4, 0x05, 0xb4]);
        assert!(!clamp(SegmentLimit::default(), &mut off));
    }

    #[test]
    fn packing_keeps_both_limits() {
        assert_eq!(SegmentLimit::unpack(LIMIT.pack()), LIMIT);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..120), v6 in any::<bool>()) {
            if let Some(first) = bytes.first_mut() {
                *first = if v6 { 0x60 } else { 0x45 };
            }
            clamp(LIMIT, &mut bytes);
        }

        #[test]
        fn any_options_keep_the_checksum_right(v6 in any::<bool>(), options in prop::collection::vec(
            prop_oneof![Just(vec![1]), (0u16..=u16::MAX).prop_map(|mss| [&[2, 4][..], &mss.to_be_bytes()].concat()),
                prop::collection::vec(any::<u8>(), 0..6)], 0..5)) {
            let mut packet = tcp_packet(v6, SYN, &options.concat().into_iter().take(40).collect::<Vec<_>>());
            clamp(LIMIT, &mut packet);
            prop_assert_eq!(tcp_checksum(&packet, if v6 { 40 } else { 20 }), 0);
        }
    }
}
