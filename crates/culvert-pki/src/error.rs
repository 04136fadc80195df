//! What can go wrong, in words that say what to do.

use std::io;
use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// A file or folder cannot be read, written or locked.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no authority in the folder.
    #[error(
        "{} holds no certificate authority (no ca.crt): make one with `culvert pki init` or bring yours with `culvert pki import`",
        .0.display()
    )]
    NoAuthority(PathBuf),
    /// There is one already.
    #[error("{} holds a certificate authority already; it is left alone. Choose another folder", .0.display())]
    AuthorityExists(PathBuf),
    /// A private key cannot be used.
    #[error("the private key {} cannot be used: {reason}", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// Cause and cure.
        reason: String,
    },
    /// A certificate cannot be used.
    #[error("the certificate {} cannot be used: {reason}", path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// Cause and cure.
        reason: String,
    },
    /// A name that may not be used.
    #[error("the name {name:?} cannot be used: {reason}")]
    Name {
        /// The name.
        name: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// The name has a valid certificate.
    #[error(
        "{name:?} has a valid certificate already (serial {serial}, until {not_after}): revoke it first, or choose another name"
    )]
    Exists {
        /// The name.
        name: String,
        /// The certificate's serial number, hex.
        serial: String,
        /// Its end.
        not_after: String,
    },
    /// A file is in the way that no database line knows.
    #[error("{} is in the way and not in the database: move it away", .0.display())]
    Foreign(PathBuf),
    /// Nothing with that name or serial number.
    #[error("there is no certificate for {0:?}; `culvert pki list` shows all")]
    Unknown(String),
    /// Several certificates have that name.
    #[error("{name:?} has several valid certificates: name one by its serial number ({serials})")]
    Ambiguous {
        /// The name.
        name: String,
        /// Their serial numbers, hex.
        serials: String,
    },
    /// The database has a line that makes no sense.
    #[error("{}:{line}: {reason}", path.display())]
    Index {
        /// The database.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A time span that makes no sense.
    #[error("a validity of {0} days is not possible: choose 1 to 36500")]
    Days(u32),
    /// The authority's own certificate is over.
    #[error(
        "the authority's certificate ended on {0}: it can issue nothing any more. Make a new authority, and give its certificate to endpoint and clients"
    )]
    AuthorityExpired(String),
    /// What was signed would not verify.
    #[error("{0}")]
    Unfaithful(&'static str),
    /// The cryptography library failed.
    #[error("{action} failed: {reason}")]
    Crypto {
        /// What was tried.
        action: &'static str,
        /// The library's words.
        reason: String,
    },
    /// The profile cannot be written as asked.
    #[error("the profile cannot be written: {0}")]
    Profile(String),
}

impl PkiError {
    pub(crate) fn crypto(action: &'static str) -> impl FnOnce(rcgen::Error) -> Self {
        move |error| Self::Crypto {
            action,
            reason: error.to_string(),
        }
    }
}
