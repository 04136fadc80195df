//! Certificates for the tests: one CA, and leaves of every kind, good and bad.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use crate::netns::run;

/// The key algorithm of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA P-256.
    P256,
    /// ECDSA P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA, 2048 bits.
    Rsa,
}

/// A certificate and its key, as files.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
    /// The serial number.
    pub serial: u64,
}

/// A certificate authority in a directory.
#[derive(Debug)]
pub struct Pki {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    next_serial: std::cell::Cell<u64>,
    name: String,
    /// What goes behind every certificate: the CA's own certificate, unless it is a root.
    chain: String,
}

impl Pki {
    /// Creates a CA whose files begin with `name`.
    ///
    /// # Errors
    /// Fails when keys can't be made or files can't be written.
    pub fn create(dir: &Path, name: &str, kind: KeyKind) -> Result<Self> {
        let key = key_pair(kind)?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Test CA {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        std::fs::write(dir.join(format!("{name}.crt")), certificate.pem())?;
        Ok(Self {
            dir: dir.to_owned(),
            issuer: Issuer::new(params, key),
            next_serial: std::cell::Cell::new(1000),
            name: name.to_owned(),
            chain: String::new(),
        })
    }

    /// Creates a CA under this one. The certificates it issues come with its own.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn intermediate(&self, name: &str, kind: KeyKind) -> Result<Self> {
        let key = key_pair(kind)?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Test CA {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Self {
            dir: self.dir.clone(),
            issuer: Issuer::new(params, key),
            next_serial: std::cell::Cell::new(5000),
            name: name.to_owned(),
            chain: certificate.pem() + &self.chain,
        })
    }

    /// The CA certificate's file.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.dir.join(format!("{}.crt", self.name))
    }

    /// Issues a server certificate.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn server(&self, name: &str, kind: KeyKind) -> Result<Leaf> {
        self.issue(
            name,
            kind,
            ExtendedKeyUsagePurpose::ServerAuth,
            Duration::days(30),
        )
    }

    /// Issues a client certificate.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn client(&self, name: &str, kind: KeyKind) -> Result<Leaf> {
        self.issue(
            name,
            kind,
            ExtendedKeyUsagePurpose::ClientAuth,
            Duration::days(30),
        )
    }

    /// Issues a client certificate that ended yesterday.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn expired_client(&self, name: &str) -> Result<Leaf> {
        self.client_valid_for(name, -24 * 3600)
    }

    /// Issues a client certificate that ends in so many seconds.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn client_valid_for(&self, name: &str, seconds: i64) -> Result<Leaf> {
        self.issue(
            name,
            KeyKind::P256,
            ExtendedKeyUsagePurpose::ClientAuth,
            Duration::seconds(seconds),
        )
    }

    fn issue(
        &self,
        name: &str,
        kind: KeyKind,
        usage: ExtendedKeyUsagePurpose,
        valid: Duration,
    ) -> Result<Leaf> {
        let key = key_pair(kind)?;
        let serial = self.next_serial.get();
        self.next_serial.set(serial + 1);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = OffsetDateTime::now_utc() - Duration::days(10);
        params.not_after = OffsetDateTime::now_utc() + valid;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer)?;
        let files = Leaf {
            certificate: self.dir.join(format!("{name}.crt")),
            key: self.dir.join(format!("{name}.key")),
            serial,
        };
        std::fs::write(&files.certificate, certificate.pem() + &self.chain)?;
        std::fs::write(&files.key, key.serialize_pem())?;
        Ok(files)
    }

    /// Writes a CRL that revokes these certificates and stays valid for `days`.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn crl(&self, path: &Path, revoked: &[&Leaf], days: i64) -> Result<()> {
        let now = OffsetDateTime::now_utc();
        let params = CertificateRevocationListParams {
            this_update: now - Duration::days(20),
            next_update: now + Duration::days(days),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|leaf| RevokedCertParams {
                    serial_number: SerialNumber::from(leaf.serial),
                    revocation_time: now - Duration::hours(1),
                    reason_code: Some(RevocationReason::KeyCompromise),
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let crl = params.signed_by(&self.issuer)?;
        // Replaced in one step: a half-written list is a test of its own.
        let temporary = path.with_extension("new");
        std::fs::write(&temporary, crl.pem()?)?;
        std::fs::rename(&temporary, path)?;
        Ok(())
    }
}

fn key_pair(kind: KeyKind) -> Result<KeyPair> {
    Ok(match kind {
        KeyKind::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?,
        KeyKind::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)?,
        // OpenSSL 3.0 can't read the newer encoding of Ed25519 keys that rcgen writes; ring can't make RSA keys.
        KeyKind::Ed25519 => openssl_key(&["-algorithm", "ED25519"])?,
        KeyKind::Rsa => openssl_key(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])?,
    })
}

fn openssl_key(arguments: &[&str]) -> Result<KeyPair> {
    let mut all = vec!["genpkey"];
    all.extend_from_slice(arguments);
    KeyPair::from_pem(&run("openssl", &all)?).context("Failed to load a key that openssl made")
}
