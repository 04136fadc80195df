//! tls-crypt-v2: each client has a control-channel key of its own, and brings it along, wrapped by the server.
//!
//! ```text
//! server key file   | Ke 32 | - 32 | Ka 32 | - 32 |
//! client key file   | Kc 256 | WKc |
//! WKc               | tag 32 | AES-256-CTR(Kc 256 | metadata) | length of WKc u16 |
//!                   tag = HMAC-SHA256(Ka, length | Kc | metadata), its first half is the counter block
//! client's reset    tls-crypt packet made with Kc | WKc
//! ```
//!
//! The server stores no client keys: it cuts WKc off the packet ([`split_wkc`]), unwraps Kc
//! ([`ServerKey::unwrap`]), then reads the packet with [`crate::ControlWrap::tls_crypt`] of Kc.

use std::fmt;

use culvert_wire::control::ControlHeader;
use zeroize::{Zeroize, Zeroizing};

use crate::ctr_hmac::{CtrHmacKey, TAG_LEN};
use crate::{Entropy, KeyError, StaticKey, WrapError, pem};

const SERVER_KEY_NAME: &str = "OpenVPN tls-crypt-v2 server key";
const CLIENT_KEY_NAME: &str = "OpenVPN tls-crypt-v2 client key";

/// Bytes of the length field at the end of WKc.
const LENGTH: usize = 2;
/// Bytes of the shortest WKc: one without metadata.
pub const MIN_WKC: usize = TAG_LEN + StaticKey::LEN + LENGTH;
/// Bytes of the longest WKc.
pub const MAX_WKC: usize = 1024;
/// Bytes of the longest metadata, type byte included.
pub const MAX_METADATA: usize = MAX_WKC - MIN_WKC;
/// What precedes the encrypted body in a tls-crypt packet: header, replay id and time, tag.
const FIXED_PART: usize = ControlHeader::LEN + 8 + TAG_LEN;

/// Cuts the wrapped client key off the end of a packet with opcode 10 or 11. Returns the tls-crypt packet before
/// it, and WKc.
///
/// # Errors
/// [`WrapError::TooShort`] if there is no length field, [`WrapError::WrappedKeyLength`] if it does not fit the
/// packet or the format.
pub fn split_wkc(packet: &mut [u8]) -> Result<(&mut [u8], &[u8]), WrapError> {
    let len = usize::from(u16::from_be_bytes(
        *packet.last_chunk::<LENGTH>().ok_or(WrapError::TooShort)?,
    ));
    let available = packet.len().checked_sub(FIXED_PART);
    if available.is_none_or(|available| len > available) || !(MIN_WKC..=MAX_WKC).contains(&len) {
        return Err(WrapError::WrappedKeyLength);
    }
    let head = packet.len() - len;
    let (head, wkc) = packet
        .split_at_mut_checked(head)
        .ok_or(WrapError::WrappedKeyLength)?;
    Ok((head, wkc))
}

/// The server's key that wraps client keys. Whoever has it can make client keys. Wiped when dropped.
#[derive(Clone)]
pub struct ServerKey {
    payload: Box<[u8; Self::LEN]>,
    key: CtrHmacKey,
}

impl ServerKey {
    /// Bytes in a server key file.
    pub const LEN: usize = 128;

    /// Draws a new key.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        let mut payload = Box::new([0; Self::LEN]);
        entropy.fill(&mut *payload);
        Self::expand(payload)
    }

    /// Reads a server key file.
    ///
    /// # Errors
    /// [`KeyError`]: no such key in it, another kind of key, cut short, not base64, wrong length, all zero.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Ok(Self::expand(parse_payload(text, SERVER_KEY_NAME)?))
    }

    /// Writes a server key file.
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::encode(SERVER_KEY_NAME, &*self.payload)
    }

    /// Wraps a client key.
    ///
    /// # Errors
    /// [`KeyError::MetadataTooLong`].
    pub fn wrap(&self, key: &StaticKey, metadata: &Metadata) -> Result<Vec<u8>, KeyError> {
        let metadata = metadata.encode();
        if metadata.len() > MAX_METADATA {
            return Err(KeyError::MetadataTooLong {
                found: metadata.len(),
                max: MAX_METADATA,
            });
        }
        let len = MIN_WKC + metadata.len();
        // At most MAX_WKC, checked above.
        let length = (len as u16).to_be_bytes();
        let mut wkc = Vec::with_capacity(len);
        wkc.extend_from_slice(&[0; TAG_LEN]);
        wkc.extend_from_slice(key.bytes());
        wkc.extend_from_slice(&metadata);
        let (tag, data) = wkc.split_at_mut(TAG_LEN);
        tag.copy_from_slice(&self.key.seal(&length, data));
        wkc.extend_from_slice(&length);
        Ok(wkc)
    }

    /// Unwraps WKc as [`split_wkc`] returned it. Everything decrypted is wiped if an error is returned.
    ///
    /// # Errors
    /// [`WrapError::WrappedKeyLength`] or [`WrapError::WrappedKeyUnauthentic`].
    pub fn unwrap(&self, wkc: &[u8]) -> Result<UnwrappedClientKey, WrapError> {
        let (sealed, length) = wkc
            .split_last_chunk::<LENGTH>()
            .ok_or(WrapError::WrappedKeyLength)?;
        if !(MIN_WKC..=MAX_WKC).contains(&wkc.len()) || usize::from(u16::from_be_bytes(*length)) != wkc.len()
        {
            return Err(WrapError::WrappedKeyLength);
        }
        let (tag, ciphertext) = sealed
            .split_first_chunk::<TAG_LEN>()
            .ok_or(WrapError::WrappedKeyLength)?;
        let mut room = Zeroizing::new([0; MAX_WKC]);
        let data = room
            .get_mut(..ciphertext.len())
            .ok_or(WrapError::WrappedKeyLength)?;
        data.copy_from_slice(ciphertext);
        if !self.key.open(length, tag, data) {
            return Err(WrapError::WrappedKeyUnauthentic);
        }
        let (key, metadata) = data
            .split_first_chunk::<{ StaticKey::LEN }>()
            .ok_or(WrapError::WrappedKeyLength)?;
        Ok(UnwrappedClientKey {
            key: StaticKey::from_bytes(key),
            metadata: Metadata::decode(metadata),
        })
    }

    fn expand(payload: Box<[u8; Self::LEN]>) -> Self {
        let (slots, _) = payload.as_chunks::<64>();
        let key = CtrHmacKey::from_slots(&slots[0], &slots[1]);
        Self { payload, key }
    }
}

impl Drop for ServerKey {
    fn drop(&mut self) {
        self.payload.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerKey(..)")
    }
}

/// What a client sent along, unwrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnwrappedClientKey {
    /// The client's key: Kc.
    pub key: StaticKey,
    /// What was put in when the key was made.
    pub metadata: Metadata,
}

/// A client key file: the client's key and its wrapped form.
#[derive(Clone)]
pub struct ClientKey {
    key: StaticKey,
    wkc: Vec<u8>,
}

impl ClientKey {
    /// Draws a key and wraps it.
    ///
    /// # Errors
    /// [`KeyError::MetadataTooLong`].
    pub fn generate(
        server: &ServerKey,
        metadata: &Metadata,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, KeyError> {
        let key = StaticKey::generate(entropy);
        let wkc = server.wrap(&key, metadata)?;
        Ok(Self { key, wkc })
    }

    /// Reads a client key file.
    ///
    /// # Errors
    /// [`KeyError`]: no such key in it, another kind of key, cut short, not base64, wrong length, all zero.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let payload = pem::decode(text, CLIENT_KEY_NAME)?;
        let wrong_length = || KeyError::WrongLength {
            wanted: "546 to 1280",
            found: payload.len(),
        };
        let (key, wkc) = payload
            .split_first_chunk::<{ StaticKey::LEN }>()
            .ok_or_else(wrong_length)?;
        let length = wkc.last_chunk::<LENGTH>().ok_or_else(wrong_length)?;
        if !(MIN_WKC..=MAX_WKC).contains(&wkc.len()) || usize::from(u16::from_be_bytes(*length)) != wkc.len()
        {
            return Err(wrong_length());
        }
        if crate::static_key::is_zero(key) {
            return Err(KeyError::Weak);
        }
        Ok(Self {
            key: StaticKey::from_bytes(key),
            wkc: wkc.to_vec(),
        })
    }

    /// Writes a client key file.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut payload = Zeroizing::new(Vec::with_capacity(StaticKey::LEN + self.wkc.len()));
        payload.extend_from_slice(self.key.bytes());
        payload.extend_from_slice(&self.wkc);
        pem::encode(CLIENT_KEY_NAME, &payload)
    }

    /// The client's key: Kc.
    pub fn key(&self) -> &StaticKey {
        &self.key
    }

    /// The wrapped form, to append to packets with opcode 10 and 11.
    pub fn wkc(&self) -> &[u8] {
        &self.wkc
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientKey(..)")
    }
}

/// Data inside a wrapped client key; authentic, because only the server can have put it there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Metadata {
    /// None at all: legal, though no known tool writes it.
    Empty,
    /// Type 0: bytes the operator gave when the key was made.
    UserDefined(Vec<u8>),
    /// Type 1: Unix seconds when the key was made. What OpenVPN writes by default.
    Timestamp(u64),
    /// Any other type, or a time that does not take 8 bytes.
    Other {
        /// The type byte.
        kind: u8,
        /// The bytes after it.
        value: Vec<u8>,
    },
}

impl Metadata {
    fn decode(bytes: &[u8]) -> Self {
        let Some((&kind, value)) = bytes.split_first() else {
            return Self::Empty;
        };
        match (kind, <[u8; 8]>::try_from(value)) {
            (0, _) => Self::UserDefined(value.to_vec()),
            (1, Ok(time)) => Self::Timestamp(u64::from_be_bytes(time)),
            (kind, _) => Self::Other {
                kind,
                value: value.to_vec(),
            },
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Empty => Vec::new(),
            Self::UserDefined(value) => [&[0], &value[..]].concat(),
            Self::Timestamp(time) => [&[1], &time.to_be_bytes()[..]].concat(),
            Self::Other { kind, value } => [&[*kind], &value[..]].concat(),
        }
    }
}

/// Reads a key file whose payload is 128 bytes.
pub(crate) fn parse_payload(text: &str, name: &'static str) -> Result<Box<[u8; 128]>, KeyError> {
    let bytes = pem::decode(text, name)?;
    let mut payload = Box::new([0; 128]);
    if bytes.len() != payload.len() {
        return Err(KeyError::WrongLength {
            wanted: "exactly 128",
            found: bytes.len(),
        });
    }
    if crate::static_key::is_zero(&bytes) {
        return Err(KeyError::Weak);
    }
    payload.copy_from_slice(&bytes);
    Ok(payload)
}

#[cfg(test)]
mod tests;
