//! What a certificate says about itself, in the words of the service.

use culvert_service::{Certificate, ServiceError};
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{KeyUsage, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::Refusal;

/// What a certificate says about itself.
pub(super) struct Facts {
    pub(super) domain: Option<String>,
    pub(super) alternatives: Vec<String>,
    pub(super) serial: String,
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
    /// `None` for kinds of keys the service has no name for.
    pub(super) key_algorithm: Option<&'static str>,
    pub(super) signature_algorithm: String,
    pub(super) key_usages: Vec<&'static str>,
    /// Name and OID.
    pub(super) extended_key_usages: Vec<(&'static str, String)>,
}

impl Facts {
    /// Reads an imported certificate, which was found to be readable when it was imported.
    pub(super) fn of(certificate: &Certificate) -> Result<Self, Refusal> {
        let damaged = || Refusal::Failed(damaged(certificate));
        let (_, pem) = parse_x509_pem(certificate.certificate.as_bytes()).map_err(|_| damaged())?;
        let parsed = pem.parse_x509().map_err(|_| damaged())?;
        Ok(Self::read(&parsed))
    }

    fn read(certificate: &X509Certificate<'_>) -> Self {
        let alternatives = alternatives(certificate);
        let common_name = certificate.subject().iter_common_name().next();
        let common_name = common_name.and_then(|name| name.as_str().ok()).map(str::to_owned);
        let validity = certificate.validity();
        let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
        Self {
            domain: common_name.or_else(|| alternatives.first().cloned()),
            alternatives,
            serial: certificate.raw_serial_as_string(),
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            not_before: validity.not_before.to_datetime(),
            not_after: validity.not_after.to_datetime(),
            key_algorithm: key_algorithm(certificate),
            signature_algorithm: signature_algorithm(&algorithm)
                .map_or_else(|| algorithm.clone(), str::to_owned),
            key_usages: key_usages(certificate),
            extended_key_usages: extended_key_usages(certificate),
        }
    }

    /// Where the certificate is in its life.
    pub(super) fn status(&self, now: OffsetDateTime) -> &'static str {
        if self.not_after < now { "EXPIRED" } else { "ISSUED" }
    }
}

fn damaged(certificate: &Certificate) -> ServiceError {
    ServiceError::Record {
        key: format!("/certificate/{}", certificate.arn.id()).as_str().into(),
        reason: "its certificate can't be read".to_owned(),
    }
}

fn alternatives(certificate: &X509Certificate<'_>) -> Vec<String> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.map(|extension| extension.value.general_names.as_slice());
    names
        .unwrap_or_default()
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

fn key_algorithm(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    let key = certificate.public_key();
    match key.parsed().ok()? {
        PublicKey::RSA(rsa) => match rsa.key_size() {
            1024 => Some("RSA_1024"),
            2048 => Some("RSA_2048"),
            3072 => Some("RSA_3072"),
            4096 => Some("RSA_4096"),
            _ => None,
        },
        PublicKey::EC(_) => {
            let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
            match curve.to_id_string().as_str() {
                "1.2.840.10045.3.1.7" => Some("EC_prime256v1"),
                "1.3.132.0.34" => Some("EC_secp384r1"),
                "1.3.132.0.35" => Some("EC_secp521r1"),
                _ => None,
            }
        }
        _ => None,
    }
}

fn signature_algorithm(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "1.2.840.113549.1.1.5" => "SHA1WITHRSA",
        "1.2.840.113549.1.1.11" => "SHA256WITHRSA",
        "1.2.840.113549.1.1.12" => "SHA384WITHRSA",
        "1.2.840.113549.1.1.13" => "SHA512WITHRSA",
        "1.2.840.10045.4.3.2" => "SHA256WITHECDSA",
        "1.2.840.10045.4.3.3" => "SHA384WITHECDSA",
        "1.2.840.10045.4.3.4" => "SHA512WITHECDSA",
        "1.3.101.112" => "ED25519",
        _ => return None,
    })
}

/// A question about key usage, and the service's word for it.
type Usage = (fn(&KeyUsage) -> bool, &'static str);

const USAGES: [Usage; 9] = [
    (KeyUsage::digital_signature, "DIGITAL_SIGNATURE"),
    (KeyUsage::non_repudiation, "NON_REPUDIATION"),
    (KeyUsage::key_encipherment, "KEY_ENCIPHERMENT"),
    (KeyUsage::data_encipherment, "DATA_ENCIPHERMENT"),
    (KeyUsage::key_agreement, "KEY_AGREEMENT"),
    (KeyUsage::key_cert_sign, "CERTIFICATE_SIGNING"),
    (KeyUsage::crl_sign, "CRL_SIGNING"),
    (KeyUsage::encipher_only, "ENCIPHER_ONLY"),
    (KeyUsage::decipher_only, "DECIPHER_ONLY"),
];

fn key_usages(certificate: &X509Certificate<'_>) -> Vec<&'static str> {
    let Some(extension) = certificate.key_usage().ok().flatten() else {
        return Vec::new();
    };
    let named = USAGES.iter().filter(|(is_set, _)| is_set(extension.value));
    named.map(|(_, name)| *name).collect()
}

fn extended_key_usages(certificate: &X509Certificate<'_>) -> Vec<(&'static str, String)> {
    let Some(extension) = certificate.extended_key_usage().ok().flatten() else {
        return Vec::new();
    };
    let usage = extension.value;
    let named = [
        (
            usage.server_auth,
            "TLS_WEB_SERVER_AUTHENTICATION",
            "1.3.6.1.5.5.7.3.1",
        ),
        (
            usage.client_auth,
            "TLS_WEB_CLIENT_AUTHENTICATION",
            "1.3.6.1.5.5.7.3.2",
        ),
        (usage.code_signing, "CODE_SIGNING", "1.3.6.1.5.5.7.3.3"),
        (usage.email_protection, "EMAIL_PROTECTION", "1.3.6.1.5.5.7.3.4"),
        (usage.time_stamping, "TIME_STAMPING", "1.3.6.1.5.5.7.3.8"),
        (usage.ocsp_signing, "OCSP_SIGNING", "1.3.6.1.5.5.7.3.9"),
        (usage.any, "ANY", "2.5.29.37.0"),
    ];
    let named = named
        .into_iter()
        .filter(|(is_set, ..)| *is_set)
        .map(|(_, name, oid)| (name, oid.to_owned()));
    let custom = usage.other.iter().map(|oid| ("CUSTOM", oid.to_id_string()));
    named.chain(custom).collect()
}
