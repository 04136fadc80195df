//! A listening UDP socket, set up for batches, and its registration with a tokio runtime.
#![allow(unsafe_code)]

use std::{
    io,
    net::SocketAddr,
    ops::Deref,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering},
};

use culvert_wire::Transport;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{Interest, unix::AsyncFd};

use super::recv::RecvBatch;
use crate::{
    error::TransportError,
    sys::{set_buffer, set_option},
};

/// How a [`UdpSocket`] is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// Share the port with the sockets of the other workers (`SO_REUSEPORT`); the kernel spreads clients over
    /// them by a hash of both addresses.
    pub reuse_port: bool,
    /// Receive buffer in bytes. More than `net.core.rmem_max` needs CAP_NET_ADMIN; without it, the limit.
    pub recv_buffer: usize,
    /// Send buffer in bytes, likewise.
    pub send_buffer: usize,
    /// Let the kernel join received datagrams of one sender (`UDP_GRO`, Linux 5.0), if it can.
    pub gro: bool,
    /// Send runs of equal-sized datagrams as one message (`UDP_SEGMENT`, Linux 4.18), if the kernel can.
    pub gso: bool,
}

impl Default for UdpOptions {
    /// A shared port, 8 MiB to receive (a burst must wait while a worker is busy), 4 MiB to send, offloads on.
    fn default() -> Self {
        Self {
            reuse_port: true,
            recv_buffer: 8 << 20,
            send_buffer: 4 << 20,
            gro: true,
            gso: true,
        }
    }
}

/// A non-blocking UDP socket that tells which of our addresses a datagram came to and lets replies leave
/// from it.
///
/// An IPv6 socket takes IPv6 only, so `[::]:443` and `0.0.0.0:443` can be bound side by side.
///
/// Datagrams larger than the path's MTU are fragmented by the kernel, as OpenVPN servers do: a client that
/// has chosen too large a tunnel MTU gets slow packets, not none. For IPv4 the path MTU is not learned from
/// ICMP either, so a forged one cannot shrink a client's packets.
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
    local: SocketAddr,
    gro: bool,
    gso: AtomicBool,
}

impl UdpSocket {
    /// Opens a socket on `address`.
    ///
    /// Offloads the kernel lacks are left off without an error; ask [`UdpSocket::gro`] and
    /// [`UdpSocket::gso`].
    ///
    /// # Errors
    ///
    /// [`TransportError`], which names the address, the cause and the cure.
    pub fn bind(address: SocketAddr, options: &UdpOptions) -> Result<Self, TransportError> {
        let fail = |step| move |source| TransportError::new(Transport::Udp, address, step, source);
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))
            .map_err(fail("opening the socket"))?;
        socket
            .set_nonblocking(true)
            .map_err(fail("making the socket non-blocking"))?;
        if address.is_ipv6() {
            socket
                .set_only_v6(true)
                .map_err(fail("restricting the socket to IPv6"))?;
        }
        if options.reuse_port {
            socket.set_reuse_port(true).map_err(fail("SO_REUSEPORT"))?;
        }
        report_destination(socket.as_fd(), address.is_ipv6()).map_err(fail("asking for packet info"))?;
        let_kernel_fragment(socket.as_fd(), address.is_ipv6());
        set_buffers(socket.as_fd(), options);
        socket.bind(&address.into()).map_err(fail("binding"))?;
        let local = socket
            .local_addr()
            .ok()
            .and_then(|local| local.as_socket())
            .unwrap_or(address);
        let gro = options.gro && set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 1).is_ok();
        // Zero asks for no segmentation: a kernel that accepts it knows the option.
        let gso = options.gso && set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
        Ok(Self {
            socket,
            local,
            gro,
            gso: AtomicBool::new(gso),
        })
    }

    /// The address the socket is bound to, with the port the kernel chose if none was given.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Whether the kernel joins received datagrams.
    pub fn gro(&self) -> bool {
        self.gro
    }

    /// Whether runs of datagrams leave as one message. Turns false for good when the kernel shows at run time
    /// that it cannot (a device without checksum offload, an IPsec policy).
    pub fn gso(&self) -> bool {
        self.gso.load(Ordering::Relaxed)
    }

    /// Stops the use of `UDP_SEGMENT` on this socket.
    pub(crate) fn disable_gso(&self) {
        self.gso.store(false, Ordering::Relaxed);
    }

    /// Receives what is there, up to the batch's size, replacing the batch's content. Never waits.
    ///
    /// The result is the number of datagrams, at least one.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing is there; other errors are the kernel's.
    pub fn recv(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        batch.fill(self.as_fd())
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// A [`UdpSocket`] registered with the tokio runtime of the thread that made it.
///
/// Derefs to the socket; use [`AsyncUdpSocket::recv`] and [`AsyncUdpSocket::try_recv`] for receiving, which
/// keep the readiness right.
#[derive(Debug)]
pub struct AsyncUdpSocket {
    inner: AsyncFd<UdpSocket>,
}

impl AsyncUdpSocket {
    /// Registers `socket` with the current runtime, whose I/O driver must be enabled.
    ///
    /// # Errors
    ///
    /// When the kernel cannot watch one more descriptor.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        // SAFETY: the socket owns its descriptor, always returns that one, and closes it only when dropped,
        // which the `AsyncFd` does after it has deregistered it.
        let inner = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE)? };
        Ok(Self { inner })
    }

    /// Waits until at least one datagram is there and receives a batch; the result is their number.
    ///
    /// Cancel safe: a datagram is taken from the kernel only in the poll that returns it.
    ///
    /// # Errors
    ///
    /// Those of [`UdpSocket::recv`] but `WouldBlock`.
    pub async fn recv(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        loop {
            let mut ready = self.inner.readable().await?;
            if let Ok(result) = ready.try_io(|socket| socket.get_ref().recv(batch)) {
                // Whatever comes from now on is a new event, so the empty socket need not be asked first.
                if result.is_ok() && batch.drained() {
                    ready.clear_ready();
                }
                return result;
            }
        }
    }

    /// Receives what is there without waiting, to drain a socket within a budget. Not worth a try when the batch is
    /// [drained](RecvBatch::drained).
    ///
    /// # Errors
    ///
    /// Those of [`UdpSocket::recv`].
    pub fn try_recv(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        self.inner.try_io(Interest::READABLE, |socket| socket.recv(batch))
    }
}

impl Deref for AsyncUdpSocket {
    type Target = UdpSocket;

    fn deref(&self) -> &UdpSocket {
        self.inner.get_ref()
    }
}

/// Asks the kernel to tell the local address of each datagram.
fn report_destination(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    if v6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

/// Chooses fragmentation over loss. A kernel that refuses keeps its default, which works too.
fn let_kernel_fragment(socket: BorrowedFd<'_>, v6: bool) {
    let _kernel_default = if v6 {
        // Routers do not fragment IPv6, so the path MTU must be learned; the kernel then cuts to it.
        set_option(
            socket,
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_WANT,
        )
    } else {
        set_option(
            socket,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_OMIT,
        )
    };
}

/// Enlarges the buffers as far as the system allows; smaller ones cost speed, not correctness.
fn set_buffers(socket: BorrowedFd<'_>, options: &UdpOptions) {
    let wanted = [
        (
            "receive",
            libc::SO_RCVBUFFORCE,
            libc::SO_RCVBUF,
            options.recv_buffer,
        ),
        ("send", libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, options.send_buffer),
    ];
    for (which, force, plain, bytes) in wanted {
        if let Err(error) = set_buffer(socket, force, plain, bytes) {
            tracing::warn!(%error, bytes, "the {which} buffer of a UDP socket stays at its default size");
        }
    }
}
