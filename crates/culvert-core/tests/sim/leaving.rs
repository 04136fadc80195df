//! How clients leave: by themselves, by silence, by limits, by order.

use std::sync::Arc;
use std::time::Duration;

use culvert_client::{End, Personality};
use culvert_core::{DisconnectReason, EndpointSettings, Inactive, RefusalKind, SessionTimeout};
use culvert_policy::Policy;
use culvert_wire::message::AuthFailed;

use crate::pki::pki;
use crate::world::{Quality, World, settings};

const SECOND: Duration = Duration::from_secs(1);

fn one_client(seed: u64, settings: EndpointSettings) -> (World, usize) {
    let mut world = World::new(seed, settings);
    let host = world.add_host(Some(0), Personality::v2_6());
    world.connect(host);
    (world, host)
}

#[test]
fn idle_clients_are_kept_alive_by_pings_both_ways() {
    let (mut world, host) = one_client(1, settings());
    world.run(1800 * SECOND);
    assert!(world.is_up(host));
    assert_eq!(world.server.counters().clients, 1);
    let stats = world.server.clients().next().unwrap().stats;
    assert!((170..=185).contains(&stats.link_tx_packets), "{stats:?}");
    assert!((170..=185).contains(&stats.link_rx_packets), "{stats:?}");
    world.check_empty();
}

#[test]
fn a_silent_client_is_ended_after_the_keepalive_time() {
    let (mut world, host) = one_client(2, settings());
    world.run(30 * SECOND);
    world.kill(host);
    world.run(100 * SECOND);
    assert_eq!(world.server.counters().clients, 1);
    world.run(30 * SECOND);
    assert_eq!(world.disconnected[0].1, DisconnectReason::PingTimeout);
    world.check_empty();
}

#[test]
fn a_goodbye_frees_the_address_at_once_and_late_packets_revive_nothing() {
    let (mut world, host) = one_client(3, settings());
    world.record = true;
    world.run(5 * SECOND);
    world.with_host(host, |client, now| client.exit(now));
    world.run(SECOND);
    assert_eq!(world.disconnected[0].1, DisconnectReason::ClientExit);
    assert_eq!(world.server.counters().addresses_in_use, 0);
    for _ in 0..10 {
        for (from, packet) in world.recorded.clone() {
            let _dropped = world.inject(from, packet);
        }
        world.run(SECOND);
    }
    assert_eq!(world.server.counters().clients, 0);
    assert_eq!(
        world.server.counters().sessions_created,
        1,
        "a dead session came back"
    );
    world.check_empty();
}

#[test]
fn the_session_timeout_tells_the_client_whether_to_come_back() {
    for disconnect in [true, false] {
        let session_timeout = Some(SessionTimeout {
            after: 600 * SECOND,
            disconnect,
        });
        let (mut world, host) = one_client(
            4,
            EndpointSettings {
                session_timeout,
                ..settings()
            },
        );
        world.run(590 * SECOND);
        assert!(world.is_up(host));
        world.run(15 * SECOND);
        assert_eq!(world.disconnected[0].1, DisconnectReason::SessionTimeout);
        let text = Some("session timeout".to_owned());
        let expected = if disconnect {
            End::Halt(text)
        } else {
            End::Restart(text)
        };
        assert_eq!(world.hosts[host].ends, [expected]);
        world.check_empty();
    }
}

#[test]
fn lowering_the_session_timeout_ends_sessions_that_are_older() {
    let (mut world, host) = one_client(5, settings());
    world.run(1000 * SECOND);
    let session_timeout = Some(SessionTimeout {
        after: 500 * SECOND,
        disconnect: true,
    });
    let lowered = EndpointSettings {
        session_timeout,
        ..settings()
    };
    world.command(|server, now| server.replace_settings(now, lowered).unwrap());
    world.run(SECOND);
    assert_eq!(world.disconnected[0].1, DisconnectReason::SessionTimeout);
    assert!(!world.is_up(host));
    world.check_empty();
}

#[test]
fn a_client_without_traffic_is_ended_and_a_busy_one_is_not() {
    let inactive = Some(Inactive {
        after: 300 * SECOND,
        min_bytes: 100,
    });
    let mut world = World::new(
        6,
        EndpointSettings {
            inactive,
            ..settings()
        },
    );
    let busy = world.add_host(Some(0), Personality::v2_6());
    let idle = world.add_host(Some(1), Personality::v2_6());
    world.connect(busy);
    world.connect(idle);
    for _ in 0..70 {
        world.run(10 * SECOND);
        world.send_ip(busy);
    }
    assert!(world.is_up(busy) && !world.is_up(idle));
    assert_eq!(world.disconnected.len(), 1);
    assert_eq!(world.disconnected[0].1, DisconnectReason::Inactive);
    world.check_empty();
}

#[test]
fn operators_restart_and_terminate_clients_with_their_words() {
    let (mut world, host) = one_client(7, settings());
    let client = world.connected[0];
    let reason = DisconnectReason::Restarted(Some("maintenance".into()));
    assert!(world.command(|server, now| server.disconnect(now, client, reason.clone())));
    assert!(!world.command(|server, now| server.disconnect(now, culvert_core::ClientId(9999), reason)));
    world.run(SECOND);
    assert_eq!(world.hosts[host].ends, [End::Restart(Some("maintenance".into()))]);
    world.connect(host);
    let client = world.connected[1];
    world.command(|server, now| server.disconnect(now, client, DisconnectReason::Terminated(None)));
    world.run(SECOND);
    assert_eq!(world.hosts[host].ends[1..], [End::Halt(None)]);
    world.check_empty();
}

#[test]
fn a_farewell_survives_a_bad_network() {
    for seed in 0..20 {
        let (mut world, host) = one_client(seed, settings());
        world.quality = Quality {
            loss: 300,
            duplication: 50,
            jitter_ms: 50,
        };
        let client = world.connected[0];
        world.command(|server, now| server.disconnect(now, client, DisconnectReason::Terminated(None)));
        world.run(6 * SECOND);
        // Two tries in five seconds: the odds of losing both are small, and the client's keepalive covers them.
        let told = world.hosts[host].ends == [End::Halt(None)];
        world.run(120 * SECOND);
        assert!(told || !world.is_up(host));
        world.check_empty();
    }
}

#[test]
fn a_revoked_client_is_ended_when_the_list_arrives() {
    let mut world = World::new(8, settings());
    let revoked = world.add_host(Some(3), Personality::v2_6());
    let other = world.add_host(Some(4), Personality::v2_6());
    world.connect(revoked);
    world.connect(other);
    let list = pki().revoke(3);
    world.command(|server, now| server.apply_crl(now, &list));
    world.run(SECOND);
    assert_eq!(
        world.disconnected,
        [(world.connected[0], DisconnectReason::Revoked)]
    );
    assert!(
        matches!(&world.hosts[revoked].ends[0], End::AuthFailed(AuthFailed::Reason(text)) if text.contains("revoked"))
    );
    assert!(world.is_up(other));
    world.check_empty();
}

#[test]
fn a_new_policy_takes_effect_on_live_clients() {
    let (mut world, host) = one_client(9, settings());
    world.send_ip(host);
    world.run(SECOND);
    assert_eq!(world.tun, 1);
    world.command(|server, now| server.set_policy(now, Policy::compile(&[], &[])));
    world.send_ip(host);
    world.run(SECOND);
    assert_eq!(world.tun, 1, "a packet passed that no rule allows any more");
    assert!(world.is_up(host));
    world.check_empty();
}

#[test]
fn shutting_down_tells_everybody_and_ends_within_seconds() {
    let mut world = World::new(10, settings());
    let hosts: Vec<_> = (0..6)
        .map(|user| world.add_host(Some(user), Personality::v2_6()))
        .collect();
    for host in &hosts[..5] {
        world.connect(*host);
    }
    // One is in the middle of its handshake.
    world.start(hosts[5]);
    world.run(Duration::from_millis(35));
    world.command(|server, now| server.shutdown(now));
    world.run(3 * SECOND);
    assert!(world.server.is_drained());
    for host in &hosts[..5] {
        assert_eq!(
            world.hosts[*host].ends,
            [End::Restart(Some("server shutdown".into()))]
        );
    }
    assert_eq!(world.disconnected.len(), 5);
    assert!(
        world
            .disconnected
            .iter()
            .all(|(_, reason)| *reason == DisconnectReason::Shutdown)
    );
    // Nobody new gets in.
    let late = world.add_host(Some(7), Personality::v2_6());
    world.start(late);
    world.run(10 * SECOND);
    assert_eq!(world.server.counters().sessions, 0);
    world.check_empty();
}

#[test]
fn leaving_before_being_let_in_is_noted() {
    let mut world = World::new(11, crate::world::password_settings());
    world.backend = Box::new(|_| Vec::new());
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.start(host);
    world.run(3 * SECOND);
    let client = world.requests[0].client();
    world.command(|server, now| {
        server.disconnect(now, client, DisconnectReason::Terminated(Some("no".into())))
    });
    world.run(SECOND);
    assert_eq!(world.refused[0].kind, RefusalKind::Rejected);
    assert_eq!(world.abandoned, world.requests);
    world.check_empty();
}

#[test]
fn settings_that_can_not_work_change_nothing() {
    let (mut world, host) = one_client(12, settings());
    let mut bad = settings();
    bad.pool.v4 = "10.9.0.0/24".parse().ok();
    let error = world.command(|server, now| server.replace_settings(now, bad).unwrap_err());
    assert!(error.to_string().contains("can't change"), "{error}");
    let mut bad = settings();
    bad.push.extra = vec!["route 1.2.3.4,quit".into()];
    assert!(world.command(|server, now| server.replace_settings(now, bad).is_err()));
    let mut bad = settings();
    bad.max_clients = 100_000;
    assert!(world.command(|server, now| server.replace_settings(now, bad).is_err()));
    let same = EndpointSettings {
        session: Arc::clone(&settings().session),
        ..settings()
    };
    world.command(|server, now| server.replace_settings(now, same).unwrap());
    world.run(60 * SECOND);
    assert!(world.is_up(host));
    world.check_empty();
}
