//! A read from the TUN device, virtio header first: whatever it holds, the segments are as many, as large and as long in all
//! as announced, and what was cut can be joined and cut again without a difference.
#![no_main]

use culvert_fuzz::tun::{MOST, cut, join};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The device hands out no more, and always a whole header.
    if !(10..65_545).contains(&data.len()) {
        return;
    }
    let segments = cut(data);
    assert!(segments.iter().all(|segment| !segment.is_empty()));
    if !(2..=MOST).contains(&segments.len()) {
        return;
    }
    // The second time around every length and checksum is right, unless the headers never made sense.
    let again: Vec<_> = join(&segments).iter().flat_map(|write| cut(write)).collect();
    assert_eq!(segments.len(), again.len());
    assert!(segments == again);
});
