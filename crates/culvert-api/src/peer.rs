//! The other end of a connection.

use std::fmt;
use std::net::SocketAddr;

use nix::unistd::geteuid;

/// Who is at the other end, as far as the connection tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Anybody, at this address: signs each request.
    Network(SocketAddr),
    /// A user of this machine, as the kernel vouches.
    Local {
        /// User id.
        uid: u32,
    },
}

impl Peer {
    /// Whether a user of this machine may call without signature: root and whoever the daemon runs as could read the
    /// access keys anyway.
    pub(crate) fn is_trusted(self) -> bool {
        matches!(self, Self::Local { uid } if uid == 0 || uid == geteuid().as_raw())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => address.fmt(f),
            Self::Local { .. } => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_daemons_user_are_trusted_and_nobody_else() {
        let own = geteuid().as_raw();
        for uid in [0, own, own + 1, 65_534] {
            assert_eq!(Peer::Local { uid }.is_trusted(), uid == 0 || uid == own, "{uid}");
        }
        assert!(!Peer::Network(([127, 0, 0, 1], 1).into()).is_trusted());
    }
}
