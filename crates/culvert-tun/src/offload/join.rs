//! Writing many packets with few calls: consecutive segments of a flow become one super-packet.

use std::{
    io::{self, IoSlice},
    mem,
};

use super::{
    layout::{Layout, Protocol, flag},
    vnet::{Gso, VnetHeader},
};
use crate::{error::TunError, queue::TunQueue};

/// Segments of one super-packet at most.
const MAX_SEGMENTS: usize = 64;
/// The longest super-packet.
const MAX_PACKET: usize = 65_535;
/// The longest headers of packets that are joined: IPv6 and TCP with all its options.
const MAX_HEADER: usize = 100;
/// Slots of the table that finds a packet's flow; a collision costs one more write, no more.
const SLOTS: usize = 256;
/// No packet, no group.
const NONE: u32 = u32::MAX;

/// Room to collect packets for the TUN device: one per worker, reused from batch to batch.
#[derive(Debug)]
pub struct JoinBatch {
    parts: Vec<Part<'static>>,
    groups: Vec<Group>,
    slots: Box<[u32; SLOTS]>,
}

/// One packet.
#[derive(Clone, Copy, Debug)]
struct Part<'p> {
    packet: &'p [u8],
    /// The next of the same group.
    next: u32,
}

/// Packets that are written together.
#[derive(Clone, Copy, Debug)]
struct Group {
    first: u32,
    last: u32,
    count: u32,
    /// `None` for a packet nothing can be joined to.
    layout: Option<Layout>,
    /// Payload of each packet but the last.
    size: usize,
    /// Payload of all.
    payload: usize,
    /// Sequence number that continues the group.
    next_sequence: u32,
    /// Whether the first packet's checksums were looked at.
    checked: bool,
    /// FIN and PSH of the last packet.
    end_flags: u8,
    /// Nothing more can follow.
    closed: bool,
}

/// What became of a flushed batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "drops are not errors, but they are to be counted"]
pub struct WriteReport {
    /// Packets the kernel took, counted as they were pushed.
    pub written: u64,
    /// Their bytes.
    pub bytes: u64,
    /// System calls made.
    pub calls: u64,
    /// Packets the kernel refused (not IP, interface down, no memory).
    pub dropped: u64,
}

impl JoinBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self {
            parts: Vec::new(),
            groups: Vec::new(),
            slots: Box::new([NONE; SLOTS]),
        }
    }

    /// Starts to collect packets that stay where they are until [`Joiner::flush`].
    pub fn start<'p>(&mut self) -> Joiner<'_, 'p> {
        self.groups.clear();
        self.slots.fill(NONE);
        let parts = recycle(mem::take(&mut self.parts));
        Joiner { batch: self, parts }
    }
}

impl Default for JoinBatch {
    fn default() -> Self {
        Self::new()
    }
}

/// Collects packets and writes them, in order within each flow. Dropping it drops the packets.
#[derive(Debug)]
pub struct Joiner<'j, 'p> {
    batch: &'j mut JoinBatch,
    parts: Vec<Part<'p>>,
}

impl<'p> Joiner<'_, 'p> {
    /// Adds an IP packet.
    pub fn push(&mut self, packet: &'p [u8]) {
        let layout = Layout::of_packet(packet);
        let number = self.parts.len() as u32;
        self.parts.push(Part { packet, next: NONE });
        let Some(layout) = layout else {
            // A fragment or something else that may belong to any flow: nothing may overtake it.
            self.batch.slots.fill(NONE);
            self.batch.groups.push(Group::single(number));
            return;
        };
        let slot = slot(packet, layout);
        let joinable = is_joinable(packet, layout);
        if let Some(group) = self
            .batch
            .slots
            .get(slot)
            .and_then(|&group| self.batch.groups.get_mut(group as usize))
            && joinable
            && group.takes(&self.parts, packet, layout)
        {
            if let Some(last) = self.parts.get_mut(group.last as usize) {
                last.next = number;
            }
            group.append(number, packet, layout);
            return;
        }
        let group = if joinable {
            Group::new(number, packet, layout)
        } else {
            Group::single(number)
        };
        if let Some(entry) = self.batch.slots.get_mut(slot) {
            // Also for a packet nothing joins: later ones of its flow must not be joined to earlier ones.
            *entry = if group.closed {
                NONE
            } else {
                self.batch.groups.len() as u32
            };
        }
        self.batch.groups.push(group);
    }

    /// Whether nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Number of packets that wait.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Writes everything. A packet the kernel refuses never keeps the others back.
    ///
    /// # Errors
    ///
    /// [`TunError::Gone`] when the device was deleted.
    pub fn flush(self, queue: &TunQueue) -> Result<WriteReport, TunError> {
        let mut kernel = Kernel { queue, gone: None };
        let report = self.flush_to(&mut kernel);
        kernel.gone.map_or(Ok(report), Err)
    }

    fn flush_to(self, out: &mut impl Sink) -> WriteReport {
        let mut report = WriteReport::default();
        for group in &self.batch.groups {
            let joinable = group
                .layout
                .filter(|layout| group.count > 1 && out.joins(layout.protocol));
            match joinable.map(|layout| self.write_joined(group, layout, out, &mut report)) {
                Some(Joined::Done) => {}
                Some(Joined::Refused) | None => self.write_singly(group, out, &mut report),
            }
            if out.is_gone() {
                break;
            }
        }
        report
    }

    fn write_singly(&self, group: &Group, out: &mut impl Sink, report: &mut WriteReport) {
        for packet in self.packets(group) {
            report.calls += 1;
            match out.write_plain(packet) {
                Ok(()) => {
                    report.written += 1;
                    report.bytes += packet.len() as u64;
                }
                Err(_) => report.dropped += 1,
            }
        }
    }

    fn write_joined(
        &self,
        group: &Group,
        layout: Layout,
        out: &mut impl Sink,
        report: &mut WriteReport,
    ) -> Joined {
        let Some(first) = self.parts.get(group.first as usize) else {
            return Joined::Done;
        };
        let mut header = [0; MAX_HEADER];
        let Some((header, from)) = header
            .get_mut(..layout.header_len)
            .zip(first.packet.get(..layout.header_len))
        else {
            return Joined::Refused;
        };
        header.copy_from_slice(from);
        layout.write_lengths(header, group.payload);
        if layout.protocol == Protocol::Tcp {
            layout.set_flags(header, layout.flags(header) | group.end_flags);
        }
        layout.write_partial_checksum(header, group.payload);
        let vnet = group.vnet(layout).encode();

        let mut pieces = [IoSlice::new(&[]); 2 + MAX_SEGMENTS];
        let mut used = 0;
        let payloads = self
            .packets(group)
            .filter_map(|packet| packet.get(layout.header_len..));
        for (piece, bytes) in pieces
            .iter_mut()
            .zip([&vnet[..], header].into_iter().chain(payloads))
        {
            *piece = IoSlice::new(bytes);
            used += 1;
        }
        report.calls += 1;
        match out.write_super(pieces.get(..used).unwrap_or_default()) {
            Ok(()) => {
                report.written += u64::from(group.count);
                report.bytes += (layout.header_len * group.count as usize + group.payload) as u64;
            }
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                out.stop_joining();
                return Joined::Refused;
            }
            Err(_) => report.dropped += u64::from(group.count),
        }
        Joined::Done
    }

    /// The packets of a group in order.
    fn packets(&self, group: &Group) -> impl Iterator<Item = &'p [u8]> + use<'_, 'p> {
        let mut next = group.first;
        std::iter::from_fn(move || {
            let part = self.parts.get(next as usize)?;
            next = part.next;
            Some(part.packet)
        })
    }
}

impl Drop for Joiner<'_, '_> {
    fn drop(&mut self) {
        self.batch.parts = recycle(mem::take(&mut self.parts));
    }
}

enum Joined {
    Done,
    /// The kernel does not take super-packets after all.
    Refused,
}

impl Group {
    /// A packet nothing can be joined to.
    fn single(number: u32) -> Self {
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
        }
    }

    /// A packet others may be joined to.
    fn new(number: u32, packet: &[u8], layout: Layout) -> Self {
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
    fn takes(&mut self, parts: &[Part<'_>], packet: &[u8], layout: Layout) -> bool {
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

    fn append(&mut self, number: u32, packet: &[u8], layout: Layout) {
        let payload = packet.len() - layout.header_len;
        self.last = number;
        self.count += 1;
        self.payload += payload;
        self.next_sequence = self.next_sequence.wrapping_add(payload as u32);
        self.end_flags = end_flags(packet, layout);
        self.closed = payload < self.size || self.end_flags != 0;
    }

    fn vnet(&self, layout: Layout) -> VnetHeader {
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

/// Where joined packets go: the kernel, or a test.
pub(super) trait Sink {
    fn joins(&self, protocol: Protocol) -> bool;
    fn write_plain(&mut self, packet: &[u8]) -> io::Result<()>;
    fn write_super(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()>;
    fn stop_joining(&mut self);
    fn is_gone(&self) -> bool;
}

struct Kernel<'q> {
    queue: &'q TunQueue,
    gone: Option<TunError>,
}

impl Kernel<'_> {
    fn note(&mut self, result: Result<(), TunError>) -> io::Result<()> {
        result.map_err(|error| match error {
            TunError::Io(error) => error,
            other => {
                self.gone = Some(other);
                io::ErrorKind::NotConnected.into()
            }
        })
    }
}

impl Sink for Kernel<'_> {
    fn joins(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => self.queue.joins(),
            Protocol::Udp => self.queue.joins_udp(),
        }
    }

    fn write_plain(&mut self, packet: &[u8]) -> io::Result<()> {
        let result = self.queue.send(packet);
        self.note(result)
    }

    fn write_super(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<()> {
        let result = self
            .queue
            .write(pieces)
            .map(drop)
            .map_err(|error| self.queue.error(error));
        self.note(result)
    }

    fn stop_joining(&mut self) {
        if self.queue.stop_joining() {
            tracing::info!(
                device = self.queue.name(),
                "this kernel refuses joined packets although it offered to take them; they are written one by one"
            );
        }
    }

    fn is_gone(&self) -> bool {
        self.gone.is_some()
    }
}

/// Whether a packet may be joined to others at all: it has payload, and TCP nothing special.
fn is_joinable(packet: &[u8], layout: Layout) -> bool {
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
fn slot(packet: &[u8], layout: Layout) -> usize {
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

/// Empties a vector and lets its memory be used for another lifetime; the standard library collects in place.
fn recycle<'b>(mut parts: Vec<Part<'_>>) -> Vec<Part<'b>> {
    parts.clear();
    parts
        .into_iter()
        .map(|_| Part {
            packet: &[],
            next: NONE,
        })
        .collect()
}

#[cfg(test)]
pub(super) fn flush_for_test(joiner: Joiner<'_, '_>, sink: &mut impl Sink) -> WriteReport {
    joiner.flush_to(sink)
}
