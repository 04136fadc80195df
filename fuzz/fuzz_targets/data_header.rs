//! The first byte of any packet and the header of data packets.
#![no_main]

use culvert_wire::FirstByte;
use culvert_wire::data::DataHeader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(first) = FirstByte::peek(data) {
        assert_eq!(first.encode(), data[0]);
    }
    if let Ok(header) = DataHeader::parse(data) {
        assert_eq!(header.encode()[..], data[..header.len]);
    }
});
