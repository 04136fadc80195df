//! Imported certificates.

use std::collections::BTreeMap;
use std::fmt;

use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::id::CertificateArn;

/// A certificate with its private key and chain, as it was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub created: OffsetDateTime,
    /// When it was imported last.
    pub imported: OffsetDateTime,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A private key, PEM. Wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
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

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem(..)")
    }
}
