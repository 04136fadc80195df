//! AEAD data-channel keys: in place, the tag apart, no allocation.
//!
//! OpenVPN puts the tag before the ciphertext (or behind it in the epoch format), so it never travels with the
//! data here. What is authenticated besides, and how nonces are made, is the packet format's business:
//! [`aead_nonce`] and [`crate::epoch_nonce`] give both forms.

use std::fmt;

use aes_gcm::aead::consts::U12;
use aes_gcm::aes::Aes192;
use aes_gcm::{AeadInOut, AesGcm, KeyInit};
use ring::aead::{self, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};

use crate::static_key::is_zero;
use crate::{DataCipher, KeyError};

/// Bytes of an AEAD tag.
pub const TAG_LEN: usize = 16;

/// A packet that does not verify: forged, damaged, or sealed with another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet does not verify with this key")]
pub struct Unauthentic;

/// The nonce of AEAD data packets: packet id, big-endian, then the implicit IV.
#[inline]
pub fn aead_nonce(packet_id: u32, implicit_iv: [u8; 8]) -> [u8; 12] {
    let [a, b, c, d] = packet_id.to_be_bytes();
    let [e, f, g, h, i, j, k, l] = implicit_iv;
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

/// One direction's key of an AEAD cipher, expanded; used by many threads at once.
///
/// The caller keeps nonces unique: with AES-GCM a single repeated nonce gives the key's authentication away.
pub struct AeadKey {
    cipher: DataCipher,
    key: Expanded,
}

// Not boxed: one of these per direction and key, and the pointer would be followed for each packet.
#[allow(clippy::large_enum_variant)]
enum Expanded {
    Ring(LessSafeKey),
    /// ring has no AES-192.
    Aes192(AesGcm<Aes192, U12>),
}

impl AeadKey {
    /// Expands `key`.
    ///
    /// # Errors
    /// [`KeyError::WrongMode`] for a CBC cipher, [`KeyError::KeySize`] if `key` is not
    /// [`DataCipher::key_len`] bytes long, [`KeyError::Weak`] if it is all zero.
    pub fn new(cipher: DataCipher, key: &[u8]) -> Result<Self, KeyError> {
        let wrong_size = || KeyError::KeySize {
            algorithm: cipher.name(),
            wanted: cipher.key_len(),
            found: key.len(),
        };
        let ring = |algorithm| expand(algorithm, key).ok_or_else(wrong_size);
        let expanded = match cipher {
            DataCipher::Aes128Gcm => Expanded::Ring(ring(&aead::AES_128_GCM)?),
            DataCipher::Aes256Gcm => Expanded::Ring(ring(&aead::AES_256_GCM)?),
            DataCipher::ChaCha20Poly1305 => Expanded::Ring(ring(&aead::CHACHA20_POLY1305)?),
            DataCipher::Aes192Gcm => Expanded::Aes192(AesGcm::new_from_slice(key).map_err(|_| wrong_size())?),
            DataCipher::Aes128Cbc | DataCipher::Aes192Cbc | DataCipher::Aes256Cbc => {
                return Err(KeyError::WrongMode(cipher.name()));
            }
        };
        if is_zero(key) {
            return Err(KeyError::Weak);
        }
        Ok(Self {
            cipher,
            key: expanded,
        })
    }

    /// The cipher this key is for.
    pub fn cipher(&self) -> DataCipher {
        self.cipher
    }

    /// Encrypts `data` in place and returns the tag over `aad` and the ciphertext.
    ///
    /// `nonce` must never repeat under this key.
    #[inline]
    #[must_use]
    pub fn seal_in_place(&self, nonce: [u8; 12], aad: &[u8], data: &mut [u8]) -> [u8; TAG_LEN] {
        let mut out = [0; TAG_LEN];
        match &self.key {
            Expanded::Ring(key) => {
                let tag = key
                    .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), data)
                    .expect("packets are shorter than the 64 GiB an AEAD takes");
                out.copy_from_slice(tag.as_ref());
            }
            Expanded::Aes192(key) => {
                let tag = key
                    .encrypt_inout_detached(&nonce.into(), aad, data.into())
                    .expect("packets are shorter than the 64 GiB an AEAD takes");
                out.copy_from_slice(&tag);
            }
        }
        out
    }

    /// Decrypts `data` in place if `tag` verifies over `aad` and the ciphertext.
    ///
    /// # Errors
    /// [`Unauthentic`], also for a tag that is not [`TAG_LEN`] bytes long. What `data` holds then is
    /// unspecified, but never unauthenticated plaintext.
    #[inline]
    pub fn open_in_place(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        tag: &[u8],
        data: &mut [u8],
    ) -> Result<(), Unauthentic> {
        let tag: [u8; TAG_LEN] = tag.try_into().map_err(|_| Unauthentic)?;
        match &self.key {
            Expanded::Ring(key) => key
                .open_in_place_separate_tag(
                    Nonce::assume_unique_for_key(nonce),
                    Aad::from(aad),
                    tag.into(),
                    data,
                    0..,
                )
                .map(|_| ())
                .map_err(|_| Unauthentic),
            Expanded::Aes192(key) => key
                .decrypt_inout_detached(&nonce.into(), aad, data.into(), &tag.into())
                .map_err(|_| Unauthentic),
        }
    }
}

fn expand(algorithm: &'static Algorithm, key: &[u8]) -> Option<LessSafeKey> {
    UnboundKey::new(algorithm, key).ok().map(LessSafeKey::new)
}

impl Drop for AeadKey {
    /// ring does not wipe its keys, so a dummy key of the same algorithm is written over it. RustCrypto's
    /// wipes itself.
    fn drop(&mut self) {
        if let Expanded::Ring(key) = &mut self.key {
            let algorithm = key.algorithm();
            let zero = [0; 32];
            if let Some(dummy) = expand(algorithm, zero.split_at(algorithm.key_len()).0) {
                *key = dummy;
                // Keeps the optimiser from dropping a write that nothing reads.
                std::hint::black_box(&*key);
            }
        }
    }
}

impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AeadKey({}, ..)", self.cipher)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{hex, v11_key2};
    use crate::{Direction, Key2};

    const PING: &str = "2a187bf3641eb4cb07ed2d0a981fc748";

    /// Opens and seals a data packet: header, packet id, tag, ciphertext. `aad_from` is 0 for DATA_V2, whose
    /// header is authenticated, and the header's length for DATA_V1.
    fn check(key: &AeadKey, iv: [u8; 8], header: usize, aad_from: usize, packet: &str, plain: &str) {
        let packet = hex(packet);
        let (clear, rest) = packet.split_at(header + 4);
        let (tag, ciphertext) = rest.split_at(TAG_LEN);
        let packet_id = u32::from_be_bytes(clear[header..].try_into().unwrap());
        let nonce = aead_nonce(packet_id, iv);
        let mut data = ciphertext.to_vec();
        key.open_in_place(nonce, &clear[aad_from..], tag, &mut data)
            .unwrap();
        assert_eq!(data, hex(plain));
        assert_eq!(key.seal_in_place(nonce, &clear[aad_from..], &mut data), tag);
        assert_eq!(data, ciphertext);
    }

    fn from_key2(key2: &Key2, cipher: DataCipher, direction: Direction) -> (AeadKey, [u8; 8]) {
        let key = AeadKey::new(cipher, key2.cipher_key(direction, cipher.key_len())).unwrap();
        (key, key2.implicit_iv(direction))
    }

    fn from_hex(cipher: DataCipher, key: &str, iv: &str) -> (AeadKey, [u8; 8]) {
        (
            AeadKey::new(cipher, &hex(key)).unwrap(),
            hex(iv).try_into().unwrap(),
        )
    }

    #[test]
    fn aes_256_gcm_in_data_v2_matches_the_vector() {
        let (key, iv) = from_key2(&v11_key2(), DataCipher::Aes256Gcm, Direction::ClientToServer);
        let packet = "480000050000000106722bb9f750122fb467a53ccf54bb5695cd6cc87e7d9b23594caf6f2608f5d0";
        check(&key, iv, 4, 0, packet, PING);
    }

    #[test]
    fn aes_128_gcm_in_data_v1_matches_the_vector() {
        let (key, iv) = from_key2(&v11_key2(), DataCipher::Aes128Gcm, Direction::ClientToServer);
        let packet = "330000123458ddce6a702247732ab437ea5d7e26010d52a7526edb084dc0c510dddc180bc2";
        check(&key, iv, 1, 1, packet, PING);
    }

    #[test]
    fn chacha20_poly1305_matches_the_vector() {
        let (key, iv) = from_key2(
            &v11_key2(),
            DataCipher::ChaCha20Poly1305,
            Direction::ServerToClient,
        );
        let packet = "48000005000000014a147209bd985c88a463b392285737e6454625b06deb795ac62c299b63f1d25c";
        check(&key, iv, 4, 0, packet, PING);
    }

    #[test]
    fn a_stock_servers_aes_256_gcm_packet_opens_and_is_sealed_alike() {
        let (key, iv) = from_hex(
            DataCipher::Aes256Gcm,
            "3831b848593f0057fbca9a8f4555c73265b176aec3ecbb596bf00cb083d07bdb",
            "7fdbdf177c68a9e7",
        );
        check(
            &key,
            iv,
            4,
            0,
            "480000000000000170b259ddceac5c06467e580ddcf59e23a8b2203f9b6f5c5ffd192d86e47deb24509843e757e1d072c22c5847\
             26fde625090921dc579e53334308fb0c38f96cd9",
            "6000000000083afffe80000000000000c1cef4da0066ca63ff0200000000000000000000000000028500fbc300000000",
        );
    }

    #[test]
    fn a_stock_servers_chacha20_packet_opens_and_is_sealed_alike() {
        let (key, iv) = from_hex(
            DataCipher::ChaCha20Poly1305,
            "e622137a91f7d3a82b8100ea24d18cfcae85d4d7e9665d966de7fe1e5ed3ddd0",
            "833e182fd08aa7ee",
        );
        check(
            &key,
            iv,
            4,
            0,
            "4800000000000001d7f1cca6c4b56fe3c72ab671f4f5e85034df9fa7e26bed943f234a4d78b61835ca9c45e12bfba53b72cb5401\
             210be0d8774989183aeffe634ecf1f24e87f6853",
            "6000000000083afffe80000000000000345918c5b11356feff0200000000000000000000000000028500280700000000",
        );
    }

    /// Test case 10 of the GCM specification (McGrew and Viega): AES-192 with associated data.
    #[test]
    fn aes_192_gcm_matches_the_published_vector() {
        let key = AeadKey::new(
            DataCipher::Aes192Gcm,
            &hex("feffe9928665731c6d6a8f9467308308feffe9928665731c"),
        )
        .unwrap();
        let nonce: [u8; 12] = hex("cafebabefacedbaddecaf888").try_into().unwrap();
        let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let plain = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525\
             b16aedf5aa0de657ba637b39",
        );
        let mut data = plain.clone();
        let tag = key.seal_in_place(nonce, &aad, &mut data);
        assert_eq!(tag, *hex("2519498e80f1478f37ba55bd6d27618c"));
        assert_eq!(
            data,
            hex(
                "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a3f47\
                 18e2448b2fe324d9ccda2710"
            )
        );
        key.open_in_place(nonce, &aad, &tag, &mut data).unwrap();
        assert_eq!(data, plain);
    }

    #[test]
    fn keys_of_the_wrong_size_mode_or_all_zero_are_refused() {
        for cipher in DataCipher::ALL {
            let error = AeadKey::new(cipher, &vec![1; cipher.key_len() + 1]).unwrap_err();
            assert_eq!(
                matches!(error, KeyError::KeySize { .. }),
                cipher.is_aead(),
                "{cipher}"
            );
            let error = AeadKey::new(cipher, &vec![0; cipher.key_len()]).unwrap_err();
            let expected = if cipher.is_aead() {
                KeyError::Weak
            } else {
                KeyError::WrongMode(cipher.name())
            };
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn debug_output_shows_no_key() {
        let key = AeadKey::new(DataCipher::Aes128Gcm, &[7; 16]).unwrap();
        assert_eq!(format!("{key:?}"), "AeadKey(AES-128-GCM, ..)");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_what_is_altered_does_not(
            cipher in prop::sample::select(DataCipher::ALL.into_iter().filter(|c| c.is_aead()).collect::<Vec<_>>()),
            plain in prop::collection::vec(any::<u8>(), 0..200),
            nonce in any::<[u8; 12]>(),
            aad in prop::collection::vec(any::<u8>(), 0..16),
            flip in any::<prop::sample::Index>(),
            bit in 0..8,
        ) {
            let key = AeadKey::new(cipher, &vec![9; cipher.key_len()]).unwrap();
            let mut data = plain.clone();
            let tag = key.seal_in_place(nonce, &aad, &mut data);

            // Flip one bit of the nonce, the associated data, the tag or the ciphertext.
            let mut all = [&nonce[..], &aad, &tag, &data].concat();
            let at = flip.index(all.len());
            all[at] ^= 1u8 << bit;
            let (bad_nonce, rest) = all.split_at(12);
            let (bad_aad, rest) = rest.split_at(aad.len());
            let (bad_tag, bad_data) = rest.split_at(TAG_LEN);
            prop_assert_eq!(
                key.open_in_place(bad_nonce.try_into().unwrap(), bad_aad, bad_tag, &mut bad_data.to_vec()),
                Err(Unauthentic)
            );
            prop_assert_eq!(key.open_in_place(nonce, &aad, &tag[1..], &mut data.clone()), Err(Unauthentic));

            key.open_in_place(nonce, &aad, &tag, &mut data).unwrap();
            prop_assert_eq!(data, plain);
        }
    }
}
