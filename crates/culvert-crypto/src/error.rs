//! What can go wrong: with keys that an operator gave us, and with packets that a peer sent.

use culvert_wire::ParseError;

/// A key, key file or algorithm name that cannot be used. The operator's or the peer's fault; the texts say
/// what to do and never quote key material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No `-----BEGIN ...-----` line of the wanted kind.
    #[error("there is no \"-----BEGIN {wanted}-----\" line in it; it must hold the {wanted}")]
    NoKey {
        /// The name between the dashes.
        wanted: &'static str,
    },
    /// A key file of another kind.
    #[error("it holds a {found:?}, but a {wanted:?} is needed here")]
    WrongKind {
        /// The name between the dashes that is needed.
        wanted: &'static str,
        /// The name between the dashes that was found.
        found: String,
    },
    /// No `-----END ...-----` line.
    #[error("the \"-----END {wanted}-----\" line is missing; the file is cut short, copy it again")]
    NoEnd {
        /// The name between the dashes.
        wanted: &'static str,
    },
    /// A character that is neither a hexadecimal digit nor a blank.
    #[error("line {line} contains a character that is not a hexadecimal digit; copy the file again")]
    NotHex {
        /// Line of the file, from 1.
        line: usize,
    },
    /// A body that is not base64.
    #[error("the text between the BEGIN and END lines is not valid base64; copy the file again")]
    NotBase64,
    /// A body of the wrong size.
    #[error(
        "it holds {found} bytes of key material, {wanted} are needed; copy the file again or generate a new one"
    )]
    WrongLength {
        /// Bytes needed, in words where it is a range.
        wanted: &'static str,
        /// Bytes there are.
        found: usize,
    },
    /// A key of the wrong size for its algorithm: our own mistake, never a peer's.
    #[error("{algorithm} takes a key of {wanted} bytes, not {found}")]
    KeySize {
        /// The algorithm.
        algorithm: &'static str,
        /// Bytes it takes.
        wanted: usize,
        /// Bytes given.
        found: usize,
    },
    /// A key that is all zero bytes, which no working generator or peer produces.
    #[error("the key is all zero bytes; generate a new one")]
    Weak,
    /// An algorithm used in a mode it does not have: our own mistake, never a peer's.
    #[error("{0} cannot be used in this packet format")]
    WrongMode(&'static str),
    /// Metadata that would make the wrapped client key longer than clients and servers accept.
    #[error(
        "the metadata takes {found} bytes with its type byte, at most {max} fit into a client key; shorten it"
    )]
    MetadataTooLong {
        /// Bytes it takes.
        found: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// An HMAC digest we do not offer.
    #[error("the digest {0:?} is not supported; use SHA1, SHA256 or SHA512")]
    UnknownDigest(String),
    /// A data cipher we do not offer.
    #[error(
        "the cipher {0:?} is not supported; use AES-256-GCM, AES-192-GCM, AES-128-GCM, CHACHA20-POLY1305 or, \
         for old clients, AES-256-CBC, AES-192-CBC or AES-128-CBC"
    )]
    UnknownCipher(String),
}

/// Why a control packet could not be unwrapped. A drop reason: small, `Copy`, its name is the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// The clear header is malformed.
    #[error("malformed control packet: {0}")]
    Malformed(#[from] ParseError),
    /// Too short for the configured wrapping.
    #[error(
        "the packet is too short for the configured control-channel key; does the client use the same kind?"
    )]
    TooShort,
    /// The wrapper does not verify: a wrong or missing key, or not an OpenVPN peer.
    #[error(
        "the packet does not verify with the control-channel key; does the client have the same key file?"
    )]
    Unauthentic,
    /// The length at the end of a tls-crypt-v2 packet does not fit the packet or the format.
    #[error("the length of the wrapped client key does not fit the packet")]
    WrappedKeyLength,
    /// The wrapped client key was not made with our server key.
    #[error("the client key was not made with this server's tls-crypt-v2 key; issue a new client key")]
    WrappedKeyUnauthentic,
}

impl WrapError {
    /// Stable name for metric labels and log fields.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed(error) => error.name(),
            Self::TooShort => "wrap_too_short",
            Self::Unauthentic => "wrap_unauthentic",
            Self::WrappedKeyLength => "wrapped_key_length",
            Self::WrappedKeyUnauthentic => "wrapped_key_unauthentic",
        }
    }
}
