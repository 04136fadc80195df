//! Data-channel keys of both directions, as both derivation methods produce them.

use std::fmt;

use zeroize::Zeroize;

use crate::static_key::{Slot, StaticKey};
use crate::{AuthDigest, KeyError, Role};

/// Which way packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server: `keys[0]`.
    ClientToServer,
    /// From the server to the client: `keys[1]`.
    ServerToClient,
}

impl Direction {
    /// The direction in which `role` sends.
    pub fn sent_by(role: Role) -> Self {
        match role {
            Role::Client => Self::ClientToServer,
            Role::Server => Self::ServerToClient,
        }
    }

    /// The direction in which `role` receives.
    pub fn received_by(role: Role) -> Self {
        Self::sent_by(role.peer())
    }

    fn slot(self) -> Slot {
        match self {
            Self::ClientToServer => Slot::Keys0,
            Self::ServerToClient => Slot::Keys1,
        }
    }
}

/// 256 bytes of data-channel key material in the [`StaticKey`] layout: per direction 64 bytes for the cipher
/// and 64 bytes for the HMAC or the implicit IV. Wiped when dropped.
///
/// Note that a client *sends* with `keys[0]` here, but *receives* with it in tls-crypt.
///
/// Source: wire draft, "key expansion".
#[derive(Clone, PartialEq, Eq)]
pub struct Key2(StaticKey);

impl Key2 {
    /// Bytes of key material.
    pub const LEN: usize = StaticKey::LEN;

    /// The exporter label of data-channel keys (EKM); exported without a context.
    pub const EXPORTER_LABEL: &'static [u8] = b"EXPORTER-OpenVPN-datakeys";

    /// The exporter label of dynamic tls-crypt keys; exported without a context.
    pub const DYNAMIC_TLS_CRYPT_LABEL: &'static [u8] = b"EXPORTER-OpenVPN-dynamic-tls-crypt";

    /// Takes the bytes a TLS exporter produced.
    pub fn from_exporter(mut bytes: [u8; Self::LEN]) -> Self {
        let key = Self(StaticKey::from_bytes(&bytes));
        bytes.zeroize();
        key
    }

    /// The raw bytes. Handle with the same care as the key itself.
    pub fn bytes(&self) -> &[u8; Self::LEN] {
        self.0.bytes()
    }

    /// Refuses material in which a cipher slot is all zero, which only a broken peer or generator produces.
    ///
    /// # Errors
    /// [`KeyError::Weak`].
    pub fn check(&self) -> Result<(), KeyError> {
        let weak = [Slot::Keys0, Slot::Keys1]
            .into_iter()
            .any(|slot| crate::static_key::is_zero(self.0.cipher_slot(slot)));
        if weak { Err(KeyError::Weak) } else { Ok(()) }
    }

    /// The first `len` bytes of a direction's cipher slot; at most 64.
    pub fn cipher_key(&self, direction: Direction, len: usize) -> &[u8] {
        let slot = self.0.cipher_slot(direction.slot());
        slot.split_at(len.min(slot.len())).0
    }

    /// The part of a direction's HMAC slot that `digest` uses.
    pub fn hmac_key(&self, direction: Direction, digest: AuthDigest) -> &[u8] {
        self.hmac_slot(direction).split_at(digest.size()).0
    }

    /// The implicit IV of AEAD ciphers: the last 8 bytes of each nonce, after the packet id.
    pub fn implicit_iv(&self, direction: Direction) -> [u8; 8] {
        let mut iv = [0; 8];
        iv.copy_from_slice(self.hmac_slot(direction).split_at(8).0);
        iv
    }

    /// The first secret of the epoch schedule: 32 bytes of the cipher slot.
    pub(crate) fn epoch_secret(&self, direction: Direction) -> [u8; 32] {
        let mut secret = [0; 32];
        secret.copy_from_slice(self.cipher_key(direction, 32));
        secret
    }

    pub(crate) fn hmac_slot(&self, direction: Direction) -> &[u8; 64] {
        self.0.hmac_slot(direction.slot())
    }
}

impl From<StaticKey> for Key2 {
    fn from(key: StaticKey) -> Self {
        Self(key)
    }
}

impl fmt::Debug for Key2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key2(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::counting_key;

    #[test]
    fn clients_send_with_the_first_half() {
        let key2 = Key2::from_exporter(*counting_key().bytes());
        let c2s = Direction::sent_by(Role::Client);
        assert_eq!(c2s, Direction::received_by(Role::Server));
        assert_eq!(key2.cipher_key(c2s, 16)[0], 0);
        assert_eq!(
            key2.hmac_key(c2s, AuthDigest::Sha1),
            (64..84).collect::<Vec<u8>>()
        );
        assert_eq!(key2.implicit_iv(c2s)[0], 64);
        let s2c = Direction::sent_by(Role::Server);
        assert_eq!(key2.cipher_key(s2c, 1000).len(), 64);
        assert_eq!(key2.epoch_secret(s2c)[0], 128);
        assert_eq!(key2.implicit_iv(s2c)[7], 199);
    }

    #[test]
    fn material_with_an_all_zero_cipher_slot_is_weak() {
        let mut bytes = [1; 256];
        assert_eq!(Key2::from_exporter(bytes).check(), Ok(()));
        bytes[128..192].fill(0);
        assert_eq!(Key2::from_exporter(bytes).check(), Err(KeyError::Weak));
    }

    #[test]
    fn debug_output_shows_no_key() {
        assert_eq!(format!("{:?}", Key2::from_exporter([7; 256])), "Key2(..)");
    }
}
