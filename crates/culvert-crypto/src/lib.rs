//! Cryptography of the OpenVPN protocol: control-channel wrapping, key derivation, data-channel ciphers,
//! cookies and tokens. No sockets, no clock, no randomness of its own.
//!
//! ```text
//! control packet   ControlWrap::wrap / unwrap   tls-auth, tls-crypt, tls-crypt-v2 (tls_crypt_v2), dynamic
//! first reply      CookieKey                    the server's session id as a stateless cookie
//! data keys        Key2                         from the TLS exporter or the TLS 1.0 PRF (prf)
//! data packet      AeadKey, CbcHmacKey          in place, no allocation; epochs: EpochSecret
//! re-login         auth_token::TokenKey         tokens in the stock format
//! ```
//!
//! This is the only crate that names the AEAD implementation (`ring`, and RustCrypto where ring has no such
//! cipher), so another can be tried here without touching callers.
//!
//! # Rules kept throughout
//!
//! - What authenticates is checked before it is used, in constant time.
//! - Keys are wiped when dropped, never printed by `Debug`, never returned in errors.
//! - Packet functions neither allocate nor panic, whatever the input.
//! - Time comes in as Unix seconds, randomness as [`Entropy`].

#![forbid(unsafe_code)]

pub mod auth_token;
pub mod prf;
pub mod tls_crypt_v2;

mod aead;
mod cbc_hmac;
mod cipher;
mod cookie;
mod ctr_hmac;
mod digest;
mod entropy;
mod epoch;
mod error;
mod key2;
mod pem;
mod replay;
mod static_key;
mod wrap;

#[cfg(test)]
mod testing;

pub use aead::{AeadKey, TAG_LEN, Unauthentic, aead_nonce};
pub use cbc_hmac::CbcHmacKey;
pub use cipher::DataCipher;
pub use cookie::CookieKey;
pub use digest::AuthDigest;
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use epoch::{EpochSecret, epoch_nonce};
pub use error::{KeyError, WrapError};
pub use key2::{Direction, Key2};
pub use replay::{ControlReplay, ControlSendStamp, ReplayStamp};
pub use static_key::{KeyDirection, StaticKey};
pub use wrap::{ControlWrap, TlsAuthKeys, TlsCryptKeys, Unwrapped};

/// Which side of a session we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The side that answers hard resets and pushes options.
    Server,
    /// The side that starts sessions.
    Client,
}

impl Role {
    /// The other side.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }
}
