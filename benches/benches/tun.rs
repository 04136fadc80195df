//! Super-packets: cut into segments on the way out of the TUN device, joined on the way in. One round is 44 packets of 1448
//! bytes of payload each, a full super-packet.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use culvert_benches::quick;
use culvert_tun::{JoinBatch, SuperBuf, testing};

const SEGMENT: usize = 1448;
const SEGMENTS: usize = 44;

/// What the kernel hands out: a virtio header, the headers, and the payload of all segments.
fn super_packet(v6: bool, udp: bool) -> Vec<u8> {
    let payload = SEGMENT * SEGMENTS;
    let (protocol, transport_len, checksum_at) = if udp { (17, 8, 6) } else { (6, 20, 16) };
    let len = u16::try_from(transport_len + payload).unwrap();
    let mut ip = Vec::new();
    if v6 {
        ip.extend([0x60, 0, 0, 0]);
        ip.extend(len.to_be_bytes());
        ip.extend([protocol, 64]);
        ip.extend([0xfd; 32]);
    } else {
        ip.extend([0x45, 0]);
        ip.extend((len + 20).to_be_bytes());
        ip.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 10, 8, 0, 2]);
    }
    let kind = match (udp, v6) {
        (true, _) => 5,
        (false, true) => 4,
        (false, false) => 1,
    };
    let start = ip.len() as u16;
    let mut packet = vec![1, kind];
    for field in [start + transport_len as u16, SEGMENT as u16, start, checksum_at] {
        packet.extend(field.to_ne_bytes());
    }
    packet.extend(ip);
    packet.extend([1, 187, 40, 1]);
    if udp {
        packet.extend(len.to_be_bytes());
        packet.extend([0, 0]);
    } else {
        packet.extend([0, 0, 0, 1, 0, 0, 0, 77, 0x50, 0x10, 1, 2, 0, 0, 0, 0]);
    }
    packet.extend((0..payload).map(|at| at as u8));
    packet
}

fn buffer(read: &[u8]) -> SuperBuf {
    let (queue, end) = testing::pair().unwrap();
    let mut buffer = SuperBuf::new();
    end.send(read).unwrap();
    assert!(queue.try_recv_super(&mut buffer).unwrap());
    buffer
}

fn tun(c: &mut Criterion) {
    let sink = testing::sink().unwrap();
    for (name, v6, udp) in [
        ("tcp_v4", false, false),
        ("tcp_v6", true, false),
        ("udp_v4", false, true),
        ("udp_v6", true, true),
    ] {
        let mut buffer = buffer(&super_packet(v6, udp));
        let mut packets: Vec<Vec<u8>> = Vec::new();
        let mut segments = buffer.segments();
        while let Some(segment) = segments.next() {
            packets.push([&*segment.header, segment.payload].concat());
        }
        assert_eq!(packets.len(), SEGMENTS);

        let mut group = c.benchmark_group(format!("tun/{name}"));
        group.throughput(Throughput::Bytes((SEGMENT * SEGMENTS) as u64));
        group.bench_function("split", |b| {
            b.iter(|| {
                let mut segments = buffer.segments();
                while let Some(segment) = segments.next() {
                    black_box(segment.len());
                }
            });
        });
        let mut batch = JoinBatch::new();
        // With the one system call, but nothing behind it.
        group.bench_function("join", |b| {
            b.iter(|| {
                let mut joiner = batch.start();
                packets.iter().for_each(|packet| joiner.push(packet));
                let report = joiner.flush(&sink).unwrap();
                assert_eq!(report.calls, 1);
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = quick();
    targets = tun
}
criterion_main!(benches);
