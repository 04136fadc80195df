//! SipHash-2-4 over a short list of words: a keyed hash nobody can aim at without the key.
//!
//! The standard library's keyed hasher is deprecated as a type of its own and draws its key from the operating
//! system; the core gets all randomness as an argument, so it carries these few lines instead.

use culvert_crypto::Entropy;

/// A secret key for [`KeyedHash::hash`].
///
/// Source: "SipHash: a fast short-input PRF" (Aumasson, Bernstein), variant 2-4.
#[derive(Clone, Copy)]
pub(crate) struct KeyedHash {
    k0: u64,
    k1: u64,
}

impl KeyedHash {
    /// Draws a fresh key.
    pub(crate) fn new(entropy: &mut dyn Entropy) -> Self {
        let mut key = [0u8; 16];
        entropy.fill(&mut key);
        Self::from_key(key)
    }

    fn from_key(key: [u8; 16]) -> Self {
        let number = u128::from_le_bytes(key);
        Self {
            k0: number as u64,
            k1: (number >> 64) as u64,
        }
    }

    /// Hashes whole 64-bit words.
    pub(crate) fn hash(&self, words: &[u64]) -> u64 {
        let mut v = [
            self.k0 ^ 0x736f_6d65_7073_6575,
            self.k1 ^ 0x646f_7261_6e64_6f6d,
            self.k0 ^ 0x6c79_6765_6e65_7261,
            self.k1 ^ 0x7465_6462_7974_6573,
        ];
        for &word in words {
            absorb(&mut v, word);
        }
        absorb(&mut v, (words.len() as u64 * 8) << 56);
        v[2] ^= 0xff;
        for _ in 0..4 {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_for_eight_bytes_is_reproduced() {
        let key = core::array::from_fn(|i| i as u8);
        let hash = KeyedHash::from_key(key);
        // Reference output for key 00..0f and message 00..07.
        let message = u64::from_le_bytes(core::array::from_fn(|i| i as u8));
        assert_eq!(
            hash.hash(&[message]),
            u64::from_le_bytes([0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93])
        );
    }

    #[test]
    fn another_key_gives_another_value() {
        let one = KeyedHash::from_key([1; 16]);
        let two = KeyedHash::from_key([2; 16]);
        assert_ne!(one.hash(&[7, 7]), two.hash(&[7, 7]));
    }
}
