//! Socket options the safe wrappers lack.
#![allow(unsafe_code)]

use std::{
    io,
    mem::size_of,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Sets an integer socket option.
pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the descriptor is open for the length of the borrow, and the kernel reads the four bytes of
    // `value`, which lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sets a buffer size past the system's limit if the process may (CAP_NET_ADMIN), else up to the limit.
///
/// The kernel doubles the value for its own bookkeeping (`socket(7)`).
pub(crate) fn set_buffer(
    socket: BorrowedFd<'_>,
    force: libc::c_int,
    plain: libc::c_int,
    bytes: usize,
) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX / 2);
    set_option(socket, libc::SOL_SOCKET, force, bytes)
        .or_else(|_| set_option(socket, libc::SOL_SOCKET, plain, bytes))
}
