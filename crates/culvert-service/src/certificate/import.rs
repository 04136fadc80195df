//! Judging what is imported: a certificate, its private key, and what issued it.

use rustls::crypto::ring::sign::any_supported_type;
use rustls_pemfile::Item;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};
use zeroize::Zeroizing;

use super::{Certificate, PrivateKeyPem};
use crate::error::{AcmError, AcmErrorCode};
use crate::id::CertificateArn;
use crate::pem;
use crate::request::ImportCertificate;

/// Most certificates of a chain.
const MAX_CHAIN: usize = 10;
/// Longest PEM text of one part, in bytes: all parts together fit into a transaction of the store.
const MAX_PEM: usize = 64 * 1024;

impl Certificate {
    /// The certificate that is imported, in place of `before` if that is given.
    ///
    /// Certificates are written anew from what was read: text beside them, which may mean something elsewhere (in a
    /// client's profile, for one), goes no further.
    ///
    /// # Errors
    /// `ValidationException` if a part can't be read, the certificate isn't valid now, the key isn't its own, or the
    /// chain doesn't lead on from it.
    pub(crate) fn import(
        request: &ImportCertificate,
        arn: CertificateArn,
        before: Option<&Self>,
        now: OffsetDateTime,
    ) -> Result<Self, AcmError> {
        let ders = certificates("Certificate", &request.certificate)?;
        let [der] = ders.as_slice() else {
            let found = ders.len();
            return Err(invalid(format!(
                "Certificate must hold one certificate and holds {found}; what issued it belongs into CertificateChain"
            )));
        };
        let certificate = parse("Certificate", der)?;
        check_time("the certificate", &certificate, now)?;
        check_key(&certificate, &request.private_key)?;
        let chain = certificates("CertificateChain", &request.chain)?;
        if chain.is_empty() && !request.chain.trim().is_empty() {
            return Err(invalid("CertificateChain holds no certificate in PEM"));
        }
        check_chain(certificate, &chain, now)?;
        Ok(Self {
            arn,
            certificate: encode(&ders),
            private_key: request.private_key.clone(),
            chain: encode(&chain),
            created: before.map_or(now, |before| before.created),
            imported: now,
            tags: before.map_or_else(|| request.tags.clone(), |before| before.tags.clone()),
        })
    }

    /// What it was issued by, PEM; itself if nothing came with it.
    pub fn authority(&self) -> &str {
        if self.chain.trim().is_empty() {
            &self.certificate
        } else {
            &self.chain
        }
    }

    /// Checks that clients can trust it by what it came with. Stock clients follow a chain up to an authority that signed
    /// itself and take nothing below it for an end: OpenSSL does so unless it is given `X509_V_FLAG_PARTIAL_CHAIN`, and
    /// OpenVPN never gives it.
    ///
    /// # Errors
    /// The reason, with its cure.
    pub fn check_root(&self) -> Result<(), String> {
        let ders = certificates("Certificate", self.authority()).map_err(|error| error.message)?;
        let last = ders.last().ok_or("it holds no certificate; import it again")?;
        let last = parse("Certificate", last).map_err(|error| error.message)?;
        if last.issuer() == last.subject() && last.verify_signature(None).is_ok() {
            return Ok(());
        }
        Err(format!(
            "it came with a chain that ends at {}, issued by {}, and clients trust nothing without the authority at its \
             end; import it again with a CertificateChain up to and with {}",
            last.subject(),
            last.issuer(),
            last.issuer()
        ))
    }

    /// Whether a client's certificate could have been issued under it: it came with a chain, or is an authority itself.
    pub fn has_authority(&self) -> bool {
        let own = || {
            let ders = certificates("Certificate", &self.certificate).ok()?;
            Some(parse("Certificate", ders.first()?).ok()?.is_ca())
        };
        !self.chain.trim().is_empty() || own().unwrap_or(false)
    }
}

fn invalid(message: impl Into<String>) -> AcmError {
    AcmError::new(AcmErrorCode::Validation, message)
}

/// The certificates of a PEM text, DER.
fn certificates(part: &str, pem: &str) -> Result<Vec<Vec<u8>>, AcmError> {
    if pem.len() > MAX_PEM {
        return Err(invalid(format!("{part} has more than {MAX_PEM} bytes")));
    }
    let mut ders = Vec::new();
    for item in rustls_pemfile::read_all(&mut pem.as_bytes()) {
        match item {
            Ok(Item::X509Certificate(der)) => ders.push(der.to_vec()),
            Ok(_) => return Err(invalid(format!("{part} holds something else than certificates"))),
            Err(error) => return Err(invalid(format!("{part} can't be read as PEM: {error}"))),
        }
    }
    Ok(ders)
}

fn parse<'a>(part: &str, der: &'a [u8]) -> Result<X509Certificate<'a>, AcmError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(invalid(format!("{part} holds a damaged certificate"))),
    }
}

fn check_time(what: &str, certificate: &X509Certificate<'_>, now: OffsetDateTime) -> Result<(), AcmError> {
    let validity = certificate.validity();
    if validity.not_after.to_datetime() < now {
        return Err(invalid(format!(
            "{what} expired on {}; renew it",
            validity.not_after
        )));
    }
    if validity.not_before.to_datetime() > now {
        return Err(invalid(format!(
            "{what} is not valid before {}",
            validity.not_before
        )));
    }
    Ok(())
}

fn check_key(certificate: &X509Certificate<'_>, pem: &PrivateKeyPem) -> Result<(), AcmError> {
    if pem.expose().len() > MAX_PEM {
        return Err(invalid(format!("PrivateKey has more than {MAX_PEM} bytes")));
    }
    let key = match rustls_pemfile::private_key(&mut pem.expose().as_bytes()) {
        Ok(Some(key)) => Zeroizing::new(key),
        Ok(None) => {
            let message =
                "PrivateKey holds no private key in PEM that isn't encrypted; decrypt it with `openssl pkey`";
            return Err(invalid(message));
        }
        Err(error) => return Err(invalid(format!("PrivateKey can't be read as PEM: {error}"))),
    };
    let key = any_supported_type(&key)
        .map_err(|_| invalid("PrivateKey is damaged, or neither RSA, ECDSA P-256 or P-384, nor Ed25519"))?;
    let public = key.public_key();
    let own = public
        .as_ref()
        .and_then(|spki| SubjectPublicKeyInfo::from_der(spki).ok());
    let matches = own.is_some_and(|(_, own)| {
        own.subject_public_key.data == certificate.public_key().subject_public_key.data
    });
    if !matches {
        return Err(invalid(
            "PrivateKey is not the key of Certificate; import the two that belong together",
        ));
    }
    Ok(())
}

fn check_chain(leaf: X509Certificate<'_>, chain: &[Vec<u8>], now: OffsetDateTime) -> Result<(), AcmError> {
    if chain.len() > MAX_CHAIN {
        return Err(invalid(format!(
            "CertificateChain has more than {MAX_CHAIN} certificates"
        )));
    }
    let mut issued = leaf;
    for (index, der) in chain.iter().enumerate() {
        let issuer = parse("CertificateChain", der)?;
        let what = format!(
            "certificate {} of CertificateChain, {},",
            index + 1,
            issuer.subject()
        );
        let signed = issued.verify_signature(Some(issuer.public_key())).is_ok();
        if issued.issuer() != issuer.subject() || !signed {
            return Err(invalid(format!(
                "{what} did not issue the one before it, {}; begin with what issued Certificate and end with the authority",
                issued.subject()
            )));
        }
        if !issuer.is_ca() {
            return Err(invalid(format!(
                "{what} is no authority: it may not issue certificates"
            )));
        }
        check_time(&what, &issuer, now)?;
        issued = issuer;
    }
    Ok(())
}

/// PEM of certificates, and nothing else.
fn encode(ders: &[Vec<u8>]) -> String {
    let mut pem = String::new();
    for der in ders {
        pem::append(&mut pem, "CERTIFICATE", der);
    }
    pem
}
