//! AEAD with a 32-bit packet id: `header | packet id 4 | tag 16 | ciphertext`.

use std::sync::{Mutex, PoisonError};

use culvert_crypto::{AeadKey, DataCipher, Direction, Key2, KeyError, TAG_LEN, aead_nonce};

use super::limits::{Limits, Meter};
use super::{Opened, Plaintext, associated_data};
use crate::DropReason;
use crate::replay::ReplayWindow;

/// Bytes of the packet id.
const ID_LEN: usize = 4;

/// Both directions of one key id.
#[derive(Debug)]
pub(super) struct AeadKeys {
    tx: Half,
    rx: Half,
    window: Mutex<ReplayWindow>,
    pub(super) meter: Meter,
}

#[derive(Debug)]
struct Half {
    key: AeadKey,
    implicit_iv: [u8; 8],
}

impl Half {
    fn new(cipher: DataCipher, key2: &Key2, direction: Direction) -> Result<Self, KeyError> {
        Ok(Self {
            key: AeadKey::new(cipher, key2.cipher_key(direction, cipher.key_len()))?,
            implicit_iv: key2.implicit_iv(direction),
        })
    }

    fn nonce(&self, id: u32) -> [u8; 12] {
        aead_nonce(id, self.implicit_iv)
    }
}

impl AeadKeys {
    pub(super) fn new(
        cipher: DataCipher,
        key2: &Key2,
        tx: Direction,
        rx: Direction,
        limits: Limits,
    ) -> Result<Self, KeyError> {
        Ok(Self {
            tx: Half::new(cipher, key2, tx)?,
            rx: Half::new(cipher, key2, rx)?,
            window: Mutex::new(ReplayWindow::new()),
            meter: Meter::new(limits),
        })
    }

    /// Fills `out`, which has exactly the packet's length.
    pub(super) fn seal(
        &self,
        header: &[u8],
        plaintext: &Plaintext<'_>,
        out: &mut [u8],
    ) -> Result<(), DropReason> {
        let clear_len = header.len() + ID_LEN;
        let (clear, rest) = out.split_at_mut_checked(clear_len).ok_or(DropReason::NoRoom)?;
        let (tag, body) = rest.split_at_mut_checked(TAG_LEN).ok_or(DropReason::NoRoom)?;
        let id = self.meter.claim(body.len())?;
        clear[..header.len()].copy_from_slice(header);
        clear[header.len()..].copy_from_slice(&id.to_be_bytes());
        plaintext.copy_to(body);
        let aad = associated_data(clear, header.len());
        tag.copy_from_slice(&self.tx.key.seal_in_place(self.tx.nonce(id), aad, body));
        Ok(())
    }

    pub(super) fn open<'p>(&self, header_len: usize, packet: &'p mut [u8]) -> Result<Opened<'p>, DropReason> {
        let (clear, rest) = packet
            .split_at_mut_checked(header_len + ID_LEN)
            .ok_or(DropReason::Malformed)?;
        let (tag, body) = rest.split_at_mut_checked(TAG_LEN).ok_or(DropReason::Malformed)?;
        let id = u32::from_be_bytes(*clear.last_chunk::<ID_LEN>().ok_or(DropReason::Malformed)?);
        if body.is_empty() {
            return Err(DropReason::Malformed);
        }
        self.meter.check_failures()?;
        let aad = associated_data(clear, header_len);
        if self
            .rx
            .key
            .open_in_place(self.rx.nonce(id), aad, tag, body)
            .is_err()
        {
            return Err(self.meter.failed());
        }
        self.meter.received(body.len());
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let freshness = window.accept(id.into()).ok_or(DropReason::Replay)?;
        Ok(Opened::new(body, freshness))
    }
}
