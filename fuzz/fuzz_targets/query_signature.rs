//! A whole HTTP request as text: what verifies is noticed when it is changed.
#![no_main]

use culvert_query::sigv4::{Credential, Verifier};
use culvert_query::{Method, Request};
use libfuzzer_sys::fuzz_target;
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// 2026-01-01T00:00:00Z, when the seeds were signed.
const NOW: i64 = 1_767_225_600;

fuzz_target!(|data: &[u8]| {
    let Some((request, body)) = split(data) else {
        return;
    };
    let Some((method, target)) = request[0].split_once(' ') else {
        return;
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(&str, &[u8])> = request[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name, value.as_bytes()))
        .collect();
    let verify = |body: &[u8]| {
        let request = Request {
            method: Method::from_name(method).unwrap_or(Method::Post),
            path,
            query,
            headers: &headers,
            body,
        };
        let lookup = |id: &str| {
            (id == "AKIDEXAMPLE").then(|| Credential {
                secret: Zeroizing::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
                session_token: None,
            })
        };
        let now = OffsetDateTime::from_unix_timestamp(NOW).expect("a time");
        Verifier::new(Some("us-east-1".to_owned()), ["ec2", "sts", "acm"]).verify(&request, &lookup, now)
    };
    if verify(body).is_ok() {
        let longer = [body, b"x"].concat();
        assert!(verify(&longer).is_err(), "the body is signed");
    }
});

/// Lines of the head, and the body behind the first empty line.
fn split(data: &[u8]) -> Option<(Vec<&str>, &[u8])> {
    let end = data.windows(2).position(|two| two == b"\n\n")?;
    let head = std::str::from_utf8(&data[..end]).ok()?;
    Some((head.split('\n').collect(), &data[end + 2..]))
}
