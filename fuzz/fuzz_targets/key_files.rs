//! Key files of every kind: what is accepted is written back the same.
#![no_main]

use culvert_crypto::StaticKey;
use culvert_crypto::auth_token::TokenKey;
use culvert_crypto::tls_crypt_v2::{ClientKey, ServerKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Ok(key) = StaticKey::parse(&text) {
        let again = StaticKey::parse(&key.to_text()).expect("our own text");
        assert!(again.bytes() == key.bytes());
    }
    if let Ok(key) = ServerKey::parse(&text) {
        assert!(ServerKey::parse(&key.to_pem()).is_ok());
    }
    if let Ok(key) = ClientKey::parse(&text) {
        let again = ClientKey::parse(&key.to_pem()).expect("our own text");
        assert!(again.wkc() == key.wkc());
    }
    if let Ok(key) = TokenKey::parse(&text) {
        assert!(TokenKey::parse(&key.to_pem()).is_ok());
    }
});
