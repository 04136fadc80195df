//! From the hard reset to equal data keys.

use std::time::Duration;

use culvert_control::tls::ClientCertificates;
use culvert_control::{SessionError, SessionEvent};
use culvert_wire::Opcode;
use culvert_wire::key_method2::Dialect;

use crate::net::Quality;
use crate::pair::{MODES, Mode, Pair, Setup, header};

#[test]
fn every_wrapping_tls_version_key_method_and_start_ends_in_equal_keys() {
    for mode in MODES {
        for flags in 0..8 {
            let setup = Setup {
                mode,
                tls12: flags & 1 != 0,
                ekm: flags & 2 != 0,
                cookie: flags & 4 != 0,
                ..Setup::default()
            };
            let pair = Pair::connected(setup);
            pair.assert_equal_keys(0);
            assert!(
                pair.elapsed() < Duration::from_secs(1),
                "{mode:?}: {:?}",
                pair.elapsed()
            );
            assert_eq!(Pair::messages(&pair.client_events), ["PUSH_REPLY,ping 10\0"]);
            assert!(
                pair.server_drops.is_empty() && pair.client_drops.is_empty(),
                "{mode:?}"
            );
        }
    }
}

#[test]
fn the_server_learns_credentials_and_certificate() {
    let pair = Pair::connected(Setup::default());
    let found = pair.server_events.iter().find_map(|event| match event {
        SessionEvent::KeyMethod2 {
            message, certificate, ..
        } => Some((message, certificate)),
        _ => None,
    });
    let (message, certificate) = found.unwrap();
    assert_eq!(message.username.as_deref(), Some("alice"));
    assert_eq!(
        message.password.as_ref().map(|password| password.as_str()),
        Some("secret")
    );
    assert_eq!(message.peer_info.iv_ver(), Some("2.6.14"));
    assert_eq!(certificate.as_ref().unwrap().common_name, "alice");
    let reply = pair.client_events.iter().find_map(|event| match event {
        SessionEvent::KeyMethod2Reply {
            message, certificate, ..
        } => Some((message, certificate)),
        _ => None,
    });
    let (message, certificate) = reply.unwrap();
    assert!(message.options.ends_with("tls-server"), "{}", message.options);
    assert_eq!(certificate.as_ref().unwrap().common_name, "vpn.example");
}

#[test]
fn keys_differ_between_the_two_methods_and_between_sessions() {
    let key = |ekm, seed| {
        let pair = Pair::connected(Setup {
            ekm,
            seed,
            ..Setup::default()
        });
        *pair.client.data_key(culvert_wire::KeyId::FIRST).unwrap().bytes()
    };
    assert_ne!(key(true, 1), key(false, 1));
    assert_ne!(key(false, 1), key(false, 2));
}

#[test]
fn a_client_asked_for_its_wrapped_key_sends_it_with_message_1_only() {
    let pair = Pair::connected(Setup {
        mode: Mode::TlsCryptV2,
        ..Setup::default()
    });
    let opcodes: Vec<_> = pair
        .wire
        .iter()
        .filter(|(to_server, _)| *to_server)
        .map(|(_, packet)| header(packet).first.opcode)
        .collect();
    let start = [Opcode::ControlHardResetClientV3, Opcode::ControlWkcV1];
    assert_eq!(opcodes.get(..2), Some(&start[..]));
    assert!(
        opcodes
            .iter()
            .skip(2)
            .all(|opcode| matches!(opcode, Opcode::ControlV1 | Opcode::AckV1))
    );
}

#[test]
fn without_a_cookie_the_wrapped_key_is_not_repeated() {
    let pair = Pair::connected(Setup {
        mode: Mode::TlsCryptV2,
        cookie: false,
        ..Setup::default()
    });
    let wkc = |packet: &[u8]| header(packet).first.opcode == Opcode::ControlWkcV1;
    assert!(!pair.wire.iter().any(|(_, packet)| wkc(packet)));
}

#[test]
fn a_wide_key_exchange_of_a_patched_client_in_several_records_is_read() {
    for quality in [
        Quality::default(),
        Quality {
            loss: 100,
            ..Quality::default()
        },
    ] {
        let pair = Pair::connected(Setup {
            dialect: Dialect::Aws,
            password: "x".repeat(40_000),
            quality,
            ..Setup::default()
        });
        pair.assert_equal_keys(0);
        assert!(pair.server_events.iter().any(|event| matches!(
            event,
            SessionEvent::KeyMethod2 { message, .. }
                if message.password.as_ref().is_some_and(|password| password.len() == 40_000)
        )));
    }
}

#[test]
fn messages_keep_their_borders_in_both_directions() {
    let mut pair = Pair::connected(Setup::default());
    let sent: Vec<String> = (0..20)
        .map(|n| format!("MESSAGE {n} {}\0", "y".repeat(n * 50)))
        .collect();
    for message in &sent {
        pair.client.send_message(message.as_bytes()).unwrap();
        pair.server().send_message(message.as_bytes()).unwrap();
    }
    pair.client.send_message(&[b'z'; 16 * 1024]).unwrap();
    pair.run_for(10);
    let to_server = Pair::messages(&pair.server_events);
    assert_eq!(to_server.len(), sent.len() + 1);
    assert_eq!(to_server[..sent.len()], sent);
    assert_eq!(to_server[sent.len()].len(), 16 * 1024);
    assert_eq!(Pair::messages(&pair.client_events)[1..], sent);
}

#[test]
fn messages_too_long_or_too_many_are_refused() {
    let mut pair = Pair::connected(Setup::default());
    assert!(matches!(
        pair.client.send_message(&[0; 16 * 1024 + 1]),
        Err(SessionError::MessageTooLong { .. })
    ));
    pair.to_client.cut = true;
    let refused = (0..100).find_map(|_| pair.server().send_message(&[b'a'; 2000]).err());
    assert!(
        matches!(refused, Some(SessionError::QueueFull { .. })),
        "{refused:?}"
    );
}

#[test]
fn an_unanswered_client_sends_at_0_2_6_14_30_46_and_gives_up_at_60() {
    let mut pair = Pair::new(Setup::default());
    pair.to_server.cut = true;
    let mut sent = Vec::new();
    for second in 0..70 {
        let before = pair.wire.len();
        pair.run_for(1);
        if pair.wire.len() > before {
            sent.push(second);
        }
    }
    // Each step runs to the end of its second, so what is due at second 2 goes out in the one before.
    assert_eq!(sent, [0, 1, 5, 13, 29, 45]);
    let failure = Pair::failure(&pair.client_events).unwrap();
    assert!(
        failure.contains("60 s") && failure.contains("never answered"),
        "{failure}"
    );
    assert!(pair.client.is_ended());
    let stamps: std::collections::HashSet<_> =
        pair.wire.iter().map(|(_, packet)| packet[9..].to_vec()).collect();
    assert_eq!(
        stamps.len(),
        pair.wire.len(),
        "each copy has a replay id of its own"
    );
}

#[test]
fn a_stalled_handshake_stays_small_and_ends_with_the_hand_window() {
    let mut pair = Pair::new(Setup::default());
    pair.run_until(10, |pair| pair.server.is_some());
    pair.to_client.sever();
    pair.run_for(70);
    assert!(pair.most_buffered < 16 * 1024, "{}", pair.most_buffered);
    let failure = Pair::failure(&pair.server_events).unwrap();
    assert!(failure.contains("TLS negotiation did not complete"), "{failure}");
}

#[test]
fn a_client_without_certificate_gets_in_where_none_is_required() {
    for certificates in [ClientCertificates::None, ClientCertificates::Optional] {
        for tls12 in [false, true] {
            let pair = Pair::connected(Setup {
                certificates,
                tls12,
                identity: None,
                ..Setup::default()
            });
            pair.assert_equal_keys(0);
            assert!(pair.server_events.iter().any(|event| matches!(
                event,
                SessionEvent::KeyMethod2 {
                    certificate: None,
                    ..
                }
            )));
        }
    }
}
