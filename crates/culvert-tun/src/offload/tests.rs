//! Splitting and joining against each other, and against a slow model of the checksums.

use std::io::{self, IoSlice};

use proptest::prelude::*;

use super::{
    join::{JoinBatch, Sink, WriteReport, flush_for_test},
    layout::{Layout, Protocol},
    split::SuperBuf,
    vnet::{self, Gso, VnetHeader},
};

/// The one's complement sum of 16-bit words, to the letter of RFC 1071.
fn slow_sum(bytes: impl IntoIterator<Item = u8>) -> u16 {
    let bytes: Vec<u8> = bytes.into_iter().collect();
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Whether a packet's lengths and checksums are right, by a model of its own.
fn check(packet: &[u8]) {
    let v6 = packet[0] >> 4 == 6;
    let (transport, protocol, addresses) = if v6 {
        assert_eq!(
            u16::from_be_bytes([packet[4], packet[5]]) as usize,
            packet.len() - 40
        );
        (40, packet[6], &packet[8..40])
    } else {
        assert_eq!(u16::from_be_bytes([packet[2], packet[3]]) as usize, packet.len());
        let header = usize::from(packet[0] & 15) * 4;
        assert_eq!(
            slow_sum(packet[..header].iter().copied()),
            0xffff,
            "IPv4 header checksum"
        );
        (header, packet[9], &packet[12..20])
    };
    let segment = &packet[transport..];
    let len = (segment.len() as u32).to_be_bytes();
    let pseudo = addresses.iter().copied().chain([0, protocol]).chain(len);
    assert_eq!(
        slow_sum(pseudo.chain(segment.iter().copied())),
        0xffff,
        "transport checksum"
    );
    if protocol == 17 {
        assert_eq!(
            u16::from_be_bytes([segment[4], segment[5]]) as usize,
            segment.len()
        );
        assert_ne!(&segment[6..8], [0, 0]);
    }
}

/// What to build a packet from.
#[derive(Clone, Debug)]
struct Shape {
    v6: bool,
    udp: bool,
    port: u16,
    id: u16,
    dont_fragment: bool,
    sequence: u32,
    flags: u8,
    options: usize,
    payload: Vec<u8>,
}

fn shape(max: usize) -> impl Strategy<Value = Shape> {
    let flags = prop_oneof![Just(0x10u8), Just(0x18), Just(0x11), Just(0x19)];
    (
        any::<(bool, bool, u16, u16, bool, u32)>(),
        flags,
        0usize..=10,
        (1..=max).prop_flat_map(|len| proptest::collection::vec(any::<u8>(), len)),
    )
        .prop_map(
            |((v6, udp, port, id, dont_fragment, sequence), flags, options, payload)| Shape {
                v6,
                udp,
                port,
                id,
                dont_fragment,
                sequence,
                flags,
                options: options * 4,
                payload,
            },
        )
}

impl Shape {
    /// The packet without a transport checksum.
    fn build(&self) -> (Vec<u8>, Layout) {
        let protocol = if self.udp { Protocol::Udp } else { Protocol::Tcp };
        let mut packet = Vec::new();
        if self.v6 {
            packet.extend([0x60, 0, 0, 0, 0, 0, protocol.number(), 64]);
            packet.extend([0xfd; 16]);
            packet.extend([0xfc; 16]);
        } else {
            packet.extend([0x45, 0, 0, 0]);
            packet.extend(self.id.to_be_bytes());
            packet.extend([
                if self.dont_fragment { 0x40 } else { 0 },
                0,
                64,
                protocol.number(),
                0,
                0,
            ]);
            packet.extend([10, 8, 0, 2, 192, 168, 1, 1]);
        }
        let transport = packet.len();
        packet.extend(self.port.to_be_bytes());
        packet.extend(443u16.to_be_bytes());
        if self.udp {
            packet.extend([0; 4]);
        } else {
            packet.extend(self.sequence.to_be_bytes());
            packet.extend(77u32.to_be_bytes());
            packet.extend([((20 + self.options) / 4 * 16) as u8, self.flags, 1, 2, 0, 0, 0, 0]);
            packet.extend(vec![1; self.options]);
        }
        let header_len = packet.len();
        let layout = Layout {
            v6: self.v6,
            protocol,
            transport,
            header_len,
        };
        layout.write_lengths(&mut packet, self.payload.len());
        packet.extend(&self.payload);
        (packet, layout)
    }

    /// A finished packet.
    fn packet(&self) -> Vec<u8> {
        let (mut packet, layout) = self.build();
        let (header, payload) = packet.split_at_mut(layout.header_len);
        layout.write_checksum(header, payload);
        packet
    }

    /// What the kernel would hand out for `size` bytes of payload per segment, virtio header first.
    fn super_packet(&self, size: u16) -> Vec<u8> {
        let (mut packet, layout) = self.build();
        layout.write_partial_checksum(&mut packet, self.payload.len());
        let gso = match (self.udp, self.v6) {
            (true, _) => Gso::Udp,
            (false, false) => Gso::TcpV4,
            (false, true) => Gso::TcpV6,
        };
        let header = VnetHeader {
            needs_csum: true,
            gso,
            header_len: layout.header_len as u16,
            gso_size: size,
            csum_start: layout.transport as u16,
            csum_offset: layout.protocol.checksum_at() as u16,
        };
        [&header.encode()[..], &packet].concat()
    }
}

fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut buffer = SuperBuf::new();
    buffer
        .fill(true, |room| {
            room[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        })
        .unwrap();
    let largest = buffer.largest_segment();
    let mut segments = buffer.segments();
    let mut all = Vec::new();
    let count = segments.remaining();
    while let Some(segment) = segments.next() {
        all.push([&*segment.header, segment.payload].concat());
    }
    assert_eq!(all.len(), count);
    assert_eq!(all.iter().map(Vec::len).max().unwrap_or(0), largest);
    assert_eq!(segments.remaining(), 0);
    all
}

/// Keeps what is written, virtio header first.
#[derive(Default)]
struct Written {
    writes: Vec<Vec<u8>>,
    refuse_joined: bool,
    stopped: bool,
}

impl Sink for Written {
    fn joins(&self, _: Protocol) -> bool {
        !self.stopped
    }

    fn write_plain(&mut self, packet: &[u8]) -> io::Result<()> {
        self.writes.push([&vnet::NONE[..], packet].concat());
        Ok(())
    }

    fn write_super(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        if self.refuse_joined {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        self.writes
            .push(pieces.iter().flat_map(|piece| piece.iter().copied()).collect());
        Ok(())
    }

    fn stop_joining(&mut self) {
        self.stopped = true;
    }

    fn is_gone(&self) -> bool {
        false
    }
}

fn join_to(packets: &[Vec<u8>], out: &mut Written) -> WriteReport {
    let mut batch = JoinBatch::new();
    let mut joiner = batch.start();
    for packet in packets {
        joiner.push(packet);
    }
    flush_for_test(joiner, out)
}

fn join(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut out = Written::default();
    let report = join_to(packets, &mut out);
    assert_eq!(report.written, packets.len() as u64);
    assert_eq!(report.bytes, packets.iter().map(Vec::len).sum::<usize>() as u64);
    assert_eq!(report.calls, out.writes.len() as u64);
    out.writes
}

/// The segments of one flow, `sizes` bytes each.
fn flow(start: &Shape, sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut next = start.clone();
    let mut packets = Vec::new();
    for size in sizes {
        next.payload = vec![packets.len() as u8; *size];
        packets.push(next.packet());
        next.sequence = next.sequence.wrapping_add(*size as u32);
        next.id = next.id.wrapping_add(1);
    }
    packets
}

fn plain_tcp() -> Shape {
    Shape {
        v6: false,
        udp: false,
        port: 1000,
        id: 65_530,
        dont_fragment: false,
        sequence: u32::MAX - 3000,
        flags: 0x10,
        options: 12,
        payload: Vec::new(),
    }
}

/// Number of packets in each write.
fn counts(writes: &[Vec<u8>]) -> Vec<usize> {
    writes.iter().map(|write| split(write).len()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_segment_is_a_correct_packet_and_payload_is_kept(shape in shape(9000), size in 1u16..3000) {
        let size = size.max((shape.payload.len() / 60) as u16 + 1);
        let segments = split(&shape.super_packet(size));
        prop_assert_eq!(segments.len(), shape.payload.len().div_ceil(size.into()));
        let mut payload = Vec::new();
        for (number, segment) in segments.iter().enumerate() {
            check(segment);
            let layout = Layout::of_packet(segment).unwrap();
            payload.extend_from_slice(&segment[layout.header_len..]);
            let last = number + 1 == segments.len();
            if !shape.udp {
                prop_assert_eq!(
                    layout.sequence(segment),
                    shape.sequence.wrapping_add((number * usize::from(size)) as u32)
                );
                prop_assert_eq!(layout.flags(segment), if last { shape.flags } else { 0x10 });
            }
            if !shape.v6 {
                prop_assert_eq!(layout.id(segment), shape.id.wrapping_add(number as u16));
            }
        }
        prop_assert_eq!(payload, shape.payload);
    }

    #[test]
    fn joining_undoes_splitting(shape in shape(9000), size in 1u16..3000) {
        let size = size.max((shape.payload.len() / 60) as u16 + 1);
        let original = shape.super_packet(size);
        let segments = split(&original);
        let joined = join(&segments);
        prop_assert_eq!(joined.len(), 1);
        if segments.len() > 1 {
            prop_assert!(joined[0] == original);
        } else {
            prop_assert!(joined[0][vnet::HEADER_LEN..] == segments[0]);
        }
    }

    #[test]
    fn splitting_undoes_joining_whatever_is_interleaved(
        shapes in proptest::collection::vec(shape(600), 1..40),
        flows in 1u16..5,
        damage in proptest::collection::vec((0usize..40, any::<prop::sample::Index>()), 0..3),
    ) {
        // Few ports, few sizes, and sequence numbers that often continue: most packets can be joined.
        let mut next = [[100u32; 4]; 5];
        let mut packets = Vec::new();
        for mut shape in shapes {
            shape.port %= flows;
            shape.options = 0;
            shape.dont_fragment = true;
            let kind = usize::from(shape.v6) + 2 * usize::from(shape.udp);
            let sequence = &mut next[usize::from(shape.port)][kind];
            if shape.sequence % 8 > 0 {
                shape.sequence = *sequence;
                shape.payload.resize(if shape.payload.len() > 100 { 200 } else { 90 }, 1);
                shape.flags = 0x10;
            }
            *sequence = shape.sequence.wrapping_add(shape.payload.len() as u32);
            packets.push(shape.packet());
        }
        for (packet, at) in damage {
            if let Some(packet) = packets.get_mut(packet) {
                let at = at.index(packet.len());
                packet[at] ^= 0x20;
            }
        }
        let restored: Vec<Vec<u8>> = join(&packets).iter().flat_map(|write| split(write)).collect();
        prop_assert_eq!(restored.len(), packets.len());
        // Flows may pass each other, packets of a flow may not; IPv4 ids of "don't fragment" packets may change.
        let key = |packet: &Vec<u8>| (packet[0] >> 4, packet[6], packet.get(8..44).map(<[u8]>::to_vec));
        let mut keys: Vec<_> = packets.iter().filter(|packet| packet[0] >> 4 == 6).map(key).collect();
        keys.sort();
        keys.dedup();
        for wanted in keys {
            let before: Vec<_> = packets.iter().filter(|packet| key(packet) == wanted).collect();
            let after: Vec<_> = restored.iter().filter(|packet| key(packet) == wanted).collect();
            prop_assert_eq!(before, after);
        }
        let neutral = |packet: &Vec<u8>| {
            let mut packet = packet.clone();
            if packet[0] >> 4 == 4 {
                packet[4..6].fill(0);
                packet[10..12].fill(0);
            }
            packet
        };
        let (mut before, mut after): (Vec<_>, Vec<_>) =
            (packets.iter().map(neutral).collect(), restored.iter().map(neutral).collect());
        before.sort();
        after.sort();
        prop_assert!(before == after);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), gso in 0u8..6, start in 0u8..60) {
        let mut bytes = bytes;
        if bytes.len() > 10 {
            bytes[1] = gso;
            bytes[6..8].copy_from_slice(&u16::from(start).to_ne_bytes());
            bytes[10] = if bytes[10] & 1 == 0 { 0x45 } else { 0x60 };
        }
        for segment in split(&bytes) {
            prop_assert!(!segment.is_empty());
        }
        let packet = bytes.get(10..).unwrap_or_default().to_vec();
        join(&[packet.clone(), packet]);
    }
}

#[test]
fn a_partial_checksum_of_a_plain_packet_is_completed() {
    for (v6, udp) in [(false, false), (true, false), (false, true), (true, true)] {
        let shape = Shape {
            v6,
            udp,
            payload: vec![7; 101],
            ..plain_tcp()
        };
        let mut bytes = shape.super_packet(0);
        bytes[1] = 0; // no segments
        assert_eq!(split(&bytes), [shape.packet()]);
    }
}

#[test]
fn cwr_is_on_the_first_segment_only() {
    let shape = Shape {
        flags: 0x90,
        payload: vec![0; 300],
        ..plain_tcp()
    };
    let mut bytes = shape.super_packet(100);
    bytes[1] |= 0x80;
    let flags: Vec<u8> = split(&bytes).iter().map(|segment| segment[33]).collect();
    assert_eq!(flags, [0x90, 0x10, 0x10]);
}

#[test]
fn the_id_and_the_sequence_number_wrap() {
    let segments = flow(&plain_tcp(), &[1000; 10]);
    let joined = join(&segments);
    assert_eq!(joined.len(), 1);
    assert_eq!(split(&joined[0]), segments);
}

#[test]
fn psh_and_fin_end_a_joined_packet() {
    let mut packets = flow(&plain_tcp(), &[1000; 4]);
    for (number, flags) in [(1, 0x18), (3, 0x11)] {
        packets[number][33] = flags;
        let (header, payload) = packets[number].split_at_mut(52);
        Layout::of_packet(&[&*header, &*payload].concat())
            .unwrap()
            .write_checksum(header, payload);
    }
    let joined = join(&packets);
    assert_eq!(counts(&joined), [2, 2]);
    assert_eq!(
        joined.iter().flat_map(|write| split(write)).collect::<Vec<_>>(),
        packets
    );
}

#[test]
fn flows_in_turn_are_joined_each() {
    let flows: Vec<_> = (0..4)
        .map(|port| {
            flow(
                &Shape {
                    port,
                    v6: port % 2 == 1,
                    ..plain_tcp()
                },
                &[500; 6],
            )
        })
        .collect();
    let packets: Vec<_> = (0..6)
        .flat_map(|turn| flows.iter().map(move |flow| flow[turn].clone()))
        .collect();
    let joined = join(&packets);
    assert_eq!(counts(&joined), [6; 4]);
    for (write, flow) in joined.iter().zip(&flows) {
        assert_eq!(&split(write), flow);
    }
}

#[test]
fn sizes_and_limits_end_a_joined_packet() {
    assert_eq!(
        counts(&join(&flow(&plain_tcp(), &[500, 500, 400, 500, 500, 501]))),
        [3, 2, 1]
    );
    assert_eq!(counts(&join(&flow(&plain_tcp(), &[10; 130]))), [64, 64, 2]);
    assert_eq!(counts(&join(&flow(&plain_tcp(), &[9000; 9]))), [7, 2]);
}

#[test]
fn what_differs_is_not_joined() {
    let packets = flow(&plain_tcp(), &[100; 2]);
    let change = |at: usize, with: u8| {
        let mut packets = packets.clone();
        packets[1][at] = with;
        let checksum = packets[1].clone();
        let (header, payload) = packets[1].split_at_mut(52);
        if let Some(layout) = Layout::of_packet(&checksum) {
            layout.write_lengths(header, payload.len());
            layout.write_checksum(header, payload);
        }
        counts(&join(&packets))
    };
    assert_eq!(change(52, 9), [2], "payload");
    for (at, with, what) in [
        (1, 3, "ECN"),
        (4, 7, "id"),
        (6, 0x40, "don't fragment"),
        (8, 9, "TTL"),
        (12, 11, "source"),
        (20, 9, "port"),
        (24, 9, "sequence number"),
        (28, 9, "acknowledgement"),
        (33, 0x30, "URG"),
        (33, 0x12, "SYN"),
        (33, 0x14, "RST"),
        (33, 0x50, "ECE"),
        (35, 9, "window"),
        (41, 9, "options"),
    ] {
        assert_eq!(change(at, with), [1, 1], "{what}");
    }
}

#[test]
fn a_damaged_packet_is_neither_joined_nor_repaired() {
    for damaged in 0..3 {
        let mut packets = flow(&plain_tcp(), &[100; 3]);
        packets[damaged][60] ^= 1;
        let joined = join(&packets);
        assert_eq!(joined.len(), if damaged == 1 { 3 } else { 2 });
        assert_eq!(
            joined.iter().flat_map(|write| split(write)).collect::<Vec<_>>(),
            packets
        );
    }
    let mut packets = flow(&plain_tcp(), &[100; 2]);
    packets[0][10] ^= 1; // the IPv4 header's checksum
    assert_eq!(counts(&join(&packets)), [1, 1]);
}

#[test]
fn udp_without_checksum_and_fragments_stay_alone() {
    let mut packets = flow(
        &Shape {
            udp: true,
            ..plain_tcp()
        },
        &[100; 2],
    );
    for packet in &mut packets {
        packet[26..28].fill(0);
    }
    assert_eq!(join(&packets).len(), 2);
    let mut packets = flow(&plain_tcp(), &[100; 3]);
    packets[1][6] = 0x20; // more fragments follow
    assert_eq!(join(&packets).len(), 3);
}

#[test]
fn an_acknowledgement_is_not_overtaken_by_data_behind_it() {
    let mut packets = flow(&plain_tcp(), &[100; 4]);
    packets.insert(
        2,
        Shape {
            sequence: 5,
            ..plain_tcp()
        }
        .packet(),
    );
    assert_eq!(counts(&join(&packets)), [2, 1, 2]);
}

#[test]
fn a_kernel_that_refuses_joined_packets_gets_them_one_by_one() {
    let packets = flow(&plain_tcp(), &[100; 5]);
    let mut out = Written {
        refuse_joined: true,
        ..Written::default()
    };
    let report = join_to(&packets, &mut out);
    assert!(out.stopped);
    assert_eq!((report.written, report.calls), (5, 6));
    let plain: Vec<_> = out
        .writes
        .iter()
        .map(|write| write[vnet::HEADER_LEN..].to_vec())
        .collect();
    assert_eq!(plain, packets);
}

#[test]
fn a_batch_is_reused_and_a_dropped_joiner_leaves_nothing() {
    let packets = flow(&plain_tcp(), &[100; 5]);
    let mut batch = JoinBatch::new();
    for _ in 0..3 {
        let mut joiner = batch.start();
        joiner.push(&packets[0]);
        assert_eq!((joiner.len(), joiner.is_empty()), (1, false));
        drop(joiner);
        let mut out = Written::default();
        let mut joiner = batch.start();
        assert!(joiner.is_empty());
        packets.iter().for_each(|packet| joiner.push(packet));
        assert_eq!(flush_for_test(joiner, &mut out).calls, 1);
    }
}
