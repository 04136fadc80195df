//! Text from and for the other side: always bounded, never with control characters we did not put there.

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine as _};
use zeroize::{Zeroize as _, Zeroizing};

use crate::EncodeError;

/// Base64 that writes padding and accepts it missing, as OpenVPN clients do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(crate) fn base64_encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Decodes base64 into text; `None` if it is not base64 or not UTF-8. Intermediate bytes are wiped.
pub(crate) fn base64_decode_text(text: &str) -> Option<Zeroizing<String>> {
    let bytes = BASE64.decode(text).ok()?;
    match String::from_utf8(bytes) {
        Ok(text) => Some(Zeroizing::new(text)),
        Err(error) => {
            error.into_bytes().zeroize();
            None
        }
    }
}

/// Received bytes as text: invalid UTF-8 becomes U+FFFD, control characters become `_`.
pub(crate) fn printable_lossy(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.extend(
            chunk
                .valid()
                .chars()
                .map(|c| if c.is_control() { '_' } else { c }),
        );
        if !chunk.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
    out
}

/// Received secret bytes as text, without intermediate copies that would outlive the result.
///
/// The result is allocated once, large enough for the worst case of one U+FFFD per byte.
pub(crate) fn secret_lossy(bytes: &[u8]) -> Zeroizing<String> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Zeroizing::new(text.to_owned());
    }
    let mut out = Zeroizing::new(String::with_capacity(bytes.len().saturating_mul(3)));
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
    out
}

/// Text for a person, made fit to send: control characters become blanks, at most `max` bytes are kept.
pub(crate) fn fit(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if out.len() + c.len_utf8() > max {
            break;
        }
        out.push(c);
    }
    out
}

/// The longest prefix of `text` of at most `max` bytes that ends on a character boundary.
pub(crate) fn prefix(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while end > 0 && !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Refuses control characters and those in `also` in a field that must arrive exactly as given.
pub(crate) fn check_chars(what: &'static str, text: &str, also: &[char]) -> Result<(), EncodeError> {
    match text.chars().find(|c| c.is_control() || also.contains(c)) {
        Some(character) => Err(EncodeError::Forbidden { what, character }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fit_cuts_at_a_character_boundary() {
        assert_eq!(fit("aé\nb", 3), "aé");
        assert_eq!(fit("aé\nb", 2), "a");
        assert_eq!(fit("a\nb", 9), "a b");
    }

    #[test]
    fn prefix_never_splits_a_character() {
        assert_eq!(prefix("aéb", 2), "a");
        assert_eq!(prefix("aéb", 3), "aé");
        assert_eq!(prefix("ab", 99), "ab");
    }

    #[test]
    fn base64_padding_is_optional_on_receive() {
        assert_eq!(base64_decode_text("YWxpY2U=").unwrap().as_str(), "alice");
        assert_eq!(base64_decode_text("YWxpY2U").unwrap().as_str(), "alice");
        assert!(base64_decode_text("b'Ti9B'").is_none());
        assert!(base64_decode_text("/////w==").is_none());
    }

    #[test]
    fn received_text_loses_control_characters_and_bad_utf8() {
        assert_eq!(printable_lossy(b"a\nb\xffc"), "a_b\u{fffd}c");
        assert_eq!(secret_lossy(b"a\nb\xffc").as_str(), "a\nb\u{fffd}c");
    }
}
