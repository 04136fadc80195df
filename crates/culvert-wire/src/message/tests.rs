//! Control messages: documented forms, lenient receive, limits.

use proptest::prelude::*;

use super::*;
use crate::challenge::DynamicChallenge;

fn parsed(text: &str) -> ControlMessage {
    ControlMessage::parse(text.as_bytes()).unwrap()
}

fn encoded(message: &ControlMessage) -> String {
    let mut record = message.encode().unwrap();
    assert_eq!(record.pop(), Some(0));
    String::from_utf8(record).unwrap()
}

fn both(message: ControlMessage, text: &str) {
    assert_eq!(encoded(&message), text);
    assert_eq!(parsed(text), message);
}

#[test]
fn messages_have_their_documented_text() {
    both(ControlMessage::PushRequest, "PUSH_REQUEST");
    both(
        ControlMessage::PushReply("ping 10,topology subnet".into()),
        "PUSH_REPLY,ping 10,topology subnet",
    );
    both(
        ControlMessage::PushUpdate("route 10.0.0.0".into()),
        "PUSH_UPDATE,route 10.0.0.0",
    );
    both(
        ControlMessage::AuthPending { timeout: Some(60) },
        "AUTH_PENDING,timeout 60",
    );
    both(ControlMessage::AuthPending { timeout: None }, "AUTH_PENDING");
    both(
        ControlMessage::InfoPre("OPEN_URL:https://a".into()),
        "INFO_PRE,OPEN_URL:https://a",
    );
    both(ControlMessage::Info("hello, world".into()), "INFO,hello, world");
    both(
        ControlMessage::CrResponse(Zeroizing::new("123456".into())),
        "CR_RESPONSE,MTIzNDU2",
    );
    both(
        ControlMessage::restart("server is stopping"),
        "RESTART,server is stopping",
    );
    both(
        ControlMessage::Restart {
            keep_password: false,
            next_server: true,
            reason: None,
        },
        "RESTART,[N]",
    );
    both(
        ControlMessage::Restart {
            keep_password: false,
            next_server: false,
            reason: None,
        },
        "RESTART",
    );
    both(
        ControlMessage::Halt {
            reason: Some("bye".into()),
        },
        "HALT,bye",
    );
    both(ControlMessage::Halt { reason: None }, "HALT");
    both(ControlMessage::Exit, "EXIT");
}

#[test]
fn openvpn_3_writes_a_colon_before_the_restart_reason() {
    let message = ControlMessage::Restart {
        keep_password: true,
        next_server: false,
        reason: Some("x".into()),
    };
    assert_eq!(parsed("RESTART,[P]:x"), message);
}

#[test]
fn refusals_have_their_documented_text() {
    let failed = |failure| ControlMessage::AuthFailed(failure);
    both(failed(AuthFailed::Plain), "AUTH_FAILED");
    both(
        failed(AuthFailed::Reason("no shared cipher".into())),
        "AUTH_FAILED,no shared cipher",
    );
    both(
        failed(AuthFailed::Session("token expired".into())),
        "AUTH_FAILED,SESSION: token expired",
    );
    let temporary = |backoff, advance, reason: Option<&str>| {
        failed(AuthFailed::Temporary {
            backoff,
            advance,
            reason: reason.map(str::to_owned),
        })
    };
    both(temporary(None, None, None), "AUTH_FAILED,TEMP");
    both(temporary(None, None, Some("busy")), "AUTH_FAILED,TEMP:busy");
    both(
        temporary(Some(7), None, Some("busy")),
        "AUTH_FAILED,TEMP[backoff 7]:busy",
    );
    both(
        temporary(Some(7), Some(Advance::Addr), None),
        "AUTH_FAILED,TEMP[backoff 7,advance addr]",
    );
    both(
        failed(AuthFailed::Challenge(DynamicChallenge::new("s", "u", "Code:"))),
        "AUTH_FAILED,CRV1:R:s:dQ==:Code:",
    );
}

#[test]
fn a_reason_is_never_taken_for_another_form() {
    for reason in ["TEMP", "TEMP:x", "SESSION: x", "CRV1:R:a:b:c"] {
        let message = ControlMessage::AuthFailed(AuthFailed::Reason(reason.into()));
        let text = encoded(&message);
        assert!(text.starts_with("AUTH_FAILED, "), "{text}");
    }
    assert_eq!(
        parsed("AUTH_FAILED,TEMPORARY"),
        ControlMessage::AuthFailed(AuthFailed::Reason("TEMPORARY".into()))
    );
}

#[test]
fn long_reasons_are_cut_and_control_characters_blanked() {
    let reason = format!("a\nb\0c{}", "é".repeat(2000));
    for message in [
        ControlMessage::AuthFailed(AuthFailed::Reason(reason.clone())),
        ControlMessage::AuthFailed(AuthFailed::Session(reason.clone())),
        ControlMessage::AuthFailed(AuthFailed::Temporary {
            backoff: Some(u32::MAX),
            advance: Some(Advance::Remote),
            reason: Some(reason.clone()),
        }),
        ControlMessage::restart(&reason),
        ControlMessage::Halt { reason: Some(reason) },
    ] {
        assert!(message.encode().unwrap().len() <= MAX_MESSAGE);
        assert!(encoded(&message).contains("a b c"));
    }
}

#[test]
fn exact_text_is_refused_instead_of_cut() {
    assert!(ControlMessage::InfoPre("x".repeat(1014)).encode().is_ok());
    assert!(ControlMessage::InfoPre("x".repeat(1015)).encode().is_err());
    assert!(ControlMessage::Info("a\nb".into()).encode().is_err());
}

#[test]
fn a_challenge_may_fill_the_record_that_clients_read() {
    let challenge = |len| {
        let text = "x".repeat(len);
        ControlMessage::AuthFailed(AuthFailed::Challenge(DynamicChallenge::new("s", "", text))).encode()
    };
    let head = "AUTH_FAILED,CRV1:R:s::".len();
    assert_eq!(challenge(MAX_RECORD - 1 - head).unwrap().len(), MAX_RECORD);
    assert!(challenge(MAX_RECORD - head).is_err());
}

#[test]
fn records_are_split_at_nuls_and_line_ends_dropped() {
    let record = b"\0PUSH_REQUEST\r\n\0\0EXIT\0trailing";
    let messages: Vec<_> = ControlMessage::parse_record(record).collect();
    let unknown = ControlMessage::Unknown("trailing".into());
    assert_eq!(
        messages,
        [ControlMessage::PushRequest, ControlMessage::Exit, unknown]
    );
    assert_eq!(ControlMessage::parse_record(b"\0\0\n\0").count(), 0);
}

#[test]
fn unknown_messages_keep_a_short_first_word() {
    let text = format!("{},secret", "X".repeat(500));
    assert_eq!(parsed(&text), ControlMessage::Unknown("X".repeat(64)));
    assert_eq!(
        parsed("CR_RESPONSE,!!"),
        ControlMessage::Unknown("CR_RESPONSE".into())
    );
}

#[test]
fn secrets_are_not_shown() {
    let answer = ControlMessage::CrResponse(Zeroizing::new("123456".into()));
    let reply = ControlMessage::PushReply("auth-token SESS_ID_AT_x".into());
    assert!(!format!("{answer:?} {reply:?}").contains("123456"));
    assert!(!format!("{reply:?}").contains("SESS"));
}

proptest! {
    #[test]
    fn texts_encode_and_decode_back(text in "[!-~]([ -~]{0,60}[!-~])?", seconds: u32, kind in 0..10) {
        let reason = Some(text.trim_start_matches(['[', ':', ' ']).to_owned()).filter(|text| !text.is_empty());
        let message = match kind {
            0 => ControlMessage::PushReply(text),
            1 => ControlMessage::PushUpdate(text),
            2 => ControlMessage::AuthPending { timeout: Some(seconds) },
            3 => ControlMessage::InfoPre(text),
            4 => ControlMessage::Info(text),
            5 => ControlMessage::CrResponse(Zeroizing::new(text)),
            6 => ControlMessage::Restart { keep_password: seconds & 1 == 0, next_server: seconds & 2 == 0, reason },
            7 => ControlMessage::Halt { reason },
            8 => ControlMessage::AuthFailed(AuthFailed::Session(text)),
            _ => ControlMessage::AuthFailed(AuthFailed::Temporary {
                backoff: Some(seconds),
                advance: Some(Advance::No),
                reason,
            }),
        };
        let record = message.encode().unwrap();
        let decoded: Vec<_> = ControlMessage::parse_record(&record).collect();
        prop_assert_eq!(decoded, [message]);
    }

    /// A reason with odd words in front still decodes as a reason with a blank before it, or as given.
    #[test]
    fn reasons_stay_reasons(text in "(TEMP|SESSION:|CRV1:)?[ -~]{0,40}") {
        let text = text.trim().to_owned();
        let record = ControlMessage::AuthFailed(AuthFailed::Reason(text)).encode().unwrap();
        prop_assert!(record.len() <= MAX_MESSAGE);
        let all_plain = ControlMessage::parse_record(&record).all(|message| matches!(message, ControlMessage::AuthFailed(_)));
        prop_assert!(all_plain);
    }

    #[test]
    fn no_record_panics(record in proptest::collection::vec(any::<u8>(), 0..200)) {
        for message in ControlMessage::parse_record(&record) {
            let _ = message.encode();
        }
    }
}
