//! CBC data-channel keys with an HMAC: the format of clients without AEAD ciphers.
//!
//! ```text
//! | HMAC h | IV 16 | CBC ciphertext of: packet id 4 | plaintext | PKCS#7 padding 1..16 |
//! ```
//!
//! The HMAC covers IV and ciphertext, not the header before them. It is checked first: nothing a forger sends
//! reaches the padding check, so its outcome tells nobody anything.

use std::fmt;
use std::ops::Range;

use aes::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit,
    consts::U16,
};
use aes::{Aes128, Aes192, Aes256};

use crate::digest::HmacKey;
use crate::static_key::is_zero;
use crate::{AuthDigest, DataCipher, Direction, Key2, KeyError, Unauthentic};

/// Bytes of a block, and of an IV.
const BLOCK: usize = 16;
/// Bytes of the packet id in front of the plaintext.
const PACKET_ID: usize = 4;

/// One direction's keys of a CBC cipher and its HMAC, expanded. Wiped when dropped.
pub struct CbcHmacKey {
    cipher: DataCipher,
    aes: Aes,
    hmac: HmacKey,
}

// Not boxed: the pointer would be followed for each packet.
#[allow(clippy::large_enum_variant)]
enum Aes {
    Aes128(Aes128),
    Aes192(Aes192),
    Aes256(Aes256),
}

impl CbcHmacKey {
    /// Expands the keys of one direction.
    ///
    /// # Errors
    /// [`KeyError::WrongMode`] for an AEAD cipher, [`KeyError::Weak`] if the cipher key is all zero.
    pub fn new(
        cipher: DataCipher,
        digest: AuthDigest,
        key2: &Key2,
        direction: Direction,
    ) -> Result<Self, KeyError> {
        let key = key2.cipher_key(direction, cipher.key_len());
        let wrong_size = |_| KeyError::KeySize {
            algorithm: cipher.name(),
            wanted: cipher.key_len(),
            found: key.len(),
        };
        let aes = match cipher {
            DataCipher::Aes128Cbc => Aes::Aes128(Aes128::new_from_slice(key).map_err(wrong_size)?),
            DataCipher::Aes192Cbc => Aes::Aes192(Aes192::new_from_slice(key).map_err(wrong_size)?),
            DataCipher::Aes256Cbc => Aes::Aes256(Aes256::new_from_slice(key).map_err(wrong_size)?),
            DataCipher::Aes128Gcm
            | DataCipher::Aes192Gcm
            | DataCipher::Aes256Gcm
            | DataCipher::ChaCha20Poly1305 => return Err(KeyError::WrongMode(cipher.name())),
        };
        if is_zero(key) {
            return Err(KeyError::Weak);
        }
        let hmac = HmacKey::from_slot(digest, key2.hmac_slot(direction));
        Ok(Self { cipher, aes, hmac })
    }

    /// The cipher this key is for.
    pub fn cipher(&self) -> DataCipher {
        self.cipher
    }

    /// Bytes that [`Self::seal`] makes of `plaintext_len`.
    #[inline]
    pub fn sealed_len(&self, plaintext_len: usize) -> usize {
        self.hmac.digest().size() + BLOCK + (PACKET_ID + plaintext_len) / BLOCK * BLOCK + BLOCK
    }

    /// An IV for the packet with this id: unpredictable for everyone without the key, and different for each
    /// packet as long as packet ids do not repeat. Spares the hot path a source of randomness.
    ///
    /// Source: NIST SP 800-38A, appendix C, first method: the cipher applied to a nonce.
    #[inline]
    pub fn iv(&self, packet_id: u32) -> [u8; BLOCK] {
        let mut block = Array::<u8, U16>::default();
        for (to, from) in block.iter_mut().rev().zip(packet_id.to_le_bytes()) {
            *to = from;
        }
        match &self.aes {
            Aes::Aes128(aes) => aes.encrypt_block(&mut block),
            Aes::Aes192(aes) => aes.encrypt_block(&mut block),
            Aes::Aes256(aes) => aes.encrypt_block(&mut block),
        }
        block.into()
    }

    /// Writes the encrypted part of a packet (everything after the header) to the front of `out` and returns
    /// its length, [`Self::sealed_len`] of the plaintext, which is the concatenation of `parts`. `None` if `out`
    /// is shorter.
    ///
    /// `iv` must not be predictable before the plaintext is fixed; see [`Self::iv`].
    #[inline]
    pub fn seal(&self, iv: [u8; BLOCK], packet_id: u32, parts: &[&[u8]], out: &mut [u8]) -> Option<usize> {
        let plaintext_len: usize = parts.iter().map(|part| part.len()).sum();
        let len = self.sealed_len(plaintext_len);
        let (tag, protected) = out.get_mut(..len)?.split_at_mut(self.hmac.digest().size());
        let (iv_out, data) = protected.split_at_mut(BLOCK);
        iv_out.copy_from_slice(&iv);

        let (id_out, mut rest) = data.split_at_mut(PACKET_ID);
        id_out.copy_from_slice(&packet_id.to_be_bytes());
        for part in parts {
            let (to, after) = rest.split_at_mut(part.len());
            to.copy_from_slice(part);
            rest = after;
        }
        // 1..=16 bytes are left.
        let padding = rest.len() as u8;
        rest.fill(padding);

        match &self.aes {
            Aes::Aes128(aes) => encrypt(aes, iv, data),
            Aes::Aes192(aes) => encrypt(aes, iv, data),
            Aes::Aes256(aes) => encrypt(aes, iv, data),
        }
        tag.copy_from_slice(self.hmac.tag(&[protected]).as_slice());
        Some(len)
    }

    /// Verifies and decrypts the encrypted part of a packet (everything after the header) in place. Returns the
    /// packet id and where in `sealed` the plaintext is; it may be empty.
    ///
    /// # Errors
    /// [`Unauthentic`], whatever the reason.
    #[inline]
    pub fn open(&self, sealed: &mut [u8]) -> Result<(u32, Range<usize>), Unauthentic> {
        let start = self.hmac.digest().size() + BLOCK;
        let len = sealed.len();
        let (tag, protected) = sealed
            .split_at_mut_checked(self.hmac.digest().size())
            .ok_or(Unauthentic)?;
        if protected.len() < 2 * BLOCK || !protected.len().is_multiple_of(BLOCK) {
            return Err(Unauthentic);
        }
        if !self.hmac.verify(&[protected], tag) {
            return Err(Unauthentic);
        }
        let (iv, data) = protected.split_first_chunk_mut::<BLOCK>().ok_or(Unauthentic)?;
        match &self.aes {
            Aes::Aes128(aes) => decrypt(aes, *iv, data),
            Aes::Aes192(aes) => decrypt(aes, *iv, data),
            Aes::Aes256(aes) => decrypt(aes, *iv, data),
        }
        let padding = padding_len(data).ok_or(Unauthentic)?;
        let packet_id = data.first_chunk().ok_or(Unauthentic)?;
        // A whole block may be padding, but the packet id must lie before it.
        if data.len() < PACKET_ID + padding {
            return Err(Unauthentic);
        }
        Ok((u32::from_be_bytes(*packet_id), start + PACKET_ID..len - padding))
    }
}

/// The PKCS#7 padding at the end of at least one block, 1..=16 bytes; looks at the whole last block whatever
/// it holds.
fn padding_len(data: &[u8]) -> Option<usize> {
    let block = data.last_chunk::<BLOCK>()?;
    let [.., last] = *block;
    let len = usize::from(last);
    let mut wrong = u8::from(len == 0) | u8::from(len > BLOCK);
    for (from_end, byte) in block.iter().rev().enumerate() {
        wrong |= u8::from(from_end < len) & u8::from(*byte != last);
    }
    (wrong == 0).then_some(len)
}

fn encrypt<C: BlockCipherEncrypt<BlockSize = U16>>(aes: &C, iv: [u8; BLOCK], data: &mut [u8]) {
    let (blocks, _) = Array::slice_as_chunks_mut(data);
    cbc::Encryptor::inner_iv_init(aes, &iv.into()).encrypt_blocks(blocks);
}

fn decrypt<C: BlockCipherDecrypt<BlockSize = U16>>(aes: &C, iv: [u8; BLOCK], data: &mut [u8]) {
    let (blocks, _) = Array::slice_as_chunks_mut(data);
    cbc::Decryptor::inner_iv_init(aes, &iv.into()).decrypt_blocks(blocks);
}

impl fmt::Debug for CbcHmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CbcHmacKey({}, {}, ..)", self.cipher, self.hmac.digest())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{hex, v11_key2};

    const CBC: [DataCipher; 3] = [
        DataCipher::Aes128Cbc,
        DataCipher::Aes192Cbc,
        DataCipher::Aes256Cbc,
    ];

    fn key(digest: AuthDigest) -> CbcHmacKey {
        CbcHmacKey::new(
            DataCipher::Aes256Cbc,
            digest,
            &v11_key2(),
            Direction::ClientToServer,
        )
        .unwrap()
    }

    /// Opens and seals what follows a 4-byte header.
    fn check(key: &CbcHmacKey, packet: &str, packet_id: u32, plain: &[u8]) {
        let packet = hex(packet);
        let sealed = &packet[4..];
        let mut opened = sealed.to_vec();
        let (id, range) = key.open(&mut opened).unwrap();
        assert_eq!((id, &opened[range]), (packet_id, plain));
        let size = key.hmac.digest().size();
        let iv = sealed[size..size + BLOCK].try_into().unwrap();
        let mut out = vec![0; 200];
        let len = key.seal(iv, packet_id, &[plain], &mut out).unwrap();
        assert_eq!(&out[..len], sealed);
    }

    #[test]
    fn aes_256_cbc_with_sha1_matches_the_vector() {
        check(
            &key(AuthDigest::Sha1),
            "480000055751d2f2da53cf2220312d5c601c975e9a2f07b05a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a306d5c8cbfc9e29054b6a651\
             8f3fb7a4d428ec0e6f56bceefd2ca91bf02a8d09",
            1,
            &hex("2a187bf3641eb4cb07ed2d0a981fc748"),
        );
    }

    #[test]
    fn a_stock_servers_packet_opens_and_is_sealed_alike() {
        let mut bytes = [0; 256];
        bytes[128..160].copy_from_slice(&hex(
            "d1019a12183f8156b2c3db5ead289b619d43d646960fc66382cf6d656222228a",
        ));
        bytes[192..212].copy_from_slice(&hex("bcb384829d9ce43e35b777a87ed535bf2c628c3e"));
        let key = CbcHmacKey::new(
            DataCipher::Aes256Cbc,
            AuthDigest::Sha1,
            &Key2::from_exporter(bytes),
            Direction::ServerToClient,
        )
        .unwrap();
        check(
            &key,
            "480000006be245151fdaae08afcdd7284fa011002433a309806cfea039c629452328a11585cd74ab7f3d77b49ee5932f7d38558a\
             43c6a61b1143e5216e0358ad2bb9fa31c0a931663e1b19fe84bd23bab31c5d50126d5d06f9745b7c77e47a67cee7297dcd132af3",
            1,
            &hex(
                "6000000000083afffe80000000000000d854025509af61d3ff0200000000000000000000000000028500370b00000000",
            ),
        );
    }

    #[test]
    fn a_verified_packet_with_bad_padding_is_refused_all_the_same() {
        let key = key(AuthDigest::Sha256);
        // The last block before encryption, and whether it is well-formed behind one more block.
        let mut full = [16; 16];
        let cases = [
            (full, true),
            ([0; 16], false),
            ([17; 16], false),
            (
                {
                    full[0] = 15;
                    full
                },
                false,
            ),
            (
                {
                    full[15] = 1;
                    full
                },
                true,
            ),
        ];
        for (last, accepted) in cases {
            let mut sealed = vec![0; 32 + BLOCK];
            let mut data = [vec![0xab; 16], last.to_vec()].concat();
            match &key.aes {
                Aes::Aes256(aes) => encrypt(aes, [0; BLOCK], &mut data),
                _ => unreachable!(),
            }
            sealed.extend(data);
            let tag = key.hmac.tag(&[&sealed[32..]]);
            sealed[..32].copy_from_slice(tag.as_slice());
            assert_eq!(key.open(&mut sealed).is_ok(), accepted, "{last:?}");
        }
    }

    #[test]
    fn padding_may_not_reach_into_the_packet_id() {
        for len in 1..=BLOCK {
            let mut block = [0; BLOCK];
            block[BLOCK - len..].fill(len as u8);
            assert_eq!(padding_len(&block), Some(len));
            let key = key(AuthDigest::Sha1);
            let mut sealed = vec![0; 20 + BLOCK];
            match &key.aes {
                Aes::Aes256(aes) => encrypt(aes, [0; BLOCK], &mut block),
                _ => unreachable!(),
            }
            sealed.extend(block);
            let tag = key.hmac.tag(&[&sealed[20..]]);
            sealed[..20].copy_from_slice(tag.as_slice());
            assert_eq!(key.open(&mut sealed).is_ok(), len <= 12);
        }
    }

    #[test]
    fn ivs_differ_between_packets_and_between_keys() {
        let key = key(AuthDigest::Sha1);
        assert_ne!(key.iv(1), key.iv(2));
        assert_ne!(key.iv(1), key.iv(0x0100_0000));
        let other = CbcHmacKey::new(
            DataCipher::Aes256Cbc,
            AuthDigest::Sha1,
            &v11_key2(),
            Direction::ServerToClient,
        )
        .unwrap();
        assert_ne!(key.iv(1), other.iv(1));
    }

    #[test]
    fn aead_ciphers_and_zero_keys_are_refused() {
        let zero = Key2::from_exporter([0; 256]);
        for cipher in DataCipher::ALL {
            let expected = if cipher.is_aead() {
                KeyError::WrongMode(cipher.name())
            } else {
                KeyError::Weak
            };
            let error = CbcHmacKey::new(cipher, AuthDigest::Sha1, &zero, Direction::ClientToServer);
            assert_eq!(error.unwrap_err(), expected);
        }
    }

    #[test]
    fn debug_output_shows_no_key() {
        assert_eq!(
            format!("{:?}", key(AuthDigest::Sha512)),
            "CbcHmacKey(AES-256-CBC, SHA512, ..)"
        );
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_what_is_altered_does_not(
            cipher in prop::sample::select(&CBC),
            digest in prop::sample::select(&AuthDigest::ALL),
            packet_id in any::<u32>(),
            plain in prop::collection::vec(any::<u8>(), 0..200),
            split in any::<prop::sample::Index>(),
            flip in any::<prop::sample::Index>(),
        ) {
            let key = CbcHmacKey::new(cipher, digest, &v11_key2(), Direction::ClientToServer).unwrap();
            let (head, tail) = plain.split_at(split.index(plain.len() + 1));
            let mut out = vec![0; key.sealed_len(plain.len())];
            prop_assert_eq!(key.seal(key.iv(packet_id), packet_id, &[head, tail], &mut out), Some(out.len()));
            let short = out.len() - 1;
            prop_assert_eq!(key.seal(key.iv(packet_id), packet_id, &[&plain], &mut vec![0; short]), None);

            let mut bad = out.clone();
            bad[flip.index(out.len())] ^= 0x10;
            prop_assert_eq!(key.open(&mut bad), Err(Unauthentic));
            prop_assert_eq!(key.open(&mut out.clone()[..short]), Err(Unauthentic));

            let (id, range) = key.open(&mut out).unwrap();
            prop_assert_eq!(id, packet_id);
            prop_assert_eq!(&out[range], &plain[..]);
        }

        #[test]
        fn any_bytes_are_opened_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            prop_assert_eq!(key(AuthDigest::Sha1).open(&mut bytes), Err(Unauthentic));
        }
    }
}
