//! What may be left out, and what never is.

use std::io::{self, IoSlice};

use super::*;
use crate::offload::join::{JoinBatch, Sink, flush_for_test};

/// An acknowledgement from 10.0.0.1:1 to 10.0.0.2:2 with complete checksums.
fn acknowledgement(number: u32, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 52, 0, number as u8, 0x40, 0, 64, 6, 0, 0];
    packet.extend([10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2, 0, 0, 0, 9]);
    packet.extend(number.to_be_bytes());
    packet.extend([0x80, flag::ACK, 1, number as u8, 0, 0, 0, 0]);
    packet.extend([1, 1, 8, 10]);
    packet.extend(number.to_be_bytes());
    packet.extend([0, 0, 0, 7]);
    change(&mut packet);
    complete(packet)
}

/// The same with pieces it acknowledges selectively.
fn selective(number: u32, pieces: &[(u32, u32)]) -> Vec<u8> {
    acknowledgement(number, |packet| {
        if !pieces.is_empty() {
            packet[32] += 0x10 + 0x20 * pieces.len() as u8;
            packet.extend([1, 1, 5, 2 + 8 * pieces.len() as u8]);
        }
        for (start, end) in pieces {
            packet.extend(start.to_be_bytes());
            packet.extend(end.to_be_bytes());
        }
    })
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
    let read = |packet| Acknowledgement::of(packet, Layout::of_packet(packet)?);
    read(earlier)
        .zip(read(later))
        .is_some_and(|(earlier, later)| earlier.is_superseded_by(&later, None))
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

#[test]
fn what_was_acknowledged_selectively_is_said_again() {
    let first = selective(100, &[(300, 400)]);
    assert!(redundant(&first, &selective(100, &[(300, 500)])), "a piece grew");
    assert!(
        redundant(&first, &selective(100, &[(600, 700), (300, 400)])),
        "another came"
    );
    assert!(
        redundant(&first, &selective(200, &[(300, 400)])),
        "the number grew"
    );
    assert!(redundant(&first, &selective(400, &[])), "it was reached");
    assert!(redundant(&selective(100, &[]), &first), "the first out of order");
}

#[test]
fn what_is_not_said_again_is_kept() {
    let first = selective(100, &[(300, 400)]);
    assert!(!redundant(&first, &first), "a duplicate");
    assert!(
        !redundant(&first, &selective(100, &[(600, 700)])),
        "a piece is missing"
    );
    assert!(!redundant(&first, &selective(100, &[(300, 399)])), "a byte is");
    assert!(!redundant(&first, &selective(399, &[])), "one behind the number");
    assert!(!redundant(&first, &selective(200, &[])), "it was thrown away");
    let wrapping = selective(u32::MAX - 100, &[(u32::MAX - 5, 10)]);
    assert!(redundant(&wrapping, &selective(10, &[])));
    assert!(!redundant(&wrapping, &selective(9, &[])));
}

#[test]
fn reports_of_duplicates_are_kept() {
    let below = selective(200, &[(50, 100)]);
    assert!(!redundant(&below, &selective(300, &[])));
    let within = selective(200, &[(400, 500), (300, 600)]);
    assert!(!redundant(&within, &selective(600, &[])));
}

#[test]
fn options_in_other_forms_are_kept() {
    let cut = selective(100, &[(300, 400)]);
    let mut longer = cut.clone();
    longer[55] += 8;
    for odd in [complete(longer), acknowledgement(100, |packet| packet[41] = 0)] {
        let layout = Layout::of_packet(&odd).unwrap();
        assert!(Acknowledgement::of(&odd, layout).is_none());
    }
    let layout = Layout::of_packet(&cut).unwrap();
    assert!(Acknowledgement::of(&cut, layout).is_some());
}

#[test]
fn what_the_one_before_said_need_not_be_said_again() {
    // It tells of a duplicate, so it stays.
    let before = selective(100, &[(50, 60), (300, 400)]);
    let earlier = selective(100, &[(500, 600), (300, 400)]);
    let later = selective(100, &[(700, 800), (500, 600)]);
    let mut three = [before, earlier, later];
    let first_and_last = vec![three[0].clone(), three[2].clone()];
    assert_eq!(written(true, &three), (first_and_last, 1));
    three[0][31] ^= 1;
    assert_eq!(
        written(true, &three),
        (three.to_vec(), 0),
        "what is discarded says nothing"
    );
    assert_eq!(
        written(true, &three[1..]),
        (three[1..].to_vec(), 0),
        "alone it is needed"
    );
}

/// What a sender knows: up to where everything arrived, and which bytes beyond.
fn knowledge(packets: &[Vec<u8>]) -> (u32, std::collections::BTreeSet<u32>) {
    let mut number = 0;
    let mut beyond = std::collections::BTreeSet::new();
    for packet in packets {
        let layout = Layout::of_packet(packet).unwrap();
        let said = Acknowledgement::of(packet, layout).unwrap();
        assert!(said.number >= number, "acknowledgements were reordered");
        number = said.number;
        for piece in said.pieces {
            let [start, end] = bounds(piece);
            beyond.extend(start..end);
        }
    }
    beyond.retain(|byte| *byte >= number);
    (number, beyond)
}

/// What a receiver says while segments of one byte arrive in this order: pieces with the newest first, three at most.
fn receiver(arrivals: &[u32]) -> Vec<Vec<u8>> {
    let mut next = 0;
    let mut pieces: Vec<(u32, u32)> = Vec::new();
    let mut said = Vec::new();
    for &byte in arrivals {
        let known = byte < next || pieces.iter().any(|(start, end)| (*start..*end).contains(&byte));
        if known {
            let mut with_duplicate = vec![(byte, byte + 1)];
            with_duplicate.extend(pieces.iter().take(2));
            said.push(selective(next, &with_duplicate));
            continue;
        }
        let (mut start, mut end) = (byte, byte + 1);
        pieces.retain(|(from, to)| {
            let touches = *to == start || *from == end;
            if touches {
                (start, end) = (start.min(*from), end.max(*to));
            }
            !touches
        });
        if start == next {
            next = end;
        } else {
            pieces.insert(0, (start, end));
        }
        said.push(selective(next, &pieces[..pieces.len().min(3)]));
    }
    said
}

proptest::proptest! {
    #[test]
    fn a_sender_learns_all_it_would_have_learnt(arrivals in proptest::collection::vec(0u32..24, 1..64)) {
        let packets = receiver(&arrivals);
        let (kept, superseded) = written(true, &packets);
        proptest::prop_assert_eq!(knowledge(&kept), knowledge(&packets));
        proptest::prop_assert_eq!(kept.len() as u64 + superseded, packets.len() as u64);
        proptest::prop_assert_eq!(kept.last(), packets.last());
    }
}
