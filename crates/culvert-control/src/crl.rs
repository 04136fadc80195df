//! Certificate revocation lists: reading, judging whether one may be used, and looking certificates up.
//!
//! The TLS verifier checks new handshakes; [`RevocationList::is_revoked`] is for clients that are connected
//! already when a new list arrives.

use std::collections::HashSet;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::certificate::trim_zeros;
use crate::pem::{self, PemError};
use crate::tls::provider;

/// Most revoked serials one list may carry. The endpoint model allows 20,000; this leaves room for several
/// certificate authorities in one file.
pub const MAX_ENTRIES: usize = 200_000;

/// Why a revocation list was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrlError {
    /// The text could not be read as PEM, or has no list in it.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The DER inside is no X.509 list.
    #[error(
        "the revocation list is not readable ({reason}); create it again, for example with `easyrsa gen-crl`"
    )]
    Unreadable {
        /// What the parser said.
        reason: String,
    },
    /// No given authority has the issuer's name.
    #[error(
        "the revocation list is issued by \"{issuer}\", which is none of the client certificate authorities of this endpoint; import the list of the authority that issues the client certificates"
    )]
    UnknownIssuer {
        /// Issuer as written in the list.
        issuer: String,
    },
    /// An authority with the issuer's name exists but did not sign this.
    #[error(
        "the revocation list claims to be from \"{issuer}\" but the signature does not verify with that authority's key; it was altered, or the authority was renewed with a new key"
    )]
    BadSignature {
        /// Issuer as written in the list.
        issuer: String,
    },
    /// `nextUpdate` has passed.
    #[error(
        "the revocation list of \"{issuer}\" expired (nextUpdate is Unix time {next_update}); with an expired list every client would be refused: create a fresh one and import it"
    )]
    Expired {
        /// Issuer as written in the list.
        issuer: String,
        /// The passed time, Unix seconds.
        next_update: i64,
    },
    /// The list has no `nextUpdate`, which RFC 5280 demands.
    #[error("the revocation list of \"{issuer}\" has no nextUpdate; create it with a validity in days")]
    NoNextUpdate {
        /// Issuer as written in the list.
        issuer: String,
    },
    /// Delta or indirect lists, unknown critical extensions, version 1.
    #[error(
        "the revocation list is of a kind that cannot be used ({reason}); create a full, direct, version 2 list"
    )]
    Unsupported {
        /// What the verifier said.
        reason: String,
    },
    /// Over [`MAX_ENTRIES`].
    #[error(
        "the revocation list has {entries} entries, more than {MAX_ENTRIES}; let expired certificates drop out of it"
    )]
    TooLong {
        /// Entries counted.
        entries: usize,
    },
}

/// One or more revocation lists from one PEM text, verified and indexed.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct RevocationList {
    inner: Arc<Inner>,
}

struct Inner {
    der: Vec<CertificateRevocationListDer<'static>>,
    /// Raw issuer names; an entry refers to them by position.
    issuers: Vec<Box<[u8]>>,
    revoked: HashSet<(u16, Box<[u8]>)>,
    next_update: i64,
}

impl RevocationList {
    /// Reads `text`, checks each list's signature against `authorities`, and that it is still current at
    /// `unix` (seconds).
    ///
    /// # Errors
    /// See [`CrlError`].
    pub fn parse(text: &[u8], unix: u64, authorities: &[CertificateDer<'_>]) -> Result<Self, CrlError> {
        Self::parse_at(text, Some(unix), authorities)
    }

    /// As [`RevocationList::parse`], but takes a list whose `nextUpdate` has passed: for one that was
    /// accepted earlier and expired since. The TLS verifier then refuses every client, as an expired list
    /// must.
    ///
    /// # Errors
    /// See [`CrlError`]; never [`CrlError::Expired`].
    pub fn parse_stored(text: &[u8], authorities: &[CertificateDer<'_>]) -> Result<Self, CrlError> {
        Self::parse_at(text, None, authorities)
    }

    fn parse_at(
        text: &[u8],
        unix: Option<u64>,
        authorities: &[CertificateDer<'_>],
    ) -> Result<Self, CrlError> {
        let der = pem::crls("certificate revocation list", text)?;
        let mut inner = Inner {
            der: Vec::new(),
            issuers: Vec::new(),
            revoked: HashSet::new(),
            next_update: i64::MAX,
        };
        for list in der {
            inner.add(&list, unix, authorities)?;
            inner.der.push(list);
        }
        usable_by_the_verifier(&inner.der, authorities)?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// True if the certificate with this raw issuer name and serial (magnitude, big-endian) is on a list.
    pub fn is_revoked(&self, issuer_raw: &[u8], serial: &[u8]) -> bool {
        let serial: Box<[u8]> = trim_zeros(serial).into();
        let Some(issuer) = self
            .inner
            .issuers
            .iter()
            .position(|issuer| **issuer == *issuer_raw)
        else {
            return false;
        };
        u16::try_from(issuer).is_ok_and(|issuer| self.inner.revoked.contains(&(issuer, serial)))
    }

    /// The earliest `nextUpdate` of the lists, Unix seconds: from then on every client is refused.
    pub fn next_update(&self) -> i64 {
        self.inner.next_update
    }

    /// How many certificates are revoked.
    pub fn len(&self) -> usize {
        self.inner.revoked.len()
    }

    /// True if nothing is revoked, as in a freshly created list.
    pub fn is_empty(&self) -> bool {
        self.inner.revoked.is_empty()
    }

    /// The lists as DER, for the TLS verifier.
    pub(crate) fn der(&self) -> &[CertificateRevocationListDer<'static>] {
        &self.inner.der
    }
}

impl std::fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RevocationList")
            .field("revoked", &self.len())
            .field("next_update", &self.next_update())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn add(
        &mut self,
        der: &CertificateRevocationListDer<'_>,
        unix: Option<u64>,
        authorities: &[CertificateDer<'_>],
    ) -> Result<(), CrlError> {
        let (_, list) = CertificateRevocationList::from_der(der).map_err(|error| CrlError::Unreadable {
            reason: error.to_string(),
        })?;
        verify_issuer(&list, authorities)?;
        let issuer = || list.issuer().to_string();
        let next_update = list
            .next_update()
            .ok_or_else(|| CrlError::NoNextUpdate { issuer: issuer() })?
            .timestamp();
        if unix.is_some_and(|unix| i64::try_from(unix).is_ok_and(|unix| next_update <= unix)) {
            return Err(CrlError::Expired {
                issuer: issuer(),
                next_update,
            });
        }
        self.next_update = self.next_update.min(next_update);
        let position = self.issuers.len();
        let index = u16::try_from(position).map_err(|_| CrlError::TooLong { entries: position })?;
        let raw: Box<[u8]> = list.issuer().as_raw().into();
        // Two lists of one issuer share its index, so that a lookup by name finds both.
        let index = match self.issuers.iter().position(|known| *known == raw) {
            Some(known) => u16::try_from(known).unwrap_or(index),
            None => {
                self.issuers.push(raw);
                index
            }
        };
        for revoked in list.iter_revoked_certificates() {
            self.revoked
                .insert((index, trim_zeros(revoked.raw_serial()).into()));
            if self.revoked.len() > MAX_ENTRIES {
                return Err(CrlError::TooLong {
                    entries: self.revoked.len(),
                });
            }
        }
        Ok(())
    }
}

/// Finds the authority that signed `list`.
fn verify_issuer(
    list: &CertificateRevocationList<'_>,
    authorities: &[CertificateDer<'_>],
) -> Result<(), CrlError> {
    let issuer = list.issuer().to_string();
    let mut name_known = false;
    for authority in authorities {
        let Ok((_, certificate)) = X509Certificate::from_der(authority) else {
            continue;
        };
        if certificate.subject().as_raw() != list.issuer().as_raw() {
            continue;
        }
        name_known = true;
        if list.verify_signature(certificate.public_key()).is_ok() {
            return Ok(());
        }
    }
    Err(if name_known {
        CrlError::BadSignature { issuer }
    } else {
        CrlError::UnknownIssuer { issuer }
    })
}

/// The TLS verifier reads lists more strictly than the parser above; better refused here than when the
/// endpoint's TLS configuration is built.
fn usable_by_the_verifier(
    lists: &[CertificateRevocationListDer<'static>],
    authorities: &[CertificateDer<'_>],
) -> Result<(), CrlError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().map(|authority| authority.clone().into_owned()));
    match WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .with_crls(lists.iter().cloned())
        .build()
    {
        Ok(_) => Ok(()),
        Err(VerifierBuilderError::InvalidCrl(error)) => Err(CrlError::Unsupported {
            reason: format!("{error:?}"),
        }),
        Err(error) => Err(CrlError::Unsupported {
            reason: error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CertificateInfo;
    use crate::testing::{NOW, pki};

    #[test]
    fn a_list_of_our_authority_is_taken_and_answers_for_serials() {
        let pki = pki();
        let list = RevocationList::parse(pki.crl_pem.as_bytes(), NOW, &[pki.ca_der()]).unwrap();
        let revoked = CertificateInfo::parse(&pki.revoked_der()).unwrap();
        let good = CertificateInfo::parse(&pki.client_der()).unwrap();
        assert!(list.is_revoked(&revoked.issuer_raw, &revoked.serial));
        assert!(!list.is_revoked(&good.issuer_raw, &good.serial));
        assert!(!list.is_revoked(b"another issuer", &revoked.serial));
        assert_eq!(list.len(), 1);
        assert!(list.next_update() > NOW as i64);
    }

    #[test]
    fn an_expired_list_is_refused_on_import_but_kept_when_stored() {
        let pki = pki();
        let late = NOW + 400 * 86_400;
        let error = RevocationList::parse(pki.crl_pem.as_bytes(), late, &[pki.ca_der()]).unwrap_err();
        assert!(matches!(error, CrlError::Expired { .. }), "{error}");
        assert!(RevocationList::parse_stored(pki.crl_pem.as_bytes(), &[pki.ca_der()]).is_ok());
    }

    #[test]
    fn a_list_of_a_stranger_is_refused_by_name() {
        let pki = pki();
        let error = RevocationList::parse(pki.crl_pem.as_bytes(), NOW, &[pki.other_ca_der()]).unwrap_err();
        assert!(matches!(error, CrlError::UnknownIssuer { .. }), "{error}");
    }

    #[test]
    fn a_list_with_the_right_name_but_a_foreign_key_is_refused() {
        let pki = pki();
        let error = RevocationList::parse(pki.crl_pem.as_bytes(), NOW, &[pki.impostor_ca_der()]).unwrap_err();
        assert!(matches!(error, CrlError::BadSignature { .. }), "{error}");
    }

    #[test]
    fn a_certificate_instead_of_a_list_names_what_is_missing() {
        let pki = pki();
        let error = RevocationList::parse(pki.ca_pem.as_bytes(), NOW, &[pki.ca_der()]).unwrap_err();
        assert!(error.to_string().contains("X509 CRL"), "{error}");
    }
}
