//! Opening the queues of a TUN device: the calls no safe wrapper offers.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use crate::{device::TunOptions, error::TunError};

/// Bytes of the virtio header in front of each packet (`struct virtio_net_hdr`).
static VNET_HEADER_LEN: libc::c_int = crate::offload::vnet::HEADER_LEN as libc::c_int;

/// Which super-packets the kernel may give us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offload {
    /// None: plain packets without a virtio header.
    Off,
    /// TCP over IPv4 and IPv6.
    Tcp,
    /// TCP and UDP (Linux 6.2).
    TcpUdp,
}

/// Opens the queues of a new device, with the largest offload that is wanted and the kernel accepts.
pub(crate) fn open_queues(options: &TunOptions) -> Result<(Vec<OwnedFd>, Offload), TunError> {
    let (name, count) = (options.name.as_str(), options.queues);
    if options.offload {
        let queues = attach_all(name, count, libc::IFF_VNET_HDR)?;
        match negotiate(&queues, options.offload_udp) {
            Ok(offload) => return Ok((queues, offload)),
            Err(error) => {
                // Closing the queues removes the device; it is created again without the header.
                tracing::info!(device = name, %error, "the kernel offers no TUN offload; packets cross one by one");
            }
        }
    }
    Ok((attach_all(name, count, 0)?, Offload::Off))
}

fn attach_all(name: &str, count: usize, flags: libc::c_int) -> Result<Vec<OwnedFd>, TunError> {
    let mut queues = Vec::with_capacity(count);
    for number in 0..count {
        let queue = attach(name, flags, number > 0)?;
        if number == 0 {
            set_owner(&queue).map_err(|error| TunError::Setup {
                name: name.to_owned(),
                step: "reserving the device for this user".to_owned(),
                reason: error.to_string(),
            })?;
        }
        queues.push(queue);
    }
    Ok(queues)
}

/// Reserves the device for our user: /dev/net/tun is open to all on most systems, and before Linux 6.13 everybody could attach
/// a queue to a device without owner and be handed a share of its packets.
fn set_owner(queue: &OwnedFd) -> io::Result<()> {
    let owner = nix::unistd::geteuid().as_raw();
    // SAFETY: TUNSETOWNER takes its argument by value.
    let result = unsafe {
        libc::ioctl(
            queue.as_raw_fd(),
            libc::TUNSETOWNER as _,
            libc::c_ulong::from(owner),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Opens one queue, creating the device with the first.
fn attach(name: &str, flags: libc::c_int, exists: bool) -> Result<OwnedFd, TunError> {
    // SAFETY: the path is a NUL-terminated constant.
    let fd = unsafe {
        libc::open(
            c"/dev/net/tun".as_ptr(),
            libc::O_RDWR | libc::O_CLOEXEC | libc::O_NONBLOCK,
        )
    };
    if fd < 0 {
        return Err(TunError::NoDriver {
            source: io::Error::last_os_error(),
        });
    }
    // SAFETY: the descriptor was just opened and nobody else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };

    // SAFETY: `ifreq` holds integers, arrays and a pointer, for which all bytes zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte stays zero as terminator; the caller checked the length.
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1]
        .iter_mut()
        .zip(name.bytes())
    {
        *to = from as libc::c_char;
    }
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_MULTI_QUEUE | flags;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives until the call returns.
    if unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) } < 0 {
        return Err(attach_error(name, exists));
    }
    Ok(fd)
}

fn attach_error(name: &str, exists: bool) -> TunError {
    let error = io::Error::last_os_error();
    let step = if exists {
        "attaching a further queue"
    } else {
        "creating the device"
    };
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => TunError::PermissionDenied {
            action: format!("create the TUN device {name}"),
        },
        Some(libc::EBUSY) => TunError::NameTaken {
            name: name.to_owned(),
            found: "in use by another program",
        },
        Some(libc::EINVAL) if !exists => TunError::NameTaken {
            name: name.to_owned(),
            found: "of another kind or other flags",
        },
        Some(libc::ENODEV | libc::ENOENT) => TunError::NoDriver { source: error },
        Some(libc::E2BIG) => TunError::InvalidOption {
            name: name.to_owned(),
            what: "the kernel allows no more queues; use fewer workers".to_owned(),
        },
        _ => TunError::Setup {
            name: name.to_owned(),
            step: step.to_owned(),
            reason: error.to_string(),
        },
    }
}

/// Asks for super-packets on all queues: with UDP if wanted, then without. Acceptance is the proof; versions are none.
fn negotiate(queues: &[OwnedFd], with_udp: bool) -> io::Result<Offload> {
    let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    let udp = libc::TUN_F_USO4 | libc::TUN_F_USO6;
    let set_all = |features| queues.iter().try_for_each(|queue| set_offload(queue, features));
    for queue in queues {
        // SAFETY: TUNSETVNETHDRSZ reads one integer, which lives for ever.
        let result = unsafe {
            libc::ioctl(
                queue.as_raw_fd(),
                libc::TUNSETVNETHDRSZ as _,
                &raw const VNET_HEADER_LEN,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    if with_udp && set_all(tcp | udp).is_ok() {
        return Ok(Offload::TcpUdp);
    }
    set_all(tcp).map(|()| Offload::Tcp)
}

fn set_offload(queue: &OwnedFd, features: libc::c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    let result = unsafe {
        libc::ioctl(
            queue.as_raw_fd(),
            libc::TUNSETOFFLOAD as _,
            libc::c_ulong::from(features),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
