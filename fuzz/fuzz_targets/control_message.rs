//! Text messages in a TLS record: what can be encoded again means the same.
#![no_main]

use culvert_wire::challenge::{DynamicChallenge, PasswordField, PendingMethod};
use culvert_wire::message::{ControlMessage, MAX_RECORD};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for message in ControlMessage::parse_record(data) {
        if matches!(message, ControlMessage::Unknown(_)) {
            continue;
        }
        let Ok(record) = message.encode() else { continue };
        assert!(record.len() <= MAX_RECORD && record.ends_with(b"\0"));
        // Cutting and blanking happen on the first way out; from then on nothing changes.
        let Some(again) = ControlMessage::parse_record(&record).next() else {
            continue;
        };
        assert_eq!(std::mem::discriminant(&again), std::mem::discriminant(&message));
    }
    let text = String::from_utf8_lossy(data);
    if let Some(challenge) = DynamicChallenge::parse(&text)
        && let Ok(encoded) = challenge.encode()
    {
        assert_eq!(DynamicChallenge::parse(&encoded), Some(challenge));
    }
    let password = PasswordField::parse(&text);
    assert_eq!(PasswordField::parse(&password.encode()), password);
    let _ = PendingMethod::parse(&text).map(|method| method.message());
});
