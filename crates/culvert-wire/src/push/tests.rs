//! Push lists: limits, splitting, and the way back.

use proptest::prelude::*;

use super::*;
use crate::PeerId;
use crate::message::ControlMessage;

const STOCK: &str = "route-gateway 10.8.0.1,topology subnet,ping 5,ping-restart 30,ifconfig 10.8.0.2 255.255.255.0,peer-id 0,cipher AES-256-GCM,protocol-flags cc-exit tls-ekm dyn-tls-crypt,tun-mtu 1500";

fn list(options: &[&str]) -> PushReplyBuilder {
    let mut list = PushReplyBuilder::new(PushKind::Reply);
    for option in options {
        list.push(*option).unwrap();
    }
    list
}

#[test]
fn the_recorded_stock_reply_takes_192_bytes() {
    let options: Vec<&str> = STOCK.split(',').collect();
    let messages = list(&options).messages();
    assert_eq!(messages, [format!("PUSH_REPLY,{STOCK}\0").into_bytes()]);
    assert_eq!(messages[0].len(), 192);
}

#[test]
fn the_recorded_stock_reply_is_understood() {
    let options = PushAssembler::new().push(STOCK).unwrap().unwrap();
    assert_eq!(
        options.ifconfig(),
        Some(([10, 8, 0, 2].into(), [255, 255, 255, 0].into()))
    );
    assert_eq!(
        (options.peer_id(), options.cipher()),
        (PeerId::new(0), Some("AES-256-GCM"))
    );
    assert_eq!(
        (options.topology(), options.tun_mtu()),
        (Some("subnet"), Some(1500))
    );
    assert_eq!(
        options.ping().unwrap().as_secs() + options.ping_restart().unwrap().as_secs(),
        35
    );
    assert!(
        options.tls_ekm() && options.protocol_flag("dyn-tls-crypt") && !options.protocol_flag("aead-epoch")
    );
    assert!(options.auth_token().is_none());
}

#[test]
fn addresses_and_routes_are_read() {
    let text = "ifconfig-ipv6 fd00::1001/64 fd00::1,route 10.0.0.0 255.0.0.0,route 192.0.2.1,route-ipv6 fd01::/16,route bad,key-derivation tls-ekm";
    let options = PushOptions::parse(text).unwrap();
    assert_eq!(
        options.ifconfig_ipv6(),
        Some(("fd00::1001".parse().unwrap(), 64, "fd00::1".parse().unwrap()))
    );
    let routes: Vec<_> = options.routes().collect();
    assert_eq!(
        routes,
        [
            ([10, 0, 0, 0].into(), [255, 0, 0, 0].into()),
            ([192, 0, 2, 1].into(), [255; 4].into())
        ]
    );
    assert_eq!(
        options.routes_ipv6().collect::<Vec<_>>(),
        [("fd01::".parse().unwrap(), 16)]
    );
    assert!(options.tls_ekm());
}

#[test]
fn options_clients_would_misread_are_refused() {
    let mut list = PushReplyBuilder::new(PushKind::Reply);
    assert!(list.push("a,b").is_err());
    assert!(list.push("a\nb").is_err());
    assert!(list.push("  ").is_err());
    assert!(list.push("echo \"open").is_err());
    assert!(list.push("push-continuation 2").is_err());
    assert!(list.push("\"push-continuation\" 2").is_err());
    assert!(list.push("x".repeat(256)).is_err());
    assert!(list.push("x".repeat(255)).is_ok());
    assert!(list.push("w ".repeat(17)).is_err());
    assert!(list.push("w ".repeat(16)).is_ok());
    assert_eq!(list.options().len(), 2);
}

#[test]
fn an_empty_list_keeps_the_comma_openvpn_3_needs() {
    assert_eq!(list(&[]).messages(), [b"PUSH_REPLY,\0".to_vec()]);
}

#[test]
fn an_update_has_its_own_head() {
    let mut update = PushReplyBuilder::new(PushKind::Update);
    update.push("route 10.0.0.0 255.0.0.0").unwrap();
    assert_eq!(
        update.messages(),
        [b"PUSH_UPDATE,route 10.0.0.0 255.0.0.0\0".to_vec()]
    );
}

#[test]
fn long_lists_are_split_with_continuations() {
    let routes: Vec<String> = (0..100)
        .map(|n| format!("route 10.{n}.0.0 255.255.0.0"))
        .collect();
    let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
    let messages = list(&routes).messages();
    assert!(messages.len() > 2);
    let (last, others) = messages.split_last().unwrap();
    assert!(last.ends_with(b",push-continuation 1\0"));
    assert!(
        others
            .iter()
            .all(|message| message.ends_with(b",push-continuation 2\0"))
    );
    assert!(
        messages
            .iter()
            .all(|message| message.len() <= MAX_MESSAGE && message.starts_with(b"PUSH_REPLY,route"))
    );
}

#[test]
fn words_are_split_as_clients_do() {
    let split = |line| options::split_words(line);
    let words = |list: &[&str]| Some(list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    assert_eq!(
        split("echo \"two words\" 'a \"b' c\\ d"),
        words(&["echo", "two words", "a \"b", "c d"])
    );
    assert_eq!(split("a \"\" b # comment"), words(&["a", "", "b"]));
    assert_eq!(split("a#b"), words(&["a#b"]));
    assert_eq!(split("a \"b"), None);
    assert_eq!(split("a\\"), None);
}

#[test]
fn a_series_that_never_ends_is_refused() {
    let mut assembler = PushAssembler::new();
    let part = format!("{},push-continuation 2", "route 10.0.0.0,".repeat(100));
    let error = (0..1000).find_map(|_| assembler.push(&part).err());
    assert!(matches!(error, Some(crate::ParseError::TooLong { .. })));
}

#[test]
fn tokens_are_not_shown() {
    let options = PushOptions::parse("auth-token SESS_ID_AT_x").unwrap();
    assert_eq!(format!("{options:?}"), "[\"auth-token\"]");
}

proptest! {
    #[test]
    fn any_list_survives_splitting(
        lines in proptest::collection::vec("[a-z]([a-z0-9./-]{0,60}( [a-z0-9./-]{1,60}){0,3})?", 0..60),
    ) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (mut assembler, mut complete) = (PushAssembler::new(), None);
        for message in list(&lines).messages() {
            prop_assert!(message.len() <= MAX_MESSAGE);
            prop_assert!(complete.is_none());
            let Some(ControlMessage::PushReply(text)) = ControlMessage::parse_record(&message).next() else {
                panic!("no push reply");
            };
            complete = assembler.push(&text).unwrap();
        }
        let received: Vec<String> = complete.unwrap().iter().map(|words| words.join(" ")).collect();
        prop_assert_eq!(received, lines);
    }

    #[test]
    fn no_text_panics(text in "[-a-z0-9 ,./:\"'\\\\]{0,80}") {
        if let Ok(options) = PushOptions::parse(&text) {
            let _ = (options.ifconfig(), options.ifconfig_ipv6(), options.routes().count(), options.peer_id());
        }
        let _ = validate_option(&text);
    }
}

/// What an update makes of options; nothing if it is refused.
fn updated(before: &str, update: &str) -> Option<String> {
    let mut options = PushOptions::parse(before).unwrap();
    let taken = options.update(&PushOptions::parse(update).unwrap());
    let words: Vec<String> = options.iter().map(|words| words.join(" ")).collect();
    taken.ok().map(|()| words.join(","))
}

#[test]
fn an_update_replaces_options_by_name() {
    let before = "route 10.1.0.0 255.255.0.0,route 10.2.0.0 255.255.0.0,topology subnet,ping 10";
    assert_eq!(
        updated(before, "route 10.3.0.0 255.255.0.0,route 10.4.0.0 255.255.0.0").unwrap(),
        "topology subnet,ping 10,route 10.3.0.0 255.255.0.0,route 10.4.0.0 255.255.0.0"
    );
    assert_eq!(
        updated(before, "-route,block-ipv6").unwrap(),
        "topology subnet,ping 10,block-ipv6"
    );
    assert_eq!(updated(before, "-dns,?sndbuf 1,-?rcvbuf").unwrap(), before);
    assert_eq!(updated(before, "-route,ping 20"), None);
}

#[test]
fn new_routes_switch_redirection_off_and_new_dns_drops_the_older_form() {
    let before = "redirect-gateway def1,dhcp-option DNS 10.0.0.1,dns server 0 address 10.0.0.1";
    assert_eq!(
        updated(before, "route 10.3.0.0 255.255.0.0,-dns").unwrap(),
        "route 10.3.0.0 255.255.0.0"
    );
    assert_eq!(
        updated(
            before,
            "route 10.3.0.0 255.255.0.0,redirect-gateway def1,-dns,dhcp-option DNS 10.0.0.2"
        )
        .unwrap(),
        "route 10.3.0.0 255.255.0.0,redirect-gateway def1,dhcp-option DNS 10.0.0.2"
    );
}

#[test]
fn a_long_update_is_a_series_that_says_so() {
    let mut builder = PushReplyBuilder::new(PushKind::Update);
    for net in 0..60 {
        builder.push(format!("route 10.{net}.0.0 255.255.0.0")).unwrap();
    }
    let mut assembler = PushAssembler::new();
    let messages = builder.messages();
    assert!(messages.len() > 1);
    let (last, others) = messages.split_last().unwrap();
    for message in others {
        let text = std::str::from_utf8(message).unwrap().trim_end_matches('\0');
        assert!(text.ends_with(",push-continuation 2"));
        assert_eq!(
            assembler
                .push(text.strip_prefix("PUSH_UPDATE,").unwrap())
                .unwrap(),
            None
        );
    }
    let text = std::str::from_utf8(last).unwrap().trim_end_matches('\0');
    assert!(text.ends_with(",push-continuation 1"));
    let text = text.strip_prefix("PUSH_UPDATE,").unwrap();
    assert_eq!(assembler.push(text).unwrap().unwrap().routes().count(), 60);
}
