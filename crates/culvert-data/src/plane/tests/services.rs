//! Rules that are limited to services.

use super::*;

const TCP: u8 = 6;
const UDP: u8 = 17;
/// On the way, and in no rule.
const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// A filter with one rule for everybody per network, limited to services unless there are none.
fn limited(rules: &[(&str, &[&str])]) -> Arc<ClientFilter> {
    let routes: Vec<_> = rules
        .iter()
        .map(|(network, _)| network.parse().unwrap())
        .collect();
    let rules: Vec<_> = rules
        .iter()
        .map(|(network, services)| AuthorizationRule {
            destination: network.parse().unwrap(),
            access: Access::AllUsers,
            services: services.iter().map(|service| service.parse().unwrap()).collect(),
            description: None,
        })
        .collect();
    Policy::compile(&rules, &routes).filter_for(&[])
}

fn packet(protocol: u8, from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), flags: u8) -> Vec<u8> {
    let mut packet = v4(from.0, to.0, 40);
    packet[9] = protocol;
    packet[20..22].copy_from_slice(&from.1.to_be_bytes());
    packet[22..24].copy_from_slice(&to.1.to_be_bytes());
    packet[33] = flags;
    packet
}

fn limited_client(plane: &DataPlane, id: u32, v4: Ipv4Addr, rules: &[(&str, &[&str])]) -> Client {
    connect(
        plane,
        PeerConfig {
            filter: limited(rules),
            ..config(id, v4)
        },
    )
}

#[test]
fn a_client_begins_what_its_rules_allow_and_is_answered() {
    let plane = plane(false);
    let services: &[&str] = &["443/tcp", "8000-8999/tcp", "53/udp"];
    let alice = limited_client(&plane, 5, ALICE, &[("172.16.0.0/16", services)]);
    for (protocol, port, allowed) in [
        (TCP, 443, true),
        (TCP, 444, false),
        (TCP, 8000, true),
        (TCP, 8999, true),
        (TCP, 9000, false),
        (UDP, 53, true),
        (UDP, 443, false),
        (1, 0, false),
        (47, 443, false),
    ] {
        let what = format!("{protocol} {port}");
        let sent = alice.send(&plane, &packet(protocol, (ALICE, 50000), (INSIDE, port), SYN));
        assert_eq!(
            sent.err(),
            (!allowed).then_some(DropReason::NotAuthorized),
            "{what}"
        );
        let mut answer = packet(protocol, (INSIDE, port), (ALICE, 50000), SYN | ACK);
        let back = plane.route(1, &mut answer).err();
        assert_eq!(
            back,
            (!allowed).then_some(DropReason::NotAuthorizedReverse),
            "{what}"
        );
    }
    let outside = packet(TCP, (ALICE, 50000), (OUTSIDE, 443), SYN);
    assert_eq!(alice.send(&plane, &outside), Err(DropReason::NotAuthorized));
}

#[test]
fn nobody_begins_a_connection_with_a_limited_client_whatever_port_it_comes_from() {
    let plane = plane(false);
    limited_client(&plane, 5, ALICE, &[("172.16.0.0/16", &["443/tcp", "icmp"])]);
    let mut syn = packet(TCP, (INSIDE, 443), (ALICE, 22), SYN);
    assert_eq!(
        plane.route(1, &mut syn).unwrap_err(),
        DropReason::NotAuthorizedReverse
    );
    let mut other = packet(TCP, (INSIDE, 50000), (ALICE, 443), ACK);
    assert_eq!(
        plane.route(1, &mut other).unwrap_err(),
        DropReason::NotAuthorizedReverse
    );
    let mut ping = v4(INSIDE, ALICE, 40);
    (ping[9], ping[20]) = (1, 8);
    assert_eq!(
        plane.route(1, &mut ping).unwrap_err(),
        DropReason::NotAuthorizedReverse
    );
    ping[20] = 0;
    assert!(
        plane.route(1, &mut ping).is_ok(),
        "an answer to a ping of its own"
    );
}

#[test]
fn limits_hold_over_ipv6() {
    let plane = plane(true);
    let services: &[&str] = &["443/tcp", "icmp"];
    let rules = [("fd99::/64", services), ("fd00::/64", services)];
    let alice = limited_client(&plane, 5, ALICE, &rules);
    let _bob = limited_client(&plane, 6, BOB, &rules);
    let (own, other, inside) = ("fd00::2", "fd00::3", "fd99::9");
    let segment = |from: &str, to: &str, ports: (u16, u16), flags: u8| {
        let mut packet = v6(from, to);
        (packet[5], packet[6]) = (20, TCP);
        packet.resize(60, 0);
        packet[40..42].copy_from_slice(&ports.0.to_be_bytes());
        packet[42..44].copy_from_slice(&ports.1.to_be_bytes());
        (packet[52], packet[53]) = (0x50, flags);
        packet
    };
    for to in [inside, other] {
        let sends = |port, flags| alice.send(&plane, &segment(own, to, (50000, port), flags)).err();
        assert_eq!(sends(443, SYN), None, "{to}");
        assert_eq!(sends(80, SYN), Some(DropReason::NotAuthorized), "{to}");
    }
    let comes = |ports, flags| plane.route(1, &mut segment(inside, own, ports, flags)).is_ok();
    assert!(comes((443, 50000), SYN | ACK));
    assert!(!comes((443, 22), SYN) && !comes((50000, 443), ACK));
    for (kind, reply) in [(128, false), (129, true), (134, false)] {
        let mut message = v6(inside, own);
        (message[6], message[40]) = (58, kind);
        assert_eq!(plane.route(1, &mut message).is_ok(), reply, "type {kind}");
    }
}

#[test]
fn an_error_about_an_allowed_connection_gets_through() {
    let plane = plane(false);
    limited_client(&plane, 5, ALICE, &[("172.16.0.0/16", &["443/tcp"])]);
    for (port, allowed) in [(443, true), (80, false)] {
        // A router on the way sends it, which no rule is about.
        for (sender, about, told) in [
            (INSIDE, ALICE, allowed),
            (ROUTER, ALICE, allowed),
            (ROUTER, BOB, false),
        ] {
            let mut error = v4(sender, ALICE, 68);
            error[9] = 1;
            error[20..22].copy_from_slice(&[3, 4]);
            error[28..68].copy_from_slice(&packet(TCP, (about, 50000), (INSIDE, port), ACK));
            assert_eq!(
                plane.route(1, &mut error).is_ok(),
                told,
                "{sender} about {about}, port {port}"
            );
        }
    }
}

#[test]
fn later_fragments_pass_where_some_port_of_their_protocol_does() {
    let plane = plane(false);
    let alice = limited_client(&plane, 5, ALICE, &[("172.16.0.0/16", &["53/udp"])]);
    for (protocol, allowed) in [(UDP, true), (TCP, false)] {
        let mut later = packet(protocol, (ALICE, 1), (INSIDE, 1), ACK);
        later[6..8].copy_from_slice(&[0x20, 10]);
        assert_eq!(alice.send(&plane, &later).is_ok(), allowed);
        let mut back = packet(protocol, (INSIDE, 1), (ALICE, 1), ACK);
        back[6..8].copy_from_slice(&[0, 10]);
        assert_eq!(plane.route(1, &mut back).is_ok(), allowed);
    }
}

#[test]
fn between_clients_either_ones_service_is_reached_and_answered() {
    let plane = plane(true);
    let ssh: &[(&str, &[&str])] = &[("10.8.0.0/16", &["22/tcp"])];
    let alice = limited_client(&plane, 5, ALICE, ssh);
    let bob = limited_client(&plane, 6, BOB, ssh);
    let ok = |sent: Result<Verdict, DropReason>| sent.map(|_| ());
    let no = Err(DropReason::NotAuthorized);
    let alice_sends = |from, to, flags| ok(alice.send(&plane, &packet(TCP, (ALICE, from), (BOB, to), flags)));
    let bob_sends = |from, to, flags| ok(bob.send(&plane, &packet(TCP, (BOB, from), (ALICE, to), flags)));
    assert_eq!(alice_sends(50000, 22, SYN), Ok(()));
    assert_eq!(bob_sends(22, 50000, SYN | ACK), Ok(()));
    assert_eq!(alice_sends(50000, 80, SYN), no);
    assert_eq!(alice_sends(22, 80, SYN), no, "its own port makes no answer of it");
    assert_eq!(bob_sends(50000, 50001, ACK), no);

    // One whose rule is not limited begins anything, is answered, and is begun with as the other's rules say.
    alice.peer.set_filter(limited(&[("10.8.0.0/16", &[])]));
    assert_eq!(alice_sends(50000, 80, SYN), Ok(()));
    assert_eq!(bob_sends(80, 50000, SYN | ACK), Ok(()));
    assert_eq!(bob_sends(50000, 80, SYN), no);
    assert_eq!(bob_sends(50000, 22, SYN), Ok(()));
    let bob_says = |from, to| ok(bob.send(&plane, &packet(UDP, (BOB, from), (ALICE, to), 0)));
    assert_eq!(
        bob_says(50000, 53),
        no,
        "over UDP nothing tells that it is an answer"
    );
    alice.peer.set_filter(limited(&[("10.8.0.0/16", &["53/udp"])]));
    assert_eq!(bob_says(53, 50000), Ok(()), "but the port of a service");
    assert_eq!(bob_says(50000, 53), no);
    alice.peer.set_filter(limited(&[("172.16.0.0/16", &["22/tcp"])]));
    assert_eq!(bob_sends(50000, 22, SYN), Err(DropReason::NotAuthorizedReverse));
    assert_eq!(alice_sends(50000, 22, SYN), no);
}
