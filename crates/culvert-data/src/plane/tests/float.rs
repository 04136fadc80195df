//! Clients whose address or port changes.

use super::*;

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
