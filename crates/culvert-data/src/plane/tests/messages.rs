//! Pings, OCC messages and framing inside the data channel.

use super::*;

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
