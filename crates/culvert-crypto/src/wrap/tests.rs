use culvert_wire::control::ControlBody;
use culvert_wire::{KeyId, MessageId, Opcode, ParseError};
use proptest::prelude::*;

use super::*;
use crate::testing::{TIME, client, counting_key, hex, server};

const EMPTY_RESET: &str = "0000000000";
const SERVER_RESET: &str = "0100000000c1c2c3c4c5c6c7c800000000";

fn first(opcode: Opcode) -> FirstByte {
    FirstByte {
        opcode,
        key_id: KeyId::FIRST,
    }
}

/// Makes the packet with `send`, and reads it with `receive`.
fn check(
    (send, receive): (&ControlWrap, &ControlWrap),
    stamp: ReplayStamp,
    opcode: Opcode,
    session: SessionId,
    body: &str,
    packet: &str,
) {
    let mut out = b"front".to_vec();
    send.wrap(stamp, first(opcode), session, &hex(body), &mut out);
    assert_eq!(out[5..], hex(packet), "wrapping appends the packet");
    let mut packet = hex(packet);
    let unwrapped = receive.unwrap(&mut packet).unwrap();
    let expected = Unwrapped {
        first: first(opcode),
        session,
        stamp: Some(stamp),
        body: &hex(body),
    };
    assert_eq!(unwrapped, expected);
}

fn stamp(id: u32) -> ReplayStamp {
    ReplayStamp { id, time: TIME }
}

fn tls_auth(direction: KeyDirection, digest: AuthDigest) -> (ControlWrap, ControlWrap) {
    let make = |direction| ControlWrap::tls_auth(&counting_key(), direction, digest);
    (make(direction), make(direction.opposite()))
}

fn tls_crypt() -> (ControlWrap, ControlWrap) {
    let make = |role| ControlWrap::tls_crypt(&counting_key(), role);
    (make(Role::Client), make(Role::Server))
}

#[test]
fn tls_auth_client_resets_match_the_vectors() {
    let packets = [
        "38c1c2c3c4c5c6c7c83524e5d1341484ecf4f258eeef82708c2deacaeb00000001654321000000000000",
        "38c1c2c3c4c5c6c7c8011f37c17a823822c8c8945afe6fa1c27adb51f1041375b0124367c13d35fd3a00000001654321000000000000",
        "38c1c2c3c4c5c6c7c817a55d0af8a385b8558ab3f09ca02eaf28592f8a5bb775a5e7c86a0401ef78abe236d704b2b816506ed9e929c2\
         b79fad6af8a294dbc9921ab558ff0104747e3900000001654321000000000000",
    ];
    for (digest, packet) in AuthDigest::ALL.into_iter().zip(packets) {
        let (client_side, server_side) = tls_auth(KeyDirection::One, digest);
        check(
            (&client_side, &server_side),
            stamp(1),
            Opcode::ControlHardResetClientV2,
            client(),
            EMPTY_RESET,
            packet,
        );
    }
}

#[test]
fn the_tls_auth_server_reset_matches_the_vector() {
    let (server_side, client_side) = tls_auth(KeyDirection::Zero, AuthDigest::Sha1);
    check(
        (&server_side, &client_side),
        stamp(1),
        Opcode::ControlHardResetServerV2,
        server(),
        SERVER_RESET,
        "405152535455565758f356440c4b0db169619fe90ba20ddcb9499e381400000001654321000100000000c1c2c3c4c5c6c7c800000000",
    );
}

#[test]
fn the_tls_auth_ack_without_direction_matches_the_vector() {
    let (client_side, server_side) = tls_auth(KeyDirection::Both, AuthDigest::Sha256);
    check(
        (&client_side, &server_side),
        stamp(2),
        Opcode::AckV1,
        client(),
        "01000000005152535455565758",
        "28c1c2c3c4c5c6c7c8888774686f426bd013daacf8f24ff973727176facd6fec1990137cdba104e790\
         000000026543210001000000005152535455565758",
    );
}

#[test]
fn tls_crypt_packets_match_the_vectors() {
    let (client_side, server_side) = tls_crypt();
    check(
        (&client_side, &server_side),
        stamp(1),
        Opcode::ControlHardResetClientV2,
        client(),
        EMPTY_RESET,
        "38c1c2c3c4c5c6c7c800000001654321003c98c186eddbe04d1821a57f8049ae9924ae7b7183c8459a15fbde57d5756eb21f2ecf4d11",
    );
    check(
        (&server_side, &client_side),
        stamp(1),
        Opcode::ControlHardResetServerV2,
        server(),
        SERVER_RESET,
        "4051525354555657580000000165432100e504dd55045a42c1aac8ae2b9fadf62533e94a9c8497c5d0216bb35d4564fe1b\
         c52d2fed62d83e32f3e5d9d8cda06a60a0",
    );
    check(
        (&client_side, &server_side),
        stamp(2),
        Opcode::ControlV1,
        client(),
        "010000000051525354555657580000000168656c6c6f",
        "20c1c2c3c4c5c6c7c800000002654321009b4b4bbb8e37304218dc4e50bbaa805327f1cbe2e503eaea5229fe6efcd7398e\
         2c00992e74f70a836ac87308998b0e34a44a0f63c70d",
    );
}

#[test]
fn a_stock_servers_tls_crypt_reset_unwraps_and_is_made_alike() {
    let (client_side, server_side) = tls_crypt();
    let packet = "40283d934e70411230000000016b02c92e5f95bf2174a91ea4609a6d5ef38c7655e41103c8bfae54f586d5e99f132eb3f0\
                  e9e0a0e390a9fd7299e3cb03ba50140f49";
    let body = "01000000002fa7c49513be265100000000";
    check(
        (&server_side, &client_side),
        ReplayStamp {
            id: 1,
            time: 0x6b02_c92e,
        },
        Opcode::ControlHardResetServerV2,
        SessionId::new(hex("283d934e70411230").try_into().unwrap()).unwrap(),
        body,
        packet,
    );
    let body = hex(body);
    let body = ControlBody::parse(Opcode::ControlHardResetServerV2, &body).unwrap();
    assert_eq!(body.acks.as_slice(), [MessageId(0)]);
}

#[test]
fn the_dynamic_key_is_the_exported_one_xor_the_base() {
    let exported: [u8; 256] = std::array::from_fn(|index| 0xff - index as u8);
    let all_ones = StaticKey::from_bytes(&[0xff; 256]);
    for base in [
        tls_crypt().0,
        tls_auth(KeyDirection::Both, AuthDigest::Sha1).0,
        ControlWrap::dynamic(*counting_key().bytes(), &ControlWrap::None, Role::Server),
    ] {
        let dynamic = ControlWrap::dynamic(exported, &base, Role::Client);
        assert_eq!(dynamic.base_key(), Some(all_ones.bytes()));
        let mut packet = Vec::new();
        dynamic.wrap(
            stamp(1),
            first(Opcode::ControlSoftResetV1),
            client(),
            &[],
            &mut packet,
        );
        assert!(
            ControlWrap::tls_crypt(&all_ones, Role::Server)
                .unwrap(&mut packet)
                .is_ok()
        );
    }
    let unwrapped = ControlWrap::dynamic(exported, &ControlWrap::None, Role::Client);
    assert_eq!(unwrapped.base_key(), Some(&exported));
}

#[test]
fn a_bare_nine_byte_reset_unwraps_without_wrapping() {
    let mut packet = hex("38c1c2c3c4c5c6c7c8");
    let unwrapped = ControlWrap::none().unwrap(&mut packet).unwrap();
    assert_eq!(unwrapped.session, client());
    assert_eq!((unwrapped.stamp, unwrapped.body), (None, &[][..]));
}

#[test]
fn overheads_are_counted_as_stock_does() {
    assert_eq!(ControlWrap::None.overhead(), 0);
    for (digest, overhead) in AuthDigest::ALL.into_iter().zip([28, 40, 72]) {
        assert_eq!(tls_auth(KeyDirection::Both, digest).0.overhead(), overhead);
    }
    assert_eq!(tls_crypt().0.overhead(), 56);
}

#[test]
fn broken_headers_are_told_apart_from_wrong_keys() {
    let wrap = tls_crypt().1;
    let unwrap = |packet: &str| wrap.unwrap(&mut hex(packet)).unwrap_err();
    assert_eq!(unwrap(""), WrapError::Malformed(ParseError::Empty));
    assert_eq!(
        unwrap("380000000000000000"),
        WrapError::Malformed(ParseError::ZeroSessionId)
    );
    assert_eq!(
        unwrap("39c1c2c3c4c5c6c7c8"),
        WrapError::Malformed(ParseError::ResetKeyId(1))
    );
    assert_eq!(
        unwrap("480000000000000001"),
        WrapError::Malformed(ParseError::WrongOpcode(9))
    );
    assert_eq!(unwrap("38c1c2c3c4c5c6c7c8"), WrapError::TooShort);
    assert_eq!(
        unwrap(&format!("38c1c2c3c4c5c6c7c8{}", "00".repeat(39))),
        WrapError::TooShort
    );
    assert_eq!(
        unwrap(&format!("38c1c2c3c4c5c6c7c8{}", "00".repeat(40))),
        WrapError::Unauthentic
    );
}

#[test]
fn a_packet_does_not_unwrap_in_the_direction_it_came_from() {
    let (client_side, _) = tls_crypt();
    let (auth_client, _) = tls_auth(KeyDirection::One, AuthDigest::Sha1);
    for wrap in [client_side, auth_client] {
        let mut packet = Vec::new();
        wrap.wrap(stamp(1), first(Opcode::AckV1), client(), b"body", &mut packet);
        assert_eq!(wrap.unwrap(&mut packet), Err(WrapError::Unauthentic));
    }
}

#[test]
fn debug_output_shows_no_key() {
    assert_eq!(format!("{:?}", tls_crypt().0), "TlsCrypt(TlsCryptKeys(..))");
    assert_eq!(
        format!("{:?}", tls_auth(KeyDirection::Both, AuthDigest::Sha1).0),
        "TlsAuth(TlsAuthKeys(SHA1, ..))"
    );
}

fn any_wrap() -> impl Strategy<Value = (ControlWrap, ControlWrap)> {
    const DIRECTIONS: [KeyDirection; 3] = [KeyDirection::Zero, KeyDirection::One, KeyDirection::Both];
    prop_oneof![
        Just(tls_crypt()),
        (
            prop::sample::select(&DIRECTIONS),
            prop::sample::select(&AuthDigest::ALL)
        )
            .prop_map(|(direction, digest)| tls_auth(direction, digest)),
    ]
}

proptest! {
    #[test]
    fn what_is_wrapped_unwraps_and_what_is_altered_does_not(
        (send, receive) in any_wrap(),
        id in any::<u32>(),
        time in any::<u32>(),
        key_id in 0u8..8,
        body in prop::collection::vec(any::<u8>(), 0..300),
        flip in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let stamp = ReplayStamp { id, time };
        let first = FirstByte { opcode: Opcode::ControlV1, key_id: KeyId::new(key_id).unwrap() };
        let mut packet = Vec::new();
        send.wrap(stamp, first, client(), &body, &mut packet);
        prop_assert_eq!(packet.len(), 9 + send.len_added() + body.len());

        let mut bad = packet.clone();
        bad[flip.index(packet.len())] ^= 1;
        let before = bad.clone();
        prop_assert!(receive.unwrap(&mut bad).is_err());
        prop_assert_eq!(bad, before, "a failed attempt leaves the packet as it was");
        prop_assert!(receive.unwrap(&mut packet.clone()[..cut.index(packet.len())]).is_err());

        let unwrapped = receive.unwrap(&mut packet).unwrap();
        prop_assert_eq!(unwrapped, Unwrapped { first, session: client(), stamp: Some(stamp), body: &body });
    }

    #[test]
    fn any_bytes_are_refused_without_panic(
        (_, receive) in any_wrap(),
        mut packet in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        prop_assert!(receive.unwrap(&mut packet).is_err());
        let _ = ControlWrap::None.unwrap(&mut packet);
    }
}
