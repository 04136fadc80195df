//! Reading PEM text of mixed content: certificates, keys and revocation lists in one pass.
//!
//! The only module that names `rustls_pemfile`. Everything here is told what the text *is for*, so that a
//! refusal can say which setting holds the wrong file.

use rustls_pemfile::Item;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// Why PEM text was not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// The text is no PEM at all, or a block in it is damaged.
    #[error(
        "{what}: the PEM text is damaged ({reason}); check that the file was copied whole, with its BEGIN and END lines"
    )]
    Damaged {
        /// Which input it was, in the operator's words.
        what: String,
        /// What the decoder said.
        reason: String,
    },
    /// The text has no block of the wanted kind.
    #[error("{what}: no {wanted} found; {found}")]
    Missing {
        /// Which input it was, in the operator's words.
        what: String,
        /// The PEM label that was looked for.
        wanted: &'static str,
        /// What was found instead, as a sentence.
        found: String,
    },
    /// The private key is protected by a passphrase.
    #[error(
        "{what}: the private key is encrypted; remove its passphrase, for example with `openssl pkey -in KEY -out PLAIN`"
    )]
    Encrypted {
        /// Which input it was, in the operator's words.
        what: String,
    },
}

/// Everything of interest in one PEM text, in file order.
#[derive(Debug, Default)]
pub struct PemContents {
    /// `CERTIFICATE` blocks, as DER.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Private keys of any of the three usual encodings.
    pub keys: Vec<PrivateKeyDer<'static>>,
    /// `X509 CRL` blocks, as DER.
    pub crls: Vec<CertificateRevocationListDer<'static>>,
}

impl PemContents {
    /// Reads every block of `text`. Unknown labels and text between blocks are skipped, as easy-rsa and
    /// `openssl x509 -text` write plenty of both.
    ///
    /// # Errors
    /// [`PemError::Damaged`] for a block that does not decode, [`PemError::Encrypted`] for a private key
    /// under a passphrase.
    pub fn read(what: &str, text: &[u8]) -> Result<Self, PemError> {
        let mut contents = Self::default();
        let mut input = text;
        for item in rustls_pemfile::read_all(&mut input) {
            let item = item.map_err(|error| PemError::Damaged {
                what: what.to_owned(),
                reason: error.to_string(),
            })?;
            match item {
                Item::X509Certificate(der) => contents.certificates.push(der),
                Item::Pkcs1Key(key) => contents.keys.push(key.into()),
                Item::Pkcs8Key(key) => contents.keys.push(key.into()),
                Item::Sec1Key(key) => contents.keys.push(key.into()),
                Item::Crl(der) => contents.crls.push(der),
                _ => {}
            }
        }
        if contents.keys.is_empty() && mentions(text, b"ENCRYPTED") {
            return Err(PemError::Encrypted {
                what: what.to_owned(),
            });
        }
        Ok(contents)
    }

    /// Says in one sentence what the text held, for the error that misses something.
    fn found(&self) -> String {
        if self.certificates.is_empty() && self.keys.is_empty() && self.crls.is_empty() {
            return "the text holds no PEM block at all".to_owned();
        }
        format!(
            "the text holds {} certificate(s), {} private key(s) and {} revocation list(s)",
            self.certificates.len(),
            self.keys.len(),
            self.crls.len()
        )
    }
}

/// Reads one or more certificates.
///
/// # Errors
/// As [`PemContents::read`], and [`PemError::Missing`] when there is none.
pub fn certificates(what: &str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let contents = PemContents::read(what, text)?;
    if contents.certificates.is_empty() {
        return Err(PemError::Missing {
            what: what.to_owned(),
            wanted: "certificate (-----BEGIN CERTIFICATE-----)",
            found: contents.found(),
        });
    }
    Ok(contents.certificates)
}

/// Reads the first private key.
///
/// # Errors
/// As [`PemContents::read`], and [`PemError::Missing`] when there is none.
pub fn private_key(what: &str, text: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let mut contents = PemContents::read(what, text)?;
    if contents.keys.is_empty() {
        return Err(PemError::Missing {
            what: what.to_owned(),
            wanted: "private key (-----BEGIN PRIVATE KEY-----)",
            found: contents.found(),
        });
    }
    Ok(contents.keys.swap_remove(0))
}

/// Reads one or more revocation lists.
///
/// # Errors
/// As [`PemContents::read`], and [`PemError::Missing`] when there is none.
pub fn crls(what: &str, text: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
    let contents = PemContents::read(what, text)?;
    if contents.crls.is_empty() {
        return Err(PemError::Missing {
            what: what.to_owned(),
            wanted: "revocation list (-----BEGIN X509 CRL-----)",
            found: contents.found(),
        });
    }
    Ok(contents.crls)
}

fn mentions(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_any_block_says_so() {
        let error = certificates("client CA", b"hello").unwrap_err().to_string();
        assert!(error.contains("client CA"), "{error}");
        assert!(error.contains("no PEM block at all"), "{error}");
    }

    #[test]
    fn an_encrypted_key_names_the_cure() {
        let text = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let error = private_key("server key", text).unwrap_err();
        assert_eq!(
            error,
            PemError::Encrypted {
                what: "server key".to_owned()
            }
        );
    }

    #[test]
    fn a_cut_block_is_damaged_and_not_ignored() {
        let text = b"-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(
            certificates("chain", text),
            Err(PemError::Damaged { .. })
        ));
    }

    #[test]
    fn a_key_where_a_certificate_belongs_is_told_apart() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let error = certificates("chain", key.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("1 private key(s)"), "{error}");
        assert!(private_key("key", key.as_bytes()).is_ok());
    }
}
