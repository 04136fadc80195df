//! Randomness, handed to the core as an argument so that a whole server can run deterministically in a test.

use culvert_wire::SessionId;
use ring::rand::{SecureRandom, SystemRandom};

/// A source of random bytes.
pub trait Entropy: Send {
    /// Fills `out` with random bytes.
    fn fill(&mut self, out: &mut [u8]);

    /// A random number over the whole range.
    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_ne_bytes(bytes)
    }

    /// A random session id, never zero.
    fn session_id(&mut self) -> SessionId {
        let mut bytes = [0; 8];
        loop {
            self.fill(&mut bytes);
            if let Some(id) = SessionId::new(bytes) {
                return id;
            }
        }
    }
}

/// The operating system's cryptographically secure generator.
#[derive(Clone, Debug)]
pub struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    /// Opens the generator; costs nothing.
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    /// # Panics
    /// If the operating system has no randomness to give: going on with predictable keys would be worse.
    fn fill(&mut self, out: &mut [u8]) {
        self.0
            .fill(out)
            .expect("the operating system's random generator works");
    }
}

/// A deterministic generator for simulations and tests. **Not secure**: whoever knows some output or the seed
/// knows all output. Never give it to a server that faces a network.
#[derive(Clone, Debug)]
pub struct SeededEntropy(u64);

impl SeededEntropy {
    /// Starts the sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Entropy for SeededEntropy {
    /// SplitMix64; each call starts with a fresh output word, so the split into calls matters.
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let word = (z ^ (z >> 31)).to_be_bytes();
            for (to, from) in chunk.iter_mut().zip(word) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_bytes_and_different_seeds_do_not() {
        let draw = |seed| {
            let mut bytes = [0; 37];
            SeededEntropy::new(seed).fill(&mut bytes);
            bytes
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(0).iter().any(|&byte| byte != 0));
    }

    #[test]
    fn system_entropy_does_not_repeat() {
        let mut entropy = SystemEntropy::new();
        assert_ne!(entropy.next_u64(), entropy.next_u64());
        assert_ne!(entropy.session_id(), entropy.session_id());
    }
}
