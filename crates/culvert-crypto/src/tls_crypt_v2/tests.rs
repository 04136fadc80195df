use culvert_wire::Opcode;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::testing::{TIME, client, counting, counting_key, hex};
use crate::{ControlWrap, Role, SeededEntropy};

const RESET: &str = "50c1c2c3c4c5c6c7c80f00000165432100de0640dc0364542e2d5378d9470bdcdd8657835dd8e75bb8a7b56d55b884b217c8af3ab7da";
const WKC: &str = "\
0b2840fd05da071564f4880e52a8fa8207fa8985aae1671a3ee5aad50da2198df8759ad23a7184024e00d54b21ffe1b6c64bace30902161ef845dd10ba6a631a
18b63af2c34050cb438252f03c7db6e731f8c52539b635576be6513f142d054572b208a8df48c2baccf2f05dc02b16b6d6e2d6d5804e08b3173a0b427bb0f258
ad8b5c616d439436f48bbadfe7642cbf5f0d89a32825a24a530987d20596c7f0088463120f719d564444913d79b2eec35396f5a9c2c238a6c6a398e316a240d6
4809dacfe54b2f04176e48b7996e07eb1197b4c04aabcf74e67a133d019916564d4e2c0567786f3ff97f4aceec31e37392fa656634c323cb222ec501158566de
28e771bab32dbc5d9c6653154fabd38b018dca78c8005f45c771822607473823b28aa465b3dd11c066012b";

fn server_key() -> ServerKey {
    ServerKey::expand(Box::new(counting(0)))
}

#[test]
fn the_wrapped_key_matches_the_vector() {
    let wkc = server_key()
        .wrap(&counting_key(), &Metadata::Timestamp(TIME.into()))
        .unwrap();
    assert_eq!(wkc, hex(WKC));
    assert_eq!(
        Sha256::digest(&wkc).as_slice(),
        hex("5f4850d54990887141bc1a92c7a8a8b2f2bedb97c81361ed58cc33cc2dc711a9")
    );
    let unwrapped = server_key().unwrap(&wkc).unwrap();
    assert_eq!(unwrapped.key, counting_key());
    assert_eq!(unwrapped.metadata, Metadata::Timestamp(TIME.into()));
}

#[test]
fn user_defined_metadata_matches_the_vector() {
    // base64 AABBCCDD
    let metadata = Metadata::UserDefined(vec![0x00, 0x00, 0x41, 0x08, 0x20, 0xc3]);
    let wkc = server_key().wrap(&counting_key(), &metadata).unwrap();
    assert_eq!(wkc.len(), 297);
    assert_eq!(
        wkc[..32],
        hex("69eda75582aa170b8c9418fe28248cdb7761bea2d277aa1647eb3a9d94083733")
    );
}

#[test]
fn a_clients_reset_yields_its_key_and_unwraps_with_it() {
    let mut packet = hex(&format!("{RESET}{WKC}"));
    assert_eq!(packet.len(), 353);
    let (head, wkc) = split_wkc(&mut packet).unwrap();
    let unwrapped = server_key().unwrap(wkc).unwrap();
    let wrap = ControlWrap::tls_crypt(&unwrapped.key, Role::Server);
    let reset = wrap.unwrap(head).unwrap();
    assert_eq!(reset.first.opcode, Opcode::ControlHardResetClientV3);
    assert_eq!(reset.session, client());
    assert_eq!(reset.body, hex("0000000000"));
    let stamp = reset.stamp.unwrap();
    assert!(stamp.announces_early_negotiation());

    let mut made = Vec::new();
    ControlWrap::tls_crypt(&counting_key(), Role::Client).wrap(
        stamp,
        reset.first,
        client(),
        reset.body,
        &mut made,
    );
    assert_eq!(made, hex(RESET));
}

#[test]
fn lengths_are_checked_before_anything_else() {
    let with_length = |len: usize, length: u16| {
        let mut packet = vec![0x50; len];
        packet.splice(len - 2.., length.to_be_bytes());
        split_wkc(&mut packet).map(|(head, wkc)| (head.len(), wkc.len()))
    };
    assert_eq!(split_wkc(&mut []).unwrap_err(), WrapError::TooShort);
    assert_eq!(split_wkc(&mut [0]).unwrap_err(), WrapError::TooShort);
    let wrong = Err(WrapError::WrappedKeyLength);
    assert_eq!(with_length(2, 2), wrong);
    assert_eq!(with_length(48, 0), wrong);
    assert_eq!(with_length(49 + 290, 290), Ok((49, 290)));
    assert_eq!(
        with_length(49 + 289, 290),
        wrong,
        "would reach into the fixed part"
    );
    assert_eq!(with_length(49 + 400, 289), wrong, "too short for a key");
    assert_eq!(with_length(49 + 1024, 1024), Ok((49, 1024)));
    assert_eq!(with_length(49 + 1025, 1025), wrong, "above the limit");
    assert_eq!(with_length(400, u16::MAX), wrong);
}

#[test]
fn a_key_wrapped_by_another_server_is_refused() {
    let other = ServerKey::generate(&mut SeededEntropy::new(1));
    assert_eq!(
        other.unwrap(&hex(WKC)).unwrap_err(),
        WrapError::WrappedKeyUnauthentic
    );
}

#[test]
fn key_files_read_back() {
    let server = ServerKey::generate(&mut SeededEntropy::new(1));
    let text = server.to_pem();
    assert!(text.starts_with("-----BEGIN OpenVPN tls-crypt-v2 server key-----\n"));
    assert_eq!(ServerKey::parse(&text).unwrap().payload, server.payload);

    let metadata = Metadata::Timestamp(TIME.into());
    let client = ClientKey::generate(&server, &metadata, &mut SeededEntropy::new(2)).unwrap();
    let text = client.to_pem();
    let read = ClientKey::parse(&text).unwrap();
    assert_eq!((read.key(), read.wkc()), (client.key(), client.wkc()));
    let unwrapped = server.unwrap(read.wkc()).unwrap();
    assert_eq!((&unwrapped.key, unwrapped.metadata), (read.key(), metadata));
}

#[test]
fn broken_key_files_say_what_is_wrong() {
    let server = server_key();
    let wrong_kind = ClientKey::parse(&server.to_pem()).unwrap_err();
    assert!(matches!(wrong_kind, KeyError::WrongKind { .. }));
    for len in [0, 127, 129] {
        let error = ServerKey::parse(&pem::encode(SERVER_KEY_NAME, &vec![1; len])).unwrap_err();
        assert!(matches!(error, KeyError::WrongLength { found, .. } if found == len));
    }
    let zero = pem::encode(SERVER_KEY_NAME, &[0; 128]);
    assert_eq!(ServerKey::parse(&zero).unwrap_err(), KeyError::Weak);
    let good = [&[7; 256], &hex(WKC)[..]].concat();
    assert!(ClientKey::parse(&pem::encode(CLIENT_KEY_NAME, &good)).is_ok());
    for len in [0, 255, 256, 257, 545, good.len() - 1] {
        let error = ClientKey::parse(&pem::encode(CLIENT_KEY_NAME, &good[..len])).unwrap_err();
        assert!(matches!(error, KeyError::WrongLength { found, .. } if found == len));
    }
}

#[test]
fn metadata_has_a_size_limit() {
    let wrap = |len| server_key().wrap(&counting_key(), &Metadata::UserDefined(vec![7; len]));
    assert_eq!(wrap(MAX_METADATA - 1).unwrap().len(), MAX_WKC);
    assert_eq!(
        wrap(MAX_METADATA).unwrap_err(),
        KeyError::MetadataTooLong {
            found: MAX_METADATA + 1,
            max: 734
        }
    );
}

#[test]
fn debug_output_shows_no_key() {
    let server = server_key();
    let client = ClientKey::generate(&server, &Metadata::Empty, &mut SeededEntropy::new(2)).unwrap();
    assert_eq!(format!("{server:?} {client:?}"), "ServerKey(..) ClientKey(..)");
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    prop::collection::vec(any::<u8>(), 0..=MAX_METADATA).prop_map(|bytes| Metadata::decode(&bytes))
}

proptest! {
    #[test]
    fn what_is_wrapped_unwraps_and_what_is_altered_does_not(
        metadata in any_metadata(),
        seed in any::<u64>(),
        flip in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let key = StaticKey::generate(&mut SeededEntropy::new(seed));
        let mut wkc = server_key().wrap(&key, &metadata).unwrap();
        let unwrapped = server_key().unwrap(&wkc).unwrap();
        prop_assert_eq!(unwrapped, UnwrappedClientKey { key, metadata });
        prop_assert!(server_key().unwrap(&wkc[..cut.index(wkc.len())]).is_err());
        let at = flip.index(wkc.len());
        wkc[at] ^= 1;
        prop_assert!(server_key().unwrap(&wkc).is_err());
    }

    #[test]
    fn metadata_encodes_back(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        prop_assert_eq!(Metadata::decode(&bytes).encode(), bytes);
    }

    #[test]
    fn any_bytes_are_refused_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let key = server_key();
        prop_assert!(key.unwrap(&bytes).is_err());
        if let Ok((_, wkc)) = split_wkc(&mut bytes) {
            prop_assert!(key.unwrap(wkc).is_err());
        }
    }
}
