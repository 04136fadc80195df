//! The construction under tls-crypt packets and wrapped client keys: HMAC-SHA256 over the plaintext, whose
//! first half is the counter block of AES-256-CTR (a synthetic IV).
//!
//! ```text
//! tag        = HMAC-SHA256(Ka, ad | plaintext)
//! ciphertext = AES-256-CTR(Ke, initial counter block = tag[0..16), plaintext)
//! ```

use aes::Aes256Enc;
use ctr::cipher::{Array, InnerIvInit, KeyInit, StreamCipherCore};
use ctr::{CtrCore, flavors};
use subtle::ConstantTimeEq;

use crate::digest::{HmacSha256, expand, hmac_sha256};

/// Bytes of a tag.
pub(crate) const TAG_LEN: usize = 32;

/// Both keys of one direction, expanded. Wiped when dropped.
#[derive(Clone)]
pub(crate) struct CtrHmacKey {
    cipher: Aes256Enc,
    hmac: HmacSha256,
}

impl CtrHmacKey {
    /// Uses the first 32 bytes of a cipher slot and of an HMAC slot.
    pub(crate) fn from_slots(cipher: &[u8; 64], hmac: &[u8; 64]) -> Self {
        let (cipher, _) = cipher.split_at(32);
        let (hmac, _) = hmac.split_at(32);
        Self {
            cipher: Aes256Enc::new_from_slice(cipher).expect("AES-256 takes the 32 bytes split off above"),
            hmac: expand(hmac),
        }
    }

    /// Encrypts `data` in place and returns the tag.
    pub(crate) fn seal(&self, ad: &[u8], data: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = hmac_sha256(&self.hmac, &[ad, data]);
        self.apply_keystream(&tag, data);
        tag
    }

    /// Decrypts `data` in place if `tag` verifies. Otherwise `data` is left as it was, so that the caller can
    /// try another key.
    #[must_use]
    pub(crate) fn open(&self, ad: &[u8], tag: &[u8; TAG_LEN], data: &mut [u8]) -> bool {
        self.apply_keystream(tag, data);
        let computed = hmac_sha256(&self.hmac, &[ad, data]);
        let verified: bool = computed.ct_eq(tag).into();
        if !verified {
            self.apply_keystream(tag, data);
        }
        verified
    }

    fn apply_keystream(&self, tag: &[u8; TAG_LEN], data: &mut [u8]) {
        let mut counter = Array::default();
        counter.copy_from_slice(tag.split_at(16).0);
        CtrCore::<_, flavors::Ctr128BE>::inner_iv_init(&self.cipher, &counter)
            .apply_keystream_partial(data.into());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> CtrHmacKey {
        CtrHmacKey::from_slots(&[1; 64], &[2; 64])
    }

    #[test]
    fn the_counter_carries_over_all_128_bits() {
        // With a counter block of all ones the second keystream block is the one of counter zero.
        let mut two = [0; 32];
        key().apply_keystream(&[0xff; 32], &mut two);
        let mut one = [0; 16];
        key().apply_keystream(&[0; 32], &mut one);
        assert_eq!(two[16..], one);
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_what_is_altered_does_not(
            ad in proptest::collection::vec(any::<u8>(), 0..40),
            plain in proptest::collection::vec(any::<u8>(), 0..300),
            flip in any::<prop::sample::Index>(),
        ) {
            let mut data = plain.clone();
            let tag = key().seal(&ad, &mut data);
            let sealed = data.clone();

            let mut bad_tag = tag;
            bad_tag[flip.index(TAG_LEN)] ^= 1;
            prop_assert!(!key().open(&ad, &bad_tag, &mut data));
            prop_assert_eq!(&data, &sealed, "a failed attempt leaves the data as it was");

            prop_assert!(key().open(&ad, &tag, &mut data));
            prop_assert_eq!(data, plain);
        }
    }
}
