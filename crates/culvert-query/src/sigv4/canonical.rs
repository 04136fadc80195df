//! The canonical request: one text for all ways to write the same request.

use std::collections::BTreeSet;

use super::claim::SIGNATURE_PARAMETER;
use crate::Request;
use crate::encoding::{decode, encode, pairs};

/// The text whose hash is signed. `signed_headers` are in lower case and sorted.
pub(super) fn request(request: &Request<'_>, signed_headers: &[String], body_hash: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    let mut line = |parts: &[&[u8]]| {
        parts.iter().for_each(|part| text.extend_from_slice(part));
        text.push(b'\n');
    };
    line(&[request.method.name().as_bytes()]);
    line(&[path(request.path).as_bytes()]);
    line(&[query(request.query).as_bytes()]);
    for name in signed_headers {
        let values: Vec<_> = request.header_values(name).map(trimmed).collect();
        line(&[name.as_bytes(), b":", &values.join(&b','), b""]);
    }
    line(&[]);
    line(&[signed_headers.join(";").as_bytes()]);
    text.extend_from_slice(body_hash.as_bytes());
    text
}

/// The path without empty segments and dots, encoded once more than it was sent.
fn path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(encode(segment.as_bytes())),
        }
    }
    let end = if path.ends_with('/') && !segments.is_empty() {
        "/"
    } else {
        ""
    };
    ["/", &segments.join("/"), end].concat()
}

/// The pairs sorted by encoded name, then value; encoded in one way however they were sent.
fn query(query: &str) -> String {
    let mut sorted: Vec<_> = pairs(query.as_bytes())
        .map(|(name, value)| (decode(name), decode(value)))
        .filter(|(name, _)| &**name != SIGNATURE_PARAMETER.as_bytes())
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    sorted.sort();
    let pairs: Vec<_> = sorted
        .iter()
        .map(|(name, value)| [&**name, value].join("="))
        .collect();
    pairs.join("&")
}

/// The value without surrounding spaces, inner runs of them made one. Line breaks count as spaces, so that no value
/// can look like a second header.
fn trimmed(value: &[u8]) -> Vec<u8> {
    let words: Vec<_> = value
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .collect();
    words.join(&b' ')
}

/// Whether `names` are header names in lower case, each once, in order: there is one way to write them.
pub(super) fn is_canonical_list(names: &[String]) -> bool {
    let sorted: BTreeSet<_> = names.iter().collect();
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    sorted.into_iter().eq(names)
        && names
            .iter()
            .all(|name| !name.is_empty() && name.bytes().all(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_and_encoded_again() {
        assert_eq!(path(""), "/");
        assert_eq!(path("//a/./b/../c%20d//"), "/a/c%2520d/");
        assert_eq!(path("/../.."), "/");
    }

    #[test]
    fn one_text_for_all_ways_to_write_a_query() {
        assert_eq!(query("b=2&a=x+y&a=%7e&&c"), "a=x%20y&a=~&b=2&c=");
        assert_eq!(query("a=x%20y&a=~&b=2&c="), query("c=&b=2&a=%7E&a=x+y"));
        assert_ne!(query("a=x+y"), query("a=x%2By"));
        assert_eq!(query("X-Amz-Signature=00&a=1&X%2DAmz-Signature=0"), "a=1");
    }

    #[test]
    fn values_cannot_forge_lines() {
        assert_eq!(trimmed(b"  a \t b\r\nhost:evil "), b"a b host:evil");
    }

    #[test]
    fn only_sorted_lower_case_names_are_canonical() {
        let list = |text: &str| is_canonical_list(&text.split(';').map(str::to_owned).collect::<Vec<_>>());
        assert!(list("content-type;host;x-amz-date"));
        for bad in [
            "host;content-type",
            "Host",
            "host;host",
            "",
            "host;",
            "ho\nst",
            "a b;host",
        ] {
            assert!(!list(bad), "{bad:?}");
        }
    }
}
