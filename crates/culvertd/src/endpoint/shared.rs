//! What all threads of one endpoint share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use culvert_data::DataPlane;

use super::inbox::Inbox;
use super::links::Links;

/// Shared by the workers and the control thread of an endpoint.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Name of the endpoint, for logs.
    pub(crate) name: String,
    /// Opens and seals packets for any client.
    pub(crate) data: Arc<DataPlane>,
    /// Towards the control thread.
    pub(crate) inbox: Inbox,
    /// Live TCP connections.
    pub(crate) links: Links,
    /// Instant zero of the data plane's milliseconds.
    pub(crate) epoch: Instant,
    /// What the edge dropped.
    pub(crate) drops: EdgeDrops,
    /// How many milliseconds a TCP connection may take until its first control packet.
    pub(crate) silence_ms: AtomicU64,
}

impl Shared {
    /// Milliseconds since the data plane's epoch.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long a TCP connection may take until its first control packet.
    pub(crate) fn silence(&self) -> Duration {
        Duration::from_millis(self.silence_ms.load(Ordering::Relaxed))
    }
}

/// Packets dropped at the edge, outside the data plane's own counters.
#[derive(Debug, Default)]
pub(crate) struct EdgeDrops {
    /// Datagrams that are no OpenVPN packets.
    pub(crate) malformed: AtomicU64,
    /// The TUN device had no room.
    pub(crate) tun_full: AtomicU64,
    /// The TUN device refused the packet or was gone.
    pub(crate) tun_error: AtomicU64,
    /// TCP acknowledgements from clients that a later one made redundant: not a loss.
    pub(crate) superseded_ack: AtomicU64,
    /// The socket had no room.
    pub(crate) socket_full: AtomicU64,
    /// The kernel knows no way to the client.
    pub(crate) unreachable: AtomicU64,
    /// A TCP client reads too slowly, or has just gone.
    pub(crate) connection_full: AtomicU64,
}

impl EdgeDrops {
    /// Every counter with the name it has in status and metrics.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("malformed", &self.malformed),
            ("tun_full", &self.tun_full),
            ("tun_error", &self.tun_error),
            ("superseded_ack", &self.superseded_ack),
            ("socket_full", &self.socket_full),
            ("unreachable", &self.unreachable),
            ("connection_full", &self.connection_full),
        ]
        .into_iter()
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }
}

/// Adds to a counter that only this process reads.
pub(crate) fn count(counter: &AtomicU64, n: u64) {
    if n > 0 {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}
