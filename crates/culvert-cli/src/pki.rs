//! `culvert pki`: the certificate authority.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use culvert_pki::{
    AltName, CrlInfo, Entry, InitOptions, IssueRequest, Issued, KeyKind, Pki as Folder, Purpose,
    RevocationReason, Selector, Status,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::output::{Output, moment, table};

/// Where the authority is unless told otherwise.
const DEFAULT_FOLDER: &str = "/etc/culvert/pki";

/// Days a new authority counts.
const AUTHORITY_DAYS: u32 = 3_650;

/// Days an issued certificate counts.
pub(crate) const CERTIFICATE_DAYS: u32 = 1_825;

/// Which folder.
#[derive(Args)]
pub(crate) struct Location {
    /// PKI folder, of this program or of easy-rsa
    #[arg(long, value_name = "FOLDER", env = "CULVERT_PKI", default_value = DEFAULT_FOLDER)]
    pub(crate) pki: PathBuf,
}

/// Kinds of keys that can be generated.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum KeyType {
    /// ECDSA on P-256: works with every client since OpenVPN 2.4
    #[default]
    P256,
    /// ECDSA on P-384
    P384,
    /// Ed25519: not known to OpenVPN 2.4 and some mobile clients
    Ed25519,
}

impl From<KeyType> for KeyKind {
    fn from(kind: KeyType) -> Self {
        match kind {
            KeyType::P256 => Self::P256,
            KeyType::P384 => Self::P384,
            KeyType::Ed25519 => Self::Ed25519,
        }
    }
}

/// Key and validity of a new certificate.
#[derive(Args)]
pub(crate) struct Quality {
    /// Validity in days; it ends with the authority's at the latest
    #[arg(long, default_value_t = CERTIFICATE_DAYS)]
    days: u32,
    /// Kind of key
    #[arg(long, value_enum, default_value_t)]
    key: KeyType,
}

/// Commands of the authority.
#[derive(Subcommand)]
pub(crate) enum Pki {
    /// Make a new authority with an empty revocation list
    Init {
        #[command(flatten)]
        location: Location,
        /// Common name of the authority
        #[arg(long, default_value = "Culvert CA")]
        name: String,
        /// Validity in days
        #[arg(long, default_value_t = AUTHORITY_DAYS)]
        days: u32,
        /// Kind of key
        #[arg(long, value_enum, default_value_t)]
        key: KeyType,
    },
    /// Bring an existing authority into a new folder. A folder of easy-rsa needs no import: use it with --pki
    Import {
        #[command(flatten)]
        location: Location,
        /// The authority's certificate, PEM
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// The authority's private key, PEM, unencrypted
        #[arg(long, value_name = "FILE")]
        private_key: PathBuf,
        /// Its database in OpenSSL's format (index.txt), so that earlier certificates can be listed and revoked
        #[arg(long, value_name = "FILE")]
        database: Option<PathBuf>,
    },
    /// Issue a certificate for an endpoint
    IssueServer {
        /// Common name; clients check it
        name: String,
        /// Host name or address clients may use; may be given several times [default: the common name]
        #[arg(long = "san", value_name = "NAME")]
        alt_names: Vec<AltName>,
        #[command(flatten)]
        quality: Quality,
        #[command(flatten)]
        location: Location,
    },
    /// Issue a certificate for a client
    IssueClient {
        /// Common name: the client's identity
        name: String,
        #[command(flatten)]
        quality: Quality,
        #[command(flatten)]
        location: Location,
    },
    /// Revoke a certificate and write the revocation list
    Revoke {
        #[command(flatten)]
        which: Which,
        /// unspecified, keyCompromise, CACompromise, affiliationChanged, superseded, cessationOfOperation or
        /// certificateHold
        #[arg(long, default_value = "unspecified")]
        reason: RevocationReason,
        /// Validity of the list in days
        #[arg(long, default_value_t = CrlInfo::DEFAULT_DAYS)]
        crl_days: u32,
        #[command(flatten)]
        location: Location,
    },
    /// Write the revocation list anew, so that it counts longer
    RenewCrl {
        /// Validity in days
        #[arg(long, default_value_t = CrlInfo::DEFAULT_DAYS)]
        days: u32,
        #[command(flatten)]
        location: Location,
    },
    /// List all certificates
    List {
        #[command(flatten)]
        location: Location,
    },
}

/// Which certificate is to be revoked.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Common name
    name: Option<String>,
    /// Serial number in hex, for a name with several certificates
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
}

impl Pki {
    pub(crate) fn run(self, output: &Output) -> anyhow::Result<()> {
        let now = OffsetDateTime::now_utc();
        match self {
            Self::Init {
                location,
                name,
                days,
                key,
            } => {
                let options = InitOptions {
                    common_name: name,
                    days,
                    key: key.into(),
                };
                authority(&Folder::init(&location.pki, &options, now)?, "made", output)
            }
            Self::Import {
                location,
                certificate,
                private_key,
                database,
            } => {
                let pki = Folder::import(
                    &location.pki,
                    &certificate,
                    &private_key,
                    database.as_deref(),
                    now,
                )?;
                authority(&pki, "imported", output)
            }
            Self::IssueServer {
                name,
                alt_names,
                quality,
                location,
            } => issue(&location, name, Purpose::Server { alt_names }, &quality, output),
            Self::IssueClient {
                name,
                quality,
                location,
            } => issue(&location, name, Purpose::Client, &quality, output),
            Self::Revoke {
                which,
                reason,
                crl_days,
                location,
            } => {
                let selector = match (which.name, which.serial) {
                    (_, Some(serial)) => Selector::Serial(serial),
                    (name, None) => Selector::Name(name.unwrap_or_default()),
                };
                let revoked = Folder::open(&location.pki)?.revoke(&selector, reason, crl_days, now)?;
                let entry = entry_json(&revoked.entry);
                let document = json!({ "certificate": entry, "already": revoked.already, "crl": crl_json(&revoked.crl) });
                output.emit(&document, || {
                    let state = if revoked.already {
                        "was revoked already"
                    } else {
                        "is revoked"
                    };
                    let (name, serial) = (&revoked.entry.common_name, &revoked.entry.serial);
                    format!("{name} (serial {serial}) {state}\n{}", crl_text(&revoked.crl))
                })
            }
            Self::RenewCrl { days, location } => {
                let crl = Folder::open(&location.pki)?.renew_crl(days, now)?;
                output.emit(&json!({ "crl": crl_json(&crl) }), || crl_text(&crl))
            }
            Self::List { location } => list(&Folder::open(&location.pki)?.list(now)?, output),
        }
    }
}

fn authority(pki: &Folder, verb: &str, output: &Output) -> anyhow::Result<()> {
    let (certificate, crl) = (pki.certificate_path(), pki.crl_path());
    let document = json!({ "folder": pki.folder(), "certificate": certificate, "private_key": pki.key_path(), "crl": crl });
    output.emit(&document, || {
        format!(
            "{verb} the authority in {}\ncertificate      {}\nprivate key      {} (keep it safe)\nrevocation list  {}",
            pki.folder().display(),
            certificate.display(),
            pki.key_path().display(),
            crl.display()
        )
    })
}

fn issue(
    location: &Location,
    name: String,
    purpose: Purpose,
    quality: &Quality,
    output: &Output,
) -> anyhow::Result<()> {
    let pki = Folder::open(&location.pki)?;
    let request = IssueRequest {
        name,
        purpose,
        days: quality.days,
        key: quality.key.into(),
    };
    let issued = pki.issue(&request, OffsetDateTime::now_utc())?;
    note_shortened(&issued, output);
    let document = json!({
        "name": request.name,
        "serial": issued.serial,
        "certificate": issued.certificate,
        "private_key": issued.private_key,
        "not_after": moment(issued.not_after),
    });
    output.emit(&document, || {
        format!(
            "issued {} (serial {}, until {})\ncertificate  {}\nprivate key  {}",
            request.name,
            issued.serial,
            moment(issued.not_after),
            issued.certificate.display(),
            issued.private_key.display()
        )
    })
}

/// Tells if a certificate ends earlier than asked.
pub(crate) fn note_shortened(issued: &Issued, output: &Output) {
    if issued.shortened {
        output.note(&format!(
            "the certificate ends with its authority, on {}",
            issued.not_after.date()
        ));
    }
}

fn list(entries: &[Entry], output: &Output) -> anyhow::Result<()> {
    let document = json!({ "certificates": entries.iter().map(entry_json).collect::<Vec<_>>() });
    output.emit(&document, || {
        let rows = entries.iter().map(|entry| {
            let state = match entry.status {
                Status::Valid => "valid".to_owned(),
                Status::Expired => "expired".to_owned(),
                Status::Revoked { at, reason } => format!("revoked {} ({})", moment(at), reason.name()),
            };
            vec![
                entry.common_name.clone(),
                state,
                moment(entry.not_after),
                entry.serial.clone(),
            ]
        });
        table(&["NAME", "STATE", "UNTIL", "SERIAL"], rows)
    })
}

fn entry_json(entry: &Entry) -> Value {
    let (status, revoked_at, reason) = match entry.status {
        Status::Valid => ("valid", None, None),
        Status::Expired => ("expired", None, None),
        Status::Revoked { at, reason } => ("revoked", Some(moment(at)), Some(reason.name())),
    };
    json!({
        "serial": entry.serial,
        "common_name": entry.common_name,
        "subject": entry.subject,
        "not_after": moment(entry.not_after),
        "status": status,
        "revoked_at": revoked_at,
        "reason": reason,
    })
}

fn crl_json(crl: &CrlInfo) -> Value {
    json!({
        "file": crl.path,
        "number": crl.number,
        "next_update": moment(crl.next_update),
        "revoked": crl.revoked,
    })
}

fn crl_text(crl: &CrlInfo) -> String {
    format!(
        "revocation list {} (number {}, {} revoked, until {}); `culvert reload` makes the daemon read it",
        crl.path.display(),
        crl.number,
        crl.revoked,
        moment(crl.next_update)
    )
}
