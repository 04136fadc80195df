//! CBC with HMAC: `header | HMAC | IV 16 | ciphertext of (packet id 4 | plaintext | padding)`.

use std::sync::{Mutex, PoisonError};

use culvert_crypto::{AuthDigest, CbcHmacKey, DataCipher, Direction, Key2, KeyError};

use super::limits::{Limits, Meter};
use super::{Opened, Plaintext};
use crate::DropReason;
use crate::replay::ReplayWindow;

/// AES block, and so the IV.
pub(super) const BLOCK: usize = 16;

/// Both directions of one key id.
#[derive(Debug)]
pub(super) struct CbcKeys {
    tx: CbcHmacKey,
    rx: CbcHmacKey,
    digest: AuthDigest,
    window: Mutex<ReplayWindow>,
    pub(super) meter: Meter,
}

impl CbcKeys {
    pub(super) fn new(
        cipher: DataCipher,
        digest: AuthDigest,
        key2: &Key2,
        tx: Direction,
        rx: Direction,
        limits: Limits,
    ) -> Result<Self, KeyError> {
        Ok(Self {
            tx: CbcHmacKey::new(cipher, digest, key2, tx)?,
            rx: CbcHmacKey::new(cipher, digest, key2, rx)?,
            digest,
            window: Mutex::new(ReplayWindow::new()),
            meter: Meter::new(limits),
        })
    }

    /// Bytes between header and ciphertext.
    pub(super) fn fixed_len(&self) -> usize {
        self.digest.size() + BLOCK
    }

    /// Fills `out`, which has exactly the packet's length.
    pub(super) fn seal(
        &self,
        header: &[u8],
        plaintext: &Plaintext<'_>,
        out: &mut [u8],
    ) -> Result<(), DropReason> {
        let (clear, sealed) = out.split_at_mut_checked(header.len()).ok_or(DropReason::NoRoom)?;
        let id = self.meter.claim(plaintext.len())?;
        clear.copy_from_slice(header);
        let mut seal = |parts: &[&[u8]]| {
            self.tx
                .seal(self.tx.iv(id), id, parts, sealed)
                .ok_or(DropReason::NoRoom)
        };
        match (plaintext.prefix, plaintext.parts) {
            ([], parts) => seal(parts)?,
            (prefix, [part]) => seal(&[prefix, part])?,
            (prefix, [first, second]) => seal(&[prefix, first, second])?,
            // More pieces together with a framing byte: nobody does that on a hot path.
            (prefix, parts) => seal(&[&[prefix], parts].concat())?,
        };
        Ok(())
    }

    pub(super) fn open<'p>(&self, header_len: usize, packet: &'p mut [u8]) -> Result<Opened<'p>, DropReason> {
        let sealed = packet.get_mut(header_len..).ok_or(DropReason::Malformed)?;
        if sealed.len() < self.fixed_len() + BLOCK {
            return Err(DropReason::Malformed);
        }
        self.meter.check_failures()?;
        let (id, range) = self.rx.open(sealed).map_err(|_| self.meter.failed())?;
        self.meter.received(range.len());
        let payload = sealed.get_mut(range).ok_or(DropReason::Malformed)?;
        if payload.is_empty() {
            return Err(DropReason::Malformed);
        }
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let freshness = window.accept(id.into()).ok_or(DropReason::Replay)?;
        Ok(Opened::new(payload, freshness))
    }
}
