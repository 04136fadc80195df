//! One `sendmmsg` call: message headers for up to 64 trains and the sorting of what the kernel answered.
#![allow(unsafe_code)]

use std::{
    fmt, io,
    mem::{self, MaybeUninit},
    os::fd::AsRawFd,
    ptr,
};

use super::{
    send::{SendReport, Train},
    socket::UdpSocket,
};
use crate::{address::RawAddress, cmsg::Control};

/// Messages handed to the kernel in one call at most.
const MESSAGES: usize = 64;
/// A header that names nothing.
// SAFETY: `mmsghdr` holds integers and pointers only, for which all bytes zero is a value.
pub(super) const EMPTY: libc::mmsghdr = unsafe { mem::zeroed() };

/// How a call ended, besides the messages that were sent.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The call took what it reported.
    Sent,
    /// No room in the send buffer or the device queue.
    Full,
    /// The first unsent message cannot be delivered.
    Unreachable,
    /// The first unsent message is a train, and the kernel takes its datagrams only one by one: those of
    /// this size on this path, or any at all.
    SegmentationRefused {
        /// Any at all, so the socket should stop trying.
        for_good: bool,
    },
    /// The socket does not work any more.
    Broken(io::Error),
}

/// Room for the headers of one call.
pub(super) struct Messages {
    names: Box<[RawAddress; MESSAGES]>,
    controls: Box<[Control; MESSAGES]>,
}

impl Messages {
    pub(super) fn new() -> Self {
        Self {
            names: Box::new([RawAddress::empty(); MESSAGES]),
            controls: Box::new([Control::empty(); MESSAGES]),
        }
    }

    /// Sends up to 64 of `trains` from `buffer`. The result is how many were sent, and what stopped the rest.
    pub(super) fn send(
        &mut self,
        socket: &UdpSocket,
        buffer: &[u8],
        trains: &[Train],
        report: &mut SendReport,
    ) -> (usize, Outcome) {
        // Left as they are beyond the trains: clearing 64 headers for a few of them costs more than a datagram.
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; MESSAGES];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MESSAGES];
        let parts = headers
            .iter_mut()
            .zip(&mut vectors)
            .zip(self.names.iter_mut().zip(self.controls.iter_mut()))
            .zip(trains);
        let mut count = 0;
        for (((header, vector), (name, control)), train) in parts {
            let Some(data) = buffer.get(train.start..train.start + train.len) else {
                break;
            };
            let (raw, raw_len) = RawAddress::encode(train.path.remote);
            *name = raw;
            // The kernel only reads from a vector of `sendmmsg`; its type has no constant form.
            let vector = vector.write(libc::iovec {
                iov_base: data.as_ptr().cast_mut().cast(),
                iov_len: data.len(),
            });
            let segment = if train.count > 1 {
                u16::try_from(train.segment).ok()
            } else {
                None
            };
            let control_len = control.encode(train.path.remote.is_ipv6(), train.local(), segment);
            let header = header.write(EMPTY);
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = raw_len;
            if control_len > 0 {
                header.msg_hdr.msg_control = control.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = control_len as _;
            }
            count += 1;
        }
        if count == 0 {
            // A train outside the buffer cannot be; pass over it rather than ask for it for ever.
            return (trains.len().min(1), Outcome::Sent);
        }
        report.calls += 1;
        // SAFETY: the first `count` headers were written and point to one vector, name and control block each, of the stated
        // sizes, and the vectors to bytes of `buffer`; all live and stay unchanged until the call returns.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT as _,
            )
        };
        let Ok(sent) = usize::try_from(sent) else {
            let error = io::Error::last_os_error();
            let train = trains.first().is_some_and(|train| train.count > 1);
            return (0, sort(error, train));
        };
        for train in trains.iter().take(sent) {
            report.sent += train.count as u64;
            report.bytes += train.len as u64;
        }
        (sent, Outcome::Sent)
    }
}

/// Sorts an error `sendmmsg` returned for its first message.
fn sort(error: io::Error, train: bool) -> Outcome {
    match error.raw_os_error() {
        Some(libc::EINTR) => Outcome::Sent,
        Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => Outcome::Full,
        // No checksum offload, or an IPsec policy, on the way out.
        Some(libc::EIO) if train => Outcome::SegmentationRefused { for_good: true },
        Some(libc::EMSGSIZE | libc::EINVAL) if train => Outcome::SegmentationRefused { for_good: false },
        Some(libc::EBADF | libc::ENOTSOCK | libc::EFAULT) => Outcome::Broken(error),
        _ => Outcome::Unreachable,
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}
