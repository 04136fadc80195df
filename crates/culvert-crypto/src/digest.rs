//! HMAC with the digests that OpenVPN's `auth` option may name here: SHA1, SHA256, SHA512.
//!
//! All from RustCrypto: it uses the processor's SHA instructions, which `ring` does not for SHA-1 (817 against
//! 2,976 ns for a full packet). Keys are expanded once; each use copies the expanded state.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::KeyError;

pub(crate) type HmacSha256 = Hmac<Sha256>;

/// The digest of an HMAC: OpenVPN's `auth` option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AuthDigest {
    /// 20 bytes. OpenVPN's default; still sound in an HMAC.
    #[default]
    Sha1,
    /// 32 bytes.
    Sha256,
    /// 64 bytes.
    Sha512,
}

impl AuthDigest {
    /// Every digest there is.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// Bytes of the longest digest: room that fits any.
    pub const MAX_SIZE: usize = 64;

    /// Reads a name as OpenVPN writes it, in any case: `SHA1`, `SHA256`, `SHA512`.
    ///
    /// # Errors
    /// [`KeyError::UnknownDigest`] for any other, `none` included.
    pub fn from_name(name: &str) -> Result<Self, KeyError> {
        Self::ALL
            .into_iter()
            .find(|digest| digest.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| KeyError::UnknownDigest(name.chars().take(32).collect()))
    }

    /// The name as OpenVPN writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// Bytes of a digest, and of the part of a key slot that an HMAC uses.
    pub fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for AuthDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for AuthDigest {
    type Err = KeyError;

    fn from_str(name: &str) -> Result<Self, KeyError> {
        Self::from_name(name)
    }
}

/// An HMAC key, expanded. Wiped when dropped.
#[derive(Clone)]
pub(crate) enum HmacKey {
    Sha1(Hmac<Sha1>),
    Sha256(HmacSha256),
    Sha512(Hmac<Sha512>),
}

impl HmacKey {
    /// Expands the first [`AuthDigest::size`] bytes of a key slot.
    pub(crate) fn from_slot(digest: AuthDigest, slot: &[u8; 64]) -> Self {
        let (key, _) = slot.split_at(digest.size());
        match digest {
            AuthDigest::Sha1 => Self::Sha1(expand(key)),
            AuthDigest::Sha256 => Self::Sha256(expand(key)),
            AuthDigest::Sha512 => Self::Sha512(expand(key)),
        }
    }

    pub(crate) fn digest(&self) -> AuthDigest {
        match self {
            Self::Sha1(_) => AuthDigest::Sha1,
            Self::Sha256(_) => AuthDigest::Sha256,
            Self::Sha512(_) => AuthDigest::Sha512,
        }
    }

    /// The tag over the concatenation of `parts`.
    #[inline]
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut tag = Tag {
            bytes: [0; AuthDigest::MAX_SIZE],
            len: self.digest().size(),
        };
        match self {
            Self::Sha1(key) => finish(key, parts, &mut tag.bytes),
            Self::Sha256(key) => finish(key, parts, &mut tag.bytes),
            Self::Sha512(key) => finish(key, parts, &mut tag.bytes),
        }
        tag
    }

    /// Compares the tag over `parts` with `claimed` in constant time.
    #[inline]
    pub(crate) fn verify(&self, parts: &[&[u8]], claimed: &[u8]) -> bool {
        self.tag(parts).as_slice().ct_eq(claimed).into()
    }
}

/// A finished tag; its length is the digest's.
pub(crate) struct Tag {
    bytes: [u8; AuthDigest::MAX_SIZE],
    len: usize,
}

impl Tag {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.split_at(self.len).0
    }
}

/// Expands an HMAC key of any length.
pub(crate) fn expand<M: KeyInit>(key: &[u8]) -> M {
    M::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// HMAC-SHA256 over the concatenation of `parts`.
pub(crate) fn hmac_sha256(key: &HmacSha256, parts: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    finish(key, parts, &mut out);
    out
}

#[inline]
fn finish<M: Mac + Clone>(key: &M, parts: &[&[u8]], out: &mut [u8]) {
    let mut mac = key.clone();
    for part in parts {
        mac.update(part);
    }
    for (to, from) in out.iter_mut().zip(mac.finalize().into_bytes()) {
        *to = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn names_are_read_in_any_case_and_the_unsupported_are_refused() {
        for digest in AuthDigest::ALL {
            assert_eq!(AuthDigest::from_name(digest.name()), Ok(digest));
            assert_eq!(AuthDigest::from_name(&digest.name().to_lowercase()), Ok(digest));
        }
        for name in ["", "none", "MD5", "SHA-1", "SHA384", "SHA2"] {
            assert_eq!(
                AuthDigest::from_name(name),
                Err(KeyError::UnknownDigest(name.into()))
            );
        }
    }

    /// RFC 2202 test 2, RFC 4231 test 2: the key "Jefe" padded with zeros is the same HMAC key.
    #[test]
    fn tags_match_the_published_vectors() {
        let mut slot = [0; 64];
        slot[..4].copy_from_slice(b"Jefe");
        let tags = [
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd\
             caeab1a34d4a6b4b636e070a38bce737",
        ];
        for (digest, expected) in AuthDigest::ALL.into_iter().zip(tags) {
            let key = HmacKey::from_slot(digest, &slot);
            assert_eq!(key.digest(), digest);
            let tag = key.tag(&[b"what do ya want ", b"for nothing?"]);
            assert_eq!(tag.as_slice(), hex(expected));
            assert!(key.verify(&[b"what do ya want for nothing?"], tag.as_slice()));
            assert!(!key.verify(&[b"what do ya want for nothing!"], tag.as_slice()));
            assert!(!key.verify(&[b"what do ya want for nothing?"], &tag.as_slice()[1..]));
            assert!(!key.verify(&[b"what do ya want for nothing?"], &[]));
        }
    }
}
