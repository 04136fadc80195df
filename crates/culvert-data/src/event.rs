//! What the packet path tells the control plane, through a bounded lock-free queue.

use std::sync::OnceLock;

use crossbeam_queue::ArrayQueue;
use culvert_wire::{KeyId, LinkAddr, PeerId};

use crate::{Counters, DropReason};

/// Most events waiting to be polled. Each is under 100 bytes, so a full queue takes some 400 KiB.
pub const EVENT_QUEUE_LEN: usize = 4096;

/// Something the control plane has to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerEvent {
    /// An authenticated packet with the newest packet id came from another address than the client's.
    ///
    /// The control plane decides and, if it agrees, calls [`Peer::set_link`](crate::Peer::set_link). Reported again,
    /// at most ten times a second, for as long as packets keep coming from elsewhere.
    FloatRequest {
        /// The client's peer id.
        peer: PeerId,
        /// The client, as given in [`PeerConfig::client`](crate::PeerConfig::client).
        client: u64,
        /// Where the packet came from.
        from: LinkAddr,
    },
    /// A key comes near the end of what it may be used for: renegotiate. Reported once per key.
    KeyLimit {
        /// The client's peer id.
        peer: PeerId,
        /// The client, as given in [`PeerConfig::client`](crate::PeerConfig::client).
        client: u64,
        /// The key that wears out.
        key_id: KeyId,
    },
    /// The client announced its departure on the data channel (explicit-exit-notify). Reported once per client.
    OccExit {
        /// The client's peer id.
        peer: PeerId,
        /// The client, as given in [`PeerConfig::client`](crate::PeerConfig::client).
        client: u64,
    },
}

/// Called after an event was queued.
type Waker = Box<dyn Fn() + Send + Sync>;

/// The queue between the packet path (many producers) and the control plane (one consumer).
pub(crate) struct EventQueue {
    queue: ArrayQueue<PeerEvent>,
    waker: OnceLock<Waker>,
}

impl EventQueue {
    pub(crate) fn new() -> Self {
        Self {
            queue: ArrayQueue::new(EVENT_QUEUE_LEN),
            waker: OnceLock::new(),
        }
    }

    /// Queues an event; false, and counted, if there is no room.
    pub(crate) fn push(&self, event: PeerEvent, counters: &Counters) -> bool {
        let queued = self.queue.push(event).is_ok();
        if !queued {
            counters.count(DropReason::EventQueueFull);
        }
        if let Some(wake) = self.waker.get() {
            wake();
        }
        queued
    }

    pub(crate) fn pop(&self) -> Option<PeerEvent> {
        self.queue.pop()
    }

    /// Sets the waker, once; later calls change nothing.
    pub(crate) fn set_waker(&self, waker: Waker) {
        let _already_set = self.waker.set(waker);
    }
}

impl std::fmt::Debug for EventQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventQueue")
            .field("len", &self.queue.len())
            .finish_non_exhaustive()
    }
}
