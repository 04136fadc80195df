//! Packets in both directions, and whose they are.

use super::*;

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
