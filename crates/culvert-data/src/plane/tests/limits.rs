//! Segment sizes, MTUs and worn keys.

use super::*;

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
