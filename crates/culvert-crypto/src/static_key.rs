//! The 256-byte static key: `tls-auth` and `tls-crypt` key files, tls-crypt-v2 client keys, dynamic keys.
//!
//! ```text
//! | keys[0].cipher 64 | keys[0].hmac 64 | keys[1].cipher 64 | keys[1].hmac 64 |
//! ```

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::pem;
use crate::{Entropy, KeyError};

/// The name between the dashes of a static key file.
const NAME: &str = "OpenVPN Static key V1";

/// 256 bytes of key material in OpenVPN's two-way layout. On the heap, so that moving it leaves no copies;
/// wiped when dropped; compares in constant time.
///
/// Source: wire draft, "static key file".
#[derive(Clone)]
pub struct StaticKey(Box<[u8; Self::LEN]>);

impl StaticKey {
    /// Bytes of a static key.
    pub const LEN: usize = 256;

    /// Copies the raw bytes.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let mut key = Self(Box::new([0; Self::LEN]));
        key.0.copy_from_slice(bytes);
        key
    }

    /// Draws a new key.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut key = Self(Box::new([0; Self::LEN]));
        entropy.fill(&mut *key.0);
        key
    }

    /// Reads a key file, or the text between inline tags of a profile: hexadecimal digits in either case
    /// between the BEGIN and END lines, in lines of any length.
    ///
    /// # Errors
    /// [`KeyError`]: no such key in it, another kind of key, cut short, not hexadecimal, all zero.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let body = pem::find(text, NAME)?;
        let mut key = Self(Box::new([0; Self::LEN]));
        let mut digits = 0;
        for (index, line) in body.text.split('\n').enumerate() {
            for byte in line.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
                let value = char::from(byte).to_digit(16).ok_or(KeyError::NotHex {
                    line: body.first_line + index,
                })?;
                if let Some(slot) = key.0.get_mut(digits / 2) {
                    *slot = (*slot << 4) | value as u8;
                }
                digits += 1;
            }
        }
        if digits != 2 * Self::LEN {
            return Err(KeyError::WrongLength {
                wanted: "exactly 256",
                found: digits / 2,
            });
        }
        if is_zero(&*key.0) {
            return Err(KeyError::Weak);
        }
        Ok(key)
    }

    /// Writes a key file as OpenVPN does: 16 lines of 32 lower-case digits.
    pub fn to_text(&self) -> Zeroizing<String> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = Zeroizing::new(String::with_capacity(1024));
        pem::begin(&mut text, NAME);
        for line in self.0.chunks(16) {
            for byte in line {
                for nibble in [byte >> 4, byte & 15] {
                    text.push(char::from(DIGITS[usize::from(nibble)]));
                }
            }
            text.push('\n');
        }
        pem::end(&mut text, NAME);
        text
    }

    /// The raw bytes. Handle with the same care as the key itself.
    pub fn bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// XORs `other` into this key: the derivation of dynamic tls-crypt keys.
    pub(crate) fn xor(&mut self, other: &[u8; Self::LEN]) {
        for (byte, with) in self.0.iter_mut().zip(other) {
            *byte ^= with;
        }
    }

    /// The 64-byte cipher slot of `keys[0]` or `keys[1]`.
    pub(crate) fn cipher_slot(&self, slot: Slot) -> &[u8; 64] {
        self.slot(2 * slot as usize)
    }

    /// The 64-byte HMAC slot of `keys[0]` or `keys[1]`.
    pub(crate) fn hmac_slot(&self, slot: Slot) -> &[u8; 64] {
        self.slot(2 * slot as usize + 1)
    }

    fn slot(&self, index: usize) -> &[u8; 64] {
        let (slots, _) = self.0.as_chunks::<64>();
        &slots[index]
    }
}

impl Drop for StaticKey {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaticKey(..)")
    }
}

impl PartialEq for StaticKey {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_slice(), other.0.as_slice()).into()
    }
}

impl Eq for StaticKey {}

/// Half of the layout.
#[derive(Clone, Copy)]
pub(crate) enum Slot {
    /// `keys[0]`.
    Keys0 = 0,
    /// `keys[1]`.
    Keys1 = 1,
}

/// OpenVPN's `key-direction`: which half of a tls-auth key **this side** sends with. The other side is
/// configured with the [opposite](Self::opposite).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyDirection {
    /// Sends with `keys[0]`, receives with `keys[1]`; customary for servers.
    Zero,
    /// Sends with `keys[1]`, receives with `keys[0]`; customary for clients.
    One,
    /// No direction: both sides use `keys[0]` both ways.
    #[default]
    Both,
}

impl KeyDirection {
    /// What the other side must be configured with.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Zero => Self::One,
            Self::One => Self::Zero,
            Self::Both => Self::Both,
        }
    }

    pub(crate) fn send_slot(self) -> Slot {
        match self {
            Self::Zero | Self::Both => Slot::Keys0,
            Self::One => Slot::Keys1,
        }
    }

    pub(crate) fn receive_slot(self) -> Slot {
        self.opposite().send_slot()
    }
}

/// True if every byte is zero; takes the same time for all inputs of a length.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |all, byte| all | byte) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededEntropy;
    use crate::testing::counting_key;

    #[test]
    fn a_generated_key_reads_back_from_its_text() {
        let key = StaticKey::generate(&mut SeededEntropy::new(1));
        let text = key.to_text();
        assert_eq!(text.lines().count(), 18);
        assert!(text.lines().skip(1).take(16).all(|line| line.len() == 32));
        assert_eq!(StaticKey::parse(&text).unwrap(), key);
    }

    #[test]
    fn layout_case_comments_and_inline_tags_do_not_matter() {
        let digits: String = (0..=255).map(|byte: u8| format!("{byte:02X}")).collect();
        let text = format!(
            "<tls-auth>\r\n# 2048 bit OpenVPN static key\r\n-----BEGIN {NAME}-----\r\n{}\r\n {} \r\n-----END {NAME}-----\r\n</tls-auth>",
            &digits[..333],
            &digits[333..]
        );
        assert_eq!(StaticKey::parse(&text).unwrap(), counting_key());
    }

    #[test]
    fn broken_files_say_what_is_wrong_and_where() {
        let text = counting_key().to_text();
        assert_eq!(
            StaticKey::parse(&text.replacen("\n20", "\n2x", 1)).unwrap_err(),
            KeyError::NotHex { line: 4 }
        );
        assert!(matches!(
            StaticKey::parse(&text.replacen("\n20", "\n", 1)).unwrap_err(),
            KeyError::WrongLength { found: 255, .. }
        ));
        assert!(matches!(
            StaticKey::parse(&text.replacen("\n20", "\n2020", 1)).unwrap_err(),
            KeyError::WrongLength { found: 257, .. }
        ));
        let zero = StaticKey::from_bytes(&[0; 256]).to_text();
        assert_eq!(StaticKey::parse(&zero).unwrap_err(), KeyError::Weak);
        assert!(matches!(
            StaticKey::parse("-----BEGIN CERTIFICATE-----\n").unwrap_err(),
            KeyError::WrongKind { .. }
        ));
    }

    #[test]
    fn debug_output_shows_no_key() {
        assert_eq!(format!("{:?}", counting_key()), "StaticKey(..)");
    }

    #[test]
    fn slots_follow_the_two_way_layout() {
        let key = counting_key();
        assert_eq!(key.cipher_slot(Slot::Keys0)[0], 0);
        assert_eq!(key.hmac_slot(Slot::Keys0)[0], 64);
        assert_eq!(key.cipher_slot(Slot::Keys1)[0], 128);
        assert_eq!(key.hmac_slot(Slot::Keys1)[63], 255);
    }
}
