//! One queue of a TUN device, and its registration with a tokio runtime.
#![allow(unsafe_code)]

use std::{
    io::{self, IoSlice},
    ops::Deref,
    os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::io::{
    Interest,
    unix::{AsyncFd, AsyncFdReadyGuard},
};

use crate::{
    error::TunError,
    offload::{split::SuperBuf, vnet},
    open::Offload,
};

/// One queue of a TUN device, non-blocking. Dropping the last one removes the device.
///
/// The `tun` crate owns the descriptor; reads and writes go to it directly, because the crate's own calls
/// set up a packet buffer each.
pub struct TunQueue {
    device: tun::Device,
    name: Arc<str>,
    offload: Offload,
    /// Shared by the queues of a device: whether joined packets may be written.
    join: Arc<AtomicBool>,
}

impl TunQueue {
    pub(crate) fn new(
        fd: OwnedFd,
        name: &Arc<str>,
        mtu: u16,
        offload: Offload,
        join: &Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let mut config = tun::Configuration::default();
        config.raw_fd(fd.into_raw_fd()).tun_name(name.as_ref()).mtu(mtu);
        let device = tun::Device::new(&config).map_err(io::Error::other)?;
        Ok(Self {
            device,
            name: Arc::clone(name),
            offload,
            join: Arc::clone(join),
        })
    }

    /// Name of the device.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether reads bring super-packets.
    pub fn offload(&self) -> bool {
        self.offload != Offload::Off
    }

    /// Whether joined packets are written: with offload, until the kernel shows that it cannot take them.
    pub fn joins(&self) -> bool {
        self.offload() && self.join.load(Ordering::Relaxed)
    }

    /// Whether the kernel takes joined UDP datagrams, too.
    pub(crate) fn joins_udp(&self) -> bool {
        self.offload == Offload::TcpUdp && self.joins()
    }

    /// Stops joining on all queues of the device.
    pub(crate) fn stop_joining(&self) -> bool {
        self.join.swap(false, Ordering::Relaxed)
    }

    /// Reads one packet without waiting; `None` if there is none. For devices created without offload.
    ///
    /// # Errors
    ///
    /// [`TunError::Gone`] when the device was deleted, [`TunError::OffloadActive`] on a device with offload.
    pub fn try_recv(&self, packet: &mut [u8]) -> Result<Option<usize>, TunError> {
        if self.offload() {
            return Err(TunError::OffloadActive);
        }
        self.sort(self.read(packet))
    }

    /// Reads one packet or super-packet into `buffer` without waiting; `false` if there is none.
    ///
    /// # Errors
    ///
    /// [`TunError::Gone`] when the device was deleted.
    pub fn try_recv_super(&self, buffer: &mut SuperBuf) -> Result<bool, TunError> {
        Ok(self
            .sort(buffer.fill(self.offload(), |bytes| self.read(bytes)))?
            .is_some())
    }

    /// Writes one packet.
    ///
    /// # Errors
    ///
    /// [`TunError::Gone`] when the device was deleted; [`TunError::Io`] when the packet was refused (no IP
    /// packet, interface down).
    pub fn send(&self, packet: &[u8]) -> Result<(), TunError> {
        let result = if self.offload() {
            self.write(&[IoSlice::new(&vnet::NONE), IoSlice::new(packet)])
        } else {
            self.write(&[IoSlice::new(packet)])
        };
        match result {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error(error)),
        }
    }

    fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match nix::unistd::read(self.as_fd(), bytes) {
                Err(nix::errno::Errno::EINTR) => {}
                result => return Ok(result?),
            }
        }
    }

    /// Writes the pieces of one packet with one call.
    pub(crate) fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match nix::sys::uio::writev(self.as_fd(), pieces) {
                Err(nix::errno::Errno::EINTR) => {}
                result => return Ok(result?),
            }
        }
    }

    fn sort<T>(&self, result: io::Result<T>) -> Result<Option<T>, TunError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Tells the end of the device from a passing failure.
    pub(crate) fn error(&self, error: io::Error) -> TunError {
        match error.raw_os_error() {
            // What a queue answers once `ip link del` has detached it.
            Some(libc::EBADFD | libc::EBADF | libc::ENODEV) => TunError::Gone {
                name: self.name.to_string(),
            },
            _ => TunError::Io(error),
        }
    }
}

impl AsFd for TunQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the device keeps its descriptor open as long as it lives, and the borrow ends before.
        unsafe { BorrowedFd::borrow_raw(self.device.as_raw_fd()) }
    }
}

impl AsRawFd for TunQueue {
    fn as_raw_fd(&self) -> RawFd {
        self.device.as_raw_fd()
    }
}

impl std::fmt::Debug for TunQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TunQueue")
            .field("name", &self.name)
            .field("fd", &self.as_raw_fd())
            .field("offload", &self.offload)
            .finish_non_exhaustive()
    }
}

/// A [`TunQueue`] registered with the tokio runtime of the thread that made it.
///
/// Unlike `tun::AsyncDevice` it also wakes its reader when the device is deleted.
#[derive(Debug)]
pub struct AsyncTunQueue {
    inner: AsyncFd<TunQueue>,
}

impl AsyncTunQueue {
    /// Registers `queue` with the current runtime, whose I/O driver must be enabled.
    ///
    /// # Errors
    ///
    /// When the kernel cannot watch one more descriptor.
    pub fn new(queue: TunQueue) -> Result<Self, TunError> {
        // SAFETY: the queue owns its descriptor, always returns that one, and closes it only when dropped,
        // which the `AsyncFd` does after it has deregistered it.
        let inner = unsafe { AsyncFd::register_with_interest(queue, Self::INTEREST) };
        Ok(Self {
            inner: inner.map_err(io::Error::from)?,
        })
    }

    /// A deleted device reports an error condition and no readable data; without this a reader would sleep
    /// for ever.
    const INTEREST: Interest = Interest::READABLE.add(Interest::ERROR);

    /// Waits for a packet and reads it. For devices created without offload. Cancel safe.
    ///
    /// # Errors
    ///
    /// As [`TunQueue::try_recv`].
    pub async fn recv(&self, packet: &mut [u8]) -> Result<usize, TunError> {
        loop {
            let ready = self.inner.ready(Self::INTEREST).await?;
            match self.inner.get_ref().try_recv(packet)? {
                Some(len) => return Ok(len),
                None => Self::nothing_read(ready).await,
            }
        }
    }

    /// Waits for a packet or super-packet and reads it into `buffer`. Cancel safe.
    ///
    /// # Errors
    ///
    /// [`TunError::Gone`] when the device was deleted.
    pub async fn recv_super(&self, buffer: &mut SuperBuf) -> Result<(), TunError> {
        loop {
            let ready = self.inner.ready(Self::INTEREST).await?;
            if self.inner.get_ref().try_recv_super(buffer)? {
                return Ok(());
            }
            Self::nothing_read(ready).await;
        }
    }

    /// Prepares the next wait after a read that brought nothing.
    ///
    /// The kernel announces the end of a device a moment before reads fail, and only once: whoever reads in that moment
    /// and then waits for another event waits for ever. So an announced error isn't taken back; the read is repeated.
    async fn nothing_read(mut ready: AsyncFdReadyGuard<'_, TunQueue>) {
        if ready.ready().is_error() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        } else {
            ready.clear_ready();
        }
    }
}

impl Deref for AsyncTunQueue {
    type Target = TunQueue;

    fn deref(&self) -> &TunQueue {
        self.inner.get_ref()
    }
}
