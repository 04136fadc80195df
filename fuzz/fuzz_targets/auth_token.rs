//! Auth tokens as clients send them: no forged one is good, whatever its shape.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use culvert_crypto::SeededEntropy;
use culvert_crypto::auth_token::{TokenKey, TokenLimits, TokenVerdict, looks_like_token};
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 0x6543_2100;

static KEY: LazyLock<TokenKey> = LazyLock::new(|| TokenKey::generate(&mut SeededEntropy::new(1)));

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (user, password) = text.split_once('\0').unwrap_or(("alice", &text));
    let limits = TokenLimits {
        renewal: Duration::from_secs(3600),
        lifetime: None,
    };
    let _ = looks_like_token(password);
    assert_eq!(KEY.verify(user, password, NOW, limits), TokenVerdict::Invalid);
    let token = KEY.issue(user, NOW, &mut SeededEntropy::new(data.len() as u64));
    assert!(looks_like_token(&token));
    assert!(matches!(
        KEY.verify(user, &token, NOW, limits),
        TokenVerdict::Valid { .. }
    ));
});
