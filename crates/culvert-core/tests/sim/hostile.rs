//! Strangers: what they can't do, whatever they send.

use std::time::Duration;

use culvert_client::Personality;
use culvert_core::{DropReason, EndpointSettings, SharedWrap, WrapPolicy};
use culvert_crypto::{Entropy, SeededEntropy, StaticKey};
use culvert_wire::{LinkAddr, SessionId};

use crate::world::{World, settings};

const SECOND: Duration = Duration::from_secs(1);

fn connected(seed: u64) -> (World, usize) {
    let mut world = World::new(seed, settings());
    let host = world.add_host(Some(0), Personality::v2_6());
    world.connect(host);
    (world, host)
}

/// A control packet without wrapping.
fn packet(byte0: u8, from: SessionId, acks: &[u32], to: Option<SessionId>, id: Option<u32>) -> Vec<u8> {
    let mut packet = vec![byte0];
    packet.extend_from_slice(&from.bytes());
    packet.push(acks.len() as u8);
    for ack in acks {
        packet.extend_from_slice(&ack.to_be_bytes());
    }
    packet.extend(to.iter().flat_map(|to| to.bytes()));
    packet.extend(id.iter().flat_map(|id| id.to_be_bytes()));
    packet
}

fn stranger() -> SessionId {
    SessionId::new([7; 8]).unwrap()
}

/// Resets as a client would and returns the cookie the server answers with.
fn cookie_of(world: &mut World, from: LinkAddr) -> SessionId {
    let mut reset = packet(0x38, stranger(), &[], None, Some(0));
    world
        .server
        .handle_link_input(world.now, from, &mut reset)
        .unwrap();
    let answer = world.server.poll_transmit().unwrap();
    assert_eq!(
        (answer.to, answer.packet.len(), answer.packet[0]),
        (from, 26, 0x40)
    );
    assert!(world.server.poll_transmit().is_none(), "more than one answer");
    SessionId::new(answer.packet[1..9].try_into().unwrap()).unwrap()
}

#[test]
fn a_wrong_cookie_is_refused() {
    let mut world = World::new(1, settings());
    let from = world.fresh_udp();
    let cookie = cookie_of(&mut world, from);
    for bit in 0..64 {
        let mut bytes = cookie.bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Some(wrong) = SessionId::new(bytes) else {
            continue;
        };
        let first = packet(0x20, stranger(), &[0], Some(wrong), Some(1));
        assert_eq!(world.inject(from, first), Err(DropReason::WrongCookie));
    }
    assert_eq!(world.server.counters().sessions_created, 0);
    world
        .inject(from, packet(0x20, stranger(), &[0], Some(cookie), Some(1)))
        .unwrap();
    assert_eq!(world.server.counters().sessions_created, 1);
    world.check_empty();
}

#[test]
fn a_cookie_is_good_for_one_address_and_one_session_id_and_not_forever() {
    let mut world = World::new(2, settings());
    let from = world.fresh_udp();
    let cookie = cookie_of(&mut world, from);
    let elsewhere = world.fresh_udp();
    let other = SessionId::new([8; 8]).unwrap();
    let with = |id| packet(0x28, id, &[0], Some(cookie), None);
    assert_eq!(
        world.inject(elsewhere, with(stranger())),
        Err(DropReason::WrongCookie)
    );
    assert_eq!(world.inject(from, with(other)), Err(DropReason::WrongCookie));
    world.run(200 * SECOND);
    assert_eq!(world.inject(from, with(stranger())), Err(DropReason::WrongCookie));
    assert_eq!(world.server.counters().sessions_created, 0);
}

#[test]
fn the_first_packet_must_be_the_first() {
    let mut world = World::new(3, settings());
    let from = world.fresh_udp();
    let cookie = Some(cookie_of(&mut world, from));
    let id = stranger();
    assert_eq!(
        world.inject(from, packet(0x20, id, &[0], cookie, Some(2))),
        Err(DropReason::OutOfOrder)
    );
    assert_eq!(
        world.inject(from, packet(0x28, id, &[0, 2], cookie, None)),
        Err(DropReason::OutOfOrder)
    );
    assert_eq!(
        world.inject(from, packet(0x20, id, &[], None, Some(1))),
        Err(DropReason::NoCookie)
    );
    assert_eq!(
        world.inject(from, packet(0x21, id, &[0], cookie, Some(1))),
        Err(DropReason::NoCookie)
    );
    assert_eq!(
        world.inject(from, packet(0x18 | 1, id, &[0], cookie, Some(0))),
        Err(DropReason::NoCookie)
    );
    assert_eq!(
        world.inject(from, packet(0x40, id, &[0], cookie, Some(0))),
        Err(DropReason::WrongRole)
    );
    assert_eq!(world.inject(from, vec![0x30; 60]), Err(DropReason::NotControl));
    assert_eq!(world.server.counters().sessions_created, 0);
}

#[test]
fn spoofed_packets_from_a_clients_address_change_nothing() {
    let (mut world, host) = connected(4);
    let link = world.hosts[host].link;
    let client = world.hosts[host].client.as_ref().unwrap();
    let (own, server) = (client.session_id(), client.server_session_id().unwrap());
    let wrong = SessionId::new([9; 8]).unwrap();
    let mut spoofed = vec![
        // Resets, with the client's session id and with another.
        packet(0x38, own, &[], None, Some(0)),
        packet(0x38, own, &[], None, Some(1)),
        packet(0x38, stranger(), &[], None, Some(0)),
        // Soft resets with ids that are wrong or out of turn.
        packet(0x18, own, &[], None, Some(0)),
        packet(0x18 | 2, own, &[], None, Some(0)),
        packet(0x18 | 7, own, &[0], Some(server), Some(0)),
        packet(0x18 | 1, stranger(), &[], None, Some(0)),
        // Acknowledgements for somebody else, of things never sent.
        packet(0x28, own, &[1, 2, 3, 4], Some(wrong), None),
        packet(0x28, own, &[90, 91], Some(server), None),
        // Messages far ahead.
        packet(0x20, own, &[], None, Some(1000)),
    ];
    // "EXIT", not inside TLS.
    let mut exit = packet(0x20, own, &[], None, Some(0));
    exit.extend_from_slice(b"EXIT\0");
    spoofed.push(exit);
    for packet in spoofed {
        let _dropped = world.inject(link, packet);
    }
    // And the goodbye of the data channel, without its keys.
    let mut exit = vec![0x48, 0, 0, 0];
    exit.extend_from_slice(&culvert_wire::occ::EXIT);
    exit.extend_from_slice(&[0; 24]);
    let mut packet = exit.clone();
    assert!(world.data.open(1, &link, &mut packet).is_err());
    assert!(world.data.poll_event().is_none());

    world.run(5 * SECOND);
    world.send_ip(host);
    world.run(SECOND);
    assert_eq!(world.tun, 1);
    assert!(world.disconnected.is_empty());
    world.with_host(host, |client, now| assert!(client.renegotiate(now)));
    world.run(10 * SECOND);
    assert_eq!(world.hosts[host].renegotiated, 1);
    world.check();
    world.check_empty();
}

#[test]
fn a_spoofed_soft_reset_of_the_right_key_costs_nothing_lasting() {
    // Without wrapping this much can be forged: id and address are visible on the wire.
    let mut world = World::new(5, settings());
    let host = world.add_host(Some(0), Personality::v2_5());
    world.connect(host);
    let link = world.hosts[host].link;
    let own = world.hosts[host].client.as_ref().unwrap().session_id();
    world
        .inject(link, packet(0x18 | 1, own, &[], None, Some(0)))
        .unwrap();
    for _ in 0..100 {
        world.run(SECOND);
        world.send_ip(host);
    }
    world.run(SECOND);
    assert_eq!(world.tun, 100);
    assert!(world.disconnected.is_empty(), "{:?}", world.disconnected);
    world.check_empty();
}

#[test]
fn without_the_key_nothing_is_answered() {
    let key = StaticKey::generate(&mut SeededEntropy::new(1));
    let wrap = WrapPolicy {
        shared: SharedWrap::TlsCrypt { key },
        tls_crypt_v2: None,
    };
    let mut world = World::new(6, EndpointSettings { wrap, ..settings() });
    let from = world.fresh_udp();
    let mut noise = SeededEntropy::new(2);
    for length in 14..400 {
        let mut packet = vec![0; length];
        noise.fill(&mut packet);
        packet[0] = 0x38;
        assert!(world.inject(from, packet).is_err());
    }
    let counters = world.server.counters();
    assert_eq!((counters.resets_answered, counters.sessions_created), (0, 0));
    assert!(counters.dropped(DropReason::Unauthentic) > 300);
}

#[test]
fn noise_in_every_shape_is_survived() {
    let (mut world, host) = connected(7);
    let link = world.hosts[host].link;
    let own = world.hosts[host].client.as_ref().unwrap().session_id();
    let mut noise = SeededEntropy::new(3);
    for round in 0..20_000u32 {
        let mut packet = vec![0; (noise.next_u64() % 120) as usize];
        noise.fill(&mut packet);
        // Half of it with a believable beginning.
        if round % 2 == 0 && packet.len() > 9 {
            packet[0] =
                [0x18, 0x20, 0x28, 0x38, 0x40, 0x50, 0x58][(round / 2 % 7) as usize] | (round % 3) as u8;
            packet[1..9].copy_from_slice(&own.bytes());
            packet[9] %= 9;
        }
        let from = if round % 3 == 0 { world.fresh_udp() } else { link };
        let _dropped = world.inject(from, packet);
    }
    // The stream of the first key may be damaged (no wrapping protects it), the data channel is not.
    world.send_ip(host);
    world.run(SECOND);
    assert_eq!(world.tun, 1);
    world.check();
    world.check_empty();
}

#[test]
fn a_flood_of_resets_does_not_keep_others_out() {
    let mut world = World::new(8, settings());
    let noisy: Vec<_> = (0..250).map(|_| world.fresh_udp()).collect();
    let host = world.add_host(Some(0), Personality::v2_6());
    world.start(host);
    for tick in 0..40u64 {
        for (index, from) in noisy.iter().enumerate() {
            let id = SessionId::new((tick * 1000 + index as u64 + 1).to_be_bytes()).unwrap();
            let _dropped = world.inject(*from, packet(0x38, id, &[], None, Some(0)));
        }
        world.run(Duration::from_millis(125));
    }
    assert!(world.is_up(host), "{:?}", world.hosts[host].ends);
    assert_eq!(world.server.counters().dropped(DropReason::RateLimited), 0);
    world.check_empty();
}
