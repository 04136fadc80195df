//! Writing many packets with few calls: consecutive segments of a flow become one super-packet.

use std::{
    io::{self, IoSlice},
    mem,
};

use super::{
    ack::Acknowledgement,
    group::{Group, MAX_HEADER, MAX_SEGMENTS, NONE, Part, SLOTS, is_joinable, slot},
    layout::{Layout, Protocol},
};
use crate::{error::TunError, queue::TunQueue};

/// Room to collect packets for the TUN device: one per worker, reused from batch to batch.
#[derive(Debug)]
pub struct JoinBatch {
    parts: Vec<Part<'static>>,
    groups: Vec<Group>,
    slots: Box<[u32; SLOTS]>,
    filter_acks: bool,
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
    /// TCP acknowledgements that were not written because a later one says the same and more.
    pub superseded: u64,
}

impl JoinBatch {
    /// An empty batch that writes every packet it is given.
    pub fn new() -> Self {
        Self {
            parts: Vec::new(),
            groups: Vec::new(),
            slots: Box::new([NONE; SLOTS]),
            filter_acks: false,
        }
    }

    /// Whether to leave out TCP acknowledgements that a later one of the same batch makes redundant (RFC 3449,
    /// section 5.2.1).
    #[must_use]
    pub fn filter_acks(mut self, filter: bool) -> Self {
        self.filter_acks = filter;
        self
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

/// What can be done with a packet.
#[derive(Clone, Copy, Debug)]
enum Kind<'p> {
    /// It may be joined to the packet before it, and the next to it.
    Joinable,
    /// It may take the place of an acknowledgement before it.
    Acknowledgement(Acknowledgement<'p>),
    /// It goes as it is.
    Other,
}

impl<'p> Kind<'p> {
    fn of(packet: &'p [u8], layout: Layout, filter_acks: bool) -> Self {
        if is_joinable(packet, layout) {
            return Self::Joinable;
        }
        let acknowledgement = filter_acks.then(|| Acknowledgement::of(packet, layout));
        acknowledgement
            .flatten()
            .map_or(Self::Other, Self::Acknowledgement)
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
        let kind = Kind::of(packet, layout, self.batch.filter_acks);
        if self.merge(&kind, slot, number, packet, layout) {
            return;
        }
        let group = match &kind {
            Kind::Joinable => Group::new(number, packet, layout),
            Kind::Acknowledgement(packet) => {
                let ahead = self.batch.slots.get(slot);
                let ahead = ahead.and_then(|&group| self.batch.groups.get(group as usize));
                Group::acknowledgement(number, packet, layout, ahead, &self.parts)
            }
            Kind::Other => Group::single(number),
        };
        if let Some(entry) = self.batch.slots.get_mut(slot) {
            // Also for a packet nothing joins: later ones of its flow must not be joined to earlier ones.
            *entry = if group.closed && group.superseded.is_none() {
                NONE
            } else {
                self.batch.groups.len() as u32
            };
        }
        self.batch.groups.push(group);
    }

    /// Lets the packet join the group in its slot, or take its place, if it may.
    fn merge(&mut self, kind: &Kind<'p>, slot: usize, number: u32, packet: &[u8], layout: Layout) -> bool {
        let group = self.batch.slots.get(slot);
        let Some(group) = group.and_then(|&group| self.batch.groups.get_mut(group as usize)) else {
            return false;
        };
        match kind {
            Kind::Joinable if group.takes(&self.parts, packet, layout) => {
                if let Some(last) = self.parts.get_mut(group.last as usize) {
                    last.next = number;
                }
                group.append(number, packet, layout);
                true
            }
            Kind::Acknowledgement(later) => group.supersede(&self.parts, number, later, layout),
            Kind::Joinable | Kind::Other => false,
        }
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
            report.superseded += u64::from(group.superseded.unwrap_or(0));
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
