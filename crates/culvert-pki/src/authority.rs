//! The folder with its authority: made, imported, opened.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use crate::error::PkiError;
use crate::files::{self, PUBLIC, SECRET};
use crate::index::{self, Entry, Index};
use crate::key::{self, KeyKind};
use crate::name;
use crate::revoke::CrlInfo;

/// Certificates begin this much in the past, for clients whose clock is behind.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// Settings of a new authority.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// Common name of the authority.
    pub common_name: String,
    /// Validity of its certificate in days.
    pub days: u32,
    /// Kind of its key.
    pub key: KeyKind,
}

/// A PKI folder with an authority.
#[derive(Clone, Debug)]
pub struct Pki {
    pub(crate) folder: PathBuf,
}

impl Pki {
    /// Makes an authority in `folder`, with an empty revocation list.
    ///
    /// # Errors
    /// [`PkiError::AuthorityExists`] if there is one; nothing is overwritten.
    pub fn init(folder: &Path, options: &InitOptions, now: OffsetDateTime) -> Result<Self, PkiError> {
        name::check_name(&options.common_name)?;
        let (not_before, not_after) = validity(options.days, now)?;
        let key = key::generate(options.key)?;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, options.common_name.as_str());
        let mut params = CertificateParams::default();
        params.distinguished_name = subject;
        params.not_before = not_before;
        params.not_after = not_after;
        params.serial_number = Some(SerialNumber::from_slice(&key::random_serial()?));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .self_signed(&key)
            .map_err(PkiError::crypto("signing the authority"))?;
        Self::establish(folder, &certificate.pem(), &key::to_pem(&key), now)
    }

    /// Brings an existing authority (of easy-rsa, openssl or another tool) into `folder`: its certificate and
    /// its private key are copied, and an empty revocation list is made. What it issued and revoked before is
    /// unknown here unless its OpenSSL database is given as `database`.
    ///
    /// # Errors
    /// [`PkiError::Certificate`] and [`PkiError::Key`] say why the files cannot be used.
    pub fn import(
        folder: &Path,
        certificate: &Path,
        private_key: &Path,
        database: Option<&Path>,
        now: OffsetDateTime,
    ) -> Result<Self, PkiError> {
        let key = key::load(private_key)?;
        let der = authority_certificate(certificate)?;
        check_authority(certificate, &der, &key)?;
        let database = database
            .map(|path| Index::read(path.into()).and_then(|_| files::read(path)))
            .transpose()?;
        let pem = crate::pem::certificates_only(&files::read(certificate)?);
        refuse_existing(folder)?;
        if let Some(text) = database {
            files::make_private_folder(folder)?;
            files::replace(&index::path_in(folder), text.as_bytes(), PUBLIC)?;
        }
        Self::establish(folder, &pem, &key::to_pem(&key), now)
    }

    /// Opens a folder, made here or by easy-rsa.
    ///
    /// # Errors
    /// [`PkiError::NoAuthority`] if there is no `ca.crt`.
    pub fn open(folder: &Path) -> Result<Self, PkiError> {
        let pki = Self {
            folder: folder.into(),
        };
        match fs::metadata(pki.certificate_path()) {
            Ok(_) => Ok(pki),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(PkiError::NoAuthority(folder.into()))
            }
            Err(error) => Err(files::failed("read", &pki.certificate_path())(error)),
        }
    }

    fn establish(
        folder: &Path,
        certificate: &str,
        private_key: &str,
        now: OffsetDateTime,
    ) -> Result<Self, PkiError> {
        let pki = Self {
            folder: folder.into(),
        };
        for part in ["private", "issued"] {
            files::make_private_folder(&folder.join(part))?;
        }
        let _lock = files::lock(folder)?;
        refuse_existing(folder)?;
        files::replace(&pki.key_path(), private_key.as_bytes(), SECRET)?;
        // Until this file is there the folder holds no authority.
        files::replace(&pki.certificate_path(), certificate.as_bytes(), PUBLIC)?;
        if fs::metadata(index::path_in(folder)).is_err() {
            files::replace(&index::path_in(folder), b"", PUBLIC)?;
        }
        pki.write_crl(CrlInfo::DEFAULT_DAYS, now)?;
        Ok(pki)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `ca.crt`: the certificate that endpoint and clients trust.
    pub fn certificate_path(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// `private/ca.key`.
    pub fn key_path(&self) -> PathBuf {
        self.folder.join("private/ca.key")
    }

    /// `crl.pem`: the revocation list.
    pub fn crl_path(&self) -> PathBuf {
        self.folder.join("crl.pem")
    }

    /// `issued/NAME.crt`.
    pub fn issued_certificate_path(&self, name: &str) -> PathBuf {
        self.folder.join("issued").join(format!("{name}.crt"))
    }

    /// `private/NAME.key`.
    pub fn issued_key_path(&self, name: &str) -> PathBuf {
        self.folder.join("private").join(format!("{name}.key"))
    }

    /// All certificates in the database, oldest first.
    ///
    /// # Errors
    /// [`PkiError::Index`] for a broken database line.
    pub fn list(&self, now: OffsetDateTime) -> Result<Vec<Entry>, PkiError> {
        Ok(self.index()?.entries(now).collect())
    }

    pub(crate) fn index(&self) -> Result<Index, PkiError> {
        Index::read(index::path_in(&self.folder))
    }

    /// The authority, ready to sign.
    pub(crate) fn signer(&self) -> Result<Signer, PkiError> {
        let path = self.certificate_path();
        let key = key::load(&self.key_path())?;
        let certificate = authority_certificate(&path)?;
        check_authority(&path, &certificate, &key)?;
        let unreadable = |error: rcgen::Error| PkiError::Certificate {
            path: path.clone(),
            reason: format!("its name or extensions are not understood ({error})"),
        };
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(unreadable)?;
        Ok(Signer { issuer, certificate })
    }
}

/// An authority's key together with its certificate.
pub(crate) struct Signer {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Signer {
    /// End of the authority's own validity.
    pub(crate) fn not_after(&self) -> Result<OffsetDateTime, PkiError> {
        Ok(parse(&self.certificate)?.validity().not_after.to_datetime())
    }

    /// How the authority's key is identified in revocation lists: as its own certificate does it.
    pub(crate) fn key_id(&self) -> Result<KeyIdMethod, PkiError> {
        let certificate = parse(&self.certificate)?;
        let own = certificate
            .iter_extensions()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            });
        Ok(own.map_or(KeyIdMethod::Sha256, KeyIdMethod::PreSpecified))
    }

    /// Refuses a certificate or list whose issuer differs from the authority's subject, byte for byte.
    pub(crate) fn check_issuer(&self, issuer: &[u8]) -> Result<(), PkiError> {
        if parse(&self.certificate)?.subject().as_raw() == issuer {
            return Ok(());
        }
        Err(PkiError::Unfaithful(
            "the authority's name cannot be reproduced byte for byte, so what is signed would not verify: issue with the tool that made the authority",
        ))
    }
}

/// Begin and end of a validity of that many days.
pub(crate) fn validity(days: u32, now: OffsetDateTime) -> Result<(OffsetDateTime, OffsetDateTime), PkiError> {
    if !(1..=36_500).contains(&days) {
        return Err(PkiError::Days(days));
    }
    let end = now
        .checked_add(Duration::days(days.into()))
        .ok_or(PkiError::Days(days))?;
    Ok((now - CLOCK_SKEW, end))
}

fn refuse_existing(folder: &Path) -> Result<(), PkiError> {
    let taken = ["ca.crt", "private/ca.key"]
        .iter()
        .any(|file| fs::symlink_metadata(folder.join(file)).is_ok());
    if taken {
        Err(PkiError::AuthorityExists(folder.into()))
    } else {
        Ok(())
    }
}

/// The first certificate of an authority's file: the one that signs.
fn authority_certificate(path: &Path) -> Result<CertificateDer<'static>, PkiError> {
    let first = crate::pem::certificates(path)?.into_iter().next();
    first.ok_or_else(|| PkiError::Certificate {
        path: path.into(),
        reason: "it is empty".into(),
    })
}

/// Parses a certificate of our own making or vetting.
pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, PkiError> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .map_err(|error| PkiError::Crypto {
            action: "reading a certificate",
            reason: error.to_string(),
        })
}

/// Whether this certificate with this key can be an authority.
fn check_authority(path: &Path, der: &CertificateDer<'_>, key: &KeyPair) -> Result<(), PkiError> {
    let refuse = |reason: &str| {
        Err(PkiError::Certificate {
            path: path.into(),
            reason: reason.into(),
        })
    };
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return refuse("it is damaged");
    };
    if certificate.subject().iter().any(|part| part.iter().count() != 1) {
        return refuse("its name has a part with several attributes, which is not supported");
    }
    let kinds: Vec<_> = certificate
        .subject()
        .iter_attributes()
        .map(|attribute| attribute.attr_type())
        .collect();
    if kinds
        .iter()
        .enumerate()
        .any(|(at, kind)| kinds.iter().skip(at + 1).any(|other| other == kind))
    {
        return refuse(
            "its name repeats an attribute (such as two OUs or DCs), which cannot be reproduced in what is signed: issue with the tool that made it",
        );
    }
    if !certificate.is_ca() {
        return refuse("it is no authority's (its basic constraints lack CA:TRUE)");
    }
    if let Ok(Some(usage)) = certificate.key_usage() {
        if !usage.value.key_cert_sign() {
            return refuse("its key usage does not allow signing certificates (keyCertSign)");
        }
        if !usage.value.crl_sign() {
            return refuse("its key usage does not allow signing revocation lists (cRLSign)");
        }
    }
    if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
        return refuse("the private key belongs to another certificate");
    }
    Ok(())
}
