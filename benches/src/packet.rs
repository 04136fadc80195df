//! UDP packets as they travel inside of a tunnel.

use std::net::{Ipv4Addr, SocketAddrV4};

const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
/// The shortest packet: headers and no payload.
pub(crate) const MIN_LEN: usize = IP_HEADER + UDP_HEADER;
/// "Don't fragment": without fragments the id has no meaning and may stay the same.
const DONT_FRAGMENT: u8 = 0x40;
const TTL: u8 = 64;
const UDP: u8 = 17;

/// An IPv4 UDP packet of `len` bytes, at least [`MIN_LEN`], that a router forwards and a socket at `to` receives.
/// With a UDP checksum, as every sender's: packets without are not joined on their way.
pub(crate) fn udp(len: u16, from: SocketAddrV4, to: SocketAddrV4) -> Vec<u8> {
    let len = len.max(MIN_LEN as u16);
    let mut packet = vec![0x45, 0];
    packet.extend_from_slice(&len.to_be_bytes());
    packet.extend_from_slice(&[0, 0, DONT_FRAGMENT, 0, TTL, UDP, 0, 0]);
    packet.extend_from_slice(&from.ip().octets());
    packet.extend_from_slice(&to.ip().octets());
    let sum = checksum(&packet).to_be_bytes();
    if let Some(field) = packet.get_mut(10..12) {
        field.copy_from_slice(&sum);
    }
    packet.extend_from_slice(&from.port().to_be_bytes());
    packet.extend_from_slice(&to.port().to_be_bytes());
    packet.extend_from_slice(&(len - IP_HEADER as u16).to_be_bytes());
    packet.extend_from_slice(&[0, 0]);
    packet.resize(len.into(), 0x5a);
    let sum = match udp_checksum(&packet) {
        // Zero would mean that there is none.
        0 => u16::MAX,
        sum => sum,
    };
    if let Some(field) = packet.get_mut(IP_HEADER + 6..MIN_LEN) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// The checksum of a UDP packet: over the pseudo header, which is addresses, protocol and length, and all behind the IP
/// header. Zero for a packet whose checksum fits.
fn udp_checksum(packet: &[u8]) -> u16 {
    let udp = packet.get(IP_HEADER..).unwrap_or_default();
    let mut covered = packet.get(12..IP_HEADER).unwrap_or_default().to_vec();
    covered.extend_from_slice(&[0, UDP]);
    covered.extend_from_slice(&(udp.len() as u16).to_be_bytes());
    covered.extend_from_slice(udp);
    if covered.len() % 2 == 1 {
        covered.push(0);
    }
    checksum(&covered)
}

/// The source address of an IPv4 packet.
pub(crate) fn source(packet: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = *packet.get(12..)?.first_chunk()?;
    (packet.first()? >> 4 == 4).then(|| octets.into())
}

/// The Internet checksum of an even number of bytes.
fn checksum(header: &[u8]) -> u16 {
    let (words, _) = header.as_chunks::<2>();
    let sum: u32 = words
        .iter()
        .map(|word| u32::from(u16::from_be_bytes(*word)))
        .sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    !(((folded >> 16) + folded) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(len: u16) -> Vec<u8> {
        udp(
            len,
            "10.66.0.2:40000".parse().unwrap(),
            "10.77.0.2:9".parse().unwrap(),
        )
    }

    #[test]
    fn the_header_adds_up_and_the_lengths_are_those_of_the_packet() {
        let packet = packet(300);
        assert_eq!(packet.len(), 300);
        assert_eq!(checksum(&packet[..20]), 0);
        assert_ne!(packet[10..12], [0, 0]);
        assert_eq!(packet[2..4], 300u16.to_be_bytes());
        assert_eq!(packet[20..22], 40_000u16.to_be_bytes());
        assert_eq!(packet[22..24], 9u16.to_be_bytes());
        assert_eq!(packet[24..26], 280u16.to_be_bytes());
    }

    #[test]
    fn the_udp_checksum_fits_whether_the_length_is_even_or_odd() {
        for len in [28, 64, 65, 1400] {
            let mut packet = packet(len);
            assert_ne!(packet[26..28], [0, 0], "{len}");
            assert_eq!(udp_checksum(&packet), 0, "{len}");
            packet[12] ^= 1;
            assert_ne!(udp_checksum(&packet), 0, "{len}");
        }
    }

    #[test]
    fn a_packet_is_never_shorter_than_its_headers() {
        assert_eq!(packet(0).len(), MIN_LEN);
    }

    #[test]
    fn packets_are_told_apart_by_their_source() {
        let packet = packet(64);
        assert_eq!(source(&packet), Some(Ipv4Addr::new(10, 66, 0, 2)));
        assert_eq!(source(&packet[..15]), None);
        assert_eq!(source(&[0x60; 40]), None);
        assert_eq!(source(&[]), None);
    }
}
