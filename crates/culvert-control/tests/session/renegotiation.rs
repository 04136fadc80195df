//! New keys on a running session.

use std::time::Duration;

use culvert_control::{ControlDrop, SessionError, SessionEvent};
use culvert_wire::{KeyId, Opcode};

use crate::pair::{MODES, Mode, Pair, Setup, header};

fn soft_reset(pair: &mut Pair, by_server: bool) {
    let now = pair.now;
    if by_server {
        pair.server().soft_reset(now).unwrap();
    } else {
        pair.client.soft_reset(now).unwrap();
    }
}

#[test]
fn either_side_or_both_may_start_and_keys_come_out_equal() {
    for mode in MODES {
        for (server, client) in [(true, false), (false, true), (true, true)] {
            for (tls12, ekm, dynamic) in [(false, true, true), (false, true, false), (true, false, false)] {
                let mut pair = Pair::connected(Setup {
                    mode,
                    tls12,
                    ekm,
                    dynamic,
                    ..Setup::default()
                });
                if server {
                    soft_reset(&mut pair, true);
                }
                if client {
                    soft_reset(&mut pair, false);
                }
                pair.run_until(10, |pair| pair.both_active(1));
                assert!(pair.both_active(1), "{mode:?} {server} {client}");
                pair.assert_equal_keys(1);
                pair.assert_equal_keys(0);
                assert!(pair.elapsed() < Duration::from_secs(2), "{:?}", pair.elapsed());
                assert!(pair.server_drops.is_empty(), "{:?}", pair.server_drops);
                assert!(pair.client_drops.is_empty(), "{:?}", pair.client_drops);
            }
        }
    }
}

#[test]
fn dynamic_tls_crypt_wraps_every_later_key_whatever_the_first_wrapping_was() {
    for mode in MODES {
        let mut pair = Pair::connected(Setup {
            mode,
            dynamic: true,
            ..Setup::default()
        });
        let before = pair.wire.len();
        soft_reset(&mut pair, false);
        pair.run_until(10, |pair| pair.both_active(1));
        let resets: Vec<_> = pair.wire[before..]
            .iter()
            .filter(|(_, packet)| header(packet).first.opcode == Opcode::ControlSoftResetV1)
            .collect();
        // A soft reset wrapped with tls-crypt is 54 bytes, the answer with one acknowledgement 66.
        assert_eq!(
            resets.iter().map(|(_, packet)| packet.len()).collect::<Vec<_>>(),
            [54, 66],
            "{mode:?}"
        );
    }
}

#[test]
fn key_ids_go_from_7_to_1() {
    let mut pair = Pair::connected(Setup {
        dynamic: true,
        ..Setup::default()
    });
    for round in 0..16u8 {
        let expected = round % 7 + 1;
        soft_reset(&mut pair, round % 2 == 0);
        pair.run_until(10, |pair| pair.both_active(expected));
        assert!(pair.both_active(expected), "round {round}");
        pair.assert_equal_keys(expected);
    }
    let forgotten = pair
        .server_events
        .iter()
        .filter(|event| matches!(event, SessionEvent::LameDuckExpired { .. }))
        .count();
    assert_eq!(
        forgotten, 15,
        "each renegotiation forgets the key before the last"
    );
}

#[test]
fn the_server_renegotiates_by_age_a_little_early() {
    let hour = Some(Duration::from_secs(3600));
    let mut pair = Pair::connected(Setup {
        server_reneg: hour,
        ..Setup::default()
    });
    pair.run_for(3230);
    assert!(pair.both_active(0));
    pair.run_for(375);
    assert!(pair.both_active(1));
    pair.run_for(3600);
    assert!(pair.both_active(2));
}

#[test]
fn the_client_renegotiates_by_age() {
    let hour = Some(Duration::from_secs(3600));
    let mut pair = Pair::connected(Setup {
        client_reneg: hour,
        ..Setup::default()
    });
    pair.run_for(3590);
    assert!(pair.both_active(0));
    pair.run_for(15);
    assert!(pair.both_active(1));
}

#[test]
fn messages_during_a_renegotiation_arrive_in_order_under_the_new_key() {
    let mut pair = Pair::connected(Setup::default());
    pair.server().send_message(b"before\0").unwrap();
    soft_reset(&mut pair, true);
    pair.server().send_message(b"during\0").unwrap();
    pair.client.send_message(b"crossing\0").unwrap();
    pair.run_until(10, |pair| pair.both_active(1));
    pair.run_for(1);
    let got: Vec<_> = Pair::messages(&pair.client_events);
    assert_eq!(got[1..], ["before\0", "during\0"]);
    assert_eq!(Pair::messages(&pair.server_events), ["crossing\0"]);
}

#[test]
fn a_message_on_the_old_key_still_arrives_after_the_change() {
    let mut pair = Pair::connected(Setup::default());
    // Sent under key 0, but the packet is late.
    pair.client.send_message(b"EXIT\0").unwrap();
    let now = pair.now;
    let late = pair.client.poll_transmit(now).unwrap();
    soft_reset(&mut pair, true);
    pair.run_until(1, |pair| pair.both_active(1));
    pair.server_receives(late);
    pair.run_for(1);
    assert!(pair.server_events.iter().any(|event| matches!(
        event,
        SessionEvent::Message { key_id: KeyId::FIRST, record } if record == b"EXIT\0"
    )));
}

#[test]
fn the_old_control_channel_is_given_up_long_before_its_data_key() {
    let mut pair = Pair::connected(Setup::default());
    pair.client.send_message(b"EXIT\0").unwrap();
    let now = pair.now;
    let late = pair.client.poll_transmit(now).unwrap();
    soft_reset(&mut pair, true);
    pair.run_for(130);
    pair.server_receives(late);
    assert_eq!(
        pair.server_drops.last(),
        Some(&ControlDrop::UnknownKey(KeyId::FIRST))
    );
    assert!(
        !pair
            .server_events
            .iter()
            .any(|event| matches!(event, SessionEvent::LameDuckExpired { .. }))
    );
}

#[test]
fn a_replaced_key_is_forgotten_after_the_transition_window() {
    let tran_window = Duration::from_secs(100);
    let mut pair = Pair::connected(Setup {
        tran_window,
        ..Setup::default()
    });
    soft_reset(&mut pair, true);
    pair.run_for(99);
    assert!(pair.server().data_key(KeyId::FIRST).is_ok());
    pair.run_for(2);
    assert!(matches!(
        pair.server().data_key(KeyId::FIRST),
        Err(SessionError::KeyNotReady { .. })
    ));
    for events in [&pair.server_events, &pair.client_events] {
        assert!(
            events
                .iter()
                .any(|event| matches!(event, SessionEvent::LameDuckExpired { key_id: KeyId::FIRST }))
        );
    }
}

#[test]
fn a_failed_renegotiation_keeps_the_old_key_and_is_tried_again() {
    let mut pair = Pair::connected(Setup::default());
    pair.to_client.cut = true;
    pair.to_server.cut = true;
    soft_reset(&mut pair, true);
    pair.run_for(61);
    let failure = Pair::failure(&pair.server_events).unwrap();
    assert!(failure.contains("never answered the renegotiation"), "{failure}");
    assert_eq!(pair.server().current_key(), (KeyId::FIRST, true));
    pair.assert_equal_keys(0);
    pair.to_client.cut = false;
    pair.to_server.cut = false;
    pair.run_until(90, |pair| pair.both_active(1));
    assert!(
        pair.both_active(1),
        "{:?} {:?} {:?}",
        pair.elapsed(),
        pair.server_events,
        pair.client
    );
    pair.assert_equal_keys(1);
}

#[test]
fn when_no_renegotiation_ever_succeeds_the_session_ends_with_the_old_key() {
    let mut pair = Pair::connected(Setup {
        tran_window: Duration::from_secs(200),
        ..Setup::default()
    });
    pair.to_client.cut = true;
    pair.to_server.cut = true;
    soft_reset(&mut pair, true);
    pair.run_for(199);
    assert!(!pair.server().is_ended());
    pair.run_for(70);
    assert!(pair.server().is_ended());
}

#[test]
fn a_refused_renegotiation_leaves_the_session_alive() {
    let mut pair = Pair::connected(Setup::default());
    soft_reset(&mut pair, false);
    pair.run_until(10, |pair| {
        pair.server_events
            .iter()
            .any(|event| matches!(event, SessionEvent::KeyMethod2 { key_id, .. } if *key_id != KeyId::FIRST))
    });
    let now = pair.now;
    let key_id = KeyId::new(1).unwrap();
    pair.server()
        .fail_key(now, key_id, "the user name differs from the one at login");
    pair.run_for(5);
    assert_eq!(pair.server().current_key(), (KeyId::FIRST, true));
    assert!(
        Pair::failure(&pair.server_events)
            .unwrap()
            .contains("user name differs")
    );
    assert!(!pair.server().is_ended());
}

#[test]
fn no_renegotiation_starts_before_the_push_or_twice() {
    let mut pair = Pair::new(Setup::default());
    pair.run_until(10, |pair| pair.server.is_some());
    let now = pair.now;
    assert_eq!(
        pair.server().soft_reset(now),
        Err(SessionError::RenegotiationNotPossible)
    );
    pair.run_until(10, Pair::is_up);
    let now = pair.now;
    pair.client.soft_reset(now).unwrap();
    assert_eq!(
        pair.client.soft_reset(now),
        Err(SessionError::RenegotiationNotPossible)
    );
}

#[test]
fn tls_auth_sessions_renegotiate_without_dynamic_keys_on_the_same_counters() {
    let mut pair = Pair::connected(Setup {
        mode: Mode::TlsAuth,
        ..Setup::default()
    });
    soft_reset(&mut pair, true);
    pair.run_until(10, |pair| pair.both_active(1));
    assert!(!pair.server().has_dynamic_tls_crypt());
    assert!(pair.both_active(1));
}
