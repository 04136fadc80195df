//! The whole packet path: a data plane on one side, the keys of its clients on the other.

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
        v4: "10.8.0.0/16".parse().unwrap(),
        v6: Some("fd00::/64".parse().unwrap()),
        server_v4: SERVER,
        server_v6: Some("fd00::1".parse().unwrap()),
        client_to_client,
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

#[test]
fn packets_travel_both_ways_and_are_counted() {
    let plane = plane(false);
    let alice = connect(&plane, config(5, ALICE));
    let up = v4(ALICE, INSIDE, 100);
    assert_eq!(alice.send(&plane, &up).unwrap(), Verdict::Tun(up));

    let mut down = v4(INSIDE, ALICE, 200);
    let out = plane.route(2, &mut down).unwrap();
    assert_eq!(out.link(), udp(5005));
    assert_eq!(alice.open(&seal(&out, &down)), down);

    let stats = alice.peer.stats();
    assert_eq!(
        (stats.link_rx_packets, stats.link_rx_bytes, stats.tun_rx_bytes),
        (1, 124, 100)
    );
    assert_eq!(
        (stats.link_tx_packets, stats.link_tx_bytes, stats.tun_tx_bytes),
        (1, 224, 200)
    );
    assert_eq!((alice.peer.last_rx_ms(), alice.peer.last_tx_ms()), (1, 2));
}

#[test]
fn ipv6_packets_travel_both_ways() {
    let plane = plane(false);
    let alice = connect(&plane, config(5, ALICE));
    let up = v6("fd00::2", "fd99::7");
    assert_eq!(alice.send(&plane, &up).unwrap(), Verdict::Tun(up));
    let mut down = v6("fd99::7", "fd00::2");
    let out = plane.route(1, &mut down).unwrap();
    assert_eq!(alice.open(&seal(&out, &down)), down);
}

#[test]
fn one_route_seals_every_segment_of_a_super_packet_in_order() {
    let plane = plane(false);
    let alice = connect(&plane, config(5, ALICE));
    let mut large = v4(INSIDE, ALICE, 60_000);
    assert_eq!(plane.route(1, &mut large).unwrap_err(), DropReason::TooBig);
    let out = plane.route_segments(1, &mut large, 1440).unwrap();
    for id in 1..=3u8 {
        let mut packet = [0; 1464];
        assert_eq!(
            out.seal_into(&[&large[..40], &[id; 1400]], &mut packet).unwrap(),
            1464
        );
        assert_eq!(packet[..8], [0x48, 0, 0, 5, 0, 0, 0, id]);
        assert_eq!(alice.open(&packet), [&large[..40], &[id; 1400]].concat());
    }
}

#[test]
fn a_packet_that_could_not_be_sealed_is_counted() {
    let plane = plane(false);
    connect(&plane, config(5, ALICE));
    let mut down = v4(INSIDE, ALICE, 100);
    let out = plane.route(1, &mut down).unwrap();
    assert_eq!(out.seal_into(&[&down], &mut [0; 123]), Err(DropReason::NoRoom));
    assert_eq!(plane.counters().count_of(DropReason::NoRoom), 1);
    assert_eq!(out.peer().stats().link_tx_packets, 0);
}

#[test]
fn clients_without_data_v2_are_found_by_their_address() {
    let plane = plane(false);
    let alice = connect(
        &plane,
        PeerConfig {
            data_v2: false,
            ..config(5, ALICE)
        },
    );
    let bob = connect(
        &plane,
        PeerConfig {
            data_v2: false,
            ..config(6, BOB)
        },
    );
    for (client, address) in [(&alice, ALICE), (&bob, BOB)] {
        let up = v4(address, INSIDE, 60);
        assert_eq!(client.send(&plane, &up).unwrap(), Verdict::Tun(up));
        let mut down = v4(INSIDE, address, 60);
        let packet = seal(&plane.route(1, &mut down).unwrap(), &down);
        assert_eq!(packet[0], 0x30);
        assert_eq!(client.open(&packet), down);
    }
    let stray = alice.send_from(&plane, &udp(1), &v4(ALICE, INSIDE, 60));
    assert_eq!(stray, Err(DropReason::UnknownPeer));
    bob.peer.set_link(udp(77));
    assert!(bob.send_from(&plane, &udp(77), &PING).is_ok());
    assert_eq!(
        bob.send_from(&plane, &udp(5006), &PING),
        Err(DropReason::UnknownPeer)
    );
}

#[test]
fn the_undefined_peer_id_falls_back_to_the_address_and_any_other_unknown_one_does_not() {
    let plane = plane(false);
    let mut alice = connect(&plane, config(5, ALICE));
    alice.header = DataHeader::v2(KeyId::FIRST, PeerId::UNDEFINED);
    assert_eq!(alice.send(&plane, &PING), Ok(Verdict::Consumed));
    for unknown in [6, 16, 0xff_fffe] {
        alice.header = DataHeader::v2(KeyId::FIRST, PeerId::new(unknown).unwrap());
        assert_eq!(alice.send(&plane, &PING), Err(DropReason::UnknownPeer));
    }
    assert_eq!(plane.counters().count_of(DropReason::UnknownPeer), 3);
}

#[test]
fn every_installed_key_is_accepted_and_the_chosen_one_is_sent_with() {
    let plane = plane(false);
    let mut alice = connect(&plane, config(5, ALICE));
    let second = KeyId::new(1).unwrap();
    assert!(!alice.peer.set_send_key(second), "not installed");
    let (server_key, client_key) = key_pair(9);
    alice.peer.install_key(second, server_key);
    assert_eq!(alice.send(&plane, &PING), Ok(Verdict::Consumed));
    assert_eq!(alice.peer.send_key(), Some(KeyId::FIRST));
    assert!(alice.peer.set_send_key(second));
    (alice.key, alice.header.key_id) = (client_key, second);
    assert_eq!(alice.send(&plane, &PING), Ok(Verdict::Consumed));
    alice.peer.remove_key(second);
    assert_eq!(alice.send(&plane, &PING), Err(DropReason::UnknownKey));
    assert_eq!(alice.peer.send_key(), None);
    assert_eq!(
        plane.route(1, &mut v4(INSIDE, ALICE, 60)).unwrap_err(),
        DropReason::NoKey
    );
}

#[test]
fn replays_and_forgeries_are_dropped_and_end_a_stream() {
    let plane = plane(false);
    let alice = connect(&plane, config(5, ALICE));
    let packet = alice.seal(&v4(ALICE, INSIDE, 60));
    let open = |packet: &[u8]| plane.open(1, &udp(5005), &mut packet.to_vec()).map(Verdict::of);
    let mut forged = packet.clone();
    forged[30] ^= 1;
    assert_eq!(open(&forged), Err(DropReason::Unauthentic));
    assert!(open(&packet).is_ok());
    assert_eq!(open(&packet), Err(DropReason::Replay));
    assert_eq!(open(&packet[..3]), Err(DropReason::Malformed));
    assert_eq!(open(&[0x20; 40]), Err(DropReason::Malformed));
    assert_eq!(open(&[]), Err(DropReason::Malformed));
    assert!(DropReason::Replay.ends_stream() && DropReason::Unauthentic.ends_stream());
    assert!(!DropReason::NotAuthorized.ends_stream() && !DropReason::UnknownKey.ends_stream());
    assert_eq!(alice.peer.stats().link_rx_packets, 1);
}

#[test]
fn a_client_may_send_only_from_its_own_addresses() {
    let plane = plane(true);
    let alice = connect(&plane, config(5, ALICE));
    connect(&plane, config(6, BOB));
    for (packet, reason) in [
        (v4(BOB, INSIDE, 60), DropReason::SourceAddress),
        (v4(SERVER, INSIDE, 60), DropReason::SourceAddress),
        (v6("fd00::3", "fd99::1"), DropReason::SourceAddress),
        (v6("fe80::1", "ff02::2"), DropReason::LinkLocal),
        (v6("::", "ff02::1:ff00:2"), DropReason::LinkLocal),
        (v6("fd00::2", "ff02::16"), DropReason::Multicast),
        (v4(ALICE, Ipv4Addr::BROADCAST, 60), DropReason::Multicast),
        (
            v4(ALICE, Ipv4Addr::new(224, 0, 0, 251), 60),
            DropReason::Multicast,
        ),
    ] {
        assert_eq!(alice.send(&plane, &packet), Err(reason));
    }
    assert_eq!(alice.peer.stats().tun_rx_packets, 0);
}

#[test]
fn what_is_not_an_ip_packet_or_lies_about_its_length_is_dropped() {
    let plane = plane(false);
    let alice = connect(&plane, config(5, ALICE));
    for payload in [
        &[0x50, 0, 1, 2][..],
        &[0x66; 60],
        &[0xfa, 0x45],
        &PING[..15],
        &v4(ALICE, INSIDE, 60)[..50],
    ] {
        assert_eq!(alice.send(&plane, payload), Err(DropReason::NotIp));
    }
    let mut padded = v4(ALICE, INSIDE, 60);
    padded.extend([0; 10]);
    assert_eq!(
        alice.send(&plane, &padded),
        Ok(Verdict::Tun(padded[..60].to_vec())),
        "padding is cut off"
    );
}

#[test]
fn authorization_holds_in_both_directions() {
    let plane = plane(false);
    let alice = connect(&plane, config(5, ALICE));
    assert_eq!(
        alice.send(&plane, &v4(ALICE, OUTSIDE, 60)),
        Err(DropReason::NotAuthorized)
    );
    let mut back = v4(OUTSIDE, ALICE, 60);
    assert_eq!(
        plane.route(1, &mut back).unwrap_err(),
        DropReason::NotAuthorizedReverse
    );
    alice.peer.set_filter(Arc::new(ClientFilter::allow_all()));
    assert!(alice.send(&plane, &v4(ALICE, OUTSIDE, 60)).is_ok());
    assert!(plane.route(1, &mut back).is_ok());
    alice.peer.set_filter(Arc::new(ClientFilter::deny_all()));
    assert_eq!(
        alice.send(&plane, &v4(ALICE, INSIDE, 60)),
        Err(DropReason::NotAuthorized)
    );
}

#[test]
fn the_servers_own_address_is_always_within_reach() {
    let plane = plane(false);
    let alice = connect(
        &plane,
        PeerConfig {
            filter: Arc::new(ClientFilter::deny_all()),
            ..config(5, ALICE)
        },
    );
    let up = v4(ALICE, SERVER, 60);
    assert_eq!(alice.send(&plane, &up), Ok(Verdict::Tun(up)));
    assert!(plane.route(1, &mut v4(SERVER, ALICE, 60)).is_ok());
    let up = v6("fd00::2", "fd00::1");
    assert_eq!(alice.send(&plane, &up), Ok(Verdict::Tun(up)));
}

#[test]
fn clients_reach_each_other_only_where_that_is_on_and_both_may() {
    let off = plane(false);
    let alice = connect(&off, config(5, ALICE));
    connect(&off, config(6, BOB));
    assert_eq!(
        alice.send(&off, &v4(ALICE, BOB, 60)),
        Err(DropReason::ClientToClient)
    );
    assert_eq!(
        off.route(1, &mut v4(BOB, ALICE, 60)).unwrap_err(),
        DropReason::ClientToClient
    );

    let on = plane(true);
    let alice = connect(&on, config(5, ALICE));
    let bob = connect(&on, config(6, BOB));
    let packet = v4(ALICE, BOB, 60);
    let Ok(Verdict::ToClient(link, sealed)) = alice.send(&on, &packet) else {
        panic!("not switched to the other client");
    };
    assert_eq!((link, bob.open(&sealed)), (udp(5006), packet.clone()));
    assert_eq!(
        alice.send(&on, &v4(ALICE, Ipv4Addr::new(10, 8, 0, 99), 60)),
        Err(DropReason::NoRoute)
    );
    assert_eq!(
        alice.send(&on, &v6("fd00::2", "fd00::ffff:0:0:1")),
        Err(DropReason::NoRoute)
    );
    bob.peer.set_filter(Arc::new(ClientFilter::deny_all()));
    assert_eq!(alice.send(&on, &packet), Err(DropReason::NotAuthorizedReverse));
    alice.peer.set_filter(Arc::new(ClientFilter::deny_all()));
    assert_eq!(alice.send(&on, &packet), Err(DropReason::NotAuthorized));
}

#[test]
fn pings_are_consumed_and_count_as_activity_but_not_as_tunnel_traffic() {
    let plane = plane(false);
    let alice = connect(&plane, config(5, ALICE));
    assert_eq!(alice.send(&plane, &PING), Ok(Verdict::Consumed));
    let mut ours = vec![1, 2, 3];
    alice.peer.seal_payload(9, &PING, &mut ours).unwrap();
    assert_eq!(alice.open(&ours[3..]), PING);
    let stats = alice.peer.stats();
    assert_eq!((stats.link_rx_packets, stats.link_tx_packets), (1, 1));
    assert_eq!((stats.tun_rx_packets, stats.tun_tx_packets), (0, 0));
    assert_eq!((stats.last_rx_ms, stats.last_tx_ms), (1, 9));
    alice.peer.remove_key(KeyId::FIRST);
    assert_eq!(
        alice.peer.seal_payload(9, &PING, &mut ours),
        Err(DropReason::NoKey)
    );
    assert_eq!(ours.len(), 3 + 40);
}

#[test]
fn mtu_tests_are_answered_within_bounds_and_the_goodbye_is_reported_once() {
    let plane = plane(false);
    let alice = connect(&plane, config(5, ALICE));
    let reply = |message: OccMessage<'_>| match alice.send(&plane, &message.encode()) {
        Ok(Verdict::Reply(sealed)) => (sealed.len(), alice.open(&sealed)),
        other => panic!("{other:?} instead of a reply"),
    };
    let (len, payload) = reply(OccMessage::MtuLoadRequest(1000));
    assert_eq!(len, 1000);
    assert!(matches!(
        OccMessage::parse(&payload),
        Some(OccMessage::MtuLoad(_))
    ));
    assert_eq!(reply(OccMessage::MtuLoadRequest(u16::MAX)).0, 1524);
    assert_eq!(reply(OccMessage::MtuLoadRequest(0)).0, 41);
    let (_, payload) = reply(OccMessage::MtuRequest);
    let expected = OccMessage::MtuReply {
        max_received: 24 + 19,
        max_sent: 1524,
    };
    assert_eq!(OccMessage::parse(&payload), Some(expected));
    for ignored in [
        OccMessage::Request,
        OccMessage::MtuLoad(&[0; 9]),
        OccMessage::Unknown(9),
    ] {
        assert_eq!(alice.send(&plane, &ignored.encode()), Ok(Verdict::Consumed));
    }
    assert_eq!(plane.poll_event(), None);
    for _ in 0..3 {
        assert_eq!(
            alice.send(&plane, &OccMessage::Exit.encode()),
            Ok(Verdict::Consumed)
        );
    }
    let exit = PeerEvent::OccExit {
        peer: alice.peer.id(),
        client: 1005,
    };
    assert_eq!((plane.poll_event(), plane.poll_event()), (Some(exit), None));
    assert_eq!(alice.peer.stats().tun_tx_packets, 0);
}

#[test]
fn old_clients_get_the_framing_byte_and_compressed_packets_are_dropped() {
    let plane = plane(false);
    let mut alice = connect(
        &plane,
        PeerConfig {
            framing: Framing::LzoByte,
            ..config(5, ALICE)
        },
    );
    let up = v4(ALICE, INSIDE, 60);
    assert_eq!(alice.send(&plane, &up), Ok(Verdict::Tun(up.clone())));
    assert_eq!(alice.send(&plane, &PING), Ok(Verdict::Consumed));
    let mut down = v4(INSIDE, ALICE, 60);
    let sealed = seal(&plane.route(1, &mut down).unwrap(), &down);
    assert_eq!((sealed.len(), alice.open(&sealed)), (24 + 1 + 60, down));
    alice.framing = Framing::None;
    for first in [0x66, 0x45, 0xfb] {
        assert_eq!(
            alice.send(&plane, &[&[first], &up[..]].concat()),
            Err(DropReason::Compressed)
        );
    }
    assert_eq!(
        alice.send(&plane, &[&[UNCOMPRESSED], &up[..]].concat()),
        Ok(Verdict::Tun(up))
    );
}

#[test]
fn a_client_that_moved_is_reported_and_followed_once_told() {
    let plane = plane(false);
    let woken = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    plane.on_event(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let alice = connect(&plane, config(5, ALICE));
    let mut late = alice.seal(&PING);
    for _ in 0..5 {
        assert_eq!(alice.send_from(&plane, &udp(1), &PING), Ok(Verdict::Consumed));
    }
    let request = PeerEvent::FloatRequest {
        peer: alice.peer.id(),
        client: 1005,
        from: udp(1),
    };
    assert_eq!(
        (plane.poll_event(), plane.poll_event()),
        (Some(request), None),
        "not for each packet"
    );
    assert_eq!(woken.load(Ordering::Relaxed), 1);
    assert_eq!(alice.peer.link(), udp(5005), "the control plane decides");
    let mut packet = alice.seal(&PING);
    plane.open(200, &udp(1), &mut packet).unwrap();
    assert_eq!(
        plane.poll_event(),
        Some(request),
        "again while the packets keep coming"
    );

    alice.peer.set_link(udp(1));
    assert_eq!(plane.route(1, &mut v4(INSIDE, ALICE, 60)).unwrap().link(), udp(1));
    assert!(alice.send(&plane, &PING).is_ok());
    plane.open(900, &udp(5005), &mut late).unwrap();
    assert_eq!(
        plane.poll_event(),
        None,
        "a late packet from the old address moves nothing"
    );
}

#[test]
fn our_own_address_is_part_of_a_move_only_where_it_is_known() {
    let plane = plane(false);
    let link = |local: Option<[u8; 4]>| {
        LinkAddr::Udp(UdpPath {
            remote: ([192, 0, 2, 1], 5005).into(),
            local: local.map(IpAddr::from),
            socket: 0,
        })
    };
    let alice = connect(
        &plane,
        PeerConfig {
            link: link(Some([198, 51, 100, 1])),
            ..config(5, ALICE)
        },
    );
    alice.send_from(&plane, &link(None), &PING).unwrap();
    assert_eq!(plane.poll_event(), None);
    alice
        .send_from(&plane, &link(Some([198, 51, 100, 2])), &PING)
        .unwrap();
    assert!(matches!(plane.poll_event(), Some(PeerEvent::FloatRequest { .. })));
}

#[test]
fn tcp_clients_stay_on_their_connection() {
    let plane = plane(false);
    let alice = connect(
        &plane,
        PeerConfig {
            link: tcp(1),
            ..config(5, ALICE)
        },
    );
    assert!(alice.send(&plane, &PING).is_ok());
    assert_eq!(
        alice.send_from(&plane, &tcp(2), &PING),
        Err(DropReason::WrongLink)
    );
    assert_eq!(
        alice.send_from(&plane, &udp(999), &PING),
        Err(DropReason::WrongLink)
    );
    let bob = connect(&plane, config(6, BOB));
    assert_eq!(bob.send_from(&plane, &tcp(1), &PING), Err(DropReason::WrongLink));
}

#[test]
fn syns_are_clamped_in_both_directions_to_what_the_link_carries() {
    let plane = plane(false);
    let alice = connect(&plane, config(5, ALICE));
    let Ok(Verdict::Tun(up)) = alice.send(&plane, &syn(ALICE, INSIDE)) else {
        panic!("dropped");
    };
    assert_eq!(up[42..44], 1400u16.to_be_bytes());
    let mut down = syn(INSIDE, ALICE);
    plane.route(1, &mut down).unwrap();
    assert_eq!(down[42..44], 1400u16.to_be_bytes());
    alice.peer.set_link(LinkAddr::Udp(UdpPath {
        remote: "[2001:db8::1]:5".parse().unwrap(),
        local: None,
        socket: 0,
    }));
    let mut down = syn(INSIDE, ALICE);
    plane.route(1, &mut down).unwrap();
    assert_eq!(down[42..44], 1380u16.to_be_bytes());
}

#[test]
fn packets_beyond_the_clients_mtu_are_answered() {
    let plane = plane(false);
    connect(
        &plane,
        PeerConfig {
            tun_mtu: 1400,
            ..config(5, ALICE)
        },
    );
    let mut large = v4(INSIDE, ALICE, 1401);
    assert_eq!(plane.route(1, &mut large).unwrap_err(), DropReason::TooBig);
    let mut reply = [0; crate::TOO_BIG_REPLY_MAX];
    let len = plane.too_big_reply(1, &large, &mut reply).unwrap();
    let header = IpHeader::parse(&reply[..len]).unwrap();
    assert_eq!(
        (header.source, header.destination),
        (SERVER.into(), INSIDE.into())
    );
    assert_eq!(reply[26..28], 1400u16.to_be_bytes());
    let mut down = v6("fd99::7", "fd00::2");
    assert_eq!(
        plane.route_segments(1, &mut down, 1401).unwrap_err(),
        DropReason::TooBig
    );
    assert!(plane.too_big_reply(1, &down, &mut reply).is_some());
    assert!(
        (0..1000).any(|_| plane.too_big_reply(1, &large, &mut reply).is_none()),
        "rate limited"
    );
    assert!(plane.route(1, &mut v4(INSIDE, ALICE, 1400)).is_ok());
}

#[test]
fn a_worn_key_is_reported_once_and_again_if_the_queue_was_full() {
    let plane = plane(false);
    let alice = connect(&plane, config(5, ALICE));
    let limits = crate::key::Limits {
        failed_soft: 1,
        ..crate::key::Limits::of(DataCipher::Aes256Gcm)
    };
    let key2 = Key2::from_exporter([9; 256]);
    let cipher = DataCipher::Aes256Gcm;
    let key = DataKey::with_limits(cipher, DataFormat::Aead, Role::Server, &key2, limits).unwrap();
    alice.peer.install_key(KeyId::FIRST, key);
    while plane.shared.events.push(
        PeerEvent::OccExit {
            peer: alice.peer.id(),
            client: 0,
        },
        plane.counters(),
    ) {}
    assert_eq!(alice.send(&plane, &PING), Err(DropReason::Unauthentic));
    assert_eq!(plane.counters().count_of(DropReason::EventQueueFull), 2);
    while plane.poll_event().is_some() {}
    for _ in 0..3 {
        assert_eq!(alice.send(&plane, &PING), Err(DropReason::Unauthentic));
    }
    let limit = PeerEvent::KeyLimit {
        peer: alice.peer.id(),
        client: 1005,
        key_id: KeyId::FIRST,
    };
    assert_eq!((plane.poll_event(), plane.poll_event()), (Some(limit), None));
}

#[test]
fn peers_and_addresses_are_taken_once_and_free_again_after_removal() {
    let plane = plane(false);
    let alice = connect(&plane, config(5, ALICE));
    let add = |config| plane.add_peer(config).map(|_| ());
    let id = |id| PeerId::new(id).unwrap();
    assert_eq!(add(config(5, BOB)), Err(DataError::PeerIdInUse { peer: id(5) }));
    assert_eq!(
        add(config(16, BOB)),
        Err(DataError::PeerIdOutOfRange {
            peer: id(16),
            max: 16
        })
    );
    assert_eq!(
        add(config(6, ALICE)),
        Err(DataError::AddressInUse {
            address: ALICE.into()
        })
    );
    assert_eq!(
        add(config(6, OUTSIDE)),
        Err(DataError::AddressOutsideRange {
            address: OUTSIDE.into()
        })
    );
    let v6 = "fd00::9".parse().unwrap();
    let crossed = PeerConfig {
        v6: Some(v6),
        ..config(6, BOB)
    };
    assert_eq!(
        add(crossed),
        Err(DataError::AddressMismatch { address: v6.into() })
    );
    assert_eq!(plane.peer_at(ALICE.into()).unwrap().id(), id(5));

    assert!(plane.remove_peer(id(5)).is_some());
    assert!(plane.remove_peer(id(5)).is_none());
    assert!(plane.peer(id(5)).is_none() && plane.peer_at(ALICE.into()).is_none());
    assert_eq!(alice.send(&plane, &PING), Err(DropReason::UnknownPeer));
    assert_eq!(
        plane.route(1, &mut v4(INSIDE, ALICE, 60)).unwrap_err(),
        DropReason::NoRoute
    );
    alice.peer.set_link(udp(8));
    assert_eq!(add(config(6, ALICE)), Ok(()));
    assert_eq!(plane.peer_at("fd00::2".parse().unwrap()).unwrap().id(), id(6));
}

#[test]
fn a_restarted_client_at_the_same_address_is_found_before_the_old_one_leaves_and_after() {
    let plane = plane(false);
    let link = udp(4000);
    let old = PeerConfig {
        data_v2: false,
        link,
        ..config(5, ALICE)
    };
    let new = PeerConfig {
        data_v2: false,
        link,
        ..config(6, BOB)
    };
    connect(&plane, old);
    let new = connect(&plane, new);
    let up = v4(BOB, INSIDE, 60);
    assert_eq!(new.send(&plane, &up), Ok(Verdict::Tun(up.clone())));
    plane.remove_peer(PeerId::new(5).unwrap());
    assert_eq!(new.send(&plane, &up), Ok(Verdict::Tun(up)));
}

#[test]
fn the_largest_pool_and_client_count_fit() {
    let plane = DataPlane::new(DataPlaneConfig {
        max_peers: 126_500,
        v4: "10.0.0.0/12".parse().unwrap(),
        v6: None,
        server_v4: Ipv4Addr::new(10, 0, 0, 1),
        server_v6: None,
        client_to_client: false,
    });
    let last = Ipv4Addr::new(10, 15, 255, 254);
    let alice = connect(
        &plane,
        PeerConfig {
            v6: None,
            ..config(126_499, last)
        },
    );
    assert!(plane.route(1, &mut v4(INSIDE, last, 60)).is_ok());
    assert_eq!(alice.send(&plane, &PING), Ok(Verdict::Consumed));
    assert!(size_of::<Peer>() + 2 * size_of::<DataKey>() < 8 * 1024);
}

proptest! {
    #[test]
    fn no_packet_from_the_tun_panics(mut ip in prop::collection::vec(any::<u8>(), 0..100), v6 in any::<bool>()) {
        let plane = plane(true);
        connect(&plane, config(5, ALICE));
        if let Some(first) = ip.first_mut() {
            *first = if v6 { 0x60 } else { 0x45 };
        }
        let mut reply = [0; crate::TOO_BIG_REPLY_MAX];
        plane.too_big_reply(1, &ip, &mut reply);
        prop_assert!(plane.route(1, &mut ip).is_err());
    }

    #[test]
    fn no_authentic_payload_panics_or_gets_out_unless_it_is_the_clients_own(
        mut payload in prop::collection::vec(any::<u8>(), 1..100), kind in 0..4) {
        let plane = plane(true);
        let alice = connect(&plane, config(5, ALICE));
        match kind {
            0 => payload[0] = 0x45,
            1 => payload[0] = 0x60,
            2 => payload = [&occ::OCC_MAGIC[..], &payload].concat(),
            _ => {}
        }
        if let Ok(Verdict::Tun(ip)) = alice.send(&plane, &payload) {
            prop_assert_eq!(IpHeader::parse(&ip).unwrap().source, IpAddr::V4(ALICE));
        }
    }

    #[test]
    fn no_packet_from_a_stranger_panics_or_gets_in(mut packet in prop::collection::vec(any::<u8>(), 0..100), kind in 0..3) {
        let plane = plane(true);
        connect(&plane, config(5, ALICE));
        match (kind, packet.as_mut_slice()) {
            (0, [first, a, b, c, ..]) => [*first, *a, *b, *c] = [0x48, 0, 0, 5],
            (1, [first, ..]) => *first = 0x30,
            _ => {}
        }
        prop_assert!(plane.open(1, &udp(5005), &mut packet).is_err());
    }
}
