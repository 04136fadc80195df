//! ICMP answers to packets that do not fit a client's tunnel: "fragmentation needed" and "packet too big".

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};

/// Answers per second, for the whole endpoint.
const ANSWERS_PER_SECOND: u64 = 200;

/// Answers that may leave at once after a quiet time.
const BURST: u64 = 100;

/// Bytes of the offending packet an ICMPv4 answer quotes beyond its IP header (RFC 1812 allows up to 576 in all).
const V4_MAX: usize = 576;

/// Largest ICMPv6 error: it must fit the minimum MTU of IPv6 (RFC 4443).
const V6_MAX: usize = 1280;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Largest answer either builder writes.
pub const TOO_BIG_REPLY_MAX: usize = V6_MAX;

/// Writes an ICMPv4 "destination unreachable, fragmentation needed" into `out`.
///
/// `offending` is the IPv4 packet that did not fit. Returns the answer's length, or `None` if the packet must not be
/// answered (it is itself ICMP other than echo, a later fragment, or not from a unicast address) or `out` is too small.
pub(crate) fn fragmentation_needed(
    from: Ipv4Addr,
    mtu: u16,
    offending: &[u8],
    out: &mut [u8],
) -> Option<usize> {
    let header_len = usize::from(offending.first()? & 0x0f) * 4;
    let source = Ipv4Addr::from(*offending.get(12..16)?.first_chunk::<4>()?);
    let later_fragment = u16::from_be_bytes([*offending.get(6)?, *offending.get(7)?]) & 0x1fff != 0;
    let protocol = *offending.get(9)?;
    let icmp_error = protocol == ICMP && !matches!(offending.get(header_len)?, 0 | 8);
    if later_fragment
        || icmp_error
        || source.is_unspecified()
        || source.is_multicast()
        || source.is_broadcast()
    {
        return None;
    }
    let quoted = offending.get(..offending.len().min(V4_MAX - 28))?;
    let len = 28 + quoted.len();
    let out = out.get_mut(..len)?;
    let (ip, icmp) = out.split_at_mut(20);
    ip.copy_from_slice(&[
        0x45, 0xc0, 0, 0, 0, 0, 0, 0, 64, ICMP, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    ip[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    ip[12..16].copy_from_slice(&from.octets());
    ip[16..20].copy_from_slice(&source.octets());
    let check = checksum(0, ip);
    ip[10..12].copy_from_slice(&check.to_be_bytes());

    let [mtu_high, mtu_low] = mtu.to_be_bytes();
    icmp[..8].copy_from_slice(&[3, 4, 0, 0, 0, 0, mtu_high, mtu_low]);
    icmp[8..].copy_from_slice(quoted);
    let check = checksum(0, icmp);
    icmp[2..4].copy_from_slice(&check.to_be_bytes());
    Some(len)
}

/// Writes an ICMPv6 "packet too big" into `out`.
///
/// `offending` is the IPv6 packet that did not fit. Returns the answer's length, or `None` if the packet must not be
/// answered (it is itself an ICMPv6 error, or not from a unicast address) or `out` is too small.
pub(crate) fn packet_too_big(from: Ipv6Addr, mtu: u16, offending: &[u8], out: &mut [u8]) -> Option<usize> {
    let source = Ipv6Addr::from(*offending.get(8..24)?.first_chunk::<16>()?);
    let icmp_error = *offending.get(6)? == ICMPV6 && *offending.get(40)? < 128;
    if icmp_error || source.is_unspecified() || source.is_multicast() {
        return None;
    }
    let quoted = offending.get(..offending.len().min(V6_MAX - 48))?;
    let icmp_len = 8 + quoted.len();
    let out = out.get_mut(..40 + icmp_len)?;
    let (ip, icmp) = out.split_at_mut(40);
    ip[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 0, ICMPV6, 64]);
    ip[4..6].copy_from_slice(&(icmp_len as u16).to_be_bytes());
    ip[8..24].copy_from_slice(&from.octets());
    ip[24..40].copy_from_slice(&source.octets());

    let [mtu_high, mtu_low] = mtu.to_be_bytes();
    icmp[..8].copy_from_slice(&[2, 0, 0, 0, 0, 0, mtu_high, mtu_low]);
    icmp[8..].copy_from_slice(quoted);
    // Pseudo header: both addresses, length, next header.
    let pseudo = sum(u32::from(ICMPV6) + icmp_len as u32, &ip[8..40]);
    let check = checksum(pseudo, icmp);
    icmp[2..4].copy_from_slice(&check.to_be_bytes());
    Some(40 + icmp_len)
}

/// Adds 16-bit words to a running one's-complement sum. At most 64 KiB in all, so 32 bits suffice.
fn sum(start: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let words: u32 = words
        .iter()
        .map(|word| u32::from(u16::from_be_bytes(*word)))
        .sum();
    start + words + rest.first().map_or(0, |byte| u32::from(*byte) << 8)
}

/// The Internet checksum (RFC 1071) of `bytes`, starting from a partial sum.
pub(crate) fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let mut sum = sum(start, bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Token bucket without a lock: one atomic holds the time at which the bucket is full again (GCRA).
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    /// Microseconds on the caller's clock.
    full_at_us: AtomicU64,
}

impl RateLimit {
    /// Takes one token at `now_ms`; false if there is none.
    pub(crate) fn take(&self, now_ms: u64) -> bool {
        const COST_US: u64 = 1_000_000 / ANSWERS_PER_SECOND;
        let now_us = now_ms.saturating_mul(1000);
        self.full_at_us
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
                let full_at = full_at.max(now_us);
                (full_at - now_us <= COST_US * (BURST - 1)).then_some(full_at + COST_US)
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4_packet(protocol: u8, len: usize) -> Vec<u8> {
        let mut packet = vec![0; len];
        packet[..20].copy_from_slice(&[
            0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 10, 8, 0, 2,
        ]);
        packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        packet
    }

    #[test]
    fn the_ipv4_answer_goes_to_the_sender_names_the_mtu_and_sums_to_zero() {
        let mut out = [0; TOO_BIG_REPLY_MAX];
        let offending = v4_packet(6, 1500);
        let len = fragmentation_needed(Ipv4Addr::new(10, 8, 0, 1), 1400, &offending, &mut out).unwrap();
        assert_eq!(len, V4_MAX);
        assert_eq!(out[12..20], [10, 8, 0, 1, 192, 0, 2, 1]);
        assert_eq!(out[20..28][..2], [3, 4]);
        assert_eq!(out[26..28], 1400u16.to_be_bytes());
        assert_eq!(out[28..48], offending[..20]);
        assert_eq!(checksum(0, &out[..20]), 0);
        assert_eq!(checksum(0, &out[20..len]), 0);
    }

    #[test]
    fn the_ipv6_answer_fits_the_minimum_mtu_and_sums_to_zero() {
        let mut offending = vec![0; 1500];
        offending[..8].copy_from_slice(&[0x60, 0, 0, 0, 0x05, 0xb4, 17, 64]);
        offending[8] = 0x20;
        offending[23] = 9;
        let mut out = [0; TOO_BIG_REPLY_MAX];
        let from = "fd00::1".parse().unwrap();
        let len = packet_too_big(from, 1280, &offending, &mut out).unwrap();
        assert_eq!(len, V6_MAX);
        assert_eq!(out[40], 2);
        assert_eq!(out[44..48], 1280u32.to_be_bytes());
        assert_eq!(out[24..40], offending[8..24]);
        let pseudo = sum(u32::from(ICMPV6) + (len - 40) as u32, &out[8..40]);
        assert_eq!(checksum(pseudo, &out[40..len]), 0);
    }

    #[test]
    fn errors_and_later_fragments_are_never_answered() {
        let mut out = [0; TOO_BIG_REPLY_MAX];
        let from = Ipv4Addr::new(10, 8, 0, 1);
        let mut icmp_error = v4_packet(ICMP, 1500);
        icmp_error[20] = 3;
        assert_eq!(fragmentation_needed(from, 1400, &icmp_error, &mut out), None);
        icmp_error[20] = 8;
        assert!(fragmentation_needed(from, 1400, &icmp_error, &mut out).is_some());
        let mut fragment = v4_packet(17, 1500);
        fragment[7] = 1;
        assert_eq!(fragmentation_needed(from, 1400, &fragment, &mut out), None);
        assert_eq!(fragmentation_needed(from, 1400, &[], &mut out), None);
        assert_eq!(
            packet_too_big(Ipv6Addr::LOCALHOST, 1400, &[0x60; 20], &mut out),
            None
        );
        assert_eq!(
            fragmentation_needed(from, 1400, &v4_packet(6, 1500), &mut [0; 40]),
            None
        );
    }

    #[test]
    fn the_rate_is_limited_after_a_burst_and_recovers_with_time() {
        let limit = RateLimit::default();
        let taken = (0..1000).filter(|_| limit.take(10_000)).count() as u64;
        assert_eq!(taken, BURST);
        let taken = (0..1000).filter(|_| limit.take(10_100)).count() as u64;
        assert_eq!(taken, ANSWERS_PER_SECOND / 10);
    }
}
