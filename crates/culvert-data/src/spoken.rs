//! What two hosts speak in a packet, for rules that are limited to services.
//!
//! There is no state: a packet is judged by its own header, so whoever answers is told from whoever begins by ports, and
//! by what only the first packet of a conversation looks like.
//!
//! - The port that counts is the other host's: the destination port of what a client sends, the source port of what it
//!   receives.
//! - A TCP segment with SYN and without ACK begins something, and so does every ICMP message that isn't a reply: they are no
//!   answer.
//! - An ICMP error belongs to the two hosts and the ports that it quotes, whichever router on the way sent it, so a limited TCP
//!   connection learns of a smaller MTU.
//! - A later fragment has no ports. It passes where any port of its protocol does: it can't be put together without the
//!   first one, which is judged by its ports. A first fragment too short to tell them is refused, and so is one that could
//!   overwrite the flags of TCP (RFC 1858, RFC 3128).
//! - What can't be read belongs to no service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use culvert_wire::ip::IpHeader;

const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Extension headers of IPv6 that may stand before the transport header (RFC 8200).
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Most extension headers that are looked behind.
const MAX_EXTENSIONS: usize = 6;

/// What a packet is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spoken {
    /// Protocol number.
    pub(crate) protocol: u8,
    /// Source and destination port; `None` for a later fragment. Zeros where the protocol has none.
    pub(crate) ports: Option<(u16, u16)>,
    /// It begins something, so it can't be an answer.
    pub(crate) begins: bool,
    /// Of an ICMP error: who sent the packet it quotes, and to whom.
    pub(crate) quoted: Option<(IpAddr, IpAddr)>,
}

/// The transport header, or where it would be.
struct Transport<'p> {
    protocol: u8,
    /// Offset of the fragment in bytes.
    offset: u16,
    bytes: &'p [u8],
}

impl Spoken {
    /// Reads it from a packet.
    pub(crate) fn read(header: &IpHeader, ip: &[u8]) -> Option<Self> {
        let transport = Transport::find(header, ip.get(..header.total_len)?)?;
        let bytes = transport.bytes;
        match transport.protocol {
            // 8 bytes on are the flags of TCP: a fragment from there could replace those that were judged.
            TCP if transport.offset == 8 => None,
            protocol if transport.offset != 0 => Some(Self::later(protocol)),
            TCP => {
                let (syn, ack) = (0x02, 0x10);
                let begins = bytes.get(13)? & (syn | ack) == syn;
                Self::with_ports(TCP, bytes, begins)
            }
            UDP => Self::with_ports(UDP, bytes, false),
            ICMP if is_error_v4(*bytes.first()?) => Self::quoted(bytes.get(8..)?),
            ICMPV6 if is_error_v6(*bytes.first()?) => Self::quoted(bytes.get(8..)?),
            protocol @ (ICMP | ICMPV6) => Some(Self {
                protocol,
                ports: Some((0, 0)),
                begins: !is_reply(protocol, *bytes.first()?),
                quoted: None,
            }),
            _ => None,
        }
    }

    const fn later(protocol: u8) -> Self {
        Self {
            protocol,
            ports: None,
            begins: false,
            quoted: None,
        }
    }

    fn with_ports(protocol: u8, bytes: &[u8], begins: bool) -> Option<Self> {
        let &[a, b, c, d] = bytes.first_chunk()?;
        let ports = Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])));
        Some(Self {
            protocol,
            ports,
            begins,
            quoted: None,
        })
    }

    /// What an ICMP error is about: the packet it quotes, seen from the other side.
    fn quoted(quoted: &[u8]) -> Option<Self> {
        let transport = Transport::of_quote(quoted)?;
        let protocol = transport.protocol;
        let ports = match protocol {
            _ if transport.offset != 0 => None,
            TCP | UDP => {
                let about = Self::with_ports(protocol, transport.bytes, false)?;
                about.ports.map(|(source, destination)| (destination, source))
            }
            ICMP | ICMPV6 => Some((0, 0)),
            _ => return None,
        };
        Some(Self {
            protocol,
            ports,
            begins: false,
            quoted: Some(hosts(quoted)?),
        })
    }

    /// The port of the receiver; `None`: unknown.
    pub(crate) fn destination_port(&self) -> Option<u16> {
        self.ports.map(|(_, destination)| destination)
    }

    /// The port of the sender; `None`: unknown.
    pub(crate) fn source_port(&self) -> Option<u16> {
        self.ports.map(|(source, _)| source)
    }
}

/// Source and destination of a packet of which only the beginning is there.
fn hosts(ip: &[u8]) -> Option<(IpAddr, IpAddr)> {
    if ip.first()? >> 4 == 4 {
        let address = |at: usize| Some(Ipv4Addr::from(*ip.get(at..)?.first_chunk::<4>()?).into());
        Some((address(12)?, address(16)?))
    } else {
        let address = |at: usize| Some(Ipv6Addr::from(*ip.get(at..)?.first_chunk::<16>()?).into());
        Some((address(8)?, address(24)?))
    }
}

/// Replies to an echo, a time stamp, a mask or an information request; in IPv6 to an echo or a node's query.
const fn is_reply(protocol: u8, kind: u8) -> bool {
    matches!((protocol, kind), (ICMP, 0 | 14 | 16 | 18) | (ICMPV6, 129 | 140))
}

/// Destination unreachable, source quench, time exceeded, parameter problem. A redirect is none: it is for routers.
const fn is_error_v4(kind: u8) -> bool {
    matches!(kind, 3 | 4 | 11 | 12)
}

/// Errors have types below 128 (RFC 4443).
const fn is_error_v6(kind: u8) -> bool {
    kind < 128
}

impl<'p> Transport<'p> {
    fn find(header: &IpHeader, ip: &'p [u8]) -> Option<Self> {
        let bytes = ip.get(header.header_len..)?;
        match header.version() {
            4 => Some(Self {
                protocol: header.protocol,
                offset: header.fragment_offset,
                bytes,
            }),
            _ => Self::behind_extensions(header.protocol, bytes),
        }
    }

    /// In a packet that an error quotes: only its beginning is there, so its length says nothing.
    fn of_quote(ip: &'p [u8]) -> Option<Self> {
        match ip.first()? >> 4 {
            4 => {
                let header_len = usize::from(ip.first()? & 0x0f) * 4;
                let offset = u16::from_be_bytes([*ip.get(6)?, *ip.get(7)?]) & 0x1fff;
                Some(Self {
                    protocol: *ip.get(9)?,
                    offset: offset << 3,
                    bytes: ip.get(header_len.max(20)..)?,
                })
            }
            6 => Self::behind_extensions(*ip.get(6)?, ip.get(40..)?),
            _ => None,
        }
    }

    fn behind_extensions(mut protocol: u8, mut bytes: &'p [u8]) -> Option<Self> {
        let mut offset = 0;
        for _ in 0..MAX_EXTENSIONS {
            let len = match protocol {
                HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => usize::from(*bytes.get(1)?) * 8 + 8,
                FRAGMENT => {
                    offset = u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]) & 0xfff8;
                    8
                }
                _ => {
                    return Some(Self {
                        protocol,
                        offset,
                        bytes,
                    });
                }
            };
            protocol = *bytes.first()?;
            bytes = bytes.get(len..)?;
            if offset != 0 {
                // What follows is a piece from within: no header can be read from it.
                return Some(Self {
                    protocol,
                    offset,
                    bytes,
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 20 + payload.len() as u8, 0, 0];
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, protocol, 0, 0, 10, 8, 0, 2, 192, 0, 2, 1]);
        packet.extend(payload);
        packet
    }

    fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, payload.len() as u8, next, 64];
        packet.extend([0xfd; 32]);
        packet.extend(payload);
        packet
    }

    fn read(packet: &[u8]) -> Option<Spoken> {
        Spoken::read(&IpHeader::parse(packet).unwrap(), packet)
    }

    fn tcp(flags: u8) -> Vec<u8> {
        let mut segment = vec![0xc0, 0, 1, 187];
        segment.resize(20, 0);
        segment[13] = flags;
        segment
    }

    const HTTPS: Spoken = Spoken {
        protocol: TCP,
        ports: Some((0xc000, 443)),
        begins: false,
        quoted: None,
    };

    #[test]
    fn ports_are_read_and_only_a_bare_syn_begins_a_connection() {
        let begins = Spoken {
            begins: true,
            ..HTTPS
        };
        for (flags, wanted) in [
            (0x02, begins),
            (0xc2, begins),
            (0x12, HTTPS),
            (0x10, HTTPS),
            (0x00, HTTPS),
        ] {
            assert_eq!(read(&v4(TCP, 0x4000, &tcp(flags))), Some(wanted), "{flags:#x}");
            assert_eq!(read(&v6(TCP, &tcp(flags))), Some(wanted), "{flags:#x}");
        }
        let dns = read(&v4(UDP, 0, &[0, 53, 0xc0, 0, 0, 8, 0, 0])).unwrap();
        assert_eq!(
            (dns.source_port(), dns.destination_port()),
            (Some(53), Some(0xc000))
        );
        assert_eq!(
            read(&v4(47, 0, &tcp(2))),
            None,
            "no rule is about other protocols"
        );
        for (kind, begins) in [
            (8, true),
            (0, false),
            (5, true),
            (9, true),
            (13, true),
            (14, false),
            (17, true),
        ] {
            assert_eq!(
                read(&v4(ICMP, 0, &[kind, 0, 0, 0])).unwrap().begins,
                begins,
                "{kind}"
            );
        }
        for (kind, begins) in [(128, true), (129, false), (134, true), (137, true), (139, true)] {
            assert_eq!(
                read(&v6(ICMPV6, &[kind, 0, 0, 0])).unwrap().begins,
                begins,
                "{kind}"
            );
        }
    }

    #[test]
    fn later_fragments_have_no_ports_and_short_first_ones_belong_to_nothing() {
        assert_eq!(
            read(&v4(UDP, 0x2000, &[0, 53, 0, 99, 0, 8, 0, 0])).unwrap().ports,
            Some((53, 99))
        );
        assert_eq!(read(&v4(UDP, 1, &[0, 53, 0, 99])), Some(Spoken::later(UDP)));
        assert_eq!(read(&v4(TCP, 2, &tcp(2))), Some(Spoken::later(TCP)));
        assert_eq!(read(&v4(TCP, 1, &tcp(2))), None, "it could overwrite the flags");
        assert_eq!(
            read(&v4(TCP, 0x2000, &tcp(2)[..8])),
            None,
            "the flags are in another fragment"
        );
        assert_eq!(read(&v4(UDP, 0x2000, &[0, 53])), None);
        assert_eq!(read(&v4(ICMP, 0, &[])), None);
    }

    #[test]
    fn ipv6_is_read_behind_its_extensions() {
        let behind = |headers: &[&[u8]], transport: &[u8]| [headers.concat(), transport.to_vec()].concat();
        let padding = [TCP, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(
            read(&v6(HOP_BY_HOP, &behind(&[&padding], &tcp(0x10)))),
            Some(HTTPS)
        );
        let first = [TCP, 0, 0, 1, 0, 0, 0, 7];
        assert_eq!(read(&v6(FRAGMENT, &behind(&[&first], &tcp(0x10)))), Some(HTTPS));
        let later = [TCP, 0, 0, 0x11, 0, 0, 0, 7];
        assert_eq!(
            read(&v6(FRAGMENT, &behind(&[&later], &tcp(0x10)))),
            Some(Spoken::later(TCP))
        );
        let endless = [HOP_BY_HOP, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(
            read(&v6(HOP_BY_HOP, &behind(&[&endless[..]; 9], &tcp(0x10)))),
            None
        );
        assert_eq!(
            read(&v6(HOP_BY_HOP, &[TCP, 9, 0, 0])),
            None,
            "it ends within a header"
        );
    }

    #[test]
    fn an_error_belongs_to_what_it_quotes() {
        let error = |kind: u8, quoted: &[u8]| [&[kind, 4, 0, 0, 0, 0, 5, 0], quoted].concat();
        let sent = v4(TCP, 0, &tcp(2));
        let about = |from: &str, to: &str| Spoken {
            protocol: TCP,
            ports: Some((443, 0xc000)),
            begins: false,
            quoted: Some((from.parse().unwrap(), to.parse().unwrap())),
        };
        assert_eq!(
            read(&v4(ICMP, 0, &error(3, &sent[..28]))),
            Some(about("10.8.0.2", "192.0.2.1"))
        );
        let all = Ipv6Addr::from([0xfd; 16]).to_string();
        assert_eq!(
            read(&v6(ICMPV6, &error(2, &v6(TCP, &tcp(2))))),
            Some(about(&all, &all))
        );
        assert_eq!(
            read(&v4(ICMP, 0, &error(3, &sent[..22]))),
            None,
            "the ports are missing"
        );
        let redirect = read(&v4(ICMP, 0, &error(5, &sent))).unwrap();
        assert_eq!(redirect.protocol, ICMP, "a redirect is no error");
    }

    proptest! {
        #[test]
        fn no_packet_panics(mut packet in prop::collection::vec(any::<u8>(), 1..200), v6 in any::<bool>(), next in 0..64_u8) {
            packet[0] = if v6 { 0x60 } else { 0x45 };
            if let Some(protocol) = packet.get_mut(if v6 { 6 } else { 9 }) {
                *protocol = next;
            }
            let len = if v6 { packet.len().saturating_sub(40) } else { packet.len() };
            if let Some(field) = packet.get_mut(if v6 { 4..6 } else { 2..4 }) {
                field.copy_from_slice(&(len as u16).to_be_bytes());
            }
            if let Ok(header) = IpHeader::parse(&packet) {
                let _ = Spoken::read(&header, &packet);
            }
        }
    }
}
