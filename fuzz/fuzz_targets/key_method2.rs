//! The key exchange message of either side, in both dialects and in pieces.
#![no_main]

use culvert_wire::key_method2::{Decoded, KeyMethod2Decoder, KeyMethod2Server};
use culvert_wire::options::OptionsString;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = KeyMethod2Server::parse(data);
    let Some((cut, message)) = data.split_first() else {
        return;
    };
    let mut decoder = KeyMethod2Decoder::new();
    for piece in message.chunks(usize::from(*cut).max(1)) {
        match decoder.push(piece) {
            Decoded::NeedMore => assert!(decoder.buffered() <= message.len()),
            Decoded::Malformed(_) => return,
            Decoded::Complete(parsed) => {
                // Text that was cut or replaced on the way in comes back in its clean form.
                let Ok(encoded) = parsed.encode() else { return };
                let Decoded::Complete(again) = KeyMethod2Decoder::new().push(&encoded) else {
                    panic!("the encoded message does not decode")
                };
                assert_eq!(
                    (again.username, again.peer_info),
                    (parsed.username, parsed.peer_info)
                );
                let answer = OptionsString::parse(&parsed.options).mirror();
                assert!(answer.len() < 600);
                return;
            }
        }
    }
    let _ = decoder.finish_lenient();
});
