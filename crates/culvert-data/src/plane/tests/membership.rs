//! Peers that come, go and come again.

use super::*;

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
        v4: "10.0.0.0/12".parse().ok(),
        v6: None,
        server_v4: Some(Ipv4Addr::new(10, 0, 0, 1)),
        server_v6: None,
        client_to_client: false,
        client_to_client_v6: false,
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

/// A plane whose clients have IPv6 addresses, and IPv4 ones or not.
fn plane_of(v4: Option<&str>, client_to_client: bool) -> DataPlane {
    DataPlane::new(DataPlaneConfig {
        max_peers: 16,
        v4: v4.map(|v4| v4.parse().unwrap()),
        v6: "fd00::/64".parse().ok(),
        server_v4: v4.map(|_| SERVER),
        server_v6: "fd00::1".parse().ok(),
        client_to_client,
        client_to_client_v6: false,
    })
}

#[test]
fn clients_may_have_ipv6_addresses_alone() {
    let plane = plane_of(None, false);
    let alice = connect(
        &plane,
        PeerConfig {
            v4: None,
            ..config(5, ALICE)
        },
    );
    let up = v6("fd00::2", "fd99::9");
    assert_eq!(alice.send(&plane, &up), Ok(Verdict::Tun(up)));
    let forged = alice.send(&plane, &v6("fd00::3", "fd99::9"));
    assert_eq!(forged, Err(DropReason::SourceAddress));
    let of_v4 = alice.send(&plane, &v4(ALICE, INSIDE, 60));
    assert_eq!(of_v4, Err(DropReason::SourceAddress));
    assert!(plane.route(1, &mut v6("fd99::9", "fd00::2")).is_ok());
    assert!(plane.route(1, &mut v4(INSIDE, ALICE, 60)).is_err());
    let outside = plane.add_peer(config(6, BOB)).map(|_| ());
    let address = BOB.into();
    assert_eq!(outside, Err(DataError::AddressOutsideRange { address }));
}

#[test]
fn clients_may_reach_each_other_over_ipv4_alone() {
    let plane = plane_of(Some("10.8.0.0/16"), true);
    let alice = connect(&plane, config(5, ALICE));
    let _bob = connect(&plane, config(6, BOB));
    let over_v4 = alice.send(&plane, &v4(ALICE, BOB, 60));
    assert!(matches!(over_v4, Ok(Verdict::ToClient(..))), "{over_v4:?}");
    let over_v6 = alice.send(&plane, &v6("fd00::2", "fd00::3"));
    assert_eq!(over_v6, Err(DropReason::ClientToClient));
    let from_behind = plane.route(1, &mut v6("fd00::2", "fd00::3")).map(|_| ());
    assert_eq!(from_behind, Err(DropReason::ClientToClient));
}
