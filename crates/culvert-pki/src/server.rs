//! What a profile has to know about the endpoint's own certificate.

use std::path::Path;

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;

use crate::authority::parse;
use crate::error::PkiError;
use crate::name::AltName;
use crate::pem;

/// The certificate an endpoint shows, with the intermediate ones after it.
#[derive(Clone, Debug)]
pub struct ServerCertificate {
    /// Common name; empty if there is none. With several the last one, as OpenVPN takes it.
    pub common_name: String,
    /// Names and addresses it is issued for, in its order.
    pub alt_names: Vec<AltName>,
    chain: Vec<CertificateDer<'static>>,
}

impl ServerCertificate {
    /// Reads the certificate file of an endpoint.
    ///
    /// # Errors
    /// [`PkiError::Certificate`] if it holds no certificate or a damaged one.
    pub fn read(path: &Path) -> Result<Self, PkiError> {
        let chain = pem::certificates(path)?;
        let damaged = || PkiError::Certificate {
            path: path.into(),
            reason: "it is damaged".into(),
        };
        let leaf = chain
            .first()
            .and_then(|leaf| parse(leaf).ok())
            .ok_or_else(damaged)?;
        let common_name = leaf
            .subject()
            .iter_common_name()
            .last()
            .and_then(|name| name.as_str().ok())
            .unwrap_or_default();
        let (common_name, alt_names) = (common_name.to_owned(), alt_names(&leaf));
        Ok(Self {
            common_name,
            alt_names,
            chain,
        })
    }

    /// Whether one of the authorities in `ca` (PEM) issued it or the last of its intermediate certificates.
    pub fn is_issued_by(&self, ca: &str) -> bool {
        let authorities: Vec<_> = rustls_pemfile::certs(&mut ca.as_bytes())
            .filter_map(Result::ok)
            .collect();
        let authorities: Vec<_> = authorities.iter().filter_map(|der| parse(der).ok()).collect();
        let chain = self.chain.iter().filter_map(|der| parse(der).ok());
        chain
            .into_iter()
            .any(|link| authorities.iter().any(|authority| signed_by(&link, authority)))
    }
}

fn alt_names(certificate: &X509Certificate<'_>) -> Vec<AltName> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let own = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(host) => host.parse().ok(),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|octets| AltName::Ip(octets.into()));
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(|octets| AltName::Ip(octets.into())))
                .ok()
        }
        _ => None,
    };
    names.value.general_names.iter().filter_map(own).collect()
}

fn signed_by(certificate: &X509Certificate<'_>, authority: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == authority.subject().as_raw()
        && match certificate.verify_signature(Some(authority.public_key())) {
            // Clients may know algorithms that this check does not.
            Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => true,
            Err(_) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InitOptions, IssueRequest, KeyKind, Pki, Purpose};
    use time::OffsetDateTime;

    #[test]
    fn names_and_issuer_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let now = OffsetDateTime::now_utc();
        let authority = |folder: &str| {
            let options = InitOptions {
                common_name: "CA".into(),
                days: 10,
                key: KeyKind::P256,
            };
            Pki::init(&dir.path().join(folder), &options, now).unwrap()
        };
        let (pki, namesake) = (authority("one"), authority("two"));
        let alt_names = vec!["vpn.example.com".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let purpose = Purpose::Server {
            alt_names: alt_names.clone(),
        };
        let request = IssueRequest {
            name: "vpn".into(),
            purpose,
            days: 5,
            key: KeyKind::P256,
        };
        let issued = pki.issue(&request, now).unwrap();
        let server = ServerCertificate::read(&issued.certificate).unwrap();
        assert_eq!(
            (server.common_name.as_str(), &server.alt_names),
            ("vpn", &alt_names)
        );
        let ca = |pki: &Pki| std::fs::read_to_string(pki.certificate_path()).unwrap();
        assert!(server.is_issued_by(&ca(&pki)));
        assert!(!server.is_issued_by(&ca(&namesake)), "same name, other key");
        assert!(!server.is_issued_by(""));
    }
}
