//! Packets from attackers and broken peers.

use culvert_control::{ControlDrop, Session};
use culvert_crypto::{Entropy, SeededEntropy};
use culvert_wire::{FirstByte, KeyId, Opcode};
use proptest::prelude::*;

use crate::pair::{MODES, Mode, Pair, Setup, header};

/// What can be seen of a session's state from outside.
fn visible(session: &Session) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        session.current_key(),
        session.remote_session(),
        session.buffered_bytes(),
        session.is_ended(),
        session.poll_timeout(),
    )
}

#[test]
fn truncated_and_damaged_packets_change_nothing_under_an_authenticating_wrap() {
    for mode in [Mode::TlsAuth, Mode::TlsCrypt, Mode::TlsCryptV2] {
        let mut pair = Pair::connected(Setup {
            mode,
            dynamic: true,
            ..Setup::default()
        });
        pair.run_for(1);
        pair.client.send_message(b"PUSH_REQUEST\0").unwrap();
        let now = pair.now;
        let packet = pair.client.poll_transmit(now).unwrap();
        let before = visible(pair.server());
        let mut random = SeededEntropy::new(5);
        for len in 0..packet.len() {
            let mut cut = packet[..len].to_vec();
            assert!(
                pair.server().handle_packet(now, &mut cut, &mut random).is_err(),
                "{mode:?} {len}"
            );
        }
        for bit in 0..packet.len() * 8 {
            let mut damaged = packet.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                pair.server()
                    .handle_packet(now, &mut damaged, &mut random)
                    .is_err(),
                "{mode:?} {bit}"
            );
        }
        assert_eq!(visible(pair.server()), before);
        assert!(pair.server().poll_event().is_none() && pair.server().poll_transmit(now).is_none());
        // The real packet still counts.
        pair.server_receives(packet);
        pair.run_for(1);
        assert_eq!(
            Pair::messages(&pair.server_events),
            ["PUSH_REQUEST\0"],
            "{mode:?}"
        );
    }
}

#[test]
fn replayed_packets_are_dropped() {
    for mode in [Mode::TlsAuth, Mode::TlsCrypt, Mode::TlsCryptV2] {
        let mut pair = Pair::connected(Setup {
            mode,
            ..Setup::default()
        });
        pair.run_for(1);
        let recorded: Vec<_> = pair
            .wire
            .iter()
            .filter(|(to_server, _)| *to_server)
            .cloned()
            .collect();
        let before = pair.server_drops.len();
        let later_than_reset = recorded.len() - 1;
        for (_, packet) in recorded.into_iter().skip(1) {
            pair.server_receives(packet);
        }
        let drops = pair.server_drops.split_off(before);
        assert_eq!(drops, vec![ControlDrop::Replay; later_than_reset], "{mode:?}");
    }
}

#[test]
fn packets_of_other_sessions_keys_and_sides_are_named() {
    let mut pair = Pair::connected(Setup {
        mode: Mode::None,
        ..Setup::default()
    });
    let mut random = SeededEntropy::new(1);
    let now = pair.now;
    let acknowledgement = |first: FirstByte, from: [u8; 8], to: [u8; 8]| {
        let mut packet = vec![first.encode()];
        packet.extend(from);
        packet.extend([1, 0, 0, 0, 0]);
        packet.extend(to);
        packet
    };
    let ours = pair.server().local_session().bytes();
    let theirs = pair.client.local_session().bytes();
    let ack = FirstByte {
        opcode: Opcode::AckV1,
        key_id: KeyId::FIRST,
    };
    let mut handle = |packet: Vec<u8>| {
        let mut packet = packet;
        pair.server
            .as_mut()
            .unwrap()
            .handle_packet(now, &mut packet, &mut random)
    };
    assert_eq!(handle(acknowledgement(ack, theirs, ours)), Ok(()));
    assert_eq!(
        handle(acknowledgement(ack, ours, ours)),
        Err(ControlDrop::WrongSession)
    );
    assert_eq!(
        handle(acknowledgement(ack, theirs, theirs)),
        Err(ControlDrop::WrongSession)
    );
    let other = KeyId::new(3).unwrap();
    let other_key = FirstByte {
        opcode: Opcode::AckV1,
        key_id: other,
    };
    assert_eq!(
        handle(acknowledgement(other_key, theirs, ours)),
        Err(ControlDrop::UnknownKey(other))
    );
    let reset = FirstByte {
        opcode: Opcode::ControlHardResetServerV2,
        key_id: KeyId::FIRST,
    };
    let mut packet = acknowledgement(reset, theirs, ours);
    packet.extend([0; 4]);
    assert_eq!(
        handle(packet),
        Err(ControlDrop::WrongOpcode(Opcode::ControlHardResetServerV2))
    );
    let reset = FirstByte {
        opcode: Opcode::ControlHardResetClientV2,
        key_id: KeyId::FIRST,
    };
    let mut packet = acknowledgement(reset, theirs, ours);
    packet.extend([0, 0, 0, 1]);
    assert_eq!(handle(packet), Err(ControlDrop::MisplacedReset));
    let soft = FirstByte {
        opcode: Opcode::ControlSoftResetV1,
        key_id: KeyId::new(2).unwrap(),
    };
    let mut packet = acknowledgement(soft, theirs, ours);
    packet.extend([0; 4]);
    assert_eq!(
        handle(packet),
        Err(ControlDrop::OutOfTurn),
        "key 1 is the next, 2 is not"
    );
    assert_eq!(handle(vec![0x20; 5000]), Err(ControlDrop::TooLong));
}

#[test]
fn a_soft_reset_before_the_push_is_out_of_turn() {
    let mut pair = Pair::new(Setup {
        mode: Mode::None,
        ..Setup::default()
    });
    pair.run_until(10, |pair| pair.server.is_some());
    let mut packet = vec![0x19];
    packet.extend(pair.client.local_session().bytes());
    packet.extend([0, 0, 0, 0, 0]);
    let mut random = SeededEntropy::new(1);
    let now = pair.now;
    assert_eq!(
        pair.server().handle_packet(now, &mut packet, &mut random),
        Err(ControlDrop::OutOfTurn)
    );
}

#[test]
fn garbage_as_tls_fails_the_session_with_a_reason_and_an_alert() {
    let mut pair = Pair::new(Setup {
        mode: Mode::None,
        cookie: false,
        ..Setup::default()
    });
    pair.to_client.cut = true;
    pair.run_until(10, |pair| pair.server.is_some());
    let mut packet = vec![0x20];
    packet.extend(pair.client.local_session().bytes());
    packet.extend([0, 0, 0, 0, 1]);
    packet.extend(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n");
    pair.server_receives(packet);
    let sent_before = pair.wire.len();
    pair.run_for(1);
    let failure = Pair::failure(&pair.server_events).unwrap();
    assert!(failure.contains("not valid TLS"), "{failure}");
    // Type alert (21), TLS 1.2, two bytes: fatal, and which.
    let alert = [21, 3, 3, 0, 2, 2];
    assert!(pair.wire.iter().skip(sent_before).any(|(_, packet)| {
        header(packet).first.opcode == Opcode::ControlV1 && packet.windows(6).any(|bytes| bytes == alert)
    }));
}

#[test]
fn an_endless_handshake_is_cut_off_below_its_memory_limit() {
    let mut pair = Pair::new(Setup {
        mode: Mode::None,
        ..Setup::default()
    });
    pair.run_until(10, |pair| pair.server.is_some());
    pair.to_server.cut = true;
    pair.run_for(1);
    // One handshake message that claims to be 60 KB, in records of 1000 bytes, from the next id on.
    let mut most = 0;
    for id in 2u32..100 {
        let mut packet = vec![0x20];
        packet.extend(pair.client.local_session().bytes());
        packet.push(0);
        packet.extend(id.to_be_bytes());
        packet.extend([22, 3, 3, 3, 0xe8]);
        let mut fragment = vec![0; 1000];
        if id == 2 {
            fragment[..4].copy_from_slice(&[11, 0, 0xea, 0x60]);
        }
        packet.extend(fragment);
        pair.server_receives(packet);
        most = most.max(pair.server().buffered_bytes());
    }
    pair.run_for(1);
    assert!(pair.server().is_ended());
    assert!(most < 40 * 1024, "{most}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_that_arrives_makes_a_session_panic(
        mode in 0..4usize,
        seed in 0..1000u64,
        packets in prop::collection::vec((0..9u8, 0..8u8, prop::collection::vec(any::<u8>(), 0..200)), 1..20),
        at_handshake in any::<bool>(),
    ) {
        let mut pair = Pair::new(Setup { mode: MODES[mode], seed, ..Setup::default() });
        if at_handshake {
            pair.run_until(10, |pair| pair.server.is_some());
        } else {
            pair.run_until(10, Pair::is_up);
        }
        let mut random = SeededEntropy::new(seed);
        let now = pair.now;
        let (server_id, client_id) = (pair.server().local_session(), pair.client.local_session());
        for (opcode, key_id, tail) in packets {
            for to_server in [true, false] {
                let (from, to) = if to_server { (client_id, server_id) } else { (server_id, client_id) };
                let mut packet = vec![(opcode + 3) << 3 | key_id];
                packet.extend(from.bytes());
                if random.next_u64().is_multiple_of(2) {
                    packet.extend([1, 0, 0, 0, 0]);
                    packet.extend(to.bytes());
                    packet.extend([0, 0, 0, (random.next_u64() % 5) as u8]);
                }
                packet.extend(&tail);
                if to_server {
                    let _ = pair.server().handle_packet(now, &mut packet, &mut random);
                } else {
                    let _ = pair.client.handle_packet(now, &mut packet, &mut random);
                }
            }
        }
        pair.run_for(100);
        prop_assert!(pair.most_buffered < 64 * 1024);
        let _ = pair.client_random();
    }
}
