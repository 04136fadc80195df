//! Revoking certificates and writing the revocation list.

use std::fs;
use std::path::PathBuf;

use rcgen::{CertificateRevocationListParams, RevokedCertParams, SerialNumber};
use time::OffsetDateTime;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::authority::{Pki, validity};
use crate::error::PkiError;
use crate::files::{self, PUBLIC};
use crate::index::{Entry, RevocationReason, Status};

/// Which certificate is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The valid one with this common name.
    Name(String),
    /// The one with this serial number: hex, colons allowed.
    Serial(String),
}

/// What a revocation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// The certificate, now revoked.
    pub entry: Entry,
    /// It had been revoked before; only the list was written anew.
    pub already: bool,
    /// The new list.
    pub crl: CrlInfo,
}

/// A written revocation list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlInfo {
    /// Where it lies.
    pub path: PathBuf,
    /// Number of the list; each has a higher one than the list before.
    pub number: u64,
    /// Until when it counts.
    pub next_update: OffsetDateTime,
    /// Certificates on it.
    pub revoked: usize,
}

impl CrlInfo {
    /// Validity of lists unless asked otherwise, in days: long, because an endpoint must not refuse everybody
    /// when nobody remembered to renew. A new list counts at once, whatever the old one promised.
    pub const DEFAULT_DAYS: u32 = 3_650;
}

impl Pki {
    /// Revokes a certificate and writes the list. Its files move to `revoked/`, so that its name is free.
    ///
    /// # Errors
    /// [`PkiError::Unknown`], [`PkiError::Ambiguous`].
    pub fn revoke(
        &self,
        selector: &Selector,
        reason: RevocationReason,
        crl_days: u32,
        now: OffsetDateTime,
    ) -> Result<Revoked, PkiError> {
        validity(crl_days, now)?;
        let _lock = files::lock(&self.folder)?;
        let mut index = self.index()?;
        let mut entry = select(index.entries(now).collect(), selector)?;
        let already = matches!(entry.status, Status::Revoked { .. });
        if !already {
            index.revoke(&entry.serial, now, reason);
            index.write()?;
            entry.status = Status::Revoked { at: now, reason };
        }
        let crl = self.write_crl(crl_days, now)?;
        self.put_away(&entry)?;
        Ok(Revoked { entry, already, crl })
    }

    /// Writes the revocation list anew from the database.
    ///
    /// # Errors
    /// As [`Pki::list`], and what keeps the authority from signing.
    pub fn renew_crl(&self, days: u32, now: OffsetDateTime) -> Result<CrlInfo, PkiError> {
        let _lock = files::lock(&self.folder)?;
        self.write_crl(days, now)
    }

    /// Writes the list; the caller holds the lock or has the folder to itself.
    pub(crate) fn write_crl(&self, days: u32, now: OffsetDateTime) -> Result<CrlInfo, PkiError> {
        let (this_update, next_update) = validity(days, now)?;
        let signer = self.signer()?;
        let revoked_certs: Vec<RevokedCertParams> = self
            .index()?
            .entries(now)
            .filter_map(|entry| revoked_params(&entry))
            .collect();
        let revoked = revoked_certs.len();
        let number = self.next_crl_number()?;
        let params = CertificateRevocationListParams {
            this_update,
            next_update,
            crl_number: SerialNumber::from_slice(&number.to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: signer.key_id()?,
        };
        let list = params
            .signed_by(&signer.issuer)
            .map_err(PkiError::crypto("signing the revocation list"))?;
        let parsed = CertificateRevocationList::from_der(list.der()).map_err(|error| PkiError::Crypto {
            action: "checking the revocation list",
            reason: error.to_string(),
        })?;
        signer.check_issuer(parsed.1.issuer().as_raw())?;
        let pem = list
            .pem()
            .map_err(PkiError::crypto("encoding the revocation list"))?;
        // The number first: if the list is lost, a number is skipped, which is allowed; none is used twice.
        let next = format!("{:02X}\n", number + 1);
        let next = if next.len() % 2 == 0 {
            format!("0{next}")
        } else {
            next
        };
        files::replace(&self.folder.join("crlnumber"), next.as_bytes(), PUBLIC)?;
        let path = self.crl_path();
        files::replace(&path, pem.as_bytes(), PUBLIC)?;
        Ok(CrlInfo {
            path,
            number,
            next_update,
            revoked,
        })
    }

    /// The number for the next list: OpenSSL's `crlnumber` file, or one more than the present list's.
    fn next_crl_number(&self) -> Result<u64, PkiError> {
        let noted = files::read_if_there(&self.folder.join("crlnumber"))?
            .and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
        let present = files::read_if_there(&self.crl_path())?.and_then(|text| {
            let item = rustls_pemfile::crls(&mut text.as_bytes()).next()?.ok()?;
            let (_, list) = CertificateRevocationList::from_der(&item).ok()?;
            let number = list.crl_number()?.to_bytes_be();
            number.iter().try_fold(0_u64, |value, byte| {
                value.checked_mul(256)?.checked_add((*byte).into())
            })
        });
        let above = present.map_or(1, |number| number.saturating_add(1));
        Ok(noted.unwrap_or(1).max(above).min(u64::MAX - 1))
    }

    /// Moves the files of a revoked certificate away, if they are still its own.
    fn put_away(&self, entry: &Entry) -> Result<(), PkiError> {
        let name = &entry.common_name;
        if crate::name::check_name(name).is_err() {
            return Ok(());
        }
        let path = self.issued_certificate_path(name);
        let Ok(certificates) = crate::pem::certificates(&path) else {
            return Ok(());
        };
        let Some(certificate) = certificates.first() else {
            return Ok(());
        };
        if crate::authority::parse(certificate)?
            .tbs_certificate
            .serial
            .to_bytes_be()
            != trimmed(entry)
        {
            return Ok(());
        }
        let moves = [
            (path, "certs_by_serial", "crt"),
            (self.issued_key_path(name), "private_by_serial", "key"),
        ];
        for (from, part, ending) in moves {
            let folder = self.folder.join("revoked").join(part);
            files::make_private_folder(&folder)?;
            let to = folder.join(format!("{}.{ending}", entry.serial));
            match fs::rename(&from, &to) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(files::failed("move away", &from)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The serial number without leading zero bytes.
fn trimmed(entry: &Entry) -> Vec<u8> {
    let bytes = entry.serial_bytes();
    let zeros = bytes
        .iter()
        .take_while(|byte| **byte == 0)
        .count()
        .min(bytes.len().saturating_sub(1));
    bytes.into_iter().skip(zeros).collect()
}

fn revoked_params(entry: &Entry) -> Option<RevokedCertParams> {
    let Status::Revoked { at, reason } = entry.status else {
        return None;
    };
    Some(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&entry.serial_bytes()),
        revocation_time: at,
        reason_code: reason.for_crl(),
        invalidity_date: None,
    })
}

/// The entry that is meant: by name the valid one, else the last revoked or expired one.
fn select(entries: Vec<Entry>, selector: &Selector) -> Result<Entry, PkiError> {
    match selector {
        Selector::Serial(text) => {
            let digits: String = text.chars().filter(|letter| *letter != ':').collect();
            let wanted = digits.trim_start_matches('0');
            let found = entries
                .into_iter()
                .find(|entry| entry.serial.trim_start_matches('0').eq_ignore_ascii_case(wanted));
            found.ok_or_else(|| PkiError::Unknown(text.clone()))
        }
        Selector::Name(name) => {
            let named: Vec<Entry> = entries
                .into_iter()
                .filter(|entry| entry.common_name == *name)
                .collect();
            let valid: Vec<&Entry> = named
                .iter()
                .filter(|entry| entry.status == Status::Valid)
                .collect();
            match valid.as_slice() {
                [] => named
                    .last()
                    .cloned()
                    .ok_or_else(|| PkiError::Unknown(name.clone())),
                [one] => Ok((*one).clone()),
                several => Err(PkiError::Ambiguous {
                    name: name.clone(),
                    serials: several
                        .iter()
                        .map(|entry| entry.serial.as_str())
                        .collect::<Vec<_>>()
                        .join(", "),
                }),
            }
        }
    }
}
