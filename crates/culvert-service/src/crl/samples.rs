//! Authorities that sign revocation lists, for tests.

use std::ops::Range;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::certificate::{Certificate, PrivateKeyPem};
use crate::operations::samples;
use crate::request::ImportCertificate;

pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

/// An authority of clients, which may have others above it.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (now() - Duration::days(1), now() + Duration::days(1));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn entry(serial: SerialNumber, reason_code: Option<RevocationReason>) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: serial,
        revocation_time: now() - Duration::days(1),
        reason_code,
        invalidity_date: None,
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        Self(CertifiedIssuer::self_signed(params(name), KeyPair::generate().unwrap()).unwrap())
    }

    /// An authority that this one vouches for.
    pub(crate) fn below(&self, name: &str) -> Self {
        Self(CertifiedIssuer::signed_by(params(name), KeyPair::generate().unwrap(), &self.0).unwrap())
    }

    pub(crate) fn request(&self) -> ImportCertificate {
        ImportCertificate {
            arn: None,
            certificate: self.0.pem(),
            private_key: PrivateKeyPem::new(Zeroizing::new(self.0.key().serialize_pem())),
            chain: String::new(),
            tags: Default::default(),
        }
    }

    /// What is kept of it once it is imported on its own.
    pub(crate) fn certificate(&self) -> Certificate {
        Certificate {
            certificate: self.0.pem(),
            chain: String::new(),
            ..samples::certificate()
        }
    }

    fn sign(&self, revoked_certs: Vec<RevokedCertParams>, next_update: OffsetDateTime) -> String {
        let params = CertificateRevocationListParams {
            this_update: now() - Duration::days(2),
            next_update,
            crl_number: SerialNumber::from(42u64),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }

    /// A list of these serials.
    pub(crate) fn crl(&self, serials: Range<u64>) -> String {
        let entries = serials.map(|serial| entry(SerialNumber::from(serial + 1), None));
        self.sign(entries.collect(), now() + Duration::days(1))
    }

    /// A list of one serial that ends then.
    pub(crate) fn crl_until(&self, next_update: OffsetDateTime) -> String {
        self.sign(vec![entry(SerialNumber::from(1u64), None)], next_update)
    }

    /// A list of so many serials of 20 bytes, each with a reason.
    pub(crate) fn long_crl(&self, entries: u32) -> String {
        let entries = (0..entries).map(|number| {
            let mut serial = [0x7f; 20];
            serial[16..].copy_from_slice(&number.to_be_bytes());
            entry(
                SerialNumber::from_slice(&serial),
                Some(RevocationReason::KeyCompromise),
            )
        });
        self.sign(entries.collect(), now() + Duration::days(1))
    }
}
