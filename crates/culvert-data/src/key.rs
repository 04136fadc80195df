//! The keys of one key id, both directions: what turns packets into payloads and back.
//!
//! ```text
//! Aead   header | packet id 4 | tag 16 | ciphertext          one key per direction, packet id ends at 2^32 - 1
//! Epoch  header | epoch 2 | counter 6 | ciphertext | tag 16  a chain of keys per direction
//! Cbc    header | HMAC | IV 16 | ciphertext of (packet id 4 | payload | padding)
//! ```
//!
//! Source: wire draft, "data channel"; the epoch format is OpenVPN 2.7 behaviour.

mod aead;
mod cbc;
mod epoch;
mod limits;

use culvert_crypto::{AuthDigest, DataCipher, Direction, Key2, KeyError, Role, TAG_LEN};
use culvert_wire::data::DataHeader;

use crate::DropReason;
use crate::framing::Framing;
use crate::mss::Expansion;
use crate::replay::Freshness;

use aead::AeadKeys;
use cbc::CbcKeys;
use epoch::EpochKeys;
pub(crate) use limits::Limits;

/// How packets of a key look, as negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataFormat {
    /// AEAD with a 32-bit packet id and the tag in front: every client since 2.4.
    Aead,
    /// AEAD with epochs and the tag at the end (`aead-epoch`, 2.7). DATA_V2 only.
    Epoch,
    /// CBC with an HMAC of this digest: clients that cannot do AEAD.
    Cbc(AuthDigest),
}

/// Data-channel keys of one key id. Sealing and opening take `&self` and may run on any number of threads.
///
/// Packet ids are claimed from an atomic counter that refuses to wrap. Nothing allocates, except on the rare step
/// to another epoch.
#[derive(Debug)]
pub struct DataKey {
    cipher: DataCipher,
    format: DataFormat,
    keys: Keys,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every key is an Aead one, and a box would cost each of its packets a cache miss"
)]
enum Keys {
    Aead(AeadKeys),
    Epoch(EpochKeys),
    // The expanded AES keys of both directions take more than those of the ciphers everyone uses.
    Cbc(Box<CbcKeys>),
}

/// A packet that authenticated and was not seen before.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'p> {
    /// The plaintext, in the place where its ciphertext was. Framing, if any, is still on it.
    pub payload: &'p mut [u8],
    /// Its packet id is the highest so far.
    pub newest: bool,
}

impl<'p> Opened<'p> {
    fn new(payload: &'p mut [u8], freshness: Freshness) -> Self {
        Self {
            payload,
            newest: freshness == Freshness::Newest,
        }
    }
}

impl DataKey {
    /// Derives both directions from the key material of a negotiation.
    ///
    /// # Errors
    /// [`KeyError::WrongMode`] if the cipher does not have this format, [`KeyError::Weak`] for all-zero material.
    pub fn new(cipher: DataCipher, format: DataFormat, role: Role, key2: &Key2) -> Result<Self, KeyError> {
        Self::with_limits(cipher, format, role, key2, Limits::of(cipher))
    }

    pub(crate) fn with_limits(
        cipher: DataCipher,
        format: DataFormat,
        role: Role,
        key2: &Key2,
        limits: Limits,
    ) -> Result<Self, KeyError> {
        key2.check()?;
        let (tx, rx) = (Direction::sent_by(role), Direction::received_by(role));
        let keys = match format {
            DataFormat::Aead => Keys::Aead(AeadKeys::new(cipher, key2, tx, rx, limits)?),
            DataFormat::Epoch => Keys::Epoch(EpochKeys::new(cipher, key2, tx, rx, limits)?),
            DataFormat::Cbc(digest) => {
                Keys::Cbc(Box::new(CbcKeys::new(cipher, digest, key2, tx, rx, limits)?))
            }
        };
        Ok(Self { cipher, format, keys })
    }

    /// The cipher.
    pub fn cipher(&self) -> DataCipher {
        self.cipher
    }

    /// The packet format.
    pub fn format(&self) -> DataFormat {
        self.format
    }

    /// True once either direction comes near the end of what the keys may be used for: time to renegotiate.
    #[inline]
    pub fn at_limit(&self) -> bool {
        match &self.keys {
            Keys::Aead(keys) => keys.meter.at_limit(),
            Keys::Epoch(keys) => keys.at_limit(),
            Keys::Cbc(keys) => keys.meter.at_limit(),
        }
    }

    /// Exact size of a packet with this header that carries `payload` bytes, framing byte included in the count.
    pub fn sealed_len(&self, header_len: usize, payload: usize) -> usize {
        let expansion = self.expansion(header_len, Framing::None);
        let inside = expansion.inside + payload;
        expansion.fixed
            + match expansion.block {
                None => inside,
                Some(block) => (inside / block + 1) * block,
            }
    }

    /// How much the key adds to a packet, for segment sizes.
    pub fn expansion(&self, header_len: usize, framing: Framing) -> Expansion {
        let (fixed, block, inside) = match &self.keys {
            Keys::Aead(_) => (4 + TAG_LEN, None, 0),
            Keys::Epoch(_) => (8 + TAG_LEN, None, 0),
            Keys::Cbc(keys) => (keys.fixed_len(), Some(cbc::BLOCK), 4),
        };
        Expansion {
            fixed: header_len + fixed,
            block,
            inside: inside + framing.len(),
        }
    }

    /// Writes one packet to the front of `out`: header, then the sealed concatenation of `parts`. Returns its length.
    ///
    /// Copying the parts into `out` is the only copy; they are encrypted there.
    ///
    /// # Errors
    /// [`DropReason::NoRoom`] if `out` is shorter than [`DataKey::sealed_len`], [`DropReason::KeyExhausted`] if no
    /// packet id is left. Neither uses up a packet id.
    pub fn seal_into(
        &self,
        header: &DataHeader,
        framing: Framing,
        parts: &[&[u8]],
        out: &mut [u8],
    ) -> Result<usize, DropReason> {
        let plaintext = Plaintext {
            prefix: framing.prefix(),
            parts,
        };
        let header = header.encode();
        let len = self.sealed_len(header.len(), plaintext.len());
        let out = out.get_mut(..len).ok_or(DropReason::NoRoom)?;
        match &self.keys {
            Keys::Aead(keys) => keys.seal(&header, &plaintext, out)?,
            Keys::Epoch(keys) => keys.seal(&header, &plaintext, out)?,
            Keys::Cbc(keys) => keys.seal(&header, &plaintext, out)?,
        }
        Ok(len)
    }

    /// Opens a packet in place; `header_len` is [`DataHeader::len`] of its header.
    ///
    /// The packet id is marked as seen only after the packet authenticated.
    ///
    /// # Errors
    /// [`DropReason::Malformed`], [`DropReason::Unauthentic`], [`DropReason::Replay`], [`DropReason::DecryptLimit`],
    /// or [`DropReason::UnknownKey`] for an epoch out of reach. The packet's contents are undefined afterwards.
    pub fn open<'p>(&self, header_len: usize, packet: &'p mut [u8]) -> Result<Opened<'p>, DropReason> {
        match &self.keys {
            Keys::Aead(keys) => keys.open(header_len, packet),
            Keys::Epoch(keys) => keys.open(header_len, packet),
            Keys::Cbc(keys) => keys.open(header_len, packet),
        }
    }
}

/// A plaintext in pieces, not yet anywhere in one piece.
struct Plaintext<'a> {
    prefix: &'a [u8],
    parts: &'a [&'a [u8]],
}

impl Plaintext<'_> {
    fn len(&self) -> usize {
        self.prefix.len() + self.parts.iter().map(|part| part.len()).sum::<usize>()
    }

    /// Copies the pieces into `out`, which is exactly as long as all of them: the one copy of the send path.
    fn copy_to(&self, out: &mut [u8]) {
        let mut rest = out;
        for part in std::iter::once(&self.prefix).chain(self.parts) {
            let Some((room, after)) = rest.split_at_mut_checked(part.len()) else {
                return;
            };
            room.copy_from_slice(part);
            rest = after;
        }
    }
}

/// What AEAD authenticates besides the ciphertext: the whole clear part, except the one-byte header of DATA_V1.
fn associated_data(clear: &[u8], header_len: usize) -> &[u8] {
    if header_len == culvert_wire::data::V1_LEN {
        clear.get(header_len..).unwrap_or_default()
    } else {
        clear
    }
}

#[cfg(test)]
mod tests;
