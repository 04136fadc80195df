//! Receiving many datagrams with one `recvmmsg`, and cutting what the kernel joined.
#![allow(unsafe_code)]

use std::{
    fmt, io,
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, BorrowedFd},
    ptr, slice,
};

use culvert_wire::UdpPath;

use super::mmsg;
use crate::{address::RawAddress, cmsg::Control};

/// Messages one `recvmmsg` returns at most.
const MESSAGES: usize = 64;
/// Fewest messages offered to the kernel; the offer follows the load, see [`RecvBatch::fill`].
const MESSAGES_LOW: usize = 8;
/// The largest datagram, and the largest train of joined ones.
const MESSAGE_LEN: usize = 65_536;
/// Distance between buffers: some cache lines more than a power of two, else the starts of all 64 datagrams
/// would compete for the same few cache sets.
const STRIDE: usize = MESSAGE_LEN + 3 * 64;

/// Where a received datagram came from and which of our addresses it was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpMeta {
    /// Address and port of the sender.
    pub remote: SocketAddr,
    /// Our address; replies must leave from it.
    pub local: Option<IpAddr>,
}

impl UdpMeta {
    /// The path back to the sender over the listening address with index `socket`.
    pub fn path(&self, socket: u16) -> UdpPath {
        UdpPath {
            remote: self.remote,
            local: self.local,
            socket,
        }
    }
}

/// Buffers for 64 messages of up to 64 KiB, reused from batch to batch: one per worker.
///
/// The memory (4 MiB of address space) is touched only as far as packets fill it.
pub struct RecvBatch {
    buffer: Box<[u8]>,
    names: Box<[RawAddress; MESSAGES]>,
    controls: Box<[Control; MESSAGES]>,
    messages: Vec<Message>,
    /// Messages to offer next time.
    offer: usize,
    datagrams: usize,
    /// Whether the last call brought less than was offered, so that nothing is left in the socket.
    drained: bool,
    truncated: u64,
}

/// One received message: a datagram, or a train of them of `segment` bytes each, the last may be shorter.
#[derive(Clone, Copy, Debug)]
struct Message {
    index: usize,
    len: usize,
    segment: usize,
    meta: UdpMeta,
}

impl RecvBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            buffer: vec![0; STRIDE * MESSAGES].into_boxed_slice(),
            names: Box::new([RawAddress::empty(); MESSAGES]),
            controls: Box::new([Control::empty(); MESSAGES]),
            messages: Vec::with_capacity(MESSAGES),
            offer: MESSAGES_LOW,
            datagrams: 0,
            drained: false,
            truncated: 0,
        }
    }

    /// Number of datagrams received last.
    pub fn len(&self) -> usize {
        self.datagrams
    }

    /// Whether nothing was received last.
    pub fn is_empty(&self) -> bool {
        self.datagrams == 0
    }

    /// Whether the socket was empty after the last call, as far as that tells: asking again at once would bring nothing, or
    /// only what arrived meanwhile.
    pub fn drained(&self) -> bool {
        self.drained
    }

    /// Datagrams dropped since the batch was made because they did not fit or told no usable sender.
    pub fn truncated(&self) -> u64 {
        self.truncated
    }

    /// The received datagrams, in order of arrival, to be opened in place.
    pub fn datagrams_mut(&mut self) -> Datagrams<'_> {
        Datagrams {
            chunks: self.buffer.chunks_exact_mut(STRIDE).enumerate(),
            messages: self.messages.iter(),
            current: None,
        }
    }

    /// Replaces the content by what `socket` has; see [`crate::UdpSocket::recv`].
    pub(crate) fn fill(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.messages.clear();
        self.datagrams = 0;
        // Preparing and walking 64 message headers costs as much as a small system call, so a quiet socket
        // is asked for few; a full answer doubles the next offer.
        let offer = self.offer;
        loop {
            let received = self.receive(socket, offer)?;
            self.drained = received < offer;
            self.offer = if received == offer {
                offer * 2
            } else {
                received * 2
            };
            self.offer = self.offer.clamp(MESSAGES_LOW, MESSAGES);
            if self.datagrams > 0 {
                return Ok(self.datagrams);
            }
            // Only empty or truncated datagrams arrived: look on until something or `WouldBlock` comes.
        }
    }

    /// One `recvmmsg` of up to `offer` messages.
    fn receive(&mut self, socket: BorrowedFd<'_>, offer: usize) -> io::Result<usize> {
        // Left as they are beyond the offer: clearing 64 headers for a few datagrams costs more than a datagram.
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; MESSAGES];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MESSAGES];
        let parts = headers
            .iter_mut()
            .zip(&mut vectors)
            .zip(self.buffer.chunks_exact_mut(STRIDE))
            .zip(self.names.iter_mut().zip(self.controls.iter_mut()));
        for (((header, vector), chunk), (name, control)) in parts.take(offer) {
            let header = header.write(mmsg::EMPTY);
            header.msg_hdr.msg_iov = vector.write(libc::iovec {
                iov_base: chunk.as_mut_ptr().cast(),
                iov_len: MESSAGE_LEN,
            });
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = RawAddress::SIZE;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = Control::SIZE as _;
        }
        // SAFETY: the first `offer` headers (at most MESSAGES) were written and point to one vector, name, control
        // block and buffer each, of the stated sizes, all alive and borrowed by nobody until the call returns.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                offer.min(MESSAGES) as libc::c_uint,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for (index, header) in headers.iter().enumerate().take(received.min(offer)) {
            // SAFETY: headers below `offer` were written above.
            self.note(index, unsafe { header.assume_init_ref() });
        }
        Ok(received)
    }

    /// Records one message the kernel filled in.
    fn note(&mut self, index: usize, header: &libc::mmsghdr) {
        let remote = self.names[index].decode(header.msg_hdr.msg_namelen);
        let len = (header.msg_len as usize).min(MESSAGE_LEN);
        let (Some(remote), 0) = (remote, header.msg_hdr.msg_flags & libc::MSG_TRUNC) else {
            self.truncated += 1;
            return;
        };
        if len == 0 {
            return;
        }
        #[allow(clippy::unnecessary_cast)] // another type with musl
        let told = self.controls[index].decode(header.msg_hdr.msg_controllen as usize);
        let segment = told.segment.unwrap_or(len).clamp(1, len);
        self.datagrams += len.div_ceil(segment);
        self.messages.push(Message {
            index,
            len,
            segment,
            meta: UdpMeta {
                remote,
                local: told.local,
            },
        });
    }
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvBatch")
            .field("messages", &self.messages)
            .finish_non_exhaustive()
    }
}

/// The datagrams of a [`RecvBatch`].
#[derive(Debug)]
pub struct Datagrams<'b> {
    chunks: std::iter::Enumerate<slice::ChunksExactMut<'b, u8>>,
    messages: slice::Iter<'b, Message>,
    current: Option<(UdpMeta, slice::ChunksMut<'b, u8>)>,
}

impl<'b> Iterator for Datagrams<'b> {
    type Item = (UdpMeta, &'b mut [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((meta, train)) = &mut self.current
                && let Some(datagram) = train.next()
            {
                return Some((*meta, datagram));
            }
            let message = self.messages.next()?;
            // Messages are in the order of their buffers, with gaps where one was dropped.
            let (_, chunk) = self.chunks.find(|(index, _)| *index == message.index)?;
            let train = chunk.get_mut(..message.len)?.chunks_mut(message.segment);
            self.current = Some((message.meta, train));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as Plain;

    use super::*;
    use crate::{UdpOptions, UdpSocket};

    fn wait_for(socket: &UdpSocket, batch: &mut RecvBatch) -> usize {
        for _ in 0..1000 {
            match socket.recv(batch) {
                Ok(count) => return count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("nothing arrived");
    }

    #[test]
    fn a_batch_tells_sender_and_local_address_of_each_datagram() {
        for (any, loopback) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1")] {
            let server = UdpSocket::bind(any.parse().unwrap(), &UdpOptions::default()).unwrap();
            let ip: IpAddr = loopback.parse().unwrap();
            let to = SocketAddr::new(ip, server.local_addr().port());
            let clients: Vec<Plain> = (0..3).map(|_| Plain::bind((ip, 0)).unwrap()).collect();
            for (number, client) in clients.iter().enumerate() {
                client.send_to(&[number as u8; 10], to).unwrap();
                client.send_to(&[], to).unwrap();
            }
            let mut batch = RecvBatch::new();
            let mut seen = Vec::new();
            while seen.len() < 3 {
                wait_for(&server, &mut batch);
                for (meta, datagram) in batch.datagrams_mut() {
                    assert_eq!(meta.local, Some(ip));
                    seen.push((meta.remote, datagram.to_vec()));
                }
            }
            for (number, client) in clients.iter().enumerate() {
                let from = client.local_addr().unwrap();
                assert_eq!(seen[number], (from, vec![number as u8; 10]));
            }
        }
    }

    #[test]
    fn more_datagrams_than_one_batch_arrive_in_order() {
        let options = UdpOptions {
            gro: false,
            ..UdpOptions::default()
        };
        let server = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let client = Plain::bind("127.0.0.1:0").unwrap();
        for number in 0..200u8 {
            client.send_to(&[number; 100], server.local_addr()).unwrap();
        }
        let mut batch = RecvBatch::new();
        let mut next = 0;
        while next < 200 {
            let count = wait_for(&server, &mut batch);
            assert_eq!(batch.len(), count);
            for (_, datagram) in batch.datagrams_mut() {
                assert_eq!(datagram, [next; 100]);
                next += 1;
            }
        }
        assert_eq!(
            server.recv(&mut batch).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        assert_eq!(batch.datagrams_mut().count(), 0);
    }
}
