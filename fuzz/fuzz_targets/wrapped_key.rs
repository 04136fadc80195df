//! The wrapped client key at the end of tls-crypt-v2 packets: lengths that lie, keys of other servers, any metadata.
#![no_main]

use std::sync::LazyLock;

use culvert_crypto::tls_crypt_v2::{MAX_METADATA, Metadata, ServerKey, split_wkc};
use culvert_crypto::{SeededEntropy, StaticKey};
use libfuzzer_sys::fuzz_target;

static SERVER: LazyLock<ServerKey> = LazyLock::new(|| ServerKey::generate(&mut SeededEntropy::new(1)));

fuzz_target!(|data: &[u8]| {
    let mut packet = data.to_vec();
    if let Ok((head, wkc)) = split_wkc(&mut packet) {
        assert_eq!(head.len() + wkc.len(), data.len());
        assert!(SERVER.unwrap(wkc).is_err(), "a forged client key was accepted");
    }
    let metadata = Metadata::UserDefined(data.to_vec());
    let key = StaticKey::from_bytes(&std::array::from_fn(|index| index as u8));
    let Ok(wkc) = SERVER.wrap(&key, &metadata) else {
        assert!(data.len() + 1 > MAX_METADATA);
        return;
    };
    let unwrapped = SERVER.unwrap(&wkc).expect("our own client key");
    assert_eq!((unwrapped.key, unwrapped.metadata), (key, metadata));
});
