//! The key schedule of the epoch data format (OpenVPN 2.7): each direction steps from secret to secret, and
//! each secret yields one AEAD key and one IV.
//!
//! ```text
//! E_1     = first 32 bytes of the direction's cipher slot
//! E_(n+1) = expand(E_n, "datakey upd", 32)
//! K_n     = expand(E_n, "data_key", key length of the cipher)
//! IV_n    = expand(E_n, "data_iv", 12)
//! expand(E, label, len) = HKDF-Expand-SHA256(E, u16(len) | u8(5 + |label|) | "ovpn " | label | u8(0), len)
//! ```
//!
//! Which epochs are in use, and when to step, is the data channel's business.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::digest::{HmacSha256, expand, hmac_sha256};
use crate::{AeadKey, DataCipher, Direction, Key2, KeyError};

/// The secret of one direction in one epoch. Wiped when dropped.
///
/// Source: OpenVPN 2.7 behaviour, "epoch data key format".
#[derive(Clone)]
pub struct EpochSecret {
    secret: [u8; 32],
    epoch: u16,
}

impl EpochSecret {
    /// The secret of epoch 1.
    pub fn first(key2: &Key2, direction: Direction) -> Self {
        Self {
            secret: key2.epoch_secret(direction),
            epoch: 1,
        }
    }

    /// Number of the epoch, 1..=65535.
    pub fn epoch(&self) -> u16 {
        self.epoch
    }

    /// The secret of the next epoch; `None` after 65535.
    pub fn next(&self) -> Option<Self> {
        let epoch = self.epoch.checked_add(1)?;
        let mut next = Self {
            secret: [0; 32],
            epoch,
        };
        expand_label(&self.secret, b"datakey upd", &mut next.secret);
        Some(next)
    }

    /// The key of this epoch.
    ///
    /// # Errors
    /// [`KeyError::WrongMode`] for a CBC cipher.
    pub fn key(&self, cipher: DataCipher) -> Result<AeadKey, KeyError> {
        if !cipher.is_aead() {
            return Err(KeyError::WrongMode(cipher.name()));
        }
        AeadKey::new(cipher, self.key_bytes(&mut Zeroizing::new([0; 32]), cipher))
    }

    /// The IV of this epoch, for [`epoch_nonce`].
    pub fn iv(&self) -> [u8; 12] {
        let mut iv = [0; 12];
        expand_label(&self.secret, b"data_iv", &mut iv);
        iv
    }

    fn key_bytes<'a>(&self, room: &'a mut [u8; 32], cipher: DataCipher) -> &'a [u8] {
        let (key, _) = room.split_at_mut(cipher.key_len());
        expand_label(&self.secret, b"data_key", key);
        key
    }
}

impl Drop for EpochSecret {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochSecret(epoch {}, ..)", self.epoch)
    }
}

/// The nonce of a packet in the epoch format: the epoch's IV, XORed with the 8 bytes `epoch u16 | counter u48`
/// of the packet and four zero bytes. `counter` is below 2^48.
#[inline]
pub fn epoch_nonce(iv: [u8; 12], epoch: u16, counter: u64) -> [u8; 12] {
    debug_assert!(
        counter < 1 << 48,
        "the counter would reach into the epoch and repeat a nonce"
    );
    let id = (u64::from(epoch) << 48) | counter;
    let mut nonce = iv;
    for (byte, with) in nonce.iter_mut().zip(id.to_be_bytes()) {
        *byte ^= with;
    }
    nonce
}

/// HKDF-Expand with SHA-256 and a labelled info; at most 32 bytes, so one block is enough.
fn expand_label(secret: &[u8; 32], label: &[u8], out: &mut [u8]) {
    debug_assert!(out.len() <= 32 && label.len() <= 250);
    let len = (out.len() as u16).to_be_bytes();
    let label_len = [5 + label.len() as u8];
    let key: HmacSha256 = expand(secret);
    let mut block = hmac_sha256(&key, &[&len, &label_len, b"ovpn ", label, &[0], &[1]]);
    for (to, from) in out.iter_mut().zip(&block) {
        *to = *from;
    }
    block.zeroize();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TAG_LEN;
    use crate::testing::{hex, v11_key2};

    fn secret(text: &str) -> EpochSecret {
        EpochSecret {
            secret: hex(text).try_into().unwrap(),
            epoch: 1,
        }
    }

    /// Opens and seals an epoch packet: header 4, epoch 2, counter 6, ciphertext, tag.
    fn check(secret: &EpochSecret, packet: &str, plain: &str) {
        let packet = hex(packet);
        let (clear, rest) = packet.split_at(12);
        let (ciphertext, tag) = rest.split_at(rest.len() - TAG_LEN);
        let id = u64::from_be_bytes(clear[4..].try_into().unwrap());
        let (epoch, counter) = ((id >> 48) as u16, id & ((1 << 48) - 1));
        assert_eq!(epoch, secret.epoch());
        let nonce = epoch_nonce(secret.iv(), epoch, counter);
        let key = secret.key(DataCipher::Aes256Gcm).unwrap();
        let mut data = ciphertext.to_vec();
        key.open_in_place(nonce, clear, tag, &mut data).unwrap();
        assert_eq!(data, hex(plain));
        assert_eq!(key.seal_in_place(nonce, clear, &mut data), tag);
        assert_eq!(data, ciphertext);
    }

    #[test]
    fn labels_expand_as_in_the_unit_test_of_openvpn() {
        let secret = hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
        let mut out = [0; 16];
        expand_label(&secret.try_into().unwrap(), b"unit test", &mut out);
        assert_eq!(out, *hex("185eaa1c7f228ab8eb29773214d92046"));
    }

    #[test]
    fn three_epochs_match_the_vectors() {
        let expected = [
            (
                "e19b9863dc8d695bdd6f89fb2cc74ee915c1f513baf35f295b4c029af54f21a7",
                "a2d25935f6a5e6705247af617a59828110f4048b4c2e76e5e8da44f878db6dff",
                "affcdc5c917e6bc1c859fae79039a711",
                "f478049bc78db57e348efb39",
            ),
            (
                "b2baef22ccd96e36918df2d1171dff935198d2d52a9b4586baf090c12d891395",
                "30e35be207389a519999d37b15a996c6a2062de8ce81469a5dc055265db50551",
                "921d2e604181d9f93861432823d91e46",
                "aa0bf71e606c1b89d5d77d47",
            ),
            (
                "503ab1832b2aa0da187d9293fe194ca72c92128f6b553c01f8a540a5bbfcf108",
                "73acca4122be5f3fdee7d11c8c6dfb918fad111c714931346fadddaa059582ea",
                "5de694092d98d2cee713a49882402609",
                "28e966f06b86a8806548bd86",
            ),
        ];
        let mut epoch = EpochSecret::first(&v11_key2(), Direction::ClientToServer);
        for (number, (secret, key32, key16, iv)) in (1..).zip(expected) {
            assert_eq!(epoch.epoch(), number);
            assert_eq!(epoch.secret, *hex(secret));
            let mut room = [0; 32];
            assert_eq!(epoch.key_bytes(&mut room, DataCipher::Aes256Gcm), hex(key32));
            assert_eq!(epoch.key_bytes(&mut room, DataCipher::Aes128Gcm), hex(key16));
            assert_eq!(epoch.iv(), *hex(iv));
            epoch = epoch.next().unwrap();
        }
    }

    #[test]
    fn packets_of_two_epochs_match_the_vectors() {
        let ping = "2a187bf3641eb4cb07ed2d0a981fc748";
        let first = EpochSecret::first(&v11_key2(), Direction::ClientToServer);
        check(
            &first,
            "480000050001000000000001210b323742cc8db492526d425b2d0431841b5326d34604d7f20dd6a7d6d801b6",
            ping,
        );
        check(
            &first.next().unwrap(),
            "480000050002000000000001eb10e7fd163a93546841f77c98b5db2629903df81d8e8ebf9af0a0bd5cb62411",
            ping,
        );
    }

    #[test]
    fn a_stock_servers_packet_opens_and_is_sealed_alike() {
        let secret = secret("efb06ae60375eda3e4a4a0821ad6f49d0b06db9f414a086d166d9ce0bcabffca");
        let mut room = [0; 32];
        assert_eq!(
            secret.key_bytes(&mut room, DataCipher::Aes256Gcm),
            hex("78257bdd9293e831bda28f3ea2b2eaf0719ac98c67fbf09deda03bd05a907e80")
        );
        assert_eq!(secret.iv(), *hex("e8be8a6b81f15ed5445f134b"));
        check(
            &secret,
            "48000000000100000000000190d0138446fa655d87432002616f858ae72d320834b4f3850787850effe8ab423a98ace2ad1ffc69\
             ffbad96fbe6ab7c95cbaedafb352cf4f6ba6df13d2fc6c1a",
            "6000000000083afffe80000000000000631b8fa69745bc0fff0200000000000000000000000000028500372000000000",
        );
    }

    #[test]
    fn the_schedule_ends_at_epoch_65535_and_takes_aead_ciphers_only() {
        let mut last = secret(&"01".repeat(32));
        last.epoch = u16::MAX;
        assert!(last.next().is_none());
        assert_eq!(
            last.key(DataCipher::Aes256Cbc).unwrap_err(),
            KeyError::WrongMode("AES-256-CBC")
        );
        assert_eq!(format!("{last:?}"), "EpochSecret(epoch 65535, ..)");
    }
}
