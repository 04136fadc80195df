//! Page tokens: none can be made without the key, and ours come back only unchanged.
#![no_main]

use culvert_query::page::{PageKey, Question};
use libfuzzer_sys::fuzz_target;
use time::OffsetDateTime;

fuzz_target!(|data: &[u8]| {
    let key = PageKey::new(&[7; 32]);
    let now = OffsetDateTime::from_unix_timestamp(1_767_225_600).expect("a time");
    let question = Question {
        action: "DescribeClientVpnEndpoints",
        scope: &["123456789012", "us-east-1"],
        filters: &[],
    };
    let text = String::from_utf8_lossy(data);
    if let Ok(cursor) = key.open(&question, &text, now) {
        // A seed: made with this key.
        assert!(cursor.len() < text.len());
    }
    let cursor: String = text.chars().take(200).collect();
    let token = key.seal(&question, &cursor, now);
    assert_eq!(key.open(&question, &token, now).as_ref(), Ok(&cursor));
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let mut changed = token.clone().into_bytes();
    let at = usize::from(*first) % changed.len();
    changed[at] = rest.first().map_or(b'A', |byte| byte & 0x7f);
    let changed = String::from_utf8(changed).expect("ASCII");
    if changed != token {
        assert!(key.open(&question, &changed, now).is_err());
    }
});
