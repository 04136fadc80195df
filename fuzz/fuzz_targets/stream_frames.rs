//! TCP framing: the same packets come out however the stream is cut.
#![no_main]

use culvert_wire::stream::FrameDecoder;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((cut, wire)) = data.split_first() else {
        return;
    };
    let mut whole = Vec::new();
    let mut decoder = FrameDecoder::new(1800);
    let end = loop {
        match decoder.next_frame(wire) {
            Ok(Some(range)) => whole.push(wire[range].to_vec()),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    let (mut decoder, mut buffer, mut pieces, mut failed) =
        (FrameDecoder::new(1800), Vec::new(), Vec::new(), None);
    for segment in wire.chunks(usize::from(*cut).max(1)) {
        buffer.extend_from_slice(segment);
        while failed.is_none() {
            match decoder.next_frame(&buffer) {
                Ok(Some(range)) => pieces.push(buffer[range].to_vec()),
                Ok(None) => break,
                Err(error) => failed = Some(error),
            }
        }
        buffer.drain(..decoder.take_consumed());
    }
    assert_eq!((whole, end), (pieces, failed));
});
