//! Certificate authority operations and client profiles. No network, no daemon.
//!
//! A [`Pki`] is a folder in the layout that easy-rsa made common: `ca.crt`, `private/ca.key`,
//! `issued/NAME.crt`, `private/NAME.key`, `crl.pem`, and the database `index.txt` in OpenSSL's format. An
//! easy-rsa folder can therefore be used in place, and a folder made here can be managed with easy-rsa or
//! `openssl ca` later. Keys are ECDSA on P-256 unless asked otherwise; RSA keys of an existing authority can
//! sign, but none are generated.
//!
//! Changes happen under a lock, and each file is replaced whole. A serial number is in the database before
//! its certificate exists, a revocation before its list does, so an interruption loses no revocation and
//! leaves no certificate that cannot be revoked.

mod authority;
mod error;
mod files;
mod index;
mod issue;
mod key;
mod name;
mod pem;
mod profile;
mod revoke;
mod server;

pub use authority::{InitOptions, Pki};
pub use error::PkiError;
pub use index::{Entry, RevocationReason, Status};
pub use issue::{IssueRequest, Issued, Purpose};
pub use key::KeyKind;
pub use name::{AltName, check_name};
pub use profile::{ControlKey, Identity, Profile, ProfileTransport, Remote};
pub use revoke::{CrlInfo, Revoked, Selector};
pub use server::ServerCertificate;
