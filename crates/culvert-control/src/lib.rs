//! TLS control channel: reliability layer, TLS, key method 2 and renegotiation, for both roles, as a state
//! machine without I/O.

#![forbid(unsafe_code)]

mod certificate;
pub mod crl;
pub mod pem;
#[cfg(test)]
mod testing;
pub mod tls;
mod verify;

pub use certificate::{CertificateInfo, CertificateUnreadable};
