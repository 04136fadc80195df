//! How much a key may be used, and the counters that watch it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use culvert_crypto::DataCipher;

use crate::DropReason;

/// Size of a cipher block, in which usage is counted.
const BLOCK: u64 = 16;

/// Limits of one key. Source: wire draft, "limits without epochs" and "epoch format".
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most blocks plus packets under one key.
    pub(crate) usage: u64,
    /// Failed decryptions after which the key is to be replaced.
    pub(crate) failed_soft: u64,
    /// Failed decryptions after which nothing under the key is believed.
    pub(crate) failed_hard: u64,
    /// First 32-bit packet id that asks for a renegotiation.
    pub(crate) packet_id_soft: u64,
    /// Last counter of an epoch.
    pub(crate) epoch_counter: u64,
    /// First send epoch that asks for a renegotiation.
    pub(crate) epoch_soft: u16,
}

impl Limits {
    /// The limits that stock peers keep for a cipher.
    pub(crate) const fn of(cipher: DataCipher) -> Self {
        Self {
            usage: match cipher {
                DataCipher::Aes128Gcm | DataCipher::Aes192Gcm | DataCipher::Aes256Gcm => (1 << 36) - 1,
                // ChaCha20-Poly1305 has no practical limit; CBC is bounded by its packet id long before one.
                _ => u64::MAX,
            },
            failed_soft: 1 << 35,
            failed_hard: 1 << 36,
            packet_id_soft: 0xff00_0000,
            epoch_counter: (1 << 48) - 1,
            epoch_soft: 0xf000,
        }
    }

    /// Usage at which a key that cannot step to another epoch asks for a renegotiation: seven eighths.
    const fn usage_soft(&self) -> u64 {
        self.usage / 8 * 7
    }
}

/// What one packet with `plaintext` bytes costs in blocks plus packets.
pub(super) fn cost(plaintext: usize) -> u64 {
    (plaintext as u64).div_ceil(BLOCK) + 1
}

/// Watches a pair of keys that live until the next renegotiation.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: Limits,
    packet_id: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    failed: AtomicU64,
    at_limit: AtomicBool,
}

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            packet_id: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            at_limit: AtomicBool::new(false),
        }
    }

    #[inline]
    pub(super) fn at_limit(&self) -> bool {
        self.at_limit.load(Ordering::Relaxed)
    }

    /// Claims the next packet id for a packet of `plaintext` bytes.
    ///
    /// The counter is wider than the id, so counting past the end never brings an id back.
    #[inline]
    pub(super) fn claim(&self, plaintext: usize) -> Result<u32, DropReason> {
        let id = self.packet_id.fetch_add(1, Ordering::Relaxed) + 1;
        self.add(&self.sent, cost(plaintext));
        if id >= self.limits.packet_id_soft {
            self.at_limit.store(true, Ordering::Relaxed);
        }
        u32::try_from(id).map_err(|_| DropReason::KeyExhausted)
    }

    /// Counts a packet that authenticated.
    #[inline]
    pub(super) fn received(&self, plaintext: usize) {
        self.add(&self.received, cost(plaintext));
    }

    /// Whether packets under the key may still be believed.
    #[inline]
    pub(super) fn check_failures(&self) -> Result<(), DropReason> {
        if self.failed.load(Ordering::Relaxed) >= self.limits.failed_hard {
            return Err(DropReason::DecryptLimit);
        }
        Ok(())
    }

    /// Counts a packet that did not authenticate.
    #[cold]
    pub(super) fn failed(&self) -> DropReason {
        if self.failed.fetch_add(1, Ordering::Relaxed) + 1 >= self.limits.failed_soft {
            self.at_limit.store(true, Ordering::Relaxed);
        }
        DropReason::Unauthentic
    }

    #[inline]
    fn add(&self, counter: &AtomicU64, cost: u64) {
        if counter.fetch_add(cost, Ordering::Relaxed) + cost >= self.limits.usage_soft() {
            self.at_limit.store(true, Ordering::Relaxed);
        }
    }

    /// Starts counting packet ids after `last`, to reach the limits in tests.
    #[cfg(test)]
    pub(super) fn skip_to(&self, last: u64) {
        self.packet_id.store(last, Ordering::Relaxed);
    }
}
