//! The data plane of one endpoint: tables of peers, and the entrances of the two ways a packet takes through them.

mod path;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::{ArcSwapOption, Guard};
use culvert_wire::ip::IpHeader;
use culvert_wire::{LinkAddr, PeerId};
use ipnetwork::{Ipv4Network, Ipv6Network};

use crate::error::DataError;
use crate::icmp::{self, RateLimit};
use crate::outbound::Outbound;
use crate::peer::{Peer, PeerConfig};
use crate::shared::{LinkKey, Shared};
use crate::{Counters, DropReason, PeerEvent};

/// Largest block of client addresses the destination table covers: a /12.
const MAX_ADDRESSES: u64 = 1 << 20;

/// An address nobody holds. Peer ids have 24 bits.
const NOBODY: u32 = u32::MAX;

/// Smallest MTU an IPv6 link may have; "packet too big" never names less.
const V6_MIN_MTU: u16 = 1280;

/// Fixed properties of an endpoint's data plane.
#[derive(Clone, Debug)]
pub struct DataPlaneConfig {
    /// Peer ids are below this. Costs 16 bytes of memory each, used or not.
    pub max_peers: u32,
    /// The client CIDR; at most a /12, what lies beyond is nobody's. `None`: clients have no IPv4 addresses.
    pub v4: Option<Ipv4Network>,
    /// The IPv6 prefix of the clients; a client has the same offset in both blocks.
    pub v6: Option<Ipv6Network>,
    /// The server's own address in the tunnel.
    pub server_v4: Option<Ipv4Addr>,
    /// The server's own IPv6 address in the tunnel.
    pub server_v6: Option<Ipv6Addr>,
    /// Clients may reach each other over IPv4, as far as their filters allow.
    pub client_to_client: bool,
    /// The same over IPv6.
    pub client_to_client_v6: bool,
}

/// What became of a packet from the link.
#[derive(Debug)]
pub enum Inbound<'p> {
    /// An IP packet for the TUN, complete and checked.
    Tun {
        /// The packet, in the place where its ciphertext was.
        ip: &'p mut [u8],
    },
    /// An IP packet for another client of this endpoint: seal `ip` with `out` and send it.
    ToClient {
        /// The packet, in the place where its ciphertext was.
        ip: &'p mut [u8],
        /// The way to the other client.
        out: Outbound,
    },
    /// An answer for the sender: seal `payload` with `out` and send it. Rare: only for `mtu-test`.
    Reply {
        /// What to seal.
        payload: Vec<u8>,
        /// The way back.
        out: Outbound,
    },
    /// Done: a ping, or a message that was turned into an event.
    Consumed,
}

/// The data channel of one endpoint, shared by all workers. Everything takes `&self`; nothing blocks.
///
/// Workers call [`DataPlane::open`] for what comes from the link and [`DataPlane::route`] for what comes from the TUN.
/// The control plane adds and removes peers, installs keys on them, and drains [`DataPlane::poll_event`].
#[derive(Debug)]
pub struct DataPlane {
    config: DataPlaneConfig,
    shared: Arc<Shared>,
    /// Peers by peer id.
    peers: Box<[ArcSwapOption<Peer>]>,
    /// Peer ids by offset of the address in the client blocks.
    by_index: Box<[AtomicU32]>,
    too_big: RateLimit,
}

impl DataPlane {
    /// An empty data plane: 4 bytes for each client address, 16 for each possible peer.
    pub fn new(config: DataPlaneConfig) -> Self {
        let max_peers = config.max_peers.min(PeerId::MAX.value() + 1);
        let addresses = match (config.v4, config.v6) {
            (Some(v4), _) => 1u64 << (32 - v4.prefix().min(32)),
            (None, Some(v6)) => 1u64.checked_shl(128 - u32::from(v6.prefix())).unwrap_or(u64::MAX),
            (None, None) => 0,
        };
        let addresses = addresses.min(MAX_ADDRESSES);
        Self {
            shared: Arc::new(Shared::new(max_peers)),
            peers: (0..max_peers).map(|_| ArcSwapOption::empty()).collect(),
            by_index: (0..addresses).map(|_| AtomicU32::new(NOBODY)).collect(),
            too_big: RateLimit::default(),
            config,
        }
    }

    /// The properties it was made with.
    pub fn config(&self) -> &DataPlaneConfig {
        &self.config
    }

    /// Adds a client. It has no keys yet, so its packets are dropped until one is installed.
    ///
    /// # Errors
    /// [`DataError`] if its peer id or an address is out of range or taken.
    pub fn add_peer(&self, config: PeerConfig) -> Result<Arc<Peer>, DataError> {
        let _control = self.shared.control();
        let id = config.peer;
        let place = self.peers.get(id.index()).ok_or(DataError::PeerIdOutOfRange {
            peer: id,
            max: self.peers.len(),
        })?;
        if place.load().is_some() {
            return Err(DataError::PeerIdInUse { peer: id });
        }
        let index = self.claimed_index(&config)?;
        let link = LinkKey::of(&config.link);
        let peer = Arc::new(Peer::new(config, Arc::clone(&self.shared)));
        place.store(Some(Arc::clone(&peer)));
        self.shared.links.insert(&link, id.value());
        if let Some(entry) = index.and_then(|index| self.by_index.get(index)) {
            entry.store(id.value(), Ordering::Release);
        }
        Ok(peer)
    }

    /// Removes a client; nothing happens if there is none with this id. Packets already on their way may still pass.
    pub fn remove_peer(&self, peer: PeerId) -> Option<Arc<Peer>> {
        let _control = self.shared.control();
        let removed = self.peers.get(peer.index())?.swap(None)?;
        removed.unlist();
        let addresses = [removed.v4.map(IpAddr::V4), removed.v6.map(IpAddr::V6)];
        for index in addresses
            .into_iter()
            .flatten()
            .filter_map(|address| self.index_of(address))
        {
            if let Some(entry) = self.by_index.get(index) {
                // Only this peer's own entry: the address may already be someone else's.
                let _other =
                    entry.compare_exchange(peer.value(), NOBODY, Ordering::Release, Ordering::Relaxed);
            }
        }
        Some(removed)
    }

    /// The client with this peer id.
    pub fn peer(&self, peer: PeerId) -> Option<Arc<Peer>> {
        self.peers.get(peer.index())?.load_full()
    }

    /// The client that holds this tunnel address.
    pub fn peer_at(&self, address: IpAddr) -> Option<Arc<Peer>> {
        let peer = self.lookup(address)?;
        peer.as_ref().map(Arc::clone)
    }

    /// Drops so far, by reason.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Takes the next event for the control plane.
    pub fn poll_event(&self) -> Option<PeerEvent> {
        self.shared.events.pop()
    }

    /// Has `wake` called, on the worker's thread, after each event that is queued. Set once; must be cheap.
    pub fn on_event(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.shared.events.set_waker(Box::new(wake));
    }

    /// Takes a data packet from the link: authenticates and decrypts it in place, checks where it may go.
    ///
    /// `now_ms` is the caller's clock in milliseconds since a fixed start; 0 is read as "never" in statistics.
    ///
    /// # Errors
    /// The reason it was dropped, already counted. On a TCP link see [`DropReason::ends_stream`].
    pub fn open<'p>(
        &self,
        now_ms: u64,
        from: &LinkAddr,
        packet: &'p mut [u8],
    ) -> Result<Inbound<'p>, DropReason> {
        self.open_packet(now_ms, from, packet)
            .map_err(|reason| self.shared.counters.count(reason))
    }

    /// Takes an IP packet from the TUN: finds the client, checks that it may receive it, lowers the MSS of a SYN.
    ///
    /// `ip` is one complete packet; checksums the kernel left partial must be completed before.
    ///
    /// # Errors
    /// The reason it was dropped, already counted. For [`DropReason::TooBig`] see [`DataPlane::too_big_reply`].
    pub fn route(&self, now_ms: u64, ip: &mut [u8]) -> Result<Outbound, DropReason> {
        let len = ip.len();
        self.route_segments(now_ms, ip, len)
    }

    /// Like [`DataPlane::route`] for a super-packet that is to be cut into segments, the `largest` of which makes an
    /// IP packet of that many bytes. The result is good for all of them.
    ///
    /// # Errors
    /// As for [`DataPlane::route`].
    pub fn route_segments(&self, now_ms: u64, ip: &mut [u8], largest: usize) -> Result<Outbound, DropReason> {
        self.route_packet(now_ms, ip, largest)
            .map_err(|reason| self.shared.counters.count(reason))
    }

    /// Writes the ICMP answer to a packet that was dropped as [`DropReason::TooBig`] into `out`, to be written to the TUN.
    ///
    /// Returns its length, at most [`TOO_BIG_REPLY_MAX`](crate::TOO_BIG_REPLY_MAX); `None` if there is to be no answer:
    /// the rate limit, or a packet that must not be answered.
    pub fn too_big_reply(&self, now_ms: u64, ip: &[u8], out: &mut [u8]) -> Option<usize> {
        let header = IpHeader::parse(ip).ok()?;
        let mtu = self.lookup(header.destination)?.as_ref()?.tun_mtu;
        if !self.too_big.take(now_ms) {
            return None;
        }
        match header.source {
            IpAddr::V4(_) => icmp::fragmentation_needed(self.config.server_v4?, mtu, ip, out),
            IpAddr::V6(_) => icmp::packet_too_big(self.config.server_v6?, mtu.max(V6_MIN_MTU), ip, out),
        }
    }

    /// The peer that holds an address, without touching its reference count.
    fn lookup(&self, address: IpAddr) -> Option<Guard<Option<Arc<Peer>>>> {
        let id = self
            .by_index
            .get(self.index_of(address)?)?
            .load(Ordering::Acquire);
        let peer = self.peers.get(id as usize)?.load();
        // The table may be a moment behind, and two families share it: the peer itself has the last word.
        peer.as_ref()
            .is_some_and(|peer| peer.holds(address))
            .then_some(peer)
    }

    /// Offset of an address in the client block of its family.
    #[inline]
    fn index_of(&self, address: IpAddr) -> Option<usize> {
        let offset = match address {
            IpAddr::V4(v4) => {
                let base = self.config.v4?.ip().to_bits();
                u64::from(v4.to_bits().checked_sub(base)?)
            }
            IpAddr::V6(v6) => {
                let base = self.config.v6?.ip().to_bits();
                u64::try_from(v6.to_bits().checked_sub(base)?).ok()?
            }
        };
        usize::try_from(offset)
            .ok()
            .filter(|offset| *offset < self.by_index.len())
    }

    /// The table entry a new peer's addresses lead to, checked to be free and the same for both.
    fn claimed_index(&self, config: &PeerConfig) -> Result<Option<usize>, DataError> {
        let index = |address: IpAddr| {
            let index = self
                .index_of(address)
                .ok_or(DataError::AddressOutsideRange { address })?;
            if self.lookup(address).is_some() {
                return Err(DataError::AddressInUse { address });
            }
            Ok(index)
        };
        let v4 = config.v4.map(|v4| index(v4.into())).transpose()?;
        let v6 = config.v6.map(|v6| index(v6.into())).transpose()?;
        match (v4, v6, config.v6) {
            (Some(v4), Some(v6), Some(address)) if v4 != v6 => Err(DataError::AddressMismatch {
                address: address.into(),
            }),
            _ => Ok(v4.or(v6)),
        }
    }

    #[inline]
    fn is_server(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => Some(v4) == self.config.server_v4,
            IpAddr::V6(v6) => Some(v6) == self.config.server_v6,
        }
    }

    /// Whether clients may reach each other over the family of this address.
    #[inline]
    fn between_clients(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(_) => self.config.client_to_client,
            IpAddr::V6(_) => self.config.client_to_client_v6,
        }
    }

    #[inline]
    fn is_client(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.config.v4.is_some_and(|network| network.contains(v4)),
            IpAddr::V6(v6) => self.config.v6.is_some_and(|network| network.contains(v6)),
        }
    }
}

#[cfg(test)]
mod tests;
