//! From the first packet to the first data packet, and what is kept on the way.

use std::time::Duration;

use culvert_client::Personality;
use culvert_core::{DropReason, RefusalKind};

use crate::world::{Quality, World, settings};

#[test]
fn a_client_connects_and_traffic_flows_both_ways() {
    let mut world = World::new(1, settings());
    let host = world.add_host(Some(0), Personality::v2_6());
    world.connect(host);
    world.check();
    let v4 = world.hosts[host].client.as_ref().unwrap().v4().unwrap();
    world.send_ip(host);
    world.reply_ip(v4);
    world.run(Duration::from_secs(1));
    assert_eq!((world.tun, world.hosts[host].received), (1, 1));
    let status = world.server.clients().next().unwrap();
    assert_eq!(status.identity(), Some("user0"));
    assert_eq!(status.stats.tun_rx_packets, 1);
    world.check_empty();
}

#[test]
fn nothing_is_kept_of_somebody_who_only_resets() {
    let mut world = World::new(2, settings());
    for port in 0..1000u16 {
        let from = world.fresh_udp();
        let reset = [&[0x38][..], &u64::from(port + 1).to_be_bytes(), &[0; 5]].concat();
        world.inject(from, reset).unwrap();
    }
    let counters = world.server.counters();
    assert_eq!(
        (counters.resets_answered, counters.sessions, counters.timers),
        (1000, 0, 0)
    );
}

#[test]
fn connecting_succeeds_over_a_bad_network() {
    for seed in 0..20 {
        let mut world = World::new(seed, settings());
        world.quality = Quality {
            loss: 100,
            duplication: 50,
            jitter_ms: 80,
        };
        let host = world.add_host(Some(0), Personality::v2_6());
        world.connect(host);
        world.check_empty();
    }
}

#[test]
fn a_handshake_that_stops_half_way_is_forgotten_after_the_hand_window() {
    let mut world = World::new(3, settings());
    let host = world.add_host(Some(0), Personality::v2_6());
    world.start(host);
    world.run_until(Duration::from_secs(5), |world| {
        world.server.counters().sessions > 0
    });
    world.kill(host);
    assert_eq!(world.server.counters().half_open, 1);
    world.run(Duration::from_secs(70));
    assert_eq!(world.server.counters().half_open, 0);
    assert_eq!(world.refused[0].kind, RefusalKind::HandshakeTimeout);
    world.check_empty();
}

#[test]
fn the_oldest_half_open_session_gives_way_to_the_newest() {
    let mut settings = settings();
    settings.half_open.sessions = 3;
    let mut world = World::new(4, settings);
    let hosts: Vec<_> = (0..4)
        .map(|user| world.add_host(Some(user), Personality::v2_6()))
        .collect();
    for host in hosts {
        world.start(host);
        let before = world.server.counters().sessions_created;
        world.run_until(Duration::from_secs(5), |world| {
            world.server.counters().sessions_created > before
        });
        // Stuck in the handshake.
        world.kill(host);
        world.run(Duration::from_secs(1));
    }
    let counters = world.server.counters();
    assert_eq!((counters.half_open, counters.half_open_evicted), (3, 1));
    assert_eq!(world.refused[0].kind, RefusalKind::Evicted);
    world.check_empty();
}

#[test]
fn memory_of_half_open_sessions_is_bounded_too() {
    let mut settings = settings();
    settings.half_open.bytes = 60_000;
    let mut world = World::new(5, settings);
    for user in 0..8 {
        let host = world.add_host(Some(user), Personality::v2_6());
        world.start(host);
        world.run(Duration::from_millis(35));
        world.kill(host);
        assert!(world.server.counters().half_open_bytes <= 60_000);
    }
    assert!(world.server.counters().half_open_evicted > 0);
    world.check_empty();
}

#[test]
fn one_source_can_not_ask_without_end() {
    let mut settings = settings();
    settings.attempts.source = culvert_core::Rate {
        per_second: 1,
        burst: 5,
    };
    let mut world = World::new(6, settings);
    let from = world.fresh_udp();
    let mut answered = 0;
    for id in 1..=50u64 {
        let reset = [&[0x38][..], &id.to_be_bytes(), &[0; 5]].concat();
        answered += u32::from(world.inject(from, reset).is_ok());
    }
    assert_eq!(answered, 5);
    assert_eq!(world.server.counters().dropped(DropReason::RateLimited), 45);
}

#[test]
fn short_resets_are_not_answered() {
    let mut world = World::new(7, settings());
    let from = world.fresh_udp();
    let reset = [&[0x38][..], &7u64.to_be_bytes(), &[0; 4]].concat();
    assert_eq!(reset.len(), 13);
    assert_eq!(world.inject(from, reset), Err(DropReason::ShortReset));
    assert_eq!(world.inject(from, vec![0x38]), Err(DropReason::ShortReset));
    assert_eq!(world.inject(from, vec![]), Err(DropReason::Malformed));
}
