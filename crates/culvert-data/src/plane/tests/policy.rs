//! What a client may send and receive.

use super::*;

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
