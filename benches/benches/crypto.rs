//! Ciphers by packet size, and the wrapping that every control packet of a stranger has to pass.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use culvert_benches::{PACKET_SIZES, quick};
use culvert_crypto::{
    AeadKey, AuthDigest, ControlReplay, ControlWrap, DataCipher, KeyDirection, ReplayStamp, Role, StaticKey,
    aead_nonce,
};
use culvert_wire::{FirstByte, KeyId, Opcode, SessionId};

fn aead(c: &mut Criterion) {
    for cipher in [
        DataCipher::Aes256Gcm,
        DataCipher::Aes128Gcm,
        DataCipher::ChaCha20Poly1305,
    ] {
        let key = AeadKey::new(cipher, &vec![7; cipher.key_len()]).unwrap();
        let mut group = c.benchmark_group(cipher.name());
        for size in PACKET_SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            let (mut data, mut id) = (vec![0x5a; size], 0u32);
            group.bench_function(BenchmarkId::new("seal", size), |b| {
                b.iter(|| {
                    id = id.wrapping_add(1);
                    key.seal_in_place(aead_nonce(id, [1; 8]), &[0; 8], black_box(&mut data))
                });
            });
            let nonce = aead_nonce(1, [1; 8]);
            let mut sealed = vec![0x5a; size];
            let tag = key.seal_in_place(nonce, &[0; 8], &mut sealed);
            group.bench_function(BenchmarkId::new("open", size), |b| {
                b.iter_batched_ref(
                    || sealed.clone(),
                    |data| key.open_in_place(nonce, &[0; 8], &tag, data).unwrap(),
                    BatchSize::SmallInput,
                );
            });
        }
        group.finish();
    }
}

fn wrapping(c: &mut Criterion) {
    let key = StaticKey::from_bytes(&std::array::from_fn(|index| index as u8));
    let auth = |direction| ControlWrap::tls_auth(&key, direction, AuthDigest::Sha256);
    let wraps = [
        (
            "tls-auth SHA256",
            auth(KeyDirection::Zero),
            auth(KeyDirection::One),
        ),
        (
            "tls-crypt",
            ControlWrap::tls_crypt(&key, Role::Server),
            ControlWrap::tls_crypt(&key, Role::Client),
        ),
    ];
    let first = FirstByte {
        opcode: Opcode::ControlHardResetClientV2,
        key_id: KeyId::FIRST,
    };
    let session = SessionId::new([1; 8]).unwrap();
    let mut group = c.benchmark_group("client reset");
    for (name, server, client) in wraps {
        let mut reset = Vec::new();
        client.wrap(
            ReplayStamp { id: 1, time: 1 },
            first,
            session,
            &[0; 5],
            &mut reset,
        );
        group.bench_function(BenchmarkId::new("unwrap genuine", name), |b| {
            b.iter_batched_ref(
                || reset.clone(),
                |packet| server.unwrap(packet).unwrap().body.len(),
                BatchSize::SmallInput,
            );
        });
        let mut forged = reset.clone();
        forged[12] ^= 1;
        group.bench_function(BenchmarkId::new("refuse forged", name), |b| {
            b.iter(|| server.unwrap(black_box(&mut forged)).is_err());
        });
    }
    group.bench_function("replay window", |b| {
        let (mut replay, mut id) = (ControlReplay::new(), 0);
        b.iter(|| {
            id += 1;
            replay.accept(black_box(ReplayStamp { id, time: 1 }))
        });
    });
    group.finish();
}

criterion_group! { name = benches; config = quick(); targets = aead, wrapping }
criterion_main!(benches);
