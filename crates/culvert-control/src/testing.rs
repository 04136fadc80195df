//! A small PKI for tests, made once per test binary.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "test support, included by several binaries"
)]

use std::sync::OnceLock;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::{Duration, OffsetDateTime};

/// The time all tests start at: 2026-01-01, Unix seconds.
pub const NOW: u64 = 1_767_225_600;

pub struct Pki {
    pub ca_pem: String,
    pub other_ca_pem: String,
    pub impostor_ca_pem: String,
    pub intermediate_ca_pem: String,
    pub server_pem: String,
    pub server_key_pem: String,
    pub client_pem: String,
    pub client_key_pem: String,
    pub revoked_pem: String,
    pub revoked_key_pem: String,
    pub expired_pem: String,
    pub expired_key_pem: String,
    pub no_purpose_pem: String,
    pub no_purpose_key_pem: String,
    pub stranger_pem: String,
    pub stranger_key_pem: String,
    /// Leaf and intermediate, as a client sends them.
    pub branch_pem: String,
    pub branch_key_pem: String,
    pub crl_pem: String,
}

impl Pki {
    pub fn ca_der(&self) -> CertificateDer<'static> {
        der(&self.ca_pem)
    }
    pub fn other_ca_der(&self) -> CertificateDer<'static> {
        der(&self.other_ca_pem)
    }
    pub fn impostor_ca_der(&self) -> CertificateDer<'static> {
        der(&self.impostor_ca_pem)
    }
    pub fn client_der(&self) -> CertificateDer<'static> {
        der(&self.client_pem)
    }
    pub fn revoked_der(&self) -> CertificateDer<'static> {
        der(&self.revoked_pem)
    }
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("our own certificate")
}

pub fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(make)
}

fn at(offset_days: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW as i64).expect("a fixed time") + Duration::days(offset_days)
}

fn params(common_name: &str, serial: &[u8]) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Culvert Test");
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.not_before = at(-30);
    params.not_after = at(3650);
    params.use_authority_key_identifier_extension = true;
    params
}

fn ca_params(common_name: &str, serial: &[u8]) -> CertificateParams {
    let mut params = params(common_name, serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf(
    issuer: &Issuer<'_, KeyPair>,
    common_name: &str,
    serial: &[u8],
    purpose: Option<ExtendedKeyUsagePurpose>,
    adjust: impl FnOnce(&mut CertificateParams),
) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = params(common_name, serial);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = purpose.into_iter().collect();
    adjust(&mut params);
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

fn make() -> Pki {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    let ca_key = KeyPair::generate().expect("a key");
    let root = ca_params("Test CA", &[1]);
    let ca_pem = root.self_signed(&ca_key).expect("a CA").pem();
    let ca = Issuer::new(root, ca_key);

    let other_key = KeyPair::generate().expect("a key");
    let other = ca_params("Other CA", &[2]);
    let other_ca_pem = other.self_signed(&other_key).expect("a CA").pem();
    let other = Issuer::new(other, other_key);

    let impostor_key = KeyPair::generate().expect("a key");
    let impostor_ca_pem = ca_params("Test CA", &[3])
        .self_signed(&impostor_key)
        .expect("a CA")
        .pem();

    let branch_ca_key = KeyPair::generate().expect("a key");
    let branch_ca = ca_params("Branch CA", &[4]);
    let intermediate_ca_pem = branch_ca.signed_by(&branch_ca_key, &ca).expect("a CA").pem();
    let branch_ca = Issuer::new(branch_ca, branch_ca_key);

    let (server_pem, server_key_pem) = leaf(&ca, "vpn.example", &[5], Some(ServerAuth), |_| {});
    let (client_pem, client_key_pem) = leaf(&ca, "alice", &[10, 11, 12], Some(ClientAuth), |_| {});
    let (revoked_pem, revoked_key_pem) = leaf(&ca, "bob", &[0x80, 7], Some(ClientAuth), |_| {});
    let (expired_pem, expired_key_pem) = leaf(&ca, "carol", &[8], Some(ClientAuth), |params| {
        params.not_after = at(-1)
    });
    let (no_purpose_pem, no_purpose_key_pem) = leaf(&ca, "dave", &[9], None, |_| {});
    let (stranger_pem, stranger_key_pem) = leaf(&other, "eve", &[10], Some(ClientAuth), |_| {});
    let (branch_leaf, branch_key_pem) = leaf(&branch_ca, "frank", &[11], Some(ClientAuth), |_| {});

    let crl = CertificateRevocationListParams {
        this_update: at(-1),
        next_update: at(180),
        crl_number: SerialNumber::from_slice(&[1]),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[0x80, 7]),
            revocation_time: at(-1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let crl_pem = crl.signed_by(&ca).expect("a CRL").pem().expect("PEM");

    Pki {
        ca_pem,
        other_ca_pem,
        impostor_ca_pem,
        branch_pem: format!("{branch_leaf}{intermediate_ca_pem}"),
        intermediate_ca_pem,
        server_pem,
        server_key_pem,
        client_pem,
        client_key_pem,
        revoked_pem,
        revoked_key_pem,
        expired_pem,
        expired_key_pem,
        no_purpose_pem,
        no_purpose_key_pem,
        stranger_pem,
        stranger_key_pem,
        branch_key_pem,
        crl_pem,
    }
}
