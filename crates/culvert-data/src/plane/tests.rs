//! The whole packet path: a data plane on one side, the keys of its clients on the other.

mod float;
mod hostile;
mod limits;
mod membership;
mod messages;
mod open;
mod policy;
mod services;

use super::*;
use crate::{DataFormat, DataKey, Framing, MssFix, UNCOMPRESSED};
use culvert_crypto::{DataCipher, Key2, Role};
use culvert_policy::{Access, AuthorizationRule, ClientFilter, Policy};
use culvert_wire::data::DataHeader;
use culvert_wire::occ::{self, OccMessage, PING};
use culvert_wire::{KeyId, TcpLink, UdpPath};
use proptest::prelude::*;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
const ALICE: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 2);
const BOB: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 3);
const INSIDE: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 9);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

fn plane(client_to_client: bool) -> DataPlane {
    DataPlane::new(DataPlaneConfig {
        max_peers: 16,
        v4: "10.8.0.0/16".parse().ok(),
        v6: Some("fd00::/64".parse().unwrap()),
        server_v4: Some(SERVER),
        server_v6: Some("fd00::1".parse().unwrap()),
        client_to_client,
        client_to_client_v6: client_to_client,
    })
}

fn udp(port: u16) -> LinkAddr {
    LinkAddr::Udp(UdpPath {
        remote: ([192, 0, 2, 1], port).into(),
        local: None,
        socket: 0,
    })
}

fn tcp(id: u64) -> LinkAddr {
    LinkAddr::Tcp(TcpLink {
        id,
        remote: ([192, 0, 2, 1], 999).into(),
    })
}

/// The networks clients may reach in these tests: 172.16.0.0/16, fd99::/16 and each other.
fn filter() -> Arc<ClientFilter> {
    let networks = ["172.16.0.0/16", "10.8.0.0/16", "fd99::/16", "fd00::/64"];
    let rules = networks.map(|network| AuthorizationRule {
        destination: network.parse().unwrap(),
        access: Access::AllUsers,
        services: Vec::new(),
        description: None,
    });
    let routes = networks.map(|network| network.parse().unwrap());
    Policy::compile(&rules, &routes).filter_for(&[])
}

fn config(id: u32, v4: Ipv4Addr) -> PeerConfig {
    let host = v4.octets()[3];
    PeerConfig {
        client: u64::from(id) + 1000,
        peer: PeerId::new(id).unwrap(),
        link: udp(5000 + (id % 1000) as u16),
        v4: Some(v4),
        v6: Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host.into())),
        data_v2: true,
        framing: Framing::None,
        filter: filter(),
        mss_fix: MssFix::default(),
        tun_mtu: 1500,
    }
}

/// A connected client: its entry in the plane, and its own keys.
struct Client {
    peer: Arc<Peer>,
    key: DataKey,
    header: DataHeader,
    framing: Framing,
}

fn key_pair(seed: u8) -> (DataKey, DataKey) {
    let key2 = Key2::from_exporter([seed; 256]);
    let make = |role| DataKey::new(DataCipher::Aes256Gcm, DataFormat::Aead, role, &key2).unwrap();
    (make(Role::Server), make(Role::Client))
}

fn connect(plane: &DataPlane, config: PeerConfig) -> Client {
    let (server_key, key) = key_pair(7);
    let (id, data_v2, framing) = (config.peer, config.data_v2, config.framing);
    let peer = plane.add_peer(config).unwrap();
    peer.install_key(KeyId::FIRST, server_key);
    assert!(peer.set_send_key(KeyId::FIRST));
    let header = if data_v2 {
        DataHeader::v2(KeyId::FIRST, id)
    } else {
        DataHeader::v1(KeyId::FIRST)
    };
    Client {
        peer,
        key,
        header,
        framing,
    }
}

impl Client {
    fn seal(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 3000];
        let len = self
            .key
            .seal_into(&self.header, self.framing, &[payload], &mut out)
            .unwrap();
        out.truncate(len);
        out
    }

    /// Opens what the server sent and takes the framing off.
    fn open(&self, packet: &[u8]) -> Vec<u8> {
        let mut packet = packet.to_vec();
        let header = DataHeader::parse(&packet).unwrap();
        let opened = self.key.open(header.len, &mut packet).unwrap();
        self.framing.strip(opened.payload).unwrap().to_vec()
    }

    /// Sends a payload and reports what became of it.
    fn send(&self, plane: &DataPlane, payload: &[u8]) -> Result<Verdict, DropReason> {
        self.send_from(plane, &self.peer.link(), payload)
    }

    fn send_from(&self, plane: &DataPlane, from: &LinkAddr, payload: &[u8]) -> Result<Verdict, DropReason> {
        let mut packet = self.seal(payload);
        plane.open(1, from, &mut packet).map(Verdict::of)
    }
}

/// [`Inbound`] without the borrowed buffer.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Tun(Vec<u8>),
    ToClient(LinkAddr, Vec<u8>),
    Reply(Vec<u8>),
    Consumed,
}

impl Verdict {
    fn of(inbound: Inbound<'_>) -> Self {
        match inbound {
            Inbound::Tun { ip } => Self::Tun(ip.to_vec()),
            Inbound::ToClient { ip, out } => Self::ToClient(out.link(), seal(&out, ip)),
            Inbound::Reply { payload, out } => Self::Reply(seal(&out, &payload)),
            Inbound::Consumed => Self::Consumed,
        }
    }
}

fn seal(out: &Outbound, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; out.sealed_len(payload.len())];
    let len = out.seal_into(&[payload], &mut packet).unwrap();
    assert_eq!(len, packet.len());
    packet
}

fn v4(source: Ipv4Addr, destination: Ipv4Addr, len: usize) -> Vec<u8> {
    let mut packet = vec![0; len];
    packet[..12].copy_from_slice(&[0x45, 0, (len >> 8) as u8, len as u8, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&destination.octets());
    packet
}

fn v6(source: &str, destination: &str) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 8, 17, 64];
    packet.extend(source.parse::<Ipv6Addr>().unwrap().octets());
    packet.extend(destination.parse::<Ipv6Addr>().unwrap().octets());
    packet.extend([0; 8]);
    packet
}

fn syn(source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let mut packet = v4(source, destination, 44);
    packet[9] = 6;
    packet[32] = 0x60;
    packet[33] = 2;
    packet[40..44].copy_from_slice(&[2, 4, 0x05, 0xb4]);
    packet
}
