//! Renegotiation: who has to prove what, which key is used when, and what failure means.

use std::sync::Arc;
use std::time::Duration;

use culvert_client::Personality;
use culvert_control::SessionConfig;
use culvert_control::tls::ClientCertificates;
use culvert_core::{AuthDecision, DisconnectReason, EndpointSettings, Grant, Rejection};
use culvert_wire::KeyId;

use crate::pki::pki;
use crate::world::{Quality, World, password_settings, settings};

const SECOND: Duration = Duration::from_secs(1);

fn renegotiate(world: &mut World, host: usize) {
    world.with_host(host, |client, now| assert!(client.renegotiate(now)));
    world.run(10 * SECOND);
}

#[test]
fn the_server_renegotiates_on_time_and_traffic_never_stops() {
    let session = SessionConfig {
        reneg_interval: Some(300 * SECOND),
        ..pki().server_session(ClientCertificates::Required)
    };
    let mut world = World::new(
        1,
        EndpointSettings {
            session: Arc::new(session),
            ..settings()
        },
    );
    world.quality = Quality {
        loss: 0,
        duplication: 20,
        jitter_ms: 40,
    };
    let host = world.add_host(Some(0), Personality::v2_7());
    world.connect(host);
    let v4 = world.hosts[host].client.as_ref().unwrap().v4().unwrap();
    for _ in 0..900 {
        world.run(SECOND);
        world.send_ip(host);
        world.reply_ip(v4);
    }
    world.run(SECOND);
    assert!(
        world.server.counters().renegotiations >= 2,
        "{:?}",
        world.server.counters()
    );
    assert_eq!(
        (world.tun, world.hosts[host].received),
        (900, 900),
        "packets were lost over renegotiations"
    );
    world.check_empty();
}

#[test]
fn the_new_key_is_sent_with_after_a_minute() {
    let mut world = World::new(2, settings());
    let host = world.add_host(Some(0), Personality::v2_6());
    world.connect(host);
    world.run(100 * SECOND);
    renegotiate(&mut world, host);
    let peer = world
        .data
        .peer(world.server.clients().next().unwrap().peer)
        .unwrap();
    assert_eq!(peer.send_key(), KeyId::new(0));
    world.run(45 * SECOND);
    assert_eq!(peer.send_key(), KeyId::new(0));
    world.run(10 * SECOND);
    assert_eq!(peer.send_key(), KeyId::new(1));
    world.check_empty();
}

#[test]
fn a_renegotiation_within_the_first_minute_switches_at_once() {
    let mut world = World::new(3, settings());
    let host = world.add_host(Some(0), Personality::v2_6());
    world.connect(host);
    world.run(5 * SECOND);
    renegotiate(&mut world, host);
    let peer = world
        .data
        .peer(world.server.clients().next().unwrap().peer)
        .unwrap();
    assert_eq!(peer.send_key(), KeyId::new(1));
    world.check_empty();
}

#[test]
fn another_certificate_on_renegotiation_ends_the_client() {
    let mut world = World::new(4, settings());
    let host = world.add_host(Some(0), Personality::v2_6());
    world.connect(host);
    let mut other = pki().client_session(Some(1));
    other.credentials = world.hosts[host].settings.session.credentials.clone();
    world.with_host(host, |client, now| {
        client.set_session_config(Arc::new(other));
        assert!(client.renegotiate(now));
    });
    world.run(10 * SECOND);
    let (_, DisconnectReason::Reauthentication(what)) = &world.disconnected[0] else {
        panic!("{:?}", world.disconnected);
    };
    assert!(what.contains("common name"), "{what}");
    assert_eq!(world.server.counters().clients, 0);
    world.check_empty();
}

#[test]
fn another_user_name_on_renegotiation_ends_the_client() {
    let mut world = World::new(5, password_settings());
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.connect(host);
    let mut other = SessionConfig::clone(&world.hosts[host].settings.session);
    other.credentials.username = Some("bob".into());
    world.with_host(host, |client, now| {
        client.set_session_config(Arc::new(other));
        assert!(client.renegotiate(now));
    });
    world.run(10 * SECOND);
    assert!(
        matches!(&world.disconnected[0].1, DisconnectReason::Reauthentication(what) if what.contains("user name"))
    );
    world.check_empty();
}

#[test]
fn without_a_token_the_backend_is_asked_again_and_may_say_no() {
    let mut world = World::new(6, password_settings());
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.connect(host);
    renegotiate(&mut world, host);
    assert_eq!(
        (world.requests.len(), world.server.counters().renegotiations),
        (2, 1)
    );
    world.backend = Box::new(|request| {
        assert!(request.renegotiation);
        vec![(
            Duration::ZERO,
            AuthDecision::Reject(Rejection::said("the account was locked")),
        )]
    });
    renegotiate(&mut world, host);
    assert_eq!(
        world.disconnected[0].1,
        DisconnectReason::Reauthentication("the account was locked".into())
    );
    world.check_empty();
}

#[test]
fn the_old_key_serves_until_the_backend_has_answered() {
    let mut world = World::new(7, password_settings());
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.connect(host);
    world.run(100 * SECOND);
    world.backend = Box::new(|_| vec![(30 * SECOND, AuthDecision::Accept(Grant::default()))]);
    world.with_host(host, |client, now| assert!(client.renegotiate(now)));
    for _ in 0..40 {
        world.run(SECOND);
        world.send_ip(host);
    }
    world.run(SECOND);
    assert_eq!(world.tun, 40);
    assert_eq!(world.server.counters().renegotiations, 1);
    world.check_empty();
}

#[test]
fn a_backend_that_does_not_answer_a_renegotiation_costs_the_session() {
    let mut world = World::new(8, password_settings());
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.connect(host);
    world.backend = Box::new(|_| Vec::new());
    world.with_host(host, |client, now| assert!(client.renegotiate(now)));
    world.run(70 * SECOND);
    assert!(matches!(
        world.disconnected[0].1,
        DisconnectReason::Reauthentication(_)
    ));
    assert_eq!(world.abandoned, world.requests[1..]);
    world.check_empty();
}

#[test]
fn renegotiation_works_over_a_bad_network() {
    for seed in 0..15 {
        let mut world = World::new(seed, settings());
        let host = world.add_host(
            Some(0),
            if seed % 2 == 0 {
                Personality::v2_6()
            } else {
                Personality::v2_4()
            },
        );
        world.connect(host);
        world.quality = Quality {
            loss: 100,
            duplication: 50,
            jitter_ms: 100,
        };
        for round in 1..=3 {
            world.with_host(host, |client, now| assert!(client.renegotiate(now)));
            let done = world.run_until(60 * SECOND, |world| {
                world.server.counters().renegotiations == round
            });
            assert!(done, "seed {seed}, round {round}: {:?}", world.disconnected);
            world.run(20 * SECOND);
        }
        world.check_empty();
    }
}
