//! Imported certificates.

mod import;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::id::CertificateArn;

/// A certificate with its private key and chain, as it was imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its name.
    pub arn: CertificateArn,
    /// The certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub private_key: PrivateKeyPem,
    /// What issued it, up to the authority, PEM; empty if none was given.
    pub chain: String,
    /// When it was first imported.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// When it was imported last.
    #[serde(with = "time::serde::rfc3339")]
    pub imported: OffsetDateTime,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A private key, PEM. Wiped when dropped, never shown, compared in a time that tells nothing but its length.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct PrivateKeyPem(Zeroizing<String>);

impl PrivateKeyPem {
    /// Takes the text over.
    pub fn new(pem: Zeroizing<String>) -> Self {
        Self(pem)
    }

    /// The text, for whoever needs the key itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for PrivateKeyPem {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for PrivateKeyPem {}

/// For the store, whose file only its owner can read.
impl Serialize for PrivateKeyPem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl From<String> for PrivateKeyPem {
    fn from(pem: String) -> Self {
        Self(Zeroizing::new(pem))
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_equal_when_their_text_is() {
        let key = |text: &str| PrivateKeyPem::from(text.to_owned());
        assert_eq!(key("KEY"), key("KEY"));
        for other in ["KEZ", "KE", "KEYS", ""] {
            assert_ne!(key("KEY"), key(other));
        }
    }
}
