//! Listening TCP sockets, and accepting that survives a shortage of file descriptors.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use culvert_wire::{TcpLink, Transport};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;

use super::{queue::OutQueue, reader::FrameReader, writer::FrameWriter};
use crate::error::TransportError;

/// Pause after an accept that failed for want of descriptors or memory. Short enough that service is back
/// well within a second, long enough not to spin.
const BACK_OFF: Duration = Duration::from_millis(150);

/// How a [`TcpSocket`] and the connections it accepts are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpOptions {
    /// Share the port with the listeners of the other workers (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
    pub backlog: u32,
    /// Give a connection up when sent bytes stay unacknowledged this long (`TCP_USER_TIMEOUT`).
    pub user_timeout: Option<Duration>,
    /// Ask a silent peer for a sign of life after this time, and every tenth of it (`SO_KEEPALIVE`).
    pub keepalive: Option<Duration>,
    /// Kernel send buffer in bytes; `None` leaves it to the kernel's tuning.
    pub send_buffer: Option<usize>,
    /// Kernel receive buffer in bytes; `None` leaves it to the kernel's tuning.
    pub recv_buffer: Option<usize>,
}

impl Default for TcpOptions {
    /// A shared port, 4096 waiting connections, dead peers noticed within about two minutes.
    fn default() -> Self {
        Self {
            reuse_port: true,
            backlog: 4096,
            user_timeout: Some(Duration::from_secs(120)),
            keepalive: Some(Duration::from_secs(60)),
            send_buffer: None,
            recv_buffer: None,
        }
    }
}

/// A listening socket that is not yet registered with a runtime.
#[derive(Debug)]
pub struct TcpSocket {
    socket: Socket,
    local: SocketAddr,
}

impl TcpSocket {
    /// Listens on `address`. An IPv6 socket takes IPv6 only. `TCP_NODELAY` is on for all connections.
    ///
    /// # Errors
    ///
    /// [`TransportError`], which names the address, the cause and the cure.
    pub fn bind(address: SocketAddr, options: &TcpOptions) -> Result<Self, TransportError> {
        let fail = |step| move |source| TransportError::new(Transport::Tcp, address, step, source);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
            .map_err(fail("opening the socket"))?;
        socket
            .set_nonblocking(true)
            .map_err(fail("making the socket non-blocking"))?;
        if address.is_ipv6() {
            socket
                .set_only_v6(true)
                .map_err(fail("restricting the socket to IPv6"))?;
        }
        socket.set_reuse_address(true).map_err(fail("SO_REUSEADDR"))?;
        if options.reuse_port {
            socket.set_reuse_port(true).map_err(fail("SO_REUSEPORT"))?;
        }
        // Accepted connections inherit what is set here, which saves calls per connection.
        socket.set_tcp_nodelay(true).map_err(fail("TCP_NODELAY"))?;
        socket
            .set_tcp_user_timeout(options.user_timeout)
            .map_err(fail("TCP_USER_TIMEOUT"))?;
        if let Some(time) = options.keepalive {
            let interval = (time / 10).max(Duration::from_secs(1));
            let keepalive = TcpKeepalive::new()
                .with_time(time)
                .with_interval(interval)
                .with_retries(6);
            socket
                .set_tcp_keepalive(&keepalive)
                .map_err(fail("SO_KEEPALIVE"))?;
        }
        if let Some(bytes) = options.send_buffer {
            socket.set_send_buffer_size(bytes).map_err(fail("SO_SNDBUF"))?;
        }
        if let Some(bytes) = options.recv_buffer {
            socket.set_recv_buffer_size(bytes).map_err(fail("SO_RCVBUF"))?;
        }
        socket.bind(&address.into()).map_err(fail("binding"))?;
        let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
        socket.listen(backlog).map_err(fail("listening"))?;
        let local = socket
            .local_addr()
            .ok()
            .and_then(|local| local.as_socket())
            .unwrap_or(address);
        Ok(Self { socket, local })
    }

    /// The address the socket is bound to, with the port the kernel chose if none was given.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// A listening socket registered with the tokio runtime of the thread that made it.
#[derive(Debug)]
pub struct TcpListener {
    inner: tokio::net::TcpListener,
    local: SocketAddr,
    /// Whether the shortage was logged already, so that an episode makes one line.
    short: bool,
}

impl TcpListener {
    /// Registers `socket` with the current runtime.
    ///
    /// # Errors
    ///
    /// When the kernel cannot watch one more descriptor.
    pub fn new(socket: TcpSocket) -> io::Result<Self> {
        let TcpSocket { socket, local } = socket;
        Ok(Self {
            inner: tokio::net::TcpListener::from_std(socket.into())?,
            local,
            short: false,
        })
    }

    /// The address listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Waits for the next connection.
    ///
    /// There is no error to handle: connections that died in the queue are passed over, and when descriptors
    /// or memory run out (logged once per episode) the listener tries again after 150 ms. Cancel safe.
    pub async fn accept(&mut self) -> TcpConnection {
        loop {
            match self.inner.accept().await {
                Ok((stream, remote)) => {
                    if std::mem::take(&mut self.short) {
                        tracing::info!(address = %self.local, "accepting TCP connections again");
                    }
                    return TcpConnection::new(stream, remote);
                }
                Err(error) if lost_connection(&error) => {
                    tracing::debug!(%error, "a TCP connection ended before it was accepted");
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.short, true) {
                        tracing::warn!(
                            address = %self.local, %error,
                            "cannot accept TCP connections; trying again until it works. If descriptors ran \
                             out, raise LimitNOFILE= in the systemd unit"
                        );
                    }
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// Errors of `accept(2)` that concern one connection, not the listener.
fn lost_connection(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::ECONNRESET
                | libc::EINTR
                | libc::EPROTO
                | libc::EPERM
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ENONET
                | libc::ENOPROTOOPT
                | libc::EOPNOTSUPP
                | libc::ETIMEDOUT
        )
    )
}

/// An established connection, before it is split into its reading and its writing half.
#[derive(Debug)]
pub struct TcpConnection {
    stream: TcpStream,
    link: TcpLink,
}

impl TcpConnection {
    /// Takes over an established stream, giving it an id no other connection of this process has or had.
    pub fn new(stream: TcpStream, remote: SocketAddr) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            stream,
            link: TcpLink { id, remote },
        }
    }

    /// The connection's identity and the peer's address.
    pub fn link(&self) -> TcpLink {
        self.link
    }

    /// Our end of the connection.
    ///
    /// # Errors
    ///
    /// When the connection is gone already.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Whether small packets leave at once; they do, see [`TcpSocket::bind`].
    ///
    /// # Errors
    ///
    /// When the connection is gone already.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.stream.nodelay()
    }

    /// Splits the connection: frames of up to `max_frame` bytes are read by one task, and another writes what
    /// is pushed to `queue`. Closing the queue ends both.
    pub fn split(self, max_frame: usize, queue: &Arc<OutQueue>) -> (FrameReader, FrameWriter) {
        let (read, write) = self.stream.into_split();
        (
            FrameReader::new(read, self.link, max_frame, Arc::clone(queue)),
            FrameWriter::new(write, Arc::clone(queue)),
        )
    }
}
