//! Key method 2: the first message each side sends inside TLS.
//!
//! ```text
//! client  | 0 u32 | 2 | pre-master 48 | random1 32 | random2 32 | options | user | password | peer info |
//! server  | 0 u32 | 2 |                 random1 32 | random2 32 | options | (empty) x 3                 |
//! ```
//!
//! Each string is a u16 length that includes the final NUL, the bytes, the NUL; an absent string is length 0.
//! AWS VPN clients write a dialect: the first four bytes are the total length, little-endian, and string lengths
//! are u32. The answer to them is in the stock dialect.
//!
//! Source: OpenVPN 2.6 behaviour; the AWS dialect from builds of the published client changes.

mod decode;
mod encode;

use std::fmt;

use zeroize::Zeroizing;

pub use decode::{Decoded, KeyMethod2Decoder};

use crate::peer_info::PeerInfo;

/// Longest message accepted from a client that is not authenticated yet, in bytes.
pub const MAX_LEN: usize = 256 * 1024;
/// Longest options string accepted, in bytes; stock sends about 150 and accepts 511.
pub const MAX_OPTIONS: usize = 1024;

/// Bytes before the strings of a client's message.
const CLIENT_FIXED: usize = 4 + 1 + 48 + 32 + 32;

/// How a client frames its message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Four zero bytes in front, u16 string lengths.
    #[default]
    Stock,
    /// Little-endian total length in front, u32 string lengths: AWS VPN clients.
    Aws,
}

/// A client's key exchange message. Key material and password are wiped when dropped and never shown.
#[derive(Clone)]
pub struct KeyMethod2Client {
    /// How the message was, or is to be, framed.
    pub dialect: Dialect,
    /// Pre-master secret for the TLS-1.0 PRF.
    pub pre_master: Zeroizing<[u8; 48]>,
    /// First client random: seeds the master secret.
    pub random1: Zeroizing<[u8; 32]>,
    /// Second client random: seeds the key expansion.
    pub random2: Zeroizing<[u8; 32]>,
    /// Options string, see [`crate::options::OptionsString`].
    pub options: String,
    /// User name, control characters replaced by `_`. `Some("")` is an empty name, `None` no name at all.
    pub username: Option<String>,
    /// Password exactly as sent; invalid UTF-8 becomes U+FFFD and will match nothing.
    pub password: Option<Zeroizing<String>>,
    /// What the client says about itself.
    pub peer_info: PeerInfo,
}

impl fmt::Debug for KeyMethod2Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyMethod2Client")
            .field("dialect", &self.dialect)
            .field("options", &self.options)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| ".."))
            .field("peer_info", &self.peer_info)
            .finish_non_exhaustive()
    }
}

/// A server's key exchange message.
#[derive(Clone)]
pub struct KeyMethod2Server {
    /// First server random: seeds the master secret.
    pub random1: Zeroizing<[u8; 32]>,
    /// Second server random: seeds the key expansion.
    pub random2: Zeroizing<[u8; 32]>,
    /// Options string; must not be empty, or 2.4 and 2.5 clients fail.
    pub options: String,
}

impl fmt::Debug for KeyMethod2Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyMethod2Server")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
