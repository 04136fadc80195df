//! The bounded queue of packets on their way to one TCP connection.

use std::{
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
};

use culvert_wire::stream::{HEADER_LEN, write_header};
use tokio::sync::Notify;

/// A buffer kept for the next packets although nothing is queued; larger ones are freed when idle.
const KEEP: usize = 4096;

/// How much may wait for a connection. Both limits count length prefixes and what the writer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutQueueLimits {
    /// Bytes of data packets.
    pub bytes: usize,
    /// Number of data packets.
    pub packets: usize,
    /// Bytes control packets may use beyond that.
    pub control_bytes: usize,
    /// Number of control packets that may wait beyond the data packets.
    pub control_packets: usize,
}

impl Default for OutQueueLimits {
    /// 512 KiB and 1024 packets, and 64 KiB and 128 packets for the control channel: enough to keep a fast
    /// link busy between two turns of the writer, and under half a second on a 10 Mbit/s line.
    fn default() -> Self {
        Self {
            bytes: 512 << 10,
            packets: 1024,
            control_bytes: 64 << 10,
            control_packets: 128,
        }
    }
}

/// Why a packet was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The limits are reached; the peer reads too slowly. The packet is dropped and counted.
    #[error("the connection's send queue is full")]
    Full,
    /// The connection is closed or being closed.
    #[error("the connection is closed")]
    Closed,
    /// Empty, or longer than 65,535 bytes.
    #[error("a packet on TCP has 1 to 65535 bytes")]
    Length,
}

/// What a queue holds and has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutQueueStats {
    /// Bytes that wait, with what the writer holds.
    pub pending_bytes: usize,
    /// Packets that wait, with what the writer holds.
    pub pending_packets: usize,
    /// Packets dropped because the queue was full.
    pub dropped: u64,
    /// Bytes the kernel took so far. A caller who sees packets wait and this stand still knows a stuck peer.
    pub written: u64,
}

/// Packets for one TCP connection, pushed by any thread and written by one [`crate::FrameWriter`].
///
/// Packets lie back to back with their length prefixes in one buffer, sealed in place, so the writer hands
/// many to the kernel with one call and nothing is allocated per packet.
#[derive(Debug)]
pub struct OutQueue {
    limits: OutQueueLimits,
    state: Mutex<State>,
    /// Wakes the writer.
    filled: Notify,
    /// Wakes whoever waits for the queue to close or the connection to end.
    phase: Notify,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    packets: usize,
    /// What the writer took and has not finished.
    held_bytes: usize,
    held_packets: usize,
    dropped: u64,
    written: u64,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    /// Nothing more is taken; what is there is still written.
    Closing,
    /// Nothing more is written, the connection ends.
    Ended,
}

/// What the writer is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Write,
    Wait,
    Stop,
}

impl OutQueue {
    /// An empty queue.
    pub fn new(limits: OutQueueLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            filled: Notify::new(),
            phase: Notify::new(),
        }
    }

    /// Queues a data packet.
    ///
    /// # Errors
    ///
    /// [`PushError`]; the packet is dropped.
    pub fn push_data(&self, packet: &[u8]) -> Result<(), PushError> {
        self.push_data_with(packet.len(), |room| {
            room.copy_from_slice(packet);
            Some(packet.len())
        })
    }

    /// Queues a data packet of up to `len` bytes that `seal` writes in place; `seal` returns the length used,
    /// or `None` to give up, which queues nothing.
    ///
    /// The queue is locked while `seal` runs, so it must be quick and must not push to the same queue.
    ///
    /// # Errors
    ///
    /// [`PushError`]; `seal` is not called then.
    pub fn push_data_with(
        &self,
        len: usize,
        seal: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Result<(), PushError> {
        self.push(len, self.limits.bytes, self.limits.packets, seal)
    }

    /// Queues a control packet; it may use the headroom data packets may not.
    ///
    /// # Errors
    ///
    /// [`PushError`]; the packet is dropped.
    pub fn push_control(&self, packet: &[u8]) -> Result<(), PushError> {
        let bytes = self.limits.bytes.saturating_add(self.limits.control_bytes);
        let packets = self.limits.packets.saturating_add(self.limits.control_packets);
        self.push(packet.len(), bytes, packets, |room| {
            room.copy_from_slice(packet);
            Some(packet.len())
        })
    }

    fn push(
        &self,
        len: usize,
        max_bytes: usize,
        max_packets: usize,
        seal: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Result<(), PushError> {
        write_header(len).map_err(|_| PushError::Length)?;
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(PushError::Closed);
        }
        let bytes = state.held_bytes + state.buffer.len() + HEADER_LEN + len;
        if bytes > max_bytes || state.held_packets + state.packets >= max_packets {
            state.dropped += 1;
            return Err(PushError::Full);
        }
        let start = state.buffer.len();
        let body = start + HEADER_LEN;
        state.buffer.resize(body + len, 0);
        let used = state
            .buffer
            .get_mut(body..)
            .and_then(seal)
            .map(|used| used.min(len));
        match used.and_then(|used| write_header(used).ok().map(|header| (used, header))) {
            Some((used, header)) => {
                state.buffer.truncate(body + used);
                if let Some(prefix) = state.buffer.get_mut(start..body) {
                    prefix.copy_from_slice(&header);
                }
                state.packets += 1;
                drop(state);
                self.filled.notify_one();
            }
            None => state.buffer.truncate(start),
        }
        Ok(())
    }

    /// Takes no more packets; the connection ends when those queued are written.
    pub fn close(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        drop(state);
        self.filled.notify_one();
        self.phase.notify_waiters();
    }

    /// Ends the connection at once, dropping what is queued.
    pub fn abort(&self) {
        let mut state = self.lock();
        state.phase = Phase::Ended;
        state.buffer = Vec::new();
        state.packets = 0;
        state.held_bytes = 0;
        state.held_packets = 0;
        drop(state);
        self.filled.notify_one();
        self.phase.notify_waiters();
    }

    /// Whether the connection takes packets.
    pub fn is_open(&self) -> bool {
        self.lock().phase == Phase::Open
    }

    /// What the queue holds and has seen.
    pub fn stats(&self) -> OutQueueStats {
        let state = self.lock();
        OutQueueStats {
            pending_bytes: state.held_bytes + state.buffer.len(),
            pending_packets: state.held_packets + state.packets,
            dropped: state.dropped,
            written: state.written,
        }
    }

    /// Waits until the connection has ended: aborted, or closed and written out, or failed.
    pub async fn ended(&self) {
        self.reached(|phase| phase == Phase::Ended).await;
    }

    /// Waits until the queue takes no more packets.
    pub(crate) async fn closed(&self) {
        self.reached(|phase| phase != Phase::Open).await;
    }

    async fn reached(&self, condition: impl Fn(Phase) -> bool) {
        loop {
            let mut changed = pin!(self.phase.notified());
            // Registered before the look at the state, so no notice can fall between the two.
            changed.as_mut().enable();
            if condition(self.lock().phase) {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().phase == Phase::Ended
    }

    /// Gives the writer all that is queued in exchange for its empty buffer.
    pub(crate) fn take(&self, empty: &mut Vec<u8>) -> Turn {
        let mut state = self.lock();
        match state.phase {
            Phase::Ended => Turn::Stop,
            _ if !state.buffer.is_empty() => {
                std::mem::swap(&mut state.buffer, empty);
                state.held_bytes = empty.len();
                state.held_packets = std::mem::take(&mut state.packets);
                Turn::Write
            }
            Phase::Closing => Turn::Stop,
            Phase::Open => Turn::Wait,
        }
    }

    /// The kernel took `bytes` of what the writer holds.
    pub(crate) fn progress(&self, bytes: usize) {
        let mut state = self.lock();
        state.written += bytes as u64;
        state.held_bytes = state.held_bytes.saturating_sub(bytes);
        if state.held_bytes == 0 {
            state.held_packets = 0;
        }
    }

    /// Waits until something was pushed or the queue was closed.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Frees a large buffer while nothing is queued.
    pub(crate) fn rest(&self) {
        let mut state = self.lock();
        if state.buffer.is_empty() && state.buffer.capacity() > KEEP {
            state.buffer = Vec::new();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent at every point a panic in `seal` could leave it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(bytes: usize, packets: usize) -> OutQueue {
        OutQueue::new(OutQueueLimits {
            bytes,
            packets,
            control_bytes: 20,
            control_packets: 1,
        })
    }

    #[test]
    fn packets_lie_back_to_back_with_their_lengths() {
        let queue = queue(100, 10);
        queue.push_data(b"abc").unwrap();
        queue
            .push_data_with(10, |room| {
                room[..2].copy_from_slice(b"de");
                Some(2)
            })
            .unwrap();
        queue.push_data_with(10, |_| None).unwrap();
        queue.push_control(b"f").unwrap();
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken), Turn::Write);
        assert_eq!(taken, b"\0\x03abc\0\x02de\0\x01f");
        assert_eq!(queue.stats().pending_packets, 3);
        queue.progress(taken.len());
        assert_eq!(
            queue.stats(),
            OutQueueStats {
                written: 12,
                ..OutQueueStats::default()
            }
        );
        taken.clear();
        assert_eq!(queue.take(&mut taken), Turn::Wait);
    }

    #[test]
    fn a_full_queue_drops_data_and_still_takes_control() {
        let queue = queue(24, 10);
        queue.push_data(&[0; 10]).unwrap();
        queue.push_data(&[0; 10]).unwrap();
        assert_eq!(queue.push_data(&[0; 1]), Err(PushError::Full));
        queue.push_control(&[0; 10]).unwrap();
        assert_eq!(queue.push_control(&[0; 10]), Err(PushError::Full));
        assert_eq!(queue.stats().dropped, 2);
    }

    #[test]
    fn the_number_of_packets_is_bounded_too_and_counts_what_the_writer_holds() {
        let queue = queue(1000, 2);
        queue.push_data(b"a").unwrap();
        queue.push_data(b"b").unwrap();
        let mut taken = Vec::new();
        queue.take(&mut taken);
        assert_eq!(queue.push_data(b"c"), Err(PushError::Full));
        queue.push_control(b"d").unwrap();
        assert_eq!(queue.push_control(b"e"), Err(PushError::Full));
        queue.progress(taken.len());
        queue.push_data(b"f").unwrap();
    }

    #[test]
    fn impossible_lengths_are_refused() {
        let queue = OutQueue::new(OutQueueLimits::default());
        assert_eq!(queue.push_data(&[]), Err(PushError::Length));
        assert_eq!(queue.push_data(&[0; 65_536]), Err(PushError::Length));
        queue.push_data(&[0; 65_535]).unwrap();
    }

    #[test]
    fn a_closed_queue_takes_nothing_and_gives_what_it_has() {
        let queue = queue(100, 10);
        queue.push_data(b"abc").unwrap();
        queue.close();
        assert_eq!(queue.push_data(b"x"), Err(PushError::Closed));
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken), Turn::Write);
        taken.clear();
        assert_eq!(queue.take(&mut taken), Turn::Stop);
    }
}
