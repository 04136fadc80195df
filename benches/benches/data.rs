//! The whole packet path short of the kernel: a packet of a client opened and checked, a packet for one routed and sealed.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use culvert_benches::{PACKET_SIZES, ipv4_packet, quick};
use culvert_crypto::{DataCipher, Key2, Role};
use culvert_data::{
    DataFormat, DataKey, DataPlane, DataPlaneConfig, Framing, Inbound, MssFix, Peer, PeerConfig, ReplayWindow,
};
use culvert_policy::ClientFilter;
use culvert_wire::data::DataHeader;
use culvert_wire::{KeyId, LinkAddr, PeerId, UdpPath};

const INSIDE: [u8; 4] = [192, 0, 2, 1];

/// As many clients as an endpoint is meant for: the cost of a packet must not depend on it.
const CLIENTS: u32 = 126_500;

/// The client the packets belong to, in the middle of the tables.
const CLIENT: u32 = CLIENTS / 2;

fn link(client: u32) -> LinkAddr {
    LinkAddr::Udp(UdpPath {
        remote: (Ipv4Addr::from_bits(0xcb00_7100 + client), 1194).into(),
        local: None,
        socket: 0,
    })
}

fn address(client: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 + 2 + client)
}

fn key(format: DataFormat, role: Role) -> DataKey {
    let key2 = Key2::from_exporter([7; 256]);
    DataKey::new(DataCipher::Aes256Gcm, format, role, &key2).unwrap()
}

fn plane() -> DataPlane {
    let plane = DataPlane::new(DataPlaneConfig {
        max_peers: CLIENTS,
        v4: "10.0.0.0/12".parse().ok(),
        v6: None,
        server_v4: Some(Ipv4Addr::new(10, 0, 0, 1)),
        server_v6: None,
        client_to_client: false,
        client_to_client_v6: false,
    });
    let filter = Arc::new(ClientFilter::allow_all());
    for client in 0..CLIENTS {
        let config = PeerConfig {
            client: client.into(),
            peer: PeerId::new(client).unwrap(),
            link: link(client),
            v4: Some(address(client)),
            v6: None,
            data_v2: true,
            framing: Framing::None,
            filter: Arc::clone(&filter),
            mss_fix: MssFix::default(),
            tun_mtu: 1500,
        };
        plane.add_peer(config).unwrap();
    }
    plane
}

fn install(peer: &Peer, format: DataFormat) {
    peer.install_key(KeyId::FIRST, key(format, Role::Server));
    peer.set_send_key(KeyId::FIRST);
}

fn packet_path(c: &mut Criterion) {
    let plane = plane();
    let id = PeerId::new(CLIENT).unwrap();
    let peer = plane.peer(id).unwrap();
    for (name, format) in [("aead", DataFormat::Aead), ("epoch", DataFormat::Epoch)] {
        let mut group = c.benchmark_group(format!("data plane, {name}"));
        install(&peer, format);
        let client = key(format, Role::Client);
        let header = DataHeader::v2(KeyId::FIRST, id);
        let from = link(CLIENT);
        for size in PACKET_SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            let up = ipv4_packet(size, address(CLIENT).octets(), INSIDE);
            group.bench_function(BenchmarkId::new("open", size), |b| {
                b.iter_batched_ref(
                    || {
                        let mut packet = vec![0; client.sealed_len(header.len, up.len())];
                        client
                            .seal_into(&header, Framing::None, &[&up], &mut packet)
                            .unwrap();
                        packet
                    },
                    |packet| {
                        matches!(
                            plane.open(1, &from, black_box(packet)).unwrap(),
                            Inbound::Tun { .. }
                        )
                    },
                    BatchSize::SmallInput,
                );
            });
            let mut down = ipv4_packet(size, INSIDE, address(CLIENT).octets());
            let mut out = vec![0; 2048];
            group.bench_function(BenchmarkId::new("route and seal", size), |b| {
                b.iter(|| {
                    let way = plane.route(1, black_box(&mut down)).unwrap();
                    way.seal_into(&[&down], &mut out).unwrap()
                });
            });
        }
        group.finish();
    }
}

fn refusals(c: &mut Criterion) {
    let plane = plane();
    let id = PeerId::new(CLIENT).unwrap();
    install(&plane.peer(id).unwrap(), DataFormat::Aead);
    let mut group = c.benchmark_group("refuse");
    let mut forged = vec![0x48; 1400];
    forged[1..4].copy_from_slice(&id.bytes());
    group.bench_function("a forged packet", |b| {
        b.iter(|| plane.open(1, &link(CLIENT), black_box(&mut forged)).is_err());
    });
    let mut stranger = vec![0x30; 1400];
    group.bench_function("a stranger without a peer id", |b| {
        b.iter(|| plane.open(1, &link(CLIENTS), black_box(&mut stranger)).is_err());
    });
    group.bench_function("a replayed id", |b| {
        let mut window = ReplayWindow::new();
        window.accept(1000);
        b.iter(|| window.accept(black_box(1000)));
    });
    group.finish();
}

criterion_group! { name = benches; config = quick(); targets = packet_path, refusals }
criterion_main!(benches);
