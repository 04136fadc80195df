//! The options string and the server's answer to it.
#![no_main]

use culvert_wire::options::OptionsString;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let options = OptionsString::parse(&text);
    let _ = (
        options.cipher(),
        options.auth(),
        options.tun_mtu(),
        options.dev_type(),
        options.proto(),
    );
    let answer = options.mirror();
    assert!(answer.len() < 600 && answer.split(',').any(|field| field == "tls-server"));
});
