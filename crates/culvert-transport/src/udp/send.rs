//! Sending many datagrams with few `sendmmsg`: equal-sized ones to a path leave as one UDP_SEGMENT message.

use std::{io, mem, net::IpAddr};

use culvert_wire::UdpPath;

use super::{
    gso::RefusedSizes,
    mmsg::{Messages, Outcome},
    socket::UdpSocket,
};

/// Segments in one UDP_SEGMENT message at most (`UDP_MAX_SEGMENTS` of the oldest kernels that have it).
const MAX_SEGMENTS: usize = 64;
/// Bytes in one message at most: what an IPv4 datagram can carry.
const MAX_MESSAGE: usize = 65_507;
/// Default size of the buffer: two full trains each way and some small packets.
const BUFFER: usize = 4 * 65_536;

/// Datagrams on their way out, written in place into one buffer: one per worker and listening address.
///
/// Consecutive datagrams to the same path form a *train* while they have equal size (the last may be shorter);
/// a train is one message to the kernel.
#[derive(Debug)]
pub struct SendBatch {
    buffer: Box<[u8]>,
    used: usize,
    /// Path and length of the open reservation.
    reserved: Option<(UdpPath, usize)>,
    trains: Vec<Train>,
    messages: Messages,
    refused: RefusedSizes,
    coalesce: bool,
}

/// Datagrams to one path, back to back in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Train {
    pub(super) path: UdpPath,
    pub(super) start: usize,
    pub(super) len: usize,
    /// Size of each datagram but the last.
    pub(super) segment: usize,
    pub(super) count: usize,
}

/// What became of a flushed batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "drops are not errors, but they are to be counted"]
pub struct SendReport {
    /// Datagrams the kernel took.
    pub sent: u64,
    /// Their bytes, without IP and UDP headers.
    pub bytes: u64,
    /// System calls made.
    pub calls: u64,
    /// Datagrams dropped because the send buffer or the device queue was full.
    pub full: u64,
    /// Datagrams dropped because their destination cannot be reached or may not be sent to.
    pub unreachable: u64,
}

impl SendBatch {
    /// An empty batch of the usual size (256 KiB) for `socket`.
    pub fn new(socket: &UdpSocket) -> Self {
        Self::with_capacity(socket, BUFFER)
    }

    /// An empty batch of `bytes` for `socket`, at least one datagram of 65,507 bytes.
    pub fn with_capacity(socket: &UdpSocket, bytes: usize) -> Self {
        Self {
            buffer: vec![0; bytes.max(MAX_MESSAGE)].into_boxed_slice(),
            used: 0,
            reserved: None,
            trains: Vec::new(),
            messages: Messages::new(),
            refused: RefusedSizes::new(),
            coalesce: socket.gso(),
        }
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.trains.is_empty()
    }

    /// Bytes that wait to be sent.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Room for a datagram of up to `len` bytes to `to`, to be followed by [`SendBatch::commit`] with the
    /// length used. A reservation that is not committed never happened.
    ///
    /// `None` when the batch is full: flush it and ask again. An empty batch has room for every `len` up to
    /// 65,507.
    pub fn reserve(&mut self, to: &UdpPath, len: usize) -> Option<&mut [u8]> {
        self.reserved = None;
        if len > MAX_MESSAGE {
            return None;
        }
        let room = self.buffer.get_mut(self.used..self.used + len)?;
        self.reserved = Some((*to, len));
        Some(room)
    }

    /// Adds the first `len` bytes of the open reservation to the batch; more than was reserved counts as all
    /// of it, none as [`SendBatch::abandon`].
    pub fn commit(&mut self, len: usize) {
        let Some((path, reserved)) = self.reserved.take() else {
            return;
        };
        let len = len.min(reserved);
        if len == 0 {
            return;
        }
        let start = self.used;
        self.used += len;
        if self.coalesce
            && let Some(train) = self.trains.last_mut()
            && train.takes(&path, len)
            && !self.refused.contains(&path, train.segment)
        {
            train.len += len;
            train.count += 1;
        } else {
            self.trains.push(Train {
                path,
                start,
                len,
                segment: len,
                count: 1,
            });
        }
    }

    /// Gives the open reservation up.
    pub fn abandon(&mut self) {
        self.reserved = None;
    }

    /// Copies a finished datagram into the batch; `false` when it is full.
    pub fn push(&mut self, to: &UdpPath, datagram: &[u8]) -> bool {
        let Some(room) = self.reserve(to, datagram.len()) else {
            return false;
        };
        room.copy_from_slice(datagram);
        self.commit(datagram.len());
        true
    }

    /// Sends everything and empties the batch. Never waits: what the kernel has no room for is dropped and
    /// counted, as a router would; holding it back would only add delay.
    ///
    /// A datagram that cannot be delivered never keeps the others back.
    ///
    /// # Errors
    ///
    /// Only when the socket itself is broken; the batch is empty then, too.
    pub fn flush(&mut self, socket: &UdpSocket) -> io::Result<SendReport> {
        self.reserved = None;
        let mut trains = mem::take(&mut self.trains);
        let mut report = SendReport::default();
        let mut rest = trains.as_slice();
        let mut result = Ok(());
        while !rest.is_empty() {
            let (handled, outcome) = self.messages.send(socket, &self.buffer, rest, &mut report);
            let failed = rest.get(handled);
            rest = rest.get(handled..).unwrap_or_default();
            match (outcome, failed) {
                (Outcome::Sent, _) | (_, None) => {}
                (Outcome::Full, Some(_)) => {
                    report.full += rest.iter().map(|train| train.count as u64).sum::<u64>();
                    break;
                }
                (Outcome::Unreachable, Some(train)) => {
                    report.unreachable += train.count as u64;
                    rest = &rest[1..];
                }
                (Outcome::SegmentationRefused { for_good }, Some(train)) => {
                    let train = *train;
                    rest = &rest[1..];
                    self.send_singly(socket, &train, for_good, &mut report);
                }
                (Outcome::Broken(error), Some(_)) => {
                    result = Err(error);
                    break;
                }
            }
        }
        trains.clear();
        self.trains = trains;
        self.used = 0;
        self.coalesce = socket.gso();
        result.map(|()| report)
    }

    /// Sends the datagrams of a train the kernel refused one by one, and remembers the refusal: by path and
    /// size (the device's MTU is smaller than the datagrams), or for the socket (the device cannot do it).
    fn send_singly(&mut self, socket: &UdpSocket, train: &Train, for_good: bool, report: &mut SendReport) {
        if for_good {
            if socket.gso() {
                tracing::info!(remote = %train.path.remote, "UDP segmentation does not work here; \
                                datagrams are sent one by one from now on");
            }
            socket.disable_gso();
        } else {
            self.refused.insert(&train.path, train.segment);
        }
        let singles: Vec<Train> = train.split().collect();
        let mut rest = singles.as_slice();
        while !rest.is_empty() {
            let (handled, outcome) = self.messages.send(socket, &self.buffer, rest, report);
            rest = rest.get(handled..).unwrap_or_default();
            match outcome {
                Outcome::Sent => {}
                Outcome::Full => {
                    report.full += rest.len() as u64;
                    return;
                }
                _ => {
                    report.unreachable += u64::from(!rest.is_empty());
                    rest = rest.get(1..).unwrap_or_default();
                }
            }
        }
    }
}

impl Train {
    /// Whether one more datagram fits.
    fn takes(&self, path: &UdpPath, len: usize) -> bool {
        self.path == *path
            && self.len == self.segment * self.count // a shorter one ends a train
            && len <= self.segment
            && self.count < MAX_SEGMENTS
            && self.len + len <= MAX_MESSAGE
    }

    /// The datagrams as trains of one.
    fn split(self) -> impl Iterator<Item = Self> {
        (0..self.count).map(move |number| {
            let start = self.start + number * self.segment;
            let len = self.segment.min(self.start + self.len - start);
            Self {
                path: self.path,
                start,
                len,
                segment: len,
                count: 1,
            }
        })
    }

    /// The source address to ask the kernel for.
    pub(super) fn local(&self) -> Option<IpAddr> {
        self.path.local
    }
}
