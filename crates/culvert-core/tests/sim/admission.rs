//! Who is let in, who is not, and what each is told.

use std::time::Duration;

use culvert_client::{End, Personality};
use culvert_core::{
    AuthDecision, CertificateDemand, DisconnectReason, DynamicChallenge, EndpointSettings, Grant,
    PendingMethod, RefusalKind, Rejection,
};
use culvert_crypto::DataCipher;
use culvert_pool::PoolConfig;
use culvert_wire::message::AuthFailed;

use crate::world::{World, accept_all, password_settings, settings};

const SECOND: Duration = Duration::from_secs(1);

fn refused_with(world: &World, host: usize) -> (RefusalKind, End) {
    (world.refused[0].kind, world.hosts[host].ends[0].clone())
}

fn reason(text: &str) -> End {
    End::AuthFailed(AuthFailed::Reason(text.into()))
}

#[test]
fn a_rejected_client_reads_why_and_its_session_ends_five_seconds_later() {
    let mut world = World::new(1, password_settings());
    world.backend = Box::new(|request| {
        assert_eq!(request.username.as_deref(), Some("ana"));
        assert_eq!(
            request.password.as_ref().map(|password| password.expose()),
            Some("wrong")
        );
        let rejection = Rejection {
            code: Some("wrong-password"),
            log: "password mismatch".into(),
            client_message: Some("Wrong user name or password".into()),
            retry_after: None,
        };
        vec![(SECOND, AuthDecision::Reject(rejection))]
    });
    let host = world.add_login("ana", "wrong", Personality::v2_6());
    world.start(host);
    world.run(4 * SECOND);
    assert_eq!(
        refused_with(&world, host),
        (RefusalKind::Rejected, reason("Wrong user name or password"))
    );
    assert_eq!(world.refused[0].presented.identity(), Some("ana"));
    assert_eq!(world.refused[0].reason, "password mismatch");
    assert_eq!(world.refused[0].code, Some("wrong-password"));
    let presented = &world.refused[0].presented;
    assert_eq!(presented.username.as_deref(), Some("ana"));
    assert!(presented.platform.is_some());
    assert_eq!(world.server.counters().sessions, 1);
    world.run(3 * SECOND);
    assert_eq!(world.server.counters().sessions, 0);
    assert_eq!(world.server.counters().tombstones, 1);
    world.check_empty();
}

#[test]
fn a_missing_password_is_answered_not_met_with_silence() {
    let mut world = World::new(2, password_settings());
    let host = world.add_host(None, Personality::v2_6());
    world.start(host);
    world.run(5 * SECOND);
    let expected = (
        RefusalKind::MissingCredentials,
        reason("A user name and password are required"),
    );
    assert_eq!(refused_with(&world, host), expected);
    assert!(world.requests.is_empty());
    world.check_empty();
}

#[test]
fn a_missing_certificate_fails_the_handshake_or_is_told() {
    let mut world = World::new(3, settings());
    let host = world.add_host(None, Personality::v2_6());
    world.start(host);
    world.run(5 * SECOND);
    assert_eq!(world.refused[0].kind, RefusalKind::Handshake);
    assert!(
        matches!(world.hosts[host].ends[0], End::Failed(_)),
        "{:?}",
        world.hosts[host].ends
    );
    world.check_empty();

    // TLS lets it pass, the policy does not.
    let credentials = culvert_core::CredentialPolicy {
        certificate: CertificateDemand::Required,
        password: true,
    };
    let mut world = World::new(
        4,
        EndpointSettings {
            credentials,
            ..password_settings()
        },
    );
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.start(host);
    world.run(5 * SECOND);
    assert_eq!(
        refused_with(&world, host).1,
        reason("A client certificate is required")
    );
    world.check_empty();
}

#[test]
fn incompatible_clients_are_told_in_plain_words() {
    let cases = [
        (
            ",cipher BF-CBC",
            "IV_CIPHERS=BF-CBC\n",
            "Data channel cipher negotiation failed (no shared cipher)",
        ),
        (
            ",mtu-dynamic",
            "IV_CIPHERS=AES-256-GCM\n",
            "fragment is not supported, remove it from the profile",
        ),
    ];
    for (occ_extra, peer_info, text) in cases {
        let mut world = World::new(5, settings());
        let personality = Personality {
            occ_extra: occ_extra.into(),
            peer_info: peer_info.into(),
            configured_cipher: DataCipher::Aes256Gcm,
            explicit_exit_notify: false,
        };
        let host = world.add_host(Some(0), personality);
        world.start(host);
        world.run(5 * SECOND);
        assert_eq!(refused_with(&world, host).1, reason(text));
        world.check_empty();
    }
}

#[test]
fn a_used_up_pool_is_said_and_the_next_free_address_is_given() {
    let pool = PoolConfig {
        v4: "10.8.0.0/30".parse().ok(),
        v6: None,
        sticky: true,
    };
    let mut world = World::new(6, EndpointSettings { pool, ..settings() });
    let first = world.add_host(Some(0), Personality::v2_6());
    let second = world.add_host(Some(1), Personality::v2_5());
    world.connect(first);
    world.start(second);
    world.run(5 * SECOND);
    let text = "No free address is left on the server, please try again later";
    assert_eq!(
        refused_with(&world, second),
        (RefusalKind::PoolExhausted, reason(text))
    );
    assert_eq!(world.pool_exhausted, 1);
    world.with_host(first, |client, now| client.exit(now));
    world.run(SECOND);
    world.connect(second);
    world.check();
    world.check_empty();
}

#[test]
fn one_client_too_many_is_told_to_come_back_later() {
    let mut world = World::new(
        7,
        EndpointSettings {
            max_clients: 1,
            ..settings()
        },
    );
    let first = world.add_host(Some(0), Personality::v2_6());
    let second = world.add_host(Some(1), Personality::v2_6());
    world.connect(first);
    world.start(second);
    world.run(5 * SECOND);
    assert_eq!(world.refused[0].kind, RefusalKind::TooManyClients);
    let End::AuthFailed(AuthFailed::Temporary { backoff, .. }) = &world.hosts[second].ends[0] else {
        panic!("{:?}", world.hosts[second].ends);
    };
    assert_eq!(*backoff, Some(30));
    assert!(world.is_up(first));
    world.check_empty();
}

#[test]
fn a_newer_connection_of_an_identity_replaces_the_older_unless_duplicates_are_allowed() {
    for duplicate_cn in [false, true] {
        let mut world = World::new(
            8,
            EndpointSettings {
                duplicate_cn,
                ..settings()
            },
        );
        let phone = world.add_host(Some(0), Personality::v2_6());
        let laptop = world.add_host(Some(0), Personality::v2_6());
        world.connect(phone);
        let address = world.hosts[phone].client.as_ref().unwrap().v4();
        world.connect(laptop);
        world.run(SECOND);
        world.check();
        assert_eq!(world.server.counters().clients, if duplicate_cn { 2 } else { 1 });
        if !duplicate_cn {
            assert_eq!(world.disconnected[0].1, DisconnectReason::Replaced);
            assert!(
                matches!(world.hosts[phone].ends[0], End::Halt(_)),
                "{:?}",
                world.hosts[phone].ends
            );
            assert_eq!(
                world.hosts[laptop].client.as_ref().unwrap().v4(),
                address,
                "the address is sticky"
            );
        }
        world.check_empty();
    }
}

#[test]
fn groups_static_addresses_and_options_of_a_grant_are_applied() {
    let mut world = World::new(9, password_settings());
    world.backend = Box::new(|_| {
        let grant = Grant {
            username: Some("Ana Example".into()),
            groups: vec!["eng".into()],
            static_v4: Some("10.8.0.77".parse().unwrap()),
            static_v6: None,
            push: vec!["route 10.99.0.0 255.255.0.0".into()],
            posture: vec!["compliant".into()],
        };
        vec![(Duration::ZERO, AuthDecision::Accept(grant))]
    });
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.connect(host);
    let client = world.hosts[host].client.as_ref().unwrap();
    assert_eq!(client.v4(), Some("10.8.0.77".parse().unwrap()));
    assert!(
        client
            .options()
            .unwrap()
            .routes()
            .any(|(network, _)| network.to_string() == "10.99.0.0")
    );
    let status = world.server.clients().next().unwrap();
    assert_eq!(status.identity(), Some("Ana Example"));
    assert_eq!(status.groups, ["eng"]);
    assert_eq!(status.posture, ["compliant"]);
    world.check_empty();
}

#[test]
fn an_address_outside_the_range_is_the_operators_problem_and_said_so() {
    let mut world = World::new(10, password_settings());
    world.backend = Box::new(|_| {
        let grant = Grant {
            static_v4: Some("192.0.2.9".parse().unwrap()),
            ..Grant::default()
        };
        vec![(Duration::ZERO, AuthDecision::Accept(grant))]
    });
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.start(host);
    world.run(5 * SECOND);
    assert_eq!(world.refused[0].kind, RefusalKind::Address);
    assert!(world.refused[0].reason.contains("192.0.2.9"));
    world.check();
    world.check_empty();
}

#[test]
fn a_dynamic_challenge_ends_the_connection_with_the_question() {
    let mut world = World::new(11, password_settings());
    world.backend = Box::new(|request| {
        let decision = if request
            .password
            .as_ref()
            .is_some_and(|text| text.expose() == "CRV1::state7::42")
        {
            AuthDecision::Accept(Grant::default())
        } else {
            AuthDecision::Challenge(DynamicChallenge::new("state7", "ana", "Code from your phone"))
        };
        vec![(Duration::ZERO, decision)]
    });
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.start(host);
    world.run(3 * SECOND);
    let End::AuthFailed(AuthFailed::Challenge(challenge)) = &world.hosts[host].ends[0] else {
        panic!("{:?}", world.hosts[host].ends);
    };
    assert_eq!(
        (challenge.state_id.as_str(), challenge.text.as_str()),
        ("state7", "Code from your phone")
    );
    assert_eq!(world.refused[0].kind, RefusalKind::Challenged);
    let again = world.add_login("ana", "CRV1::state7::42", Personality::v2_6());
    world.connect(again);
    world.check_empty();
}

#[test]
fn a_pending_client_waits_answers_and_gets_in() {
    let mut world = World::new(12, password_settings());
    world.backend = Box::new(|_| {
        let question = PendingMethod::CrText {
            echo: true,
            response: true,
            text: "Code?".into(),
        };
        let pending = AuthDecision::Pending {
            timeout: 200 * SECOND,
            methods: vec![question],
        };
        vec![(Duration::ZERO, pending)]
    });
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.start(host);
    world.run(100 * SECOND);
    assert_eq!(world.hosts[host].infos, ["CR_TEXT:R,E:Code?"]);
    world.with_host(host, |client, now| client.respond(now, "1234"));
    world.run(SECOND);
    let (ticket, answer) = world.responses[0].clone();
    assert_eq!(answer, "1234");
    world.command(|server, now| {
        server.handle_auth_decision(now, ticket, AuthDecision::Accept(Grant::default()));
    });
    world.run(10 * SECOND);
    assert!(world.is_up(host));
    world.check_empty();
}

#[test]
fn a_pending_client_is_told_when_time_is_up() {
    let mut world = World::new(13, password_settings());
    world.backend = Box::new(|_| {
        vec![(
            Duration::ZERO,
            AuthDecision::Pending {
                timeout: 90 * SECOND,
                methods: Vec::new(),
            },
        )]
    });
    let host = world.add_login("ana", "secret", Personality::v2_6());
    world.start(host);
    world.run(85 * SECOND);
    assert!(world.hosts[host].ends.is_empty());
    world.run(10 * SECOND);
    assert_eq!(refused_with(&world, host).0, RefusalKind::VerdictTimeout);
    assert_eq!(world.abandoned, world.requests);
    // Too late now.
    let ticket = world.requests[0];
    world.command(|server, now| {
        server.handle_auth_decision(now, ticket, AuthDecision::Accept(Grant::default()));
    });
    assert_eq!(world.server.counters().clients, 0);
    world.check_empty();
}

#[test]
fn a_verdict_can_not_reach_another_client_or_be_used_twice() {
    let mut world = World::new(14, password_settings());
    world.backend = Box::new(|_| Vec::new());
    let gone = world.add_login("ana", "secret", Personality::v2_6());
    world.start(gone);
    world.run(3 * SECOND);
    let stale = world.requests[0];
    world.command(|server, now| server.disconnect(now, stale.client(), DisconnectReason::Terminated(None)));
    // Somebody else arrives from the very same address.
    let link = world.hosts[gone].link;
    world.kill(gone);
    let other = world.add_host_at(link, None, Some(("eve", "x")), Personality::v2_6());
    world.start(other);
    world.run(3 * SECOND);
    world.command(|server, now| {
        server.handle_auth_decision(now, stale, AuthDecision::Accept(Grant::default()))
    });
    world.run(3 * SECOND);
    assert_eq!(
        world.server.counters().clients,
        0,
        "eve was let in with ana's verdict"
    );
    let own = world.requests[1];
    for _ in 0..3 {
        world.command(|server, now| {
            server.handle_auth_decision(now, own, AuthDecision::Accept(Grant::default()))
        });
    }
    world.run(3 * SECOND);
    assert_eq!(world.connected.len(), 1);
    world.command(|server, now| {
        server.handle_auth_decision(now, own, AuthDecision::Reject(Rejection::said("no")));
    });
    assert_eq!(world.server.counters().clients, 1);
    world.check_empty();
}

#[test]
fn a_client_that_asks_for_its_options_gets_them_when_it_asks_and_not_twice_in_a_row() {
    let mut world = World::new(15, settings());
    world.backend = accept_all();
    let host = world.add_host(Some(0), Personality::v2_4());
    world.start(host);
    let accepted = world.run_until(10 * SECOND, |world| world.server.counters().clients == 1);
    assert!(
        accepted && !world.is_up(host),
        "options came before they were asked for"
    );
    assert!(world.run_until(5 * SECOND, |world| world.is_up(host)));
    world.check_empty();
}

#[test]
fn options_are_repeated_only_when_asked_for_again_later() {
    let mut world = World::new(16, settings());
    let host = world.add_host(Some(0), Personality::v2_6());
    world.connect(host);
    let sent = |world: &mut World| {
        let before = world.hosts[host].control_bytes;
        world.with_host(host, |client, now| client.request_options(now));
        world.run(SECOND);
        world.hosts[host].control_bytes - before
    };
    assert!(
        sent(&mut world) < 150,
        "only acknowledged: the request crossed the reply"
    );
    world.run(31 * SECOND);
    assert!(sent(&mut world) > 250, "the reply is sent again");
    assert!(sent(&mut world) < 150);
    world.check_empty();
}

#[test]
fn a_name_without_a_password_check_is_nobody() {
    let mut world = World::new(
        17,
        EndpointSettings {
            duplicate_cn: false,
            ..settings()
        },
    );
    let victim = world.add_host(Some(0), Personality::v2_6());
    world.connect(victim);
    // A certificate of its own, and somebody else's name.
    let link = world.fresh_udp();
    let liar = world.add_host_at(link, Some(1), Some(("user0", "x")), Personality::v2_6());
    world.connect(liar);
    let names: Vec<_> = world
        .server
        .clients()
        .map(|status| status.identity().map(str::to_owned))
        .collect();
    assert_eq!(names, [Some("user0".to_owned()), Some("user1".to_owned())]);
    assert!(world.is_up(victim));
    world.check_empty();
}
