//! Which packets may be joined: groups of consecutive segments of one flow.

use std::mem;

use super::{
    ack::{Acknowledgement, MAX_SUPERSEDED},
    layout::{Layout, Protocol, flag},
    vnet::{Gso, VnetHeader},
};

/// Segments of one super-packet at most.
pub(super) const MAX_SEGMENTS: usize = 64;
/// The longest super-packet.
const MAX_PACKET: usize = 65_535;
/// The longest headers of packets that are joined: IPv6 and TCP with all its options.
pub(super) const MAX_HEADER: usize = 100;
/// Slots of the table that finds a packet's flow; a collision costs one more write, no more.
pub(super) const SLOTS: usize = 256;

/// No packet, no group.
pub(super) const NONE: u32 = u32::MAX;

/// One packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'p> {
    pub(super) packet: &'p [u8],
    /// The next of the same group.
    pub(super) next: u32,
}

/// Packets that are written together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) count: u32,
    /// `None` for a packet nothing can be joined to.
    pub(super) layout: Option<Layout>,
    /// Payload of each packet but the last.
    size: usize,
    /// Payload of all.
    pub(super) payload: usize,
    /// Sequence number that continues the group.
    next_sequence: u32,
    /// Whether the first packet's checksums were looked at.
    checked: bool,
    /// FIN and PSH of the last packet.
    pub(super) end_flags: u8,
    /// Nothing more can follow.
    pub(super) closed: bool,
    /// Earlier acknowledgements this one stands for; `None` for everything but a pure acknowledgement.
    pub(super) superseded: Option<u32>,
    /// The acknowledgement of the same flow that is written before this one.
    before: u32,
}

impl Group {
    /// A packet nothing can be joined to.
    pub(super) fn single(number: u32) -> Self {
        Self {
            first: number,
            last: number,
            count: 1,
            layout: None,
            size: 0,
            payload: 0,
            next_sequence: 0,
            checked: false,
            end_flags: 0,
            closed: true,
            superseded: None,
            before: NONE,
        }
    }

    /// A pure acknowledgement, which a later one may supersede. `ahead` is what is written before it in its slot.
    pub(super) fn acknowledgement(
        number: u32,
        packet: &Acknowledgement<'_>,
        layout: Layout,
        ahead: Option<&Self>,
        parts: &[Part<'_>],
    ) -> Self {
        let before = ahead.filter(|ahead| {
            let ahead = ahead.as_acknowledgement(parts);
            ahead.is_some_and(|ahead| ahead.is_of_flow(packet))
        });
        Self {
            layout: Some(layout),
            superseded: Some(0),
            before: before.map_or(NONE, |before| before.first),
            ..Self::single(number)
        }
    }

    /// Puts a later acknowledgement in the place of this one, if it makes it redundant.
    pub(super) fn supersede(
        &mut self,
        parts: &[Part<'_>],
        number: u32,
        packet: &Acknowledgement<'_>,
        layout: Layout,
    ) -> bool {
        let Some(superseded) = self.superseded.filter(|count| *count < MAX_SUPERSEDED) else {
            return false;
        };
        let before = read(parts, self.before);
        let redundant = self
            .as_acknowledgement(parts)
            .is_some_and(|earlier| earlier.is_superseded_by(packet, before.as_ref()));
        if redundant {
            (self.first, self.last) = (number, number);
            self.layout = Some(layout);
            self.superseded = Some(superseded + 1);
        }
        redundant
    }

    fn as_acknowledgement<'p>(&self, parts: &[Part<'p>]) -> Option<Acknowledgement<'p>> {
        self.superseded.and_then(|_| read(parts, self.first))
    }

    /// A packet others may be joined to.
    pub(super) fn new(number: u32, packet: &[u8], layout: Layout) -> Self {
        let payload = packet.len() - layout.header_len;
        let end_flags = end_flags(packet, layout);
        Self {
            layout: Some(layout),
            size: payload,
            payload,
            next_sequence: layout.sequence(packet).wrapping_add(payload as u32),
            end_flags,
            closed: end_flags != 0,
            ..Self::single(number)
        }
    }

    /// Whether `packet` continues the group. It must be joinable.
    pub(super) fn takes(&mut self, parts: &[Part<'_>], packet: &[u8], layout: Layout) -> bool {
        let Some(first) = parts.get(self.first as usize).map(|part| part.packet) else {
            return false;
        };
        let payload = packet.len() - layout.header_len;
        let fits = !self.closed
            && self.layout == Some(layout)
            && payload <= self.size
            && (self.count as usize) < MAX_SEGMENTS
            && layout.header_len + self.payload + payload <= MAX_PACKET
            && (layout.protocol == Protocol::Udp || layout.sequence(packet) == self.next_sequence)
            && same_headers(first, packet, layout, self.count as u16);
        if !fits {
            return false;
        }
        // The kernel takes our word for the checksums of a joined packet, so a packet damaged before it was
        // encrypted must not be joined: its receiver is the one to notice.
        if !mem::replace(&mut self.checked, true) && !layout.is_intact(first) {
            self.closed = true;
            return false;
        }
        layout.is_intact(packet)
    }

    pub(super) fn append(&mut self, number: u32, packet: &[u8], layout: Layout) {
        let payload = packet.len() - layout.header_len;
        self.last = number;
        self.count += 1;
        self.payload += payload;
        self.next_sequence = self.next_sequence.wrapping_add(payload as u32);
        self.end_flags = end_flags(packet, layout);
        self.closed = payload < self.size || self.end_flags != 0;
    }

    pub(super) fn vnet(&self, layout: Layout) -> VnetHeader {
        let gso = match (layout.protocol, layout.v6) {
            (Protocol::Tcp, false) => Gso::TcpV4,
            (Protocol::Tcp, true) => Gso::TcpV6,
            (Protocol::Udp, _) => Gso::Udp,
        };
        VnetHeader {
            needs_csum: true,
            gso,
            header_len: layout.header_len as u16,
            gso_size: self.size as u16,
            csum_start: layout.transport as u16,
            csum_offset: layout.protocol.checksum_at() as u16,
        }
    }
}

/// The acknowledgement with this number; `None` if there is none.
fn read<'p>(parts: &[Part<'p>], number: u32) -> Option<Acknowledgement<'p>> {
    let packet = parts.get(number as usize)?.packet;
    Acknowledgement::of(packet, Layout::of_packet(packet)?)
}

/// Whether a packet may be joined to others at all: it has payload, and TCP nothing special.
pub(super) fn is_joinable(packet: &[u8], layout: Layout) -> bool {
    let flags = layout.flags(packet);
    // Flags beyond these mean something for the one segment that carries them.
    let plain = match layout.protocol {
        Protocol::Tcp => flags & !(flag::PSH | flag::FIN) == flag::ACK,
        Protocol::Udp => {
            let stated = packet.get(layout.transport + 4..).and_then(<[u8]>::first_chunk);
            stated.map(|two| usize::from(u16::from_be_bytes(*two))) == Some(packet.len() - layout.transport)
        }
    };
    plain && packet.len() > layout.header_len && layout.header_len <= MAX_HEADER
}

/// Whether the headers differ in nothing but what cutting restores. `number` is the place in the group.
fn same_headers(first: &[u8], packet: &[u8], layout: Layout, number: u16) -> bool {
    let equal = |from: usize, to: usize| match (first.get(from..to), packet.get(from..to)) {
        (Some(ours), Some(theirs)) => ours == theirs,
        _ => false,
    };
    let ip = if layout.v6 {
        equal(0, 4) && equal(6, 40) // all but the length
    } else {
        // With "don't fragment" the id has no meaning (RFC 6864); without, it must advance.
        let dont_fragment = packet.get(6).is_some_and(|byte| byte & 0x40 != 0);
        equal(0, 2)
            && (dont_fragment || layout.id(packet) == layout.id(first).wrapping_add(number))
            && equal(6, 10)
            && equal(12, 20) // all but length, id and checksum
    };
    let at = layout.transport;
    let transport = match layout.protocol {
        Protocol::Udp => equal(at, at + 4),
        // All but sequence number, FIN, PSH and checksum: acknowledgement, window, options must be the same.
        Protocol::Tcp => {
            equal(at, at + 4)
                && equal(at + 8, at + 13)
                && (layout.flags(first) ^ layout.flags(packet)) & !(flag::FIN | flag::PSH) == 0
                && equal(at + 14, at + 16)
                && equal(at + 18, layout.header_len)
        }
    };
    ip && transport
}

/// The flags of TCP that end a joined packet.
fn end_flags(packet: &[u8], layout: Layout) -> u8 {
    match layout.protocol {
        Protocol::Tcp => layout.flags(packet) & (flag::FIN | flag::PSH),
        Protocol::Udp => 0,
    }
}

/// Where to look for the flow of a packet: a hash of addresses and ports.
pub(super) fn slot(packet: &[u8], layout: Layout) -> usize {
    let addresses = if layout.v6 { 8..40 } else { 12..20 };
    let ports = layout.transport..layout.transport + 4;
    let (words, _) = packet.get(addresses).unwrap_or_default().as_chunks::<4>();
    let (port_words, _) = packet.get(ports).unwrap_or_default().as_chunks::<4>();
    let hash = words
        .iter()
        .chain(port_words)
        .fold(u64::from(layout.protocol.number()), |hash, word| {
            (hash ^ u64::from(u32::from_ne_bytes(*word)))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29)
        });
    (hash % SLOTS as u64) as usize
}
