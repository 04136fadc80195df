//! What a peer shares with the data plane it lives in.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use culvert_wire::LinkAddr;

use crate::Counters;
use crate::chain::ChainIndex;
use crate::event::EventQueue;

/// State reachable from the data plane and from every peer.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) counters: Counters,
    pub(crate) events: EventQueue,
    /// Peers by the address their packets come from.
    pub(crate) links: ChainIndex,
    /// Held while the tables change; never on the packet path.
    control: Mutex<()>,
}

impl Shared {
    pub(crate) fn new(max_peers: u32) -> Self {
        Self {
            counters: Counters::default(),
            events: EventQueue::new(),
            links: ChainIndex::new(max_peers),
            control: Mutex::new(()),
        }
    }

    /// Locks the tables for a change.
    pub(crate) fn control(&self) -> MutexGuard<'_, ()> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of a link's address that tells clients apart. Our own address is not part of it: a client keeps its
/// session when its packets reach us at another address of the same listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LinkKey {
    Udp(SocketAddr, u16),
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
