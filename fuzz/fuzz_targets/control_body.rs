//! Control packets after unwrapping: whatever parses must encode to the same bytes.
#![no_main]

use culvert_wire::control::early::EarlyNegotiation;
use culvert_wire::control::{ControlBody, ControlHeader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok((header, body)) = ControlHeader::parse(data) else {
        return;
    };
    assert_eq!(header.encode(), data[..ControlHeader::LEN]);
    let Ok(parsed) = ControlBody::parse(header.first.opcode, body) else {
        return;
    };
    let mut encoded = Vec::new();
    parsed.encode_into(&mut encoded);
    assert_eq!(encoded.len(), parsed.encoded_len());
    assert!(body.starts_with(&encoded));
    if let Ok(early) = EarlyNegotiation::parse(parsed.payload) {
        assert_eq!(EarlyNegotiation::parse(&early.encode()), Ok(early));
    }
});
