//! Reading length-prefixed packets in large pieces.

use std::{
    fmt, io,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use culvert_wire::{
    TcpLink,
    stream::{FrameDecoder, StreamError},
};
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::tcp::OwnedReadHalf,
};

use super::queue::OutQueue;

/// Default size of a [`FrameBuffer`].
const BUFFER: usize = 256 << 10;

/// The buffer connections read into: one per worker, used by one connection at a time, so that an idle
/// connection costs no buffer.
pub struct FrameBuffer {
    bytes: Box<[u8]>,
    frames: Vec<Range<usize>>,
}

impl FrameBuffer {
    /// A buffer of 256 KiB.
    pub fn new() -> Self {
        Self::with_capacity(BUFFER)
    }

    /// A buffer of `bytes`. It should hold many of the largest frames, and is enlarged to hold one.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: vec![0; bytes].into_boxed_slice(),
            frames: Vec::new(),
        }
    }

    /// Number of frames read last.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether no whole frame was read last.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frames read last, without their prefixes, in order, to be opened in place.
    pub fn frames_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let mut rest = &mut *self.bytes;
        let mut at = 0;
        self.frames.iter().map_while(move |frame| {
            // Frames are disjoint and in order, so each is split off the front of what remains.
            let (_, tail) = std::mem::take(&mut rest).split_at_mut_checked(frame.start - at)?;
            let (body, tail) = tail.split_at_mut_checked(frame.len())?;
            rest = tail;
            at = frame.end;
            Some(body)
        })
    }
}

impl Default for FrameBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FrameBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameBuffer")
            .field("frames", &self.frames.len())
            .finish_non_exhaustive()
    }
}

/// What a [`FrameReader::read`] brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// This many whole frames are in the buffer; zero when only a part of one has arrived.
    Frames(usize),
    /// Nothing is there now; wait with [`FrameReader::ready`].
    WouldBlock,
    /// The connection has ended, by the peer or through its [`OutQueue`].
    Closed,
}

/// The reading half of a connection.
///
/// ```no_run
/// # use culvert_transport::{FrameBuffer, FrameReader, ReadOutcome};
/// # async fn connection(mut reader: FrameReader, worker: &std::cell::RefCell<FrameBuffer>) -> std::io::Result<()> {
/// loop {
///     reader.ready().await?;
///     let mut buffer = worker.borrow_mut(); // not held across an await
///     match reader.read(&mut buffer)? {
///         ReadOutcome::Frames(_) => for packet in buffer.frames_mut() { /* open in place */ },
///         ReadOutcome::WouldBlock => {}
///         ReadOutcome::Closed => return Ok(()),
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct FrameReader {
    stream: OwnedReadHalf,
    link: TcpLink,
    queue: Arc<OutQueue>,
    decoder: FrameDecoder,
    /// The part of a frame that has arrived; free of memory while there is none.
    partial: Vec<u8>,
    broken: Option<StreamError>,
}

impl FrameReader {
    pub(crate) fn new(stream: OwnedReadHalf, link: TcpLink, max_frame: usize, queue: Arc<OutQueue>) -> Self {
        let decoder = FrameDecoder::new(max_frame);
        Self {
            stream,
            link,
            queue,
            decoder,
            partial: Vec::new(),
            broken: None,
        }
    }

    /// The connection's identity and the peer's address.
    pub fn link(&self) -> TcpLink {
        self.link
    }

    /// The queue of the writing half.
    pub fn queue(&self) -> &Arc<OutQueue> {
        &self.queue
    }

    /// Waits until there is something to read or the connection has ended. Cancel safe, so a caller can
    /// limit slow and silent peers with a timer around it.
    ///
    /// # Errors
    ///
    /// Those of the runtime.
    pub async fn ready(&self) -> io::Result<()> {
        tokio::select! {
            ready = self.stream.readable() => ready,
            () = self.queue.ended() => Ok(()),
        }
    }

    /// Reads as much as is there and fits, replacing the content of `buffer`. Never waits.
    ///
    /// # Errors
    ///
    /// The kernel's, and `InvalidData` with a [`StreamError`] inside when the peer does not speak our
    /// framing; whole frames before that point are delivered first.
    pub fn read(&mut self, buffer: &mut FrameBuffer) -> io::Result<ReadOutcome> {
        buffer.frames.clear();
        if self.queue.has_ended() {
            return Ok(ReadOutcome::Closed);
        }
        if let Some(error) = self.broken {
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        if buffer.bytes.len() < self.decoder.buffer_len() {
            buffer.bytes = vec![0; self.decoder.buffer_len()].into_boxed_slice();
        }
        // A part is shorter than a frame with its prefix, so there is room for it and for at least one byte.
        let (front, room) = buffer.bytes.split_at_mut(self.partial.len());
        let mut room = ReadBuf::new(room);
        // Polled, because that notes that the socket is empty when it brings less than there is room for. `try_read` would let
        // `ready` return at once, and what a fast peer sent meanwhile would come in small change. Nobody is to be woken.
        let mut nobody = Context::from_waker(Waker::noop());
        let read = match Pin::new(&mut self.stream).poll_read(&mut nobody, &mut room) {
            Poll::Ready(Ok(())) if room.filled().is_empty() => return Ok(ReadOutcome::Closed),
            Poll::Ready(Ok(())) => room.filled().len(),
            Poll::Pending => return Ok(ReadOutcome::WouldBlock),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
                return Ok(ReadOutcome::Frames(0));
            }
            Poll::Ready(Err(error)) => return Err(error),
        };
        front.copy_from_slice(&self.partial);
        let filled = front.len() + read;
        self.decode(buffer, filled)
    }

    /// Notes the whole frames in the first `filled` bytes and keeps the rest for the next read.
    fn decode(&mut self, buffer: &mut FrameBuffer, filled: usize) -> io::Result<ReadOutcome> {
        let bytes = buffer.bytes.get(..filled).unwrap_or_default();
        loop {
            match self.decoder.next_frame(bytes) {
                Ok(Some(frame)) => buffer.frames.push(frame),
                Ok(None) => break,
                Err(error) if buffer.frames.is_empty() => {
                    self.broken = Some(error);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
                Err(error) => {
                    self.broken = Some(error);
                    break;
                }
            }
        }
        let rest = bytes.get(self.decoder.take_consumed()..).unwrap_or_default();
        if rest.is_empty() || self.broken.is_some() {
            self.partial = Vec::new();
        } else {
            self.partial.clear();
            self.partial.extend_from_slice(rest);
        }
        Ok(ReadOutcome::Frames(buffer.frames.len()))
    }
}
