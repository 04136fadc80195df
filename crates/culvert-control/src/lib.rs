//! TLS control channel of one OpenVPN client: reliability layer, TLS, key method 2, control messages and
//! renegotiation, for both roles, as a state machine without I/O and without a clock.
//!
//! ```text
//!            packets                                                          events
//! handle_packet ──> wrapping ──> reliability layer ──> TLS ──> key method 2 ──> poll_event
//! poll_transmit <── wrapping <── reliability layer <── TLS <── messages     <── send_message
//! ```
//!
//! [`Session`] is one side of one client's channel, over all its renegotiations. [`tls`] builds the
//! certificates and checks it runs with, [`crl`] judges revocation lists, and every failure is a sentence with
//! its cause and cure ([`SessionError`], [`TlsFailure`]).
//!
//! TLS draws its own randomness inside rustls; everything else comes in as [`culvert_crypto::Entropy`].

#![forbid(unsafe_code)]

mod certificate;
mod config;
pub mod crl;
mod error;
mod event;
mod exchange;
mod key_state;
pub mod pem;
mod reliable;
mod session;
#[cfg(test)]
mod testing;
pub mod tls;
mod tls_failure;
mod tls_stream;
mod verify;
mod wrapping;

pub use certificate::{CertificateInfo, CertificateUnreadable};
pub use config::{ClientCredentials, SessionConfig, TlsSide};
pub use culvert_crypto::Role;
pub use error::{ControlDrop, SessionError};
pub use event::SessionEvent;
pub use session::{Session, Start};
pub use tls_failure::{Peer, TlsFailure};
pub use wrapping::SessionWrap;
