//! Percent-encoding as forms and signatures use it, and pairs of a query string.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Encodes all but unreserved characters, with capital hexadecimal digits.
pub(crate) fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

/// Decodes `%41` and, as forms have it, `+`. A percent sign without two digits stays what it is.
pub(crate) fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if text.contains(&b'+') {
        let spaced: Vec<u8> = text.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
        return Cow::Owned(percent_decode(&spaced).collect());
    }
    percent_decode(text).into()
}

/// Name and value of each pair of a query string or form, still encoded. Empty pairs are skipped.
pub(crate) fn pairs(form: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    form.split(|&b| b == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| match pair.iter().position(|&b| b == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[pair.len()..]),
        })
}

/// Whether XML 1.0 can carry the character. There is no way to escape the others.
pub(crate) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Whether XML 1.0 can carry all of `text`.
pub(crate) fn is_xml_text(text: &str) -> bool {
    text.chars().all(is_xml_char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_may_be_written_in_both_ways_and_plus_signs_in_one() {
        assert_eq!(&*decode(b"a+b%20c%2Bd"), b"a b c+d");
        assert_eq!(&*decode(b"100%"), b"100%");
        assert_eq!(&*decode(b"%zz%4"), b"%zz%4");
    }

    #[test]
    fn unreserved_characters_stay() {
        assert_eq!(encode(b"aZ09-._~/ +\xe1\x88\xb4"), "aZ09-._~%2F%20%2B%E1%88%B4");
    }

    #[test]
    fn pairs_without_value_or_with_several_equal_signs() {
        let found: Vec<_> = pairs(b"a=1&&b&c=&d=x=y&=z").collect();
        let wanted: Vec<(&[u8], &[u8])> = vec![
            (b"a", b"1"),
            (b"b", b""),
            (b"c", b""),
            (b"d", b"x=y"),
            (b"", b"z"),
        ];
        assert_eq!(found, wanted);
    }
}
