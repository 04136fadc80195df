//! IP headers and the in-band messages of the data channel.
#![no_main]

use culvert_wire::ip::IpHeader;
use culvert_wire::occ::{OccMessage, is_ping};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(header) = IpHeader::parse(data) {
        assert!(header.header_len <= header.total_len && header.total_len <= data.len());
    }
    let _ = is_ping(data);
    if let Some(message) = OccMessage::parse(data) {
        let encoded = message.encode();
        assert_eq!(OccMessage::parse(&encoded), Some(message));
    }
});
