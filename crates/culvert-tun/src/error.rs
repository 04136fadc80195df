//! What can go wrong with a TUN device, told so that an operator knows what to do.

use std::io;

/// Why a TUN device could not be made, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TunError {
    /// The device was deleted under us (`ip link del`), or its last configuration call found it missing.
    #[error(
        "the TUN device {name} is gone: it was deleted while in use; restart the endpoint to create it anew"
    )]
    Gone {
        /// Device name.
        name: String,
    },
    /// The kernel has no TUN driver, or the device file is not there.
    #[error(
        "cannot open /dev/net/tun: {source}; load the driver with `modprobe tun`, or in a container pass the \
         device in (`--device /dev/net/tun`)"
    )]
    NoDriver {
        /// The kernel's answer.
        source: io::Error,
    },
    /// Creating a device needs a privilege.
    #[error(
        "no permission to {action}; start the daemon as root or give it CAP_NET_ADMIN (AmbientCapabilities= \
         in its systemd unit)"
    )]
    PermissionDenied {
        /// What was refused.
        action: String,
    },
    /// An interface of that name exists and is not a leftover of ours.
    #[error(
        "cannot create the TUN device {name}: an interface of that name exists already ({found}); remove it \
         with `ip link delete {name}`, stop the program that uses it, or choose another device name"
    )]
    NameTaken {
        /// Device name.
        name: String,
        /// What it is.
        found: &'static str,
    },
    /// The name cannot be an interface name.
    #[error(
        "`{name}` cannot be the name of a TUN device: 1 to 15 characters from letters, digits, `-`, `_` and \
         `.` are allowed"
    )]
    InvalidName {
        /// The name given.
        name: String,
    },
    /// A number that cannot work.
    #[error("TUN device {name}: {what}")]
    InvalidOption {
        /// Device name.
        name: String,
        /// Which, and what is allowed.
        what: String,
    },
    /// A call for plain packets on a queue that delivers super-packets, or the other way round.
    #[error("the TUN device was created with offload; receive with recv_super")]
    OffloadActive,
    /// Setting up the interface failed.
    #[error("TUN device {name}: {step} failed: {reason}")]
    Setup {
        /// Device name.
        name: String,
        /// What was being done.
        step: String,
        /// The kernel's answer.
        reason: String,
    },
    /// One read or write failed; the device still works.
    #[error("TUN device: {0}")]
    Io(#[from] io::Error),
}

impl TunError {
    /// Whether the device does not exist any more, so that trying again is pointless.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }
}
