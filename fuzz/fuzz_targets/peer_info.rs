//! Peer info and the choice of a cipher from it: what is kept is bounded and parses to itself.
#![no_main]

use culvert_wire::ncp::choose_cipher;
use culvert_wire::options::OptionsString;
use culvert_wire::peer_info::{MAX_LEN, MAX_LINES, PeerInfo};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let info = PeerInfo::parse(&text);
    assert!(info.as_str().len() <= MAX_LEN && info.iter().count() <= MAX_LINES);
    assert_eq!(PeerInfo::parse(info.as_str()), info);
    let _ = (
        info.iv_proto(),
        info.iv_mtu(),
        info.iv_ncp(),
        info.iv_sso().count(),
    );
    let chosen = choose_cipher(
        ["AES-256-GCM", "AES-128-GCM"],
        &info,
        &OptionsString::parse(&text),
    );
    assert!(chosen.is_none_or(|cipher| text.contains("IV_NCP") || text.contains(cipher.name)));
});
