//! The data-channel ciphers on offer and their names.

use std::fmt;

use crate::KeyError;

/// A data-channel cipher. Blowfish, DES, CFB, OFB and `none` are not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataCipher {
    /// AES-128 in Galois/Counter mode.
    Aes128Gcm,
    /// AES-192 in Galois/Counter mode.
    Aes192Gcm,
    /// AES-256 in Galois/Counter mode: the usual choice.
    Aes256Gcm,
    /// ChaCha20 with Poly1305: faster on machines without AES instructions.
    ChaCha20Poly1305,
    /// AES-128 in CBC mode with an HMAC: only for clients before 2.4.
    Aes128Cbc,
    /// AES-192 in CBC mode with an HMAC.
    Aes192Cbc,
    /// AES-256 in CBC mode with an HMAC.
    Aes256Cbc,
}

impl DataCipher {
    /// Every cipher there is.
    pub const ALL: [Self; 7] = [
        Self::Aes128Gcm,
        Self::Aes192Gcm,
        Self::Aes256Gcm,
        Self::ChaCha20Poly1305,
        Self::Aes128Cbc,
        Self::Aes192Cbc,
        Self::Aes256Cbc,
    ];

    /// Reads a name as in `IV_CIPHERS` and `data-ciphers`, in any case.
    ///
    /// # Errors
    /// [`KeyError::UnknownCipher`] for any other.
    pub fn from_name(name: &str) -> Result<Self, KeyError> {
        Self::ALL
            .into_iter()
            .find(|cipher| cipher.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| KeyError::UnknownCipher(name.chars().take(32).collect()))
    }

    /// The name as OpenVPN writes it, and as it is pushed to clients.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "AES-128-GCM",
            Self::Aes192Gcm => "AES-192-GCM",
            Self::Aes256Gcm => "AES-256-GCM",
            Self::ChaCha20Poly1305 => "CHACHA20-POLY1305",
            Self::Aes128Cbc => "AES-128-CBC",
            Self::Aes192Cbc => "AES-192-CBC",
            Self::Aes256Cbc => "AES-256-CBC",
        }
    }

    /// True for the ciphers that authenticate by themselves, without an HMAC.
    pub fn is_aead(self) -> bool {
        match self {
            Self::Aes128Gcm | Self::Aes192Gcm | Self::Aes256Gcm | Self::ChaCha20Poly1305 => true,
            Self::Aes128Cbc | Self::Aes192Cbc | Self::Aes256Cbc => false,
        }
    }

    /// Bytes of a key.
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes128Cbc => 16,
            Self::Aes192Gcm | Self::Aes192Cbc => 24,
            Self::Aes256Gcm | Self::Aes256Cbc | Self::ChaCha20Poly1305 => 32,
        }
    }

    /// How much one AES-GCM key may encrypt, in 16-byte blocks plus packets; `None` where no limit applies.
    ///
    /// Source: OpenVPN 2.7 behaviour, after draft-irtf-cfrg-aead-limits.
    pub fn usage_limit(self) -> Option<u64> {
        match self {
            Self::Aes128Gcm | Self::Aes192Gcm | Self::Aes256Gcm => Some((1 << 36) - 1),
            Self::ChaCha20Poly1305 | Self::Aes128Cbc | Self::Aes192Cbc | Self::Aes256Cbc => None,
        }
    }
}

impl fmt::Display for DataCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for DataCipher {
    type Err = KeyError;

    fn from_str(name: &str) -> Result<Self, KeyError> {
        Self::from_name(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_the_unsupported_are_refused() {
        for cipher in DataCipher::ALL {
            assert_eq!(DataCipher::from_name(cipher.name()), Ok(cipher));
            assert_eq!(cipher.name().to_lowercase().parse(), Ok(cipher));
        }
        for name in ["", "none", "BF-CBC", "AES-256-CFB", "AES256GCM", "DES-EDE3-CBC"] {
            assert_eq!(
                DataCipher::from_name(name),
                Err(KeyError::UnknownCipher(name.into()))
            );
        }
    }

    #[test]
    fn only_gcm_has_a_usage_limit() {
        for cipher in DataCipher::ALL {
            assert_eq!(cipher.usage_limit().is_some(), cipher.name().ends_with("GCM"));
            assert_eq!(cipher.is_aead(), !cipher.name().ends_with("CBC"));
        }
    }
}
