//! Thinning acknowledgements: of several pure TCP acknowledgements of one flow in a batch, the last says it all.
//!
//! Writing one to the TUN device costs as much as writing a super-packet: it runs through the whole stack of the kernel,
//! and, where the sender is on this machine, through that too. A receiver that takes its packets one by one acknowledges
//! every second of them; here the acknowledgements become as sparse as those of a receiver whose network card joins packets.
//!
//! An acknowledgement is cumulative, so a later one that is the same but for a higher number, a newer time stamp and another
//! window makes the earlier one redundant. Everything else is kept: duplicates (they signal loss), selective
//! acknowledgements, congestion echoes, anything with data, and every sixteenth, so that the sender's clock ticks on.
//!
//! Source: RFC 3449, section 5.2.1 (ACK filtering).

use super::layout::{Layout, Protocol, flag};

/// Acknowledgements one may stand for, itself not counted: with one for every two segments the sender is told of a
/// super-packet's worth at a time.
pub(super) const MAX_SUPERSEDED: u32 = 15;

/// TCP header without options, and with a time stamp in its customary form.
const BARE: usize = 20;
const STAMPED: usize = 32;
/// Two fillers, kind 8, length 10.
const STAMP: [u8; 4] = [1, 1, 8, 10];

/// Whether a packet is nothing but an acknowledgement, without options other than a time stamp.
pub(super) fn is_pure(packet: &[u8], layout: Layout) -> bool {
    let options = match layout.header_len - layout.transport {
        BARE => true,
        STAMPED => {
            packet
                .get(layout.transport + BARE..)
                .and_then(<[u8]>::first_chunk)
                == Some(&STAMP)
        }
        _ => false,
    };
    options
        && layout.protocol == Protocol::Tcp
        && packet.len() == layout.header_len
        && layout.flags(packet) == flag::ACK
}

/// Whether `later` makes `earlier` redundant. Both are pure and of this layout.
pub(super) fn supersedes(earlier: &[u8], later: &[u8], layout: Layout) -> bool {
    let equal = |from: usize, to: usize| match (earlier.get(from..to), later.get(from..to)) {
        (Some(ours), Some(theirs)) => ours == theirs,
        _ => false,
    };
    let number = |packet: &[u8], at: usize| {
        let bytes = packet.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |four| u32::from_be_bytes(*four))
    };
    let advance = |at: usize| number(later, at).wrapping_sub(number(earlier, at)).cast_signed();
    // All but IPv4's identification and checksum.
    let ip = if layout.v6 {
        equal(0, 40)
    } else {
        equal(0, 4) && equal(6, 10) && equal(12, 20)
    };
    let at = layout.transport;
    // Ports and sequence number, the bits beside the header length, and the urgent pointer.
    let same = earlier.len() == later.len()
        && ip
        && equal(at, at + 8)
        && equal(at + 12, at + 13)
        && equal(at + 18, at + BARE);
    let stamped = layout.header_len - at == STAMPED;
    same && advance(at + 8) > 0
        && (!stamped || advance(at + BARE + STAMP.len()) >= 0)
        // One that was damaged before it was encrypted is for its receiver to discard, not instead of a sound one.
        && layout.is_intact(later)
}

#[cfg(test)]
mod tests {
    use std::io::{self, IoSlice};

    use super::*;
    use crate::offload::join::{JoinBatch, Sink, flush_for_test};

    /// An acknowledgement from 10.0.0.1:1 to 10.0.0.2:2 with complete checksums.
    fn acknowledgement(number: u32, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 52, 0, number as u8, 0x40, 0, 64, 6, 0, 0];
        packet.extend([10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2, 0, 0, 0, 9]);
        packet.extend(number.to_be_bytes());
        packet.extend([0x80, flag::ACK, 1, number as u8, 0, 0, 0, 0]);
        packet.extend(STAMP);
        packet.extend(number.to_be_bytes());
        packet.extend([0, 0, 0, 7]);
        change(&mut packet);
        complete(packet)
    }

    fn complete(mut packet: Vec<u8>) -> Vec<u8> {
        packet[3] = packet.len() as u8;
        let layout = Layout::of_packet(&packet).unwrap();
        let (header, payload) = packet.split_at_mut(layout.header_len);
        layout.write_lengths(header, payload.len());
        layout.write_checksum(header, payload);
        packet
    }

    fn redundant(earlier: &[u8], later: &[u8]) -> bool {
        let (Some(ours), Some(theirs)) = (Layout::of_packet(earlier), Layout::of_packet(later)) else {
            return false;
        };
        ours == theirs && is_pure(earlier, ours) && is_pure(later, theirs) && supersedes(earlier, later, ours)
    }

    #[test]
    fn a_later_acknowledgement_says_it_all() {
        let first = acknowledgement(100, |_| ());
        assert!(redundant(&first, &acknowledgement(3_000, |_| ())));
        // Numbers wrap.
        let last = acknowledgement(u32::MAX - 5, |_| ());
        assert!(redundant(&last, &acknowledgement(7, |_| ())));
    }

    #[test]
    fn duplicates_and_older_ones_are_kept() {
        let first = acknowledgement(100, |_| ());
        assert!(!redundant(&first, &first));
        let window = acknowledgement(100, |packet| packet[35] = 99);
        assert!(!redundant(&first, &window), "a window update");
        assert!(!redundant(&acknowledgement(101, |_| ()), &first));
    }

    #[test]
    fn whatever_says_more_is_kept() {
        type Change = (&'static str, fn(&mut Vec<u8>));
        let first = acknowledgement(100, |_| ());
        let changes: [Change; 8] = [
            ("another port", |packet| packet[21] = 7),
            ("another address", |packet| packet[19] = 7),
            ("a sequence number", |packet| packet[27] = 7),
            ("ECE", |packet| packet[33] |= 0x40),
            ("PSH", |packet| packet[33] |= flag::PSH),
            ("congestion mark", |packet| packet[1] = 3),
            ("another option", |packet| packet[42] = 5),
            ("data", |packet| packet.push(1)),
        ];
        for (what, change) in changes {
            assert!(!redundant(&first, &acknowledgement(200, change)), "{what}");
        }
        let older = acknowledgement(200, |packet| packet[44..48].copy_from_slice(&[0, 0, 0, 1]));
        assert!(!redundant(&first, &older), "an older time stamp");
    }

    #[test]
    fn a_damaged_one_supersedes_nothing() {
        let mut damaged = acknowledgement(200, |_| ());
        damaged[31] ^= 1;
        assert!(!redundant(&acknowledgement(100, |_| ()), &damaged));
    }

    /// What a batch writes of these packets, without the header for the kernel, and how many were superseded.
    fn written(filter: bool, packets: &[Vec<u8>]) -> (Vec<Vec<u8>>, u64) {
        #[derive(Default)]
        struct Plain(Vec<Vec<u8>>);
        impl Sink for Plain {
            fn joins(&self, _protocol: Protocol) -> bool {
                false
            }
            fn write_plain(&mut self, packet: &[u8]) -> io::Result<()> {
                self.0.push(packet.to_vec());
                Ok(())
            }
            fn write_super(&mut self, _pieces: &[IoSlice<'_>]) -> io::Result<()> {
                unreachable!("it takes no super-packets")
            }
            fn stop_joining(&mut self) {}
            fn is_gone(&self) -> bool {
                false
            }
        }
        let mut batch = JoinBatch::new().filter_acks(filter);
        let mut joiner = batch.start();
        packets.iter().for_each(|packet| joiner.push(packet));
        let mut out = Plain::default();
        let report = flush_for_test(joiner, &mut out);
        assert_eq!(report.written, out.0.len() as u64);
        assert_eq!(report.written + report.superseded, packets.len() as u64);
        (out.0, report.superseded)
    }

    /// Acknowledgements of one flow that say more and more.
    fn run(count: u32) -> Vec<Vec<u8>> {
        (1..=count)
            .map(|number| acknowledgement(number * 100, |_| ()))
            .collect()
    }

    #[test]
    fn a_batch_writes_the_last_of_a_run() {
        let packets = run(5);
        assert_eq!(written(true, &packets), (vec![packets[4].clone()], 4));
        assert_eq!(written(false, &packets), (packets, 0), "unless told not to");
    }

    #[test]
    fn one_in_sixteen_is_kept() {
        let packets = run(40);
        let kept = [&packets[15], &packets[31], &packets[39]].map(Clone::clone);
        assert_eq!(written(true, &packets), (kept.to_vec(), 37));
    }

    #[test]
    fn flows_do_not_mix_and_nothing_of_a_flow_is_overtaken() {
        let other = |number| acknowledgement(number, |packet| packet[21] = 7);
        let data = acknowledgement(250, |packet| packet.push(1));
        let [one, two, three, four] = run(4).try_into().unwrap();
        let packets = [
            one,
            other(1),
            two.clone(),
            data.clone(),
            other(2),
            three,
            four.clone(),
        ];
        let kept = [two, other(2), data, four];
        assert_eq!(written(true, &packets), (kept.to_vec(), 3));
    }

    #[test]
    fn nothing_overtakes_a_fragment() {
        let [one, two] = run(2).try_into().unwrap();
        let mut fragment = acknowledgement(1, |_| ());
        fragment[6] = 0x20;
        let packets = [one, fragment, two];
        assert_eq!(written(true, &packets), (packets.to_vec(), 0));
    }
}
