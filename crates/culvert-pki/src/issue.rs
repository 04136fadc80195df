//! Issuing certificates for servers and clients.

use std::fs;
use std::path::PathBuf;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
    SerialNumber,
};
use time::OffsetDateTime;

use crate::authority::{Pki, Signer, parse, validity};
use crate::error::PkiError;
use crate::files::{self, PUBLIC, SECRET};
use crate::index::{Entry, Index, Status};
use crate::key::{self, KeyKind};
use crate::name::{AltName, check_name};
use crate::profile::Identity;

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An endpoint (extended key usage serverAuth).
    Server {
        /// Names and addresses clients may reach it by. Empty: the common name, if it is a host name or
        /// address.
        alt_names: Vec<AltName>,
    },
    /// A client (extended key usage clientAuth).
    Client,
}

/// A certificate to be issued.
#[derive(Clone, Debug)]
pub struct IssueRequest {
    /// Common name, and name of the files.
    pub name: String,
    /// Server or client.
    pub purpose: Purpose,
    /// Validity in days; it ends with the authority's at the latest.
    pub days: u32,
    /// Kind of the new key.
    pub key: KeyKind,
}

/// An issued certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Serial number, upper-case hex.
    pub serial: String,
    /// Where the certificate lies.
    pub certificate: PathBuf,
    /// Where its private key lies.
    pub private_key: PathBuf,
    /// End of validity.
    pub not_after: OffsetDateTime,
    /// Whether the validity was cut to the authority's.
    pub shortened: bool,
}

impl Pki {
    /// Makes a key and a certificate and writes both into the folder.
    ///
    /// # Errors
    /// [`PkiError::Exists`] while the name has a valid certificate.
    pub fn issue(&self, request: &IssueRequest, now: OffsetDateTime) -> Result<Issued, PkiError> {
        check_name(&request.name)?;
        let (not_before, wanted) = validity(request.days, now)?;
        let _lock = files::lock(&self.folder)?;
        let signer = self.signer()?;
        let limit = signer.not_after()?;
        if limit <= now {
            return Err(PkiError::AuthorityExpired(limit.date().to_string()));
        }
        let not_after = wanted.min(limit);
        let mut index = self.index()?;
        let (certificate, private_key) = (
            self.issued_certificate_path(&request.name),
            self.issued_key_path(&request.name),
        );
        self.check_free(&index, &request.name, now)?;

        let serial = key::random_serial()?;
        let pair = key::generate(request.key)?;
        let params = params(request, &serial, not_before, not_after)?;
        let pem = sign(&params, &pair, &signer)?;

        for part in ["private", "issued"] {
            files::make_private_folder(&self.folder.join(part))?;
        }
        // The database first: whatever exists can be revoked.
        index.add(&serial, &request.name, not_after);
        index.write()?;
        files::replace(&private_key, key::to_pem(&pair).as_bytes(), SECRET)?;
        files::replace(&certificate, pem.as_bytes(), PUBLIC)?;
        let serial = serial.iter().map(|byte| format!("{byte:02X}")).collect();
        Ok(Issued {
            serial,
            certificate,
            private_key,
            not_after,
            shortened: not_after < wanted,
        })
    }

    /// Whether a certificate of that name may be written.
    fn check_free(&self, index: &Index, name: &str, now: OffsetDateTime) -> Result<(), PkiError> {
        let entries: Vec<Entry> = index
            .entries(now)
            .filter(|entry| entry.common_name == name)
            .collect();
        let path = self.issued_certificate_path(name);
        for entry in entries.iter().filter(|entry| entry.status == Status::Valid) {
            // A line without a file is what an interrupted issue leaves: nobody has its certificate.
            if fs::symlink_metadata(&path).is_ok() {
                return Err(PkiError::Exists {
                    name: name.into(),
                    serial: entry.serial.clone(),
                    not_after: entry.not_after.date().to_string(),
                });
            }
        }
        for path in [path, self.issued_key_path(name)] {
            if entries.is_empty() && fs::symlink_metadata(&path).is_ok() {
                return Err(PkiError::Foreign(path));
            }
        }
        Ok(())
    }

    /// Certificate and private key that were issued for a name.
    ///
    /// # Errors
    /// [`PkiError::Unknown`] if there is no such certificate; else as [`Identity::read`].
    pub fn identity(&self, name: &str) -> Result<Identity, PkiError> {
        check_name(name)?;
        let certificate = self.issued_certificate_path(name);
        if fs::symlink_metadata(&certificate).is_err() {
            return Err(PkiError::Unknown(name.into()));
        }
        Identity::read(&certificate, &self.issued_key_path(name))
    }
}

fn params(
    request: &IssueRequest,
    serial: &[u8],
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
) -> Result<CertificateParams, PkiError> {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, request.name.as_str());
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.not_before = not_before;
    params.not_after = not_after;
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = match &request.purpose {
        Purpose::Server { alt_names } => {
            params.subject_alt_names = subject_alt_names(&request.name, alt_names)?;
            vec![ExtendedKeyUsagePurpose::ServerAuth]
        }
        Purpose::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    Ok(params)
}

fn subject_alt_names(name: &str, given: &[AltName]) -> Result<Vec<SanType>, PkiError> {
    let own: Option<AltName> = if given.is_empty() { name.parse().ok() } else { None };
    own.iter()
        .chain(given)
        .map(|name| match name {
            AltName::Ip(address) => Ok(SanType::IpAddress(*address)),
            AltName::Dns(host) => {
                let host = host
                    .as_str()
                    .try_into()
                    .map_err(PkiError::crypto("encoding a host name"))?;
                Ok(SanType::DnsName(host))
            }
        })
        .collect()
}

fn sign(params: &CertificateParams, key: &rcgen::KeyPair, signer: &Signer) -> Result<String, PkiError> {
    let certificate = params
        .signed_by(key, &signer.issuer)
        .map_err(PkiError::crypto("signing a certificate"))?;
    signer.check_issuer(parse(certificate.der())?.issuer().as_raw())?;
    Ok(certificate.pem())
}
