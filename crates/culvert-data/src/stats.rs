//! Traffic counters of one client.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// One direction. On a cache line of its own: receiving and sending may run on different cores.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Traffic {
    link_bytes: AtomicU64,
    link_packets: AtomicU64,
    tun_bytes: AtomicU64,
    tun_packets: AtomicU64,
    last_ms: AtomicU64,
    largest: AtomicUsize,
}

impl Traffic {
    /// Counts one data packet of `bytes` on the link at `now_ms`.
    #[inline]
    pub(crate) fn count_link(&self, now_ms: u64, bytes: usize) {
        self.link_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.link_packets.fetch_add(1, Ordering::Relaxed);
        // Rarely changes: most packets leave the cache line's other users alone. Workers' clocks may differ by a
        // millisecond; going back by that much harms nobody.
        if self.last_ms.load(Ordering::Relaxed) != now_ms {
            self.last_ms.store(now_ms, Ordering::Relaxed);
        }
        if self.largest.load(Ordering::Relaxed) < bytes {
            self.largest.fetch_max(bytes, Ordering::Relaxed);
        }
    }

    /// Size of the largest packet on the link, bytes.
    pub(crate) fn largest(&self) -> u16 {
        self.largest.load(Ordering::Relaxed).min(usize::from(u16::MAX)) as u16
    }

    /// Counts one IP packet of `bytes` inside the tunnel.
    #[inline]
    pub(crate) fn count_tun(&self, bytes: usize) {
        self.tun_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.tun_packets.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn last_ms(&self) -> u64 {
        self.last_ms.load(Ordering::Relaxed)
    }
}

/// A client's traffic since its data channel started.
///
/// *Link* counts data packets on the outside, OpenVPN header included, outer IP headers not. *Tun* counts IP packets
/// inside the tunnel; pings are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerStats {
    /// Bytes received on the link in packets that authenticated.
    pub link_rx_bytes: u64,
    /// Packets received on the link that authenticated.
    pub link_rx_packets: u64,
    /// Bytes sent on the link.
    pub link_tx_bytes: u64,
    /// Packets sent on the link.
    pub link_tx_packets: u64,
    /// Bytes of IP packets from the client that passed every check.
    pub tun_rx_bytes: u64,
    /// IP packets from the client that passed every check.
    pub tun_rx_packets: u64,
    /// Bytes of IP packets to the client.
    pub tun_tx_bytes: u64,
    /// IP packets to the client.
    pub tun_tx_packets: u64,
    /// When the last packet from the client authenticated; 0 for never. Milliseconds on the packet calls' clock.
    pub last_rx_ms: u64,
    /// When the last packet to the client was sealed; 0 for never. Milliseconds on the packet calls' clock.
    pub last_tx_ms: u64,
}

impl PeerStats {
    pub(crate) fn new(rx: &Traffic, tx: &Traffic) -> Self {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            link_rx_bytes: read(&rx.link_bytes),
            link_rx_packets: read(&rx.link_packets),
            link_tx_bytes: read(&tx.link_bytes),
            link_tx_packets: read(&tx.link_packets),
            tun_rx_bytes: read(&rx.tun_bytes),
            tun_rx_packets: read(&rx.tun_packets),
            tun_tx_bytes: read(&tx.tun_bytes),
            tun_tx_packets: read(&tx.tun_packets),
            last_rx_ms: rx.last_ms(),
            last_tx_ms: tx.last_ms(),
        }
    }
}
