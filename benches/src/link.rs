//! A client's connection to the server, outside of the tunnel: how packets leave, and how they come in.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use culvert_transport::{
    AsyncUdpSocket, FrameBuffer, FrameReader, OutQueue, OutQueueLimits, ReadOutcome, RecvBatch, SendBatch,
    TcpConnection,
};
use culvert_wire::{LinkAddr, TcpLink, Transport, UdpPath};
use tokio::net::TcpSocket;

use crate::dialer::Dialer;

/// The longest packet on a TCP connection.
const MAX_FRAME: usize = 9_000 + 512;
/// Bytes that wait for a TCP connection before its sender should pause. The queue takes a super-packet beyond that.
const CONGESTED: usize = 256 << 10;
/// Packets a TCP connection's queue takes: enough that the bytes decide, however small they are.
const QUEUED_PACKETS: usize = 16 << 10;

/// The way out.
#[derive(Debug)]
pub(crate) enum Link {
    /// A socket of the client's own.
    Udp {
        socket: Arc<AsyncUdpSocket>,
        path: UdpPath,
        batch: RefCell<SendBatch>,
    },
    /// A connection, written to by a task of its own.
    Tcp { link: TcpLink, queue: Arc<OutQueue> },
}

/// The way in. Holds what was received last.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Datagrams; those of others than the server are passed over.
    Udp {
        socket: Arc<AsyncUdpSocket>,
        server: SocketAddr,
        batch: Box<RecvBatch>,
    },
    /// Frames of a connection.
    Tcp {
        reader: FrameReader,
        frames: FrameBuffer,
    },
}

/// Opens a link to the server; over TCP it is connected afterwards.
///
/// # Errors
/// When no socket can be had, or the server doesn't take the connection.
pub(crate) async fn open(dialer: &Dialer) -> Result<(Link, Incoming)> {
    match dialer.transport {
        Transport::Udp => open_udp(dialer),
        Transport::Tcp => open_tcp(dialer.sources.next(), dialer.server).await,
    }
}

fn open_udp(dialer: &Dialer) -> Result<(Link, Incoming)> {
    let socket =
        AsyncUdpSocket::new(dialer.udp_socket()?).context("Failed to register a client's UDP socket")?;
    let batch = RefCell::new(SendBatch::new(&socket));
    let socket = Arc::new(socket);
    let path = UdpPath {
        remote: dialer.server,
        local: None,
        socket: 0,
    };
    let incoming = Incoming::Udp {
        socket: Arc::clone(&socket),
        server: dialer.server,
        batch: Box::new(dialer.spare.borrow_mut().pop().unwrap_or_default()),
    };
    Ok((Link::Udp { socket, path, batch }, incoming))
}

/// A TCP socket that connects from the address `from`.
///
/// # Errors
/// When no socket can be had, or the address isn't one of this namespace.
pub(crate) fn tcp_socket(from: IpAddr) -> Result<TcpSocket> {
    let socket = match from {
        IpAddr::V4(_) => TcpSocket::new_v4(),
        IpAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.context("Failed to open a TCP socket")?;
    socket.bind(SocketAddr::new(from, 0)).with_context(|| {
        format!("Failed to use the source address {from}; is it an address of this namespace?")
    })?;
    Ok(socket)
}

async fn open_tcp(from: IpAddr, server: SocketAddr) -> Result<(Link, Incoming)> {
    let stream = tcp_socket(from)?
        .connect(server)
        .await
        .with_context(|| format!("Failed to connect to TCP {server}"))?;
    stream.set_nodelay(true).context("Failed to set TCP_NODELAY")?;
    let connection = TcpConnection::new(stream, server);
    let link = connection.link();
    let queue = Arc::new(OutQueue::new(OutQueueLimits {
        packets: QUEUED_PACKETS,
        ..OutQueueLimits::default()
    }));
    let (reader, writer) = connection.split(MAX_FRAME, &queue);
    // A write that fails ends the queue, which the reader notices.
    tokio::task::spawn_local(writer.run());
    let frames = FrameBuffer::new();
    Ok((Link::Tcp { link, queue }, Incoming::Tcp { reader, frames }))
}

impl Link {
    /// The server's address.
    pub(crate) fn address(&self) -> LinkAddr {
        match self {
            Self::Udp { path, .. } => LinkAddr::Udp(*path),
            Self::Tcp { link, .. } => LinkAddr::Tcp(*link),
        }
    }

    /// Queues a data packet of up to `len` bytes that `seal` writes in place; `false` if it was dropped.
    pub(crate) fn push_with(&self, len: usize, seal: impl FnOnce(&mut [u8]) -> Option<usize>) -> bool {
        match self {
            Self::Udp { path, batch, socket } => {
                let batch = &mut *batch.borrow_mut();
                if batch.reserve(path, len).is_none() {
                    flush(batch, socket);
                }
                let sealed = batch.reserve(path, len).and_then(seal);
                match sealed {
                    Some(sealed) => batch.commit(sealed),
                    None => batch.abandon(),
                }
                sealed.is_some()
            }
            Self::Tcp { queue, .. } => {
                let mut sealed = None;
                let pushed = queue.push_data_with(len, |room| {
                    sealed = seal(room);
                    sealed
                });
                pushed.is_ok() && sealed.is_some()
            }
        }
    }

    /// Queues a finished packet of the control channel.
    pub(crate) fn push_control(&self, packet: &[u8]) {
        match self {
            Self::Udp { path, batch, socket } => {
                let batch = &mut *batch.borrow_mut();
                if !batch.push(path, packet) {
                    flush(batch, socket);
                    batch.push(path, packet);
                }
            }
            // A queue that is full or closed: the reliability layer sends it again, or the reader ends the session.
            Self::Tcp { queue, .. } => drop(queue.push_control(packet)),
        }
    }

    /// Sends what is queued. A TCP connection's writer needs no asking.
    pub(crate) fn flush(&self) -> u64 {
        match self {
            Self::Udp { batch, socket, .. } => flush(&mut batch.borrow_mut(), socket),
            Self::Tcp { .. } => 0,
        }
    }

    /// Whether the sender should pause until the connection has taken some of what waits.
    pub(crate) fn is_congested(&self) -> bool {
        match self {
            Self::Udp { .. } => false,
            Self::Tcp { queue, .. } => queue.is_open() && queue.stats().pending_bytes >= CONGESTED,
        }
    }

    /// Takes no more packets; those queued still leave.
    pub(crate) fn close(&self) {
        if let Self::Tcp { queue, .. } = self {
            queue.close();
        }
    }
}

/// Sends a batch and returns how many datagrams the kernel took. What it didn't take is lost, as on a full line.
fn flush(batch: &mut SendBatch, socket: &AsyncUdpSocket) -> u64 {
    if batch.is_empty() {
        return 0;
    }
    batch.flush(socket).map_or(0, |report| report.sent)
}

impl Incoming {
    /// Waits for packets and receives a batch of them, replacing the last. Cancel safe.
    ///
    /// # Errors
    /// The kernel's; `UnexpectedEof` when the server closed the connection.
    pub(crate) async fn receive(&mut self) -> io::Result<()> {
        match self {
            Self::Udp { socket, batch, .. } => socket.recv(batch).await.map(drop),
            Self::Tcp { reader, frames } => loop {
                reader.ready().await?;
                match reader.read(frames)? {
                    ReadOutcome::Frames(0) | ReadOutcome::WouldBlock => {}
                    ReadOutcome::Frames(_) => return Ok(()),
                    ReadOutcome::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
                }
            },
        }
    }

    /// Leaves the buffers to the next client of `dialer`.
    pub(crate) fn leave_to(self, dialer: &Dialer) {
        if let Self::Udp { batch, .. } = self {
            dialer.spare.borrow_mut().push(*batch);
        }
    }

    /// Hands over the packets received last, one by one, to be opened in place.
    pub(crate) fn each<'b>(&'b mut self, mut take: impl FnMut(&'b mut [u8])) {
        match self {
            Self::Udp { server, batch, .. } => {
                for (meta, datagram) in batch.datagrams_mut() {
                    if meta.remote == *server {
                        take(datagram);
                    }
                }
            }
            Self::Tcp { frames, .. } => frames.frames_mut().for_each(take),
        }
    }
}
