//! The epoch format: `header | epoch 2 | counter 6 | ciphertext | tag 16`, a chain of keys in each direction.
//!
//! ```text
//! send     current ---------> next, when the current key is used up or the peer went ahead
//! receive  retiring <- current <- 16 future epochs, kept as secrets
//! ```
//!
//! A future epoch's key is derived when a packet claims it, and kept only if the packet authenticates: two key
//! derivations for a forged packet cost less than 16 expanded keys for each of 126,500 idle clients.
//!
//! Source: OpenVPN 2.7 behaviour.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use culvert_crypto::{AeadKey, DataCipher, Direction, EpochSecret, Key2, KeyError, TAG_LEN, epoch_nonce};

use super::limits::{Limits, cost};
use super::{Opened, Plaintext};
use crate::DropReason;
use crate::replay::{Freshness, ReplayWindow};

/// Bytes of epoch and counter together.
const ID_LEN: usize = 8;

/// Bits of the counter within its epoch.
const COUNTER_BITS: u32 = 48;

/// How many epochs ahead of the current one a packet may be.
const FUTURE: usize = 16;

/// Last epoch that is received: beyond it there would be no room for future ones.
const LAST_RECEIVED: u16 = u16::MAX - FUTURE as u16 - 1;

/// One epoch's key in one direction.
#[derive(Debug)]
struct EpochKey {
    epoch: u16,
    key: AeadKey,
    iv: [u8; 12],
    /// Blocks plus packets.
    used: AtomicU64,
}

impl EpochKey {
    fn derive(cipher: DataCipher, secret: &EpochSecret) -> Result<Self, KeyError> {
        Ok(Self {
            epoch: secret.epoch(),
            key: secret.key(cipher)?,
            iv: secret.iv(),
            used: AtomicU64::new(0),
        })
    }

    /// Counts one packet; the usage including it.
    fn count(&self, plaintext: usize) -> u64 {
        let cost = cost(plaintext);
        self.used.fetch_add(cost, Ordering::Relaxed) + cost
    }
}

#[derive(Debug)]
struct SendEpoch {
    key: EpochKey,
    counter: AtomicU64,
}

#[derive(Debug)]
struct ReceiveEpoch {
    key: EpochKey,
    window: Mutex<ReplayWindow>,
    failed: AtomicU64,
}

impl ReceiveEpoch {
    fn new(key: EpochKey) -> Self {
        Self {
            key,
            window: Mutex::new(ReplayWindow::new()),
            failed: AtomicU64::new(0),
        }
    }

    fn accept(&self, counter: u64) -> Result<Freshness, DropReason> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.accept(counter).ok_or(DropReason::Replay)
    }
}

/// Which key a received packet belongs to.
enum Receiver {
    Current(Guard<Arc<ReceiveEpoch>>),
    Retiring(Arc<ReceiveEpoch>),
    Future(Box<EpochKey>),
}

/// Secrets of the epochs after the current receive epoch, the next one first.
#[derive(Debug)]
struct Future(VecDeque<EpochSecret>);

impl Future {
    /// The epochs after that of `current`.
    fn new(current: &EpochSecret) -> Self {
        Self(
            std::iter::successors(current.next(), EpochSecret::next)
                .take(FUTURE)
                .collect(),
        )
    }

    fn secret_of(&self, epoch: u16) -> Option<&EpochSecret> {
        let ahead = epoch.checked_sub(self.0.front()?.epoch())?;
        self.0.get(usize::from(ahead))
    }

    /// Forgets `current` and what came before it; one further epoch for each that is forgotten.
    fn move_to(&mut self, current: u16) {
        while self.0.front().is_some_and(|secret| secret.epoch() <= current) {
            let passed = self.0.pop_front();
            let next = self.0.back().or(passed.as_ref()).and_then(EpochSecret::next);
            self.0.extend(next);
        }
    }
}

/// Both directions of one key id.
#[derive(Debug)]
pub(super) struct EpochKeys {
    cipher: DataCipher,
    limits: Limits,
    tx: ArcSwap<SendEpoch>,
    /// The secret of the current send epoch.
    tx_secret: Mutex<EpochSecret>,
    rx: ArcSwap<ReceiveEpoch>,
    retiring: ArcSwapOption<ReceiveEpoch>,
    future: Mutex<Future>,
    future_failed: AtomicU64,
    at_limit: AtomicBool,
}

impl EpochKeys {
    pub(super) fn new(
        cipher: DataCipher,
        key2: &Key2,
        tx: Direction,
        rx: Direction,
        limits: Limits,
    ) -> Result<Self, KeyError> {
        let tx_secret = EpochSecret::first(key2, tx);
        let rx_secret = EpochSecret::first(key2, rx);
        Ok(Self {
            cipher,
            limits,
            tx: ArcSwap::from_pointee(SendEpoch {
                key: EpochKey::derive(cipher, &tx_secret)?,
                counter: AtomicU64::new(0),
            }),
            tx_secret: Mutex::new(tx_secret),
            rx: ArcSwap::from_pointee(ReceiveEpoch::new(EpochKey::derive(cipher, &rx_secret)?)),
            retiring: ArcSwapOption::empty(),
            future: Mutex::new(Future::new(&rx_secret)),
            future_failed: AtomicU64::new(0),
            at_limit: AtomicBool::new(false),
        })
    }

    #[inline]
    pub(super) fn at_limit(&self) -> bool {
        self.at_limit.load(Ordering::Relaxed)
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
        let body_len = rest.len().checked_sub(TAG_LEN).ok_or(DropReason::NoRoom)?;
        let (body, tag) = rest.split_at_mut(body_len);
        let (sender, counter) = self.claim(body.len())?;
        let epoch = sender.key.epoch;
        let id = u64::from(epoch) << COUNTER_BITS | counter;
        clear[..header.len()].copy_from_slice(header);
        clear[header.len()..].copy_from_slice(&id.to_be_bytes());
        plaintext.copy_to(body);
        let nonce = epoch_nonce(sender.key.iv, epoch, counter);
        tag.copy_from_slice(&sender.key.key.seal_in_place(nonce, clear, body));
        Ok(())
    }

    /// Claims an epoch's counter for a packet, moving to the next epoch if the current one is used up.
    fn claim(&self, plaintext: usize) -> Result<(Guard<Arc<SendEpoch>>, u64), DropReason> {
        // A fresh epoch has room for any packet, so the second attempt succeeds unless other threads use up a whole
        // epoch in between.
        for _ in 0..4 {
            let sender = self.tx.load();
            let epoch = sender.key.epoch;
            if sender.key.count(plaintext) <= self.limits.usage {
                let counter = sender.counter.fetch_add(1, Ordering::Relaxed) + 1;
                if counter <= self.limits.epoch_counter {
                    return Ok((sender, counter));
                }
            }
            self.raise_send_epoch(epoch.checked_add(1).ok_or(DropReason::KeyExhausted)?)?;
        }
        Err(DropReason::KeyExhausted)
    }

    /// Moves the send direction forward to `epoch`; does nothing if it is there already.
    #[cold]
    fn raise_send_epoch(&self, epoch: u16) -> Result<(), DropReason> {
        let mut secret = self.tx_secret.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.tx.load().key.epoch;
        if epoch <= current {
            return Ok(());
        }
        for _ in current..epoch {
            *secret = secret.next().ok_or(DropReason::KeyExhausted)?;
        }
        let key = EpochKey::derive(self.cipher, &secret).map_err(|_| DropReason::KeyExhausted)?;
        self.tx.store(Arc::new(SendEpoch {
            key,
            counter: AtomicU64::new(0),
        }));
        if epoch >= self.limits.epoch_soft {
            self.at_limit.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(super) fn open<'p>(&self, header_len: usize, packet: &'p mut [u8]) -> Result<Opened<'p>, DropReason> {
        let (clear, rest) = packet
            .split_at_mut_checked(header_len + ID_LEN)
            .ok_or(DropReason::Malformed)?;
        let body_len = rest.len().checked_sub(TAG_LEN).ok_or(DropReason::Malformed)?;
        let (body, tag) = rest.split_at_mut(body_len);
        let id = u64::from_be_bytes(*clear.last_chunk::<ID_LEN>().ok_or(DropReason::Malformed)?);
        if body.is_empty() {
            return Err(DropReason::Malformed);
        }
        let epoch = (id >> COUNTER_BITS) as u16;
        let counter = id & ((1 << COUNTER_BITS) - 1);
        let decrypt = |key: &EpochKey, body: &mut [u8]| {
            let nonce = epoch_nonce(key.iv, epoch, counter);
            key.key.open_in_place(nonce, clear, tag, body).is_ok()
        };

        let freshness = match self.receiver(epoch)? {
            Receiver::Current(current) => self.open_known(&current, counter, body, decrypt)?,
            Receiver::Retiring(retiring) => {
                self.open_known(&retiring, counter, body, decrypt)?;
                // Nothing under a retired key is newer than what came under the current one.
                Freshness::Late
            }
            Receiver::Future(key) => self.open_future(*key, counter, body, decrypt)?,
        };
        Ok(Opened::new(body, freshness))
    }

    /// The key for a packet of this epoch.
    fn receiver(&self, epoch: u16) -> Result<Receiver, DropReason> {
        // A second look is needed only if another thread moves to the packet's epoch during the first.
        for _ in 0..2 {
            let current = self.rx.load();
            if current.key.epoch == epoch {
                return Ok(Receiver::Current(current));
            }
            let retiring = self.retiring.load_full();
            if let Some(retiring) = retiring.filter(|retiring| retiring.key.epoch == epoch) {
                return Ok(Receiver::Retiring(retiring));
            }
            if epoch <= current.key.epoch || epoch > LAST_RECEIVED {
                break;
            }
            if let Some(key) = self.future_key(epoch)? {
                return Ok(Receiver::Future(Box::new(key)));
            }
        }
        Err(DropReason::UnknownKey)
    }

    /// The key of a later epoch; `None` if that epoch is not a later one any more.
    #[cold]
    fn future_key(&self, epoch: u16) -> Result<Option<EpochKey>, DropReason> {
        if self.future_failed.load(Ordering::Relaxed) >= self.limits.failed_hard {
            return Err(DropReason::DecryptLimit);
        }
        let future = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        if future.0.front().is_some_and(|first| epoch < first.epoch()) {
            return Ok(None);
        }
        let secret = future.secret_of(epoch).ok_or(DropReason::UnknownKey)?;
        let key = EpochKey::derive(self.cipher, secret).map_err(|_| DropReason::UnknownKey)?;
        Ok(Some(key))
    }

    /// Opens a packet of the current or the retiring epoch.
    fn open_known(
        &self,
        receiver: &ReceiveEpoch,
        counter: u64,
        body: &mut [u8],
        decrypt: impl FnOnce(&EpochKey, &mut [u8]) -> bool,
    ) -> Result<Freshness, DropReason> {
        if receiver.failed.load(Ordering::Relaxed) >= self.limits.failed_hard {
            return Err(DropReason::DecryptLimit);
        }
        if !decrypt(&receiver.key, body) {
            if receiver.failed.fetch_add(1, Ordering::Relaxed) + 1 >= self.limits.failed_soft {
                self.urge_on(receiver.key.epoch);
            }
            return Err(DropReason::Unauthentic);
        }
        if receiver.key.count(body.len()) > self.limits.usage {
            self.urge_on(receiver.key.epoch);
        }
        receiver.accept(counter)
    }

    /// The peer's key is worn: going to the next epoch ourselves makes the peer follow. Only while both directions
    /// are in the same epoch; otherwise that step was already taken.
    #[cold]
    fn urge_on(&self, receive_epoch: u16) {
        let next = receive_epoch.checked_add(1);
        if let Some(next) = next.filter(|_| self.tx.load().key.epoch == receive_epoch) {
            // Failing means the send direction is at its end, which its own packets report.
            let _exhausted = self.raise_send_epoch(next);
        }
    }

    /// Opens a packet of a later epoch, and makes that epoch the current one if it authenticates.
    #[cold]
    fn open_future(
        &self,
        key: EpochKey,
        counter: u64,
        body: &mut [u8],
        decrypt: impl FnOnce(&EpochKey, &mut [u8]) -> bool,
    ) -> Result<Freshness, DropReason> {
        let epoch = key.epoch;
        if !decrypt(&key, body) {
            if self.future_failed.fetch_add(1, Ordering::Relaxed) + 1 >= self.limits.failed_soft {
                self.at_limit.store(true, Ordering::Relaxed);
            }
            return Err(DropReason::Unauthentic);
        }
        key.count(body.len());
        let freshness = self.promote(key, counter)?;
        if self.tx.load().key.epoch < epoch {
            self.raise_send_epoch(epoch)?;
        }
        Ok(freshness)
    }

    /// Makes an epoch the current one, unless another thread did so while this packet was being decrypted.
    fn promote(&self, key: EpochKey, counter: u64) -> Result<Freshness, DropReason> {
        let mut future = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.rx.load_full();
        let epoch = key.epoch;
        if epoch == current.key.epoch {
            return current.accept(counter);
        }
        if epoch < current.key.epoch {
            let retiring = self.retiring.load_full();
            let retiring = retiring.filter(|retiring| retiring.key.epoch == epoch);
            return retiring.ok_or(DropReason::UnknownKey)?.accept(counter);
        }
        let next = ReceiveEpoch::new(key);
        let freshness = next.accept(counter)?;
        self.retiring.store(Some(current));
        self.rx.store(Arc::new(next));
        future.move_to(epoch);
        Ok(freshness)
    }

    /// The current epochs, sending and receiving.
    #[cfg(test)]
    pub(super) fn epochs(&self) -> (u16, u16) {
        (self.tx.load().key.epoch, self.rx.load().key.epoch)
    }
}
