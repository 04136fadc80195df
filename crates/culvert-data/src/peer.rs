//! One connected client as the packet path sees it: addresses, keys, filter, traffic counters.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use culvert_policy::ClientFilter;
use culvert_wire::ip::IpHeader;
use culvert_wire::{KeyId, LinkAddr, PeerId};

use crate::framing::Framing;
use crate::key::DataKey;
use crate::mss::{MssFix, SegmentLimit};
use crate::outbound::{self, KeySlot};
use crate::shared::{LinkKey, Shared};
use crate::spoken::{Spoken, UDP};
use crate::stats::{PeerStats, Traffic};
use crate::{DropReason, PeerEvent};

/// Shortest time between two float reports about one peer.
const FLOAT_REPORT_MS: u64 = 100;

/// What the control plane knows about a client when its data channel starts.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// The control plane's name for the client; comes back in every [`PeerEvent`].
    pub client: u64,
    /// Index into the peer table and id in DATA_V2 headers; below
    /// [`DataPlaneConfig::max_peers`](crate::DataPlaneConfig::max_peers).
    pub peer: PeerId,
    /// Where the client's packets come from and go to.
    pub link: LinkAddr,
    /// The client's IPv4 address in the tunnel.
    pub v4: Option<Ipv4Addr>,
    /// The client's IPv6 address in the tunnel; the same offset in its block as the IPv4 address.
    pub v6: Option<Ipv6Addr>,
    /// Send DATA_V2: the client announced it and was pushed a peer id.
    pub data_v2: bool,
    /// Framing byte in front of every packet, for clients older than 2.4 with `comp-lzo`.
    pub framing: Framing,
    /// What the client may exchange packets with.
    pub filter: Arc<ClientFilter>,
    /// Limit on TCP segments in both directions.
    pub mss_fix: MssFix,
    /// Largest IP packet the client's tunnel interface takes, bytes.
    pub tun_mtu: u16,
}

/// A client in the data plane. Every method takes `&self` and may be called from any thread.
///
/// Keys are installed and chosen by the control plane; the packet path only reads.
#[derive(Debug)]
pub struct Peer {
    pub(crate) client: u64,
    pub(crate) id: PeerId,
    pub(crate) v4: Option<Ipv4Addr>,
    pub(crate) v6: Option<Ipv6Addr>,
    pub(crate) framing: Framing,
    pub(crate) tun_mtu: u16,
    data_v2: bool,
    mss_fix: MssFix,
    link: ArcSwap<LinkAddr>,
    filter: ArcSwap<ClientFilter>,
    keys: [ArcSwapOption<KeySlot>; KeyId::COUNT],
    send_key: ArcSwapOption<KeySlot>,
    segment_limit: AtomicU32,
    exit_reported: AtomicBool,
    float_reported_ms: AtomicU64,
    /// False once the peer left the table: its link is no longer indexed.
    listed: AtomicBool,
    pub(crate) rx: Traffic,
    pub(crate) tx: Traffic,
    shared: Arc<Shared>,
}

impl Peer {
    pub(crate) fn new(config: PeerConfig, shared: Arc<Shared>) -> Self {
        Self {
            client: config.client,
            id: config.peer,
            v4: config.v4,
            v6: config.v6,
            framing: config.framing,
            tun_mtu: config.tun_mtu,
            data_v2: config.data_v2,
            mss_fix: config.mss_fix,
            link: ArcSwap::from_pointee(config.link),
            filter: ArcSwap::new(config.filter),
            keys: Default::default(),
            send_key: ArcSwapOption::empty(),
            segment_limit: AtomicU32::new(0),
            exit_reported: AtomicBool::new(false),
            float_reported_ms: AtomicU64::new(0),
            listed: AtomicBool::new(true),
            rx: Traffic::default(),
            tx: Traffic::default(),
            shared,
        }
    }

    /// The control plane's name for the client.
    pub fn client(&self) -> u64 {
        self.client
    }

    /// The client's peer id.
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// The client's IPv4 address in the tunnel.
    pub fn v4(&self) -> Option<Ipv4Addr> {
        self.v4
    }

    /// The client's IPv6 address in the tunnel.
    pub fn v6(&self) -> Option<Ipv6Addr> {
        self.v6
    }

    /// Accepts packets under `key_id` from now on, replacing what was there. Does not send with it yet.
    pub fn install_key(&self, key_id: KeyId, key: DataKey) {
        let slot = KeySlot::new(key_id, key, self.id, self.data_v2);
        if let Some(place) = self.keys.get(key_id.index()) {
            place.store(Some(Arc::new(slot)));
        }
    }

    /// Forgets a key: packets under it are dropped, and it is no longer sent with.
    pub fn remove_key(&self, key_id: KeyId) {
        if let Some(place) = self.keys.get(key_id.index()) {
            place.store(None);
        }
        let sending = self.send_key.load();
        if sending.as_ref().is_some_and(|slot| slot.key_id() == key_id) {
            self.send_key.store(None);
        }
    }

    /// Sends with this key from now on; false, and nothing changes, if no such key is installed.
    pub fn set_send_key(&self, key_id: KeyId) -> bool {
        let Some(slot) = self.key(key_id) else {
            return false;
        };
        self.send_key.store(Some(slot));
        self.update_segment_limit();
        true
    }

    /// The key packets are sent with, if there is one.
    pub fn send_key(&self) -> Option<KeyId> {
        self.send_key.load().as_ref().map(|slot| slot.key_id())
    }

    /// Where packets go.
    pub fn link(&self) -> LinkAddr {
        **self.link.load()
    }

    /// Sends packets elsewhere from now on: the control plane's answer to a float request.
    pub fn set_link(&self, link: LinkAddr) {
        let _control = self.shared.control();
        if self.listed.load(Ordering::Relaxed) {
            self.shared
                .links
                .remove(&LinkKey::of(&self.link()), self.id.value());
            self.link.store(Arc::new(link));
            self.shared.links.insert(&LinkKey::of(&link), self.id.value());
        } else {
            self.link.store(Arc::new(link));
        }
        self.update_segment_limit();
    }

    /// Takes the peer's link out of the address index, for good. The caller holds the control lock.
    pub(crate) fn unlist(&self) {
        if self.listed.swap(false, Ordering::Relaxed) {
            self.shared
                .links
                .remove(&LinkKey::of(&self.link()), self.id.value());
        }
    }

    /// Replaces what the client may exchange packets with; takes effect with the next packet.
    pub fn set_filter(&self, filter: Arc<ClientFilter>) {
        self.filter.store(filter);
    }

    /// Traffic so far, and when there was any.
    pub fn stats(&self) -> PeerStats {
        PeerStats::new(&self.rx, &self.tx)
    }

    /// When the last packet from the client authenticated; milliseconds on the clock given to the packet calls, 0 for never.
    pub fn last_rx_ms(&self) -> u64 {
        self.rx.last_ms()
    }

    /// When the last packet to the client was sealed; milliseconds on the clock given to the packet calls, 0 for never.
    pub fn last_tx_ms(&self) -> u64 {
        self.tx.last_ms()
    }

    /// Seals a payload of our own, such as a ping, and appends the packet to `out`.
    ///
    /// # Errors
    /// [`DropReason::NoKey`] before the first send key, [`DropReason::KeyExhausted`] at its end; `out` is unchanged.
    pub fn seal_payload(&self, now_ms: u64, payload: &[u8], out: &mut Vec<u8>) -> Result<(), DropReason> {
        let slot = self.sending_slot()?;
        let start = out.len();
        out.resize(start + slot.sealed_len(self.framing, payload.len()), 0);
        let room = out.get_mut(start..).unwrap_or_default();
        let sealed = outbound::seal(self, &slot, now_ms, &[payload], room);
        out.truncate(start + sealed.as_ref().copied().unwrap_or(0));
        sealed.map(|_| ())
    }

    pub(crate) fn key(&self, key_id: KeyId) -> Option<Arc<KeySlot>> {
        self.keys.get(key_id.index())?.load_full()
    }

    /// Runs `work` with the key, without touching its reference count.
    pub(crate) fn with_key<T>(&self, key_id: KeyId, work: impl FnOnce(&KeySlot) -> T) -> Option<T> {
        let slot = self.keys.get(key_id.index())?.load();
        slot.as_ref().map(|slot| work(slot))
    }

    pub(crate) fn sending_slot(&self) -> Result<Arc<KeySlot>, DropReason> {
        self.send_key.load_full().ok_or(DropReason::NoKey)
    }

    /// Whether the client may exchange any packet with this address.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.filter.load().allows(address)
    }

    /// Whether the client may exchange packets of some service with this address.
    pub(crate) fn reaches(&self, address: IpAddr) -> bool {
        self.filter.load().reaches(address)
    }

    /// Whether the client may send this packet to its destination.
    pub(crate) fn may_send(&self, header: &IpHeader, ip: &[u8]) -> bool {
        let filter = self.filter.load();
        filter.allows(header.destination) || filter.has_limits() && is_service(&filter, header, ip)
    }

    /// Whether the client may receive this packet from its source.
    pub(crate) fn may_receive(&self, header: &IpHeader, ip: &[u8]) -> bool {
        let filter = self.filter.load();
        filter.allows(header.source)
            || filter.has_limits()
                && Spoken::read(header, ip).is_some_and(|spoken| self.is_answer(&filter, header, &spoken))
    }

    /// Whether this packet, which its sender's rules don't let begin anything, may be an answer to what this client may begin.
    pub(crate) fn is_answered_by(&self, header: &IpHeader, ip: &[u8]) -> bool {
        let filter = self.filter.load();
        Spoken::read(header, ip).is_some_and(|spoken| {
            // Over UDP nothing but the port tells an answer from a beginning, and where all is allowed no port is named.
            let is_told = spoken.protocol != UDP || !filter.allows(header.source);
            is_told && self.is_answer(&filter, header, &spoken)
        })
    }

    /// Whether a packet to the client belongs to a service that these rules allow, and doesn't begin anything.
    fn is_answer(&self, filter: &ClientFilter, header: &IpHeader, spoken: &Spoken) -> bool {
        let other = match spoken.quoted {
            // Whoever noticed the error: it is about what the client sent, and to whom.
            Some((source, destination)) if self.holds(source) => destination,
            Some(_) => return false,
            None => header.source,
        };
        !spoken.begins && filter.allows_service(other, spoken.protocol, spoken.source_port())
    }

    /// Whether this is one of the client's own tunnel addresses.
    #[inline]
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.v4 == Some(v4),
            IpAddr::V6(v6) => self.v6 == Some(v6),
        }
    }

    pub(crate) fn segment_limit(&self) -> SegmentLimit {
        SegmentLimit::unpack(self.segment_limit.load(Ordering::Relaxed))
    }

    /// Whether the peer's own link is the one named `key`.
    pub(crate) fn is_linked_by(&self, key: &LinkKey) -> bool {
        LinkKey::of(&self.link.load()) == *key
    }

    /// How a packet's origin relates to the peer's link.
    pub(crate) fn origin(&self, from: &LinkAddr) -> Origin {
        let link = self.link.load();
        match (&**link, from) {
            (LinkAddr::Udp(own), LinkAddr::Udp(other)) => {
                let other_local = other.local.is_some() && other.local != own.local;
                if own.remote == other.remote && own.socket == other.socket && !other_local {
                    Origin::Own
                } else {
                    Origin::Moved
                }
            }
            (LinkAddr::Tcp(own), LinkAddr::Tcp(other)) if own.id == other.id => Origin::Own,
            _ => Origin::Foreign,
        }
    }

    /// Reports that the client's packets now come from elsewhere, unless that was just reported.
    pub(crate) fn report_float(&self, now_ms: u64, from: &LinkAddr) {
        let last = self.float_reported_ms.load(Ordering::Relaxed);
        // Kept one ahead, so that 0 means "never" even at time 0.
        let due = last == 0 || now_ms + 1 >= last.saturating_add(FLOAT_REPORT_MS);
        let claim = || {
            self.float_reported_ms
                .compare_exchange(last, now_ms + 1, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        if due && claim() {
            self.report(PeerEvent::FloatRequest {
                peer: self.id,
                client: self.client,
                from: *from,
            });
        }
    }

    /// Reports that the client leaves, once.
    pub(crate) fn report_exit(&self) {
        let event = PeerEvent::OccExit {
            peer: self.id,
            client: self.client,
        };
        self.report_once(&self.exit_reported, event);
    }

    /// Reports that a key wears out, once per key. Called after every use of a key, so the usual case is one load.
    #[inline]
    pub(crate) fn report_key_limit(&self, slot: &KeySlot) {
        if slot.key.at_limit() {
            let event = PeerEvent::KeyLimit {
                peer: self.id,
                client: self.client,
                key_id: slot.key_id(),
            };
            self.report_once(&slot.limit_reported, event);
        }
    }

    /// Reports an event unless `reported` is set; a full queue leaves it unset, so the next occasion tries again.
    fn report_once(&self, reported: &AtomicBool, event: PeerEvent) {
        if !reported.swap(true, Ordering::Relaxed) && !self.report(event) {
            reported.store(false, Ordering::Relaxed);
        }
    }

    /// Counts a drop in the counters of the data plane.
    pub(crate) fn count_drop(&self, reason: DropReason) -> DropReason {
        self.shared.counters.count(reason)
    }

    fn report(&self, event: PeerEvent) -> bool {
        self.shared.events.push(event, &self.shared.counters)
    }

    fn update_segment_limit(&self) {
        let sending = self.send_key.load();
        let limit = sending.as_ref().map_or_else(SegmentLimit::default, |slot| {
            SegmentLimit::new(self.mss_fix, &self.link(), slot.expansion(self.framing))
        });
        self.segment_limit.store(limit.pack(), Ordering::Relaxed);
    }
}

/// Whether a packet from a client is of a service that its rules allow.
fn is_service(filter: &ClientFilter, header: &IpHeader, ip: &[u8]) -> bool {
    Spoken::read(header, ip).is_some_and(|spoken| {
        filter.allows_service(header.destination, spoken.protocol, spoken.destination_port())
    })
}

/// How the origin of a packet relates to the client's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The client's own link.
    Own,
    /// Another UDP path: the client may have moved.
    Moved,
    /// Another connection, or another transport: never legitimate.
    Foreign,
}
