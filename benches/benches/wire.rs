//! Parsing: data headers and IP headers per packet, control packets and messages per handshake.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use culvert_benches::{ipv4_packet, quick};
use culvert_wire::control::ControlBody;
use culvert_wire::data::DataHeader;
use culvert_wire::ip::IpHeader;
use culvert_wire::key_method2::{Dialect, KeyMethod2Client, KeyMethod2Decoder};
use culvert_wire::message::ControlMessage;
use culvert_wire::options::DEFAULT_CLIENT;
use culvert_wire::peer_info::PeerInfo;
use culvert_wire::push::{PushKind, PushReplyBuilder};
use culvert_wire::stream::FrameDecoder;
use culvert_wire::{MessageId, Opcode, SessionId};

fn packets(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    group.bench_function("data header", |b| {
        b.iter(|| DataHeader::parse(black_box(&[0x48, 0, 0, 5, 0, 0, 0, 1])))
    });
    let packet = ipv4_packet(1420, [10, 8, 0, 2], [192, 0, 2, 1]);
    group.bench_function("IPv4 header", |b| b.iter(|| IpHeader::parse(black_box(&packet))));

    let mut frames = Vec::new();
    for _ in 0..32 {
        frames.extend_from_slice(&[0x05, 0x8c]);
        frames.resize(frames.len() + 0x058c, 0x48);
    }
    group.bench_function("32 TCP frames", |b| {
        b.iter(|| {
            let mut decoder = FrameDecoder::new(1800);
            while let Ok(Some(frame)) = decoder.next_frame(black_box(&frames)) {
                black_box(frame);
            }
        });
    });
    group.finish();
}

fn control(c: &mut Criterion) {
    let mut group = c.benchmark_group("control");
    let body = ControlBody {
        acks: (0..4).map(MessageId).collect(),
        remote_session: SessionId::new([1; 8]),
        message_id: Some(MessageId(4)),
        payload: &[0x17; 1132],
    };
    let mut bytes = Vec::new();
    body.encode_into(&mut bytes);
    group.bench_function("parse body", |b| {
        b.iter(|| ControlBody::parse(Opcode::ControlV1, black_box(&bytes)))
    });

    let hello = KeyMethod2Client {
        dialect: Dialect::Stock,
        pre_master: [1; 48].into(),
        random1: [2; 32].into(),
        random2: [3; 32].into(),
        options: DEFAULT_CLIENT.into(),
        username: Some("alice".into()),
        password: Some("secret".to_owned().into()),
        peer_info: PeerInfo::parse("IV_VER=2.6.14\nIV_PLAT=linux\nIV_PROTO=990\nIV_CIPHERS=AES-256-GCM\n"),
    }
    .encode()
    .unwrap();
    group.bench_function("parse key method 2", |b| {
        b.iter(|| KeyMethod2Decoder::new().push(black_box(&hello)))
    });
    group.bench_function("parse PUSH_REQUEST", |b| {
        b.iter(|| ControlMessage::parse_record(black_box(b"PUSH_REQUEST\0")).count());
    });

    let mut list = PushReplyBuilder::new(PushKind::Reply);
    for subnet in 0..100 {
        list.push(format!("route 10.{subnet}.0.0 255.255.0.0")).unwrap();
    }
    group.bench_function("write 100 pushed routes", |b| {
        b.iter(|| black_box(&list).messages())
    });
    group.finish();
}

criterion_group! { name = benches; config = quick(); targets = packets, control }
criterion_main!(benches);
