//! What tells sessions and links apart.

use std::net::SocketAddr;

use culvert_wire::{LinkAddr, SessionId};

/// The part of a link's address that identifies it. Our own address is left out: a client with several routes to us
/// may reach the same socket at different addresses of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LinkKey {
    /// Remote address and the index of our listener.
    Udp(SocketAddr, u16),
    /// Number of the connection.
    Tcp(u64),
}

impl LinkKey {
    pub(crate) fn of(link: &LinkAddr) -> Self {
        match link {
            LinkAddr::Udp(path) => Self::Udp(path.remote, path.socket),
            LinkAddr::Tcp(tcp) => Self::Tcp(tcp.id),
        }
    }
}

/// Names a session on the wire: where it comes from, and the session id the client chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey {
    pub(crate) link: LinkKey,
    pub(crate) remote: SessionId,
}

impl SessionKey {
    pub(crate) fn new(link: &LinkAddr, remote: SessionId) -> Self {
        Self {
            link: LinkKey::of(link),
            remote,
        }
    }
}
