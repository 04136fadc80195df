//! Key method 2 against the recorded message, the AWS dialect and hostile framing.

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::options::DEFAULT_CLIENT;
use crate::{EncodeError, ParseError};

fn counting<const N: usize>(first: u8) -> Zeroizing<[u8; N]> {
    Zeroizing::new(std::array::from_fn(|i| first + i as u8))
}

fn alice(dialect: Dialect) -> KeyMethod2Client {
    KeyMethod2Client {
        dialect,
        pre_master: counting(0),
        random1: counting(0x40),
        random2: counting(0x60),
        options: DEFAULT_CLIENT.into(),
        username: Some("alice".into()),
        password: Some(Zeroizing::new("secret".into())),
        peer_info: PeerInfo::parse("IV_VER=2.6.14\nIV_PROTO=990\n"),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(|d| d as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn decode(bytes: &[u8]) -> Decoded {
    KeyMethod2Decoder::new().push(bytes)
}

fn complete(decoded: Decoded) -> KeyMethod2Client {
    match decoded {
        Decoded::Complete(message) => *message,
        other => panic!("{other:?}"),
    }
}

/// Vector V9 from offset 117.
const V9_STRINGS: &str = "
    006556342c6465762d747970652074756e2c6c696e6b2d6d747520313534312c74756e2d6d747520313530302c70726f746f
    2055445076342c6175746820534841312c6b657973697a65203132382c6b65792d6d6574686f6420322c746c732d636c6965
    6e74000006616c69636500000773656372657400001c49565f5645523d322e362e31340a49565f50524f544f3d3939300a00";

#[test]
fn the_recorded_client_message_encodes_and_decodes() {
    let bytes = alice(Dialect::Stock).encode().unwrap();
    assert_eq!(bytes.len(), 267);
    assert_eq!(bytes[..5], [0, 0, 0, 0, 2]);
    assert_eq!(bytes[117..], unhex(V9_STRINGS));
    let message = complete(decode(&bytes));
    assert_eq!(message.username.as_deref(), Some("alice"));
    assert_eq!(message.password.unwrap().as_str(), "secret");
    assert_eq!(message.options, DEFAULT_CLIENT);
    assert_eq!(message.peer_info.iv_proto().0, 990);
    assert_eq!(
        (*message.pre_master, *message.random2),
        (*counting(0), *counting(0x60))
    );
}

#[test]
fn the_recorded_server_message_takes_178_bytes() {
    let options = "V4,dev-type tun,link-mtu 1541,tun-mtu 1500,proto UDPv4,auth SHA1,keysize 128,key-method 2,tls-server";
    let message = KeyMethod2Server {
        random1: counting(0x80),
        random2: counting(0xa0),
        options: options.into(),
    };
    let bytes = message.encode().unwrap();
    assert_eq!(bytes.len(), 178);
    let parsed = KeyMethod2Server::parse(&bytes).unwrap();
    assert_eq!(
        (parsed.options.as_str(), *parsed.random1),
        (options, *counting(0x80))
    );
    assert!(
        KeyMethod2Server::parse(&bytes[..172]).is_ok(),
        "the three empty strings may be missing"
    );
    assert!(KeyMethod2Server::parse(&bytes[..171]).is_err());
}

#[test]
fn a_server_never_sends_an_empty_options_string() {
    let message = KeyMethod2Server {
        random1: counting(0),
        random2: counting(0),
        options: String::new(),
    };
    assert_eq!(
        message.encode().err(),
        Some(EncodeError::Empty("the options string"))
    );
}

#[test]
fn the_aws_dialect_announces_its_length_little_endian() {
    let bytes = alice(Dialect::Aws).encode().unwrap();
    assert_eq!(bytes.len(), 267 + 8);
    assert_eq!(bytes[..4], [0x13, 1, 0, 0]);
    let message = complete(decode(&bytes));
    assert_eq!(
        (message.dialect, message.username.as_deref()),
        (Dialect::Aws, Some("alice"))
    );
}

#[test]
fn an_aws_client_may_send_a_large_assertion_in_many_records() {
    let assertion = format!("CRV1::state::{}", "A".repeat(100_000));
    let message = KeyMethod2Client {
        password: Some(Zeroizing::new(assertion.clone())),
        ..alice(Dialect::Aws)
    };
    let bytes = message.encode().unwrap();
    let mut decoder = KeyMethod2Decoder::new();
    let records: Vec<&[u8]> = bytes.chunks(16384).collect();
    let (last, others) = records.split_last().unwrap();
    for record in others {
        assert!(matches!(decoder.push(record), Decoded::NeedMore));
    }
    assert_eq!(complete(decoder.push(last)).password.unwrap().as_str(), assertion);
    assert_eq!(decoder.buffered(), 0);
}

/// An AWS message with these strings, empty ones written as u16 0.
fn aws_with_short_empties(strings: [&str; 4]) -> Vec<u8> {
    let mut bytes = alice(Dialect::Aws).encode().unwrap()[..CLIENT_FIXED].to_vec();
    for text in strings {
        if text.is_empty() {
            bytes.extend([0, 0]);
        } else {
            bytes.extend((text.len() as u32 + 1).to_be_bytes());
            bytes.extend(text.as_bytes());
            bytes.push(0);
        }
    }
    let total = (bytes.len() as u32).to_le_bytes();
    bytes[..4].copy_from_slice(&total);
    bytes
}

#[test]
fn the_older_aws_revision_writes_empty_strings_with_two_bytes() {
    let message = complete(decode(&aws_with_short_empties([
        DEFAULT_CLIENT,
        "",
        "",
        "IV_VER=2.4.9\n",
    ])));
    assert_eq!(message.options, DEFAULT_CLIENT);
    assert!(message.username.is_none() && message.password.is_none());
    assert_eq!(message.peer_info.iv_ver(), Some("2.4.9"));
    let message = complete(decode(&aws_with_short_empties([
        DEFAULT_CLIENT,
        "N/A",
        "ACS::35001",
        "",
    ])));
    assert_eq!(message.username.as_deref(), Some("N/A"));
    assert!(message.peer_info.is_empty());
}

#[test]
fn an_aws_length_that_lies_is_refused() {
    let mut bytes = alice(Dialect::Aws).encode().unwrap().to_vec();
    bytes[0] -= 1;
    assert!(matches!(
        decode(&bytes),
        Decoded::Malformed(ParseError::LengthMismatch(_))
    ));
    bytes[..4].copy_from_slice(&116u32.to_le_bytes());
    assert!(matches!(
        decode(&bytes),
        Decoded::Malformed(ParseError::LengthMismatch(_))
    ));
    bytes[..4].copy_from_slice(&(MAX_LEN as u32 + 1).to_le_bytes());
    assert!(matches!(
        decode(&bytes[..5]),
        Decoded::Malformed(ParseError::TooLong { .. })
    ));
}

#[test]
fn what_follows_the_message_is_handed_back() {
    let mut bytes = alice(Dialect::Stock).encode().unwrap().to_vec();
    bytes.extend(b"PUSH_REQUEST\0");
    let mut decoder = KeyMethod2Decoder::new();
    complete(decoder.push(&bytes));
    assert_eq!(decoder.take_rest().as_slice(), b"PUSH_REQUEST\0");
    assert!(decoder.is_empty());
}

#[test]
fn strings_missing_at_the_end_are_absent_once_nothing_more_comes() {
    let bytes = alice(Dialect::Stock).encode().unwrap();
    let options_end = 117 + 2 + 101;
    let mut decoder = KeyMethod2Decoder::new();
    assert!(matches!(decoder.push(&bytes[..options_end]), Decoded::NeedMore));
    let message = decoder.finish_lenient().unwrap();
    assert_eq!(
        (message.options.as_str(), message.username),
        (DEFAULT_CLIENT, None)
    );
    for cut in [0, 3, 116, options_end - 1, options_end + 1, options_end + 3] {
        let mut decoder = KeyMethod2Decoder::new();
        assert!(matches!(decoder.push(&bytes[..cut]), Decoded::NeedMore), "{cut}");
        assert!(decoder.finish_lenient().is_err(), "{cut}");
    }
}

#[test]
fn absent_and_empty_strings_are_told_apart() {
    let message = KeyMethod2Client {
        username: None,
        password: Some(Zeroizing::default()),
        ..alice(Dialect::Stock)
    };
    let message = complete(decode(&message.encode().unwrap()));
    assert!(message.username.is_none());
    assert_eq!(message.password.unwrap().as_str(), "");
}

#[test]
fn strings_are_cut_at_the_first_nul_and_must_end_with_one() {
    let mut bytes = alice(Dialect::Stock).encode().unwrap().to_vec();
    let name = bytes.windows(5).position(|w| w == b"alice").unwrap();
    bytes[name + 2] = 0;
    assert_eq!(complete(decode(&bytes)).username.as_deref(), Some("al"));
    bytes[name + 5] = b'!';
    assert!(matches!(
        decode(&bytes),
        Decoded::Malformed(ParseError::Unterminated("the user name"))
    ));
}

#[test]
fn control_characters_in_user_names_do_not_reach_logs() {
    let mut bytes = alice(Dialect::Stock).encode().unwrap().to_vec();
    let name = bytes.windows(5).position(|w| w == b"alice").unwrap();
    bytes[name + 2] = b'\n';
    assert_eq!(complete(decode(&bytes)).username.as_deref(), Some("al_ce"));
}

#[test]
fn other_key_methods_are_refused_and_the_high_nibble_is_ignored() {
    let mut bytes = alice(Dialect::Stock).encode().unwrap().to_vec();
    bytes[4] = 0x12;
    complete(decode(&bytes));
    bytes[4] = 1;
    assert!(matches!(
        decode(&bytes[..5]),
        Decoded::Malformed(ParseError::KeyMethod(1))
    ));
}

#[test]
fn no_more_than_the_cap_is_ever_held() {
    let mut decoder = KeyMethod2Decoder::new();
    let mut head = vec![0; 117];
    head[4] = 2;
    head.extend([0xff, 0xff]);
    assert!(matches!(decoder.push(&head), Decoded::NeedMore));
    for _ in 0..100 {
        if let Decoded::Malformed(_) = decoder.push(&[0xff; 16384]) {
            assert_eq!(decoder.buffered(), 0);
            return;
        }
        assert!(decoder.buffered() <= MAX_LEN + 16384);
    }
    panic!("never refused");
}

/// A stock message whose options string is `options`, as sent, without its NUL.
fn with_options(options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; CLIENT_FIXED];
    bytes[4] = 2;
    bytes.extend((options.len() as u16 + 1).to_be_bytes());
    bytes.extend(options);
    bytes.extend([0; 7]);
    bytes
}

#[test]
fn the_options_limit_holds_for_the_clean_form() {
    let most = MAX_OPTIONS / char::REPLACEMENT_CHARACTER.len_utf8();
    let message = complete(decode(&with_options(&vec![0xff; most])));
    complete(decode(&message.encode().unwrap()));
    for too_long in [vec![0xff; most + 1], vec![b'a'; MAX_OPTIONS + 1]] {
        assert!(matches!(
            decode(&with_options(&too_long)),
            Decoded::Malformed(ParseError::TooLong { .. })
        ));
    }
    let options = "a".repeat(MAX_OPTIONS + 1);
    let message = KeyMethod2Client {
        options,
        ..alice(Dialect::Stock)
    };
    assert!(matches!(message.encode(), Err(EncodeError::TooLong { .. })));
}

#[test]
fn neither_keys_nor_password_are_shown() {
    let shown = format!("{:?}", alice(Dialect::Stock));
    assert!(!shown.contains("secret") && shown.contains("alice"));
}

fn text(max: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::char::range(' ', '~'), 0..max)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    /// In either dialect, arriving in pieces of any size, with anything behind it.
    #[test]
    fn any_message_encodes_and_decodes_back(
        aws: bool,
        options in text(60),
        username in proptest::option::of(text(40)),
        password in proptest::option::of("[^\0]{0,40}"),
        piece in 1usize..300,
    ) {
        let message = KeyMethod2Client {
            dialect: if aws { Dialect::Aws } else { Dialect::Stock },
            options,
            username,
            password: password.map(Zeroizing::new),
            ..alice(Dialect::Stock)
        };
        let bytes = message.encode().unwrap();
        let mut decoder = KeyMethod2Decoder::new();
        let mut last = Decoded::NeedMore;
        for chunk in bytes.chunks(piece) {
            prop_assert!(matches!(last, Decoded::NeedMore));
            last = decoder.push(chunk);
        }
        let decoded = complete(last);
        prop_assert_eq!(decoded.dialect, message.dialect);
        prop_assert_eq!(&decoded.options, &message.options);
        prop_assert_eq!(&decoded.username, &message.username);
        prop_assert_eq!(&decoded.password, &message.password);
        prop_assert_eq!(&decoded.peer_info, &message.peer_info);
        prop_assert_eq!(decoded.encode().unwrap(), bytes);
    }

    /// Whatever is accepted can be written, unless its clean form has outgrown a field, and reads the same again.
    #[test]
    fn what_decodes_encodes_to_something_that_decodes(
        strings in proptest::array::uniform4(proptest::collection::vec(0x20u8.., 0..1100)),
    ) {
        let mut bytes = with_options(&strings[0]);
        bytes.truncate(bytes.len() - 6);
        for text in &strings[1..] {
            bytes.extend((text.len() as u16 + 1).to_be_bytes());
            bytes.extend(text);
            bytes.push(0);
        }
        if let Decoded::Complete(message) = decode(&bytes) {
            let again = complete(decode(&message.encode().unwrap()));
            prop_assert_eq!(again.options, message.options);
            prop_assert_eq!(again.username, message.username);
            prop_assert_eq!(again.password, message.password);
            prop_assert_eq!(again.peer_info, message.peer_info);
        }
    }

    #[test]
    fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), valid_head: bool, aws: bool) {
        if valid_head && bytes.len() > 5 {
            let total = if aws { bytes.len() as u32 } else { 0 };
            bytes[..4].copy_from_slice(&total.to_le_bytes());
            bytes[4] = 2;
            bytes.iter_mut().skip(117).for_each(|byte| *byte &= 1);
        }
        let mut decoder = KeyMethod2Decoder::new();
        let _ = decoder.push(&bytes);
        let _ = decoder.finish_lenient();
        let _ = KeyMethod2Server::parse(&bytes);
    }
}
