//! Clients at new addresses: floating, restarting, taking over.

use std::time::Duration;

use culvert_client::Personality;
use culvert_core::DisconnectReason;

use crate::world::{Quality, World, settings};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_client_floats_to_a_new_address_and_control_follows() {
    let mut world = World::new(1, settings());
    let host = world.add_host(Some(0), Personality::v2_6());
    world.connect(host);
    let v4 = world.hosts[host].client.as_ref().unwrap().v4().unwrap();
    world.hosts[host].link = world.fresh_udp();
    world.send_ip(host);
    world.run(SECOND);
    assert_eq!(world.floats, 1);
    world.reply_ip(v4);
    world.run(SECOND);
    assert_eq!(world.hosts[host].received, 1, "traffic does not follow");
    world.with_host(host, |client, now| assert!(client.renegotiate(now)));
    world.run(10 * SECOND);
    assert_eq!(world.hosts[host].renegotiated, 1, "control does not follow");
    world.check();
    world.check_empty();
}

#[test]
fn control_packets_alone_do_not_move_a_client() {
    let mut world = World::new(2, settings());
    let host = world.add_host(Some(0), Personality::v2_6());
    world.connect(host);
    let before = world.server.clients().next().unwrap().link;
    world.hosts[host].link = world.fresh_udp();
    world.with_host(host, |client, now| assert!(client.renegotiate(now)));
    world.run(5 * SECOND);
    assert_eq!(world.server.clients().next().unwrap().link, before);
    assert_eq!(world.server.counters().renegotiations, 0);
    world.check_empty();
}

#[test]
fn nobody_floats_onto_another_clients_address() {
    let mut world = World::new(3, settings());
    let victim = world.add_host(Some(0), Personality::v2_6());
    let roamer = world.add_host(Some(1), Personality::v2_6());
    world.connect(victim);
    world.connect(roamer);
    let (own, taken) = (world.hosts[roamer].link, world.hosts[victim].link);
    world.hosts[roamer].link = taken;
    world.send_ip(roamer);
    world.run(SECOND);
    assert_eq!(world.floats, 0);
    let links: Vec<_> = world.server.clients().map(|status| status.link).collect();
    assert_eq!(links, [taken, own]);
    world.check_empty();
}

#[test]
fn an_earlier_session_of_the_same_certificate_makes_room_for_a_float() {
    let mut world = World::new(4, settings());
    let stale = world.add_host(Some(0), Personality::v2_6());
    let roamer = world.add_host(Some(0), Personality::v2_6());
    world.connect(stale);
    world.connect(roamer);
    world.kill(stale);
    world.hosts[roamer].link = world.hosts[stale].link;
    world.send_ip(roamer);
    world.run(SECOND);
    assert_eq!(world.floats, 1);
    assert_eq!(
        world.disconnected,
        [(world.connected[0], DisconnectReason::Replaced)]
    );
    world.check();
    world.check_empty();
}

#[test]
fn a_client_that_restarts_at_its_address_replaces_itself_once_it_has_authenticated() {
    let mut world = World::new(5, settings());
    let host = world.add_host(Some(0), Personality::v2_6());
    world.connect(host);
    // The old session must live until the new one is authenticated.
    world.start(host);
    world.run(Duration::from_millis(50));
    assert_eq!(world.server.counters().clients, 1);
    assert!(world.disconnected.is_empty());
    assert!(world.run_until(10 * SECOND, |world| world.is_up(host)));
    assert_eq!(
        world.disconnected,
        [(world.connected[0], DisconnectReason::Replaced)]
    );
    world.send_ip(host);
    world.run(SECOND);
    assert_eq!(world.tun, 1);
    world.check();
    world.check_empty();
}

#[test]
fn a_stranger_at_the_address_of_a_client_can_not_push_it_out() {
    let mut world = World::new(6, settings());
    let host = world.add_host(Some(0), Personality::v2_6());
    world.connect(host);
    let link = world.hosts[host].link;
    // Complete handshake, but no certificate.
    let stranger = world.add_host_at(link, None, None, Personality::v2_6());
    world.start(stranger);
    world.run(10 * SECOND);
    assert!(world.disconnected.is_empty());
    assert_eq!(world.server.counters().clients, 1);
    world.kill(stranger);
    world.send_ip(host);
    world.run(SECOND);
    assert_eq!(world.tun, 1);
    world.check_empty();
}

#[test]
fn floating_works_over_a_bad_network() {
    for seed in 0..20 {
        let mut world = World::new(seed, settings());
        world.quality = Quality {
            loss: 100,
            duplication: 50,
            jitter_ms: 60,
        };
        let host = world.add_host(Some(0), Personality::v2_7());
        world.connect(host);
        for _ in 0..3 {
            world.hosts[host].link = world.fresh_udp();
            for _ in 0..10 {
                world.send_ip(host);
                world.run(SECOND);
            }
            let status = world.server.clients().next().unwrap();
            assert_eq!(status.link, world.hosts[host].link, "seed {seed}");
        }
        world.check_empty();
    }
}
