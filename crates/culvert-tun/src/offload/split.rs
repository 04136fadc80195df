//! Reading super-packets and cutting them into segments.

use std::{fmt, io};

use super::{
    checksum::Sum,
    layout::{Layout, Protocol, flag},
    vnet::{self, Gso, VnetHeader},
};

/// The longest IP packet, and so the longest super-packet.
const MAX_PACKET: usize = 65_535;
/// The longest headers we cut: IPv6 with some extension headers and TCP with all its options.
const MAX_HEADER: usize = 256;

/// Room for one super-packet: one per worker, reused from read to read.
pub struct SuperBuf {
    /// The virtio header, then the packet.
    bytes: Box<[u8]>,
    len: usize,
    cut: Option<Cut>,
    /// The header of the segment being given out.
    header: [u8; MAX_HEADER],
}

/// How a super-packet is to be cut.
#[derive(Clone, Copy, Debug)]
struct Cut {
    layout: Layout,
    size: usize,
}

impl SuperBuf {
    /// An empty buffer of 64 KiB.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; vnet::HEADER_LEN + MAX_PACKET].into_boxed_slice(),
            len: 0,
            cut: None,
            header: [0; MAX_HEADER],
        }
    }

    /// The packet as it was read: headers and the payload of all segments. Empty before the first read.
    ///
    /// This is what routing and filtering look at, once for all segments, and what they may change (MSS
    /// clamping): checksums are complete unless there are several segments, whose checksums are computed when
    /// they are cut.
    pub fn packet_mut(&mut self) -> &mut [u8] {
        self.bytes
            .get_mut(vnet::HEADER_LEN..vnet::HEADER_LEN + self.len)
            .unwrap_or_default()
    }

    /// Length of the largest packet among the segments: of a plain packet its own.
    pub fn largest_segment(&self) -> usize {
        match self.cut {
            Some(Cut { layout, size }) => self.len.min(layout.header_len + size),
            None => self.len,
        }
    }

    /// The segments to send, in order; a plain packet is one.
    pub fn segments(&mut self) -> Segments<'_> {
        let packet = self
            .bytes
            .get_mut(vnet::HEADER_LEN..vnet::HEADER_LEN + self.len)
            .unwrap_or_default();
        let state = match self.cut {
            Some(cut) => State::super_packet(packet, cut, &mut self.header),
            None if packet.is_empty() => State::Done,
            None => State::Plain(packet),
        };
        Segments { state }
    }

    /// Reads with `read`, which fills a virtio header first if `header`.
    pub(crate) fn fill(
        &mut self,
        header: bool,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.len = 0;
        self.cut = None;
        let skip = if header { 0 } else { vnet::HEADER_LEN };
        let len = read(self.bytes.get_mut(skip..).unwrap_or_default())?;
        self.len = (skip + len).saturating_sub(vnet::HEADER_LEN);
        if let (true, Some(bytes)) = (header, self.bytes.first_chunk()) {
            self.prepare(VnetHeader::parse(bytes));
        }
        Ok(())
    }

    /// Does what the virtio header asks for, or empties the buffer when that makes no sense.
    fn prepare(&mut self, header: VnetHeader) {
        let packet = self.packet_mut();
        if header.gso == Gso::None {
            if header.needs_csum && complete(packet, header).is_none() {
                self.len = 0;
            }
            return;
        }
        let layout = Layout::of_super(packet, header.gso, header.csum_start.into())
            .filter(|layout| layout.header_len <= MAX_HEADER && header.gso_size > 0);
        match layout {
            Some(layout) => {
                self.cut = Some(Cut {
                    layout,
                    size: header.gso_size.into(),
                })
            }
            None => self.len = 0,
        }
    }
}

/// Completes a checksum that covers the pseudo header only.
fn complete(packet: &mut [u8], header: VnetHeader) -> Option<()> {
    let start = usize::from(header.csum_start);
    let offset = usize::from(header.csum_offset);
    let segment = packet.get_mut(start..)?;
    // The field holds the sum of the pseudo header and so adds it.
    let sum = Sum::of(segment);
    let udp = offset == Protocol::Udp.checksum_at();
    let checksum = if udp {
        sum.checksum_nonzero()
    } else {
        sum.checksum()
    };
    segment.get_mut(offset..offset + 2)?.copy_from_slice(&checksum);
    Some(())
}

impl Default for SuperBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SuperBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SuperBuf")
            .field("len", &self.len)
            .field("cut", &self.cut)
            .finish_non_exhaustive()
    }
}

/// One packet to send, in two pieces: no copy joins a segment's header and payload.
#[derive(Debug)]
pub struct Segment<'s> {
    /// IP and transport header; for a plain packet all of it.
    pub header: &'s mut [u8],
    /// What follows; empty for a plain packet.
    pub payload: &'s [u8],
}

impl Segment<'_> {
    /// Length of the packet in bytes.
    pub fn len(&self) -> usize {
        self.header.len() + self.payload.len()
    }

    /// Whether there is nothing in it, which no segment is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Cuts the segments of a [`SuperBuf`]. Not an [`Iterator`]: each segment borrows the cutter, which keeps
/// one header and rewrites it.
#[derive(Debug)]
pub struct Segments<'b> {
    state: State<'b>,
}

enum State<'b> {
    Done,
    Plain(&'b mut [u8]),
    Super(Cutter<'b>),
}

impl<'b> State<'b> {
    fn super_packet(packet: &'b [u8], cut: Cut, room: &'b mut [u8; MAX_HEADER]) -> Self {
        let Cut { layout, size } = cut;
        let Some((from, payload)) = packet.split_at_checked(layout.header_len) else {
            return Self::Done;
        };
        let Some(header) = room.get_mut(..from.len()) else {
            return Self::Done;
        };
        header.copy_from_slice(from);
        Self::Super(Cutter {
            header,
            layout,
            size,
            payload,
            number: 0,
            id: layout.id(from),
            sequence: layout.sequence(from),
            flags: layout.flags(from),
        })
    }
}

/// A super-packet being cut.
struct Cutter<'b> {
    header: &'b mut [u8],
    layout: Layout,
    size: usize,
    /// What is left.
    payload: &'b [u8],
    number: usize,
    id: u16,
    sequence: u32,
    flags: u8,
}

impl<'b> Cutter<'b> {
    fn next(&mut self) -> Option<Segment<'_>> {
        // A super-packet without payload is one segment, too.
        if self.payload.is_empty() && self.number > 0 {
            return None;
        }
        let (payload, rest): (&'b [u8], _) = self.payload.split_at(self.size.min(self.payload.len()));
        self.payload = rest;
        let layout = self.layout;
        let header = &mut *self.header;
        if !layout.v6 {
            layout.set_id(header, self.id.wrapping_add(self.number as u16));
        }
        if layout.protocol == Protocol::Tcp {
            layout.set_sequence(
                header,
                self.sequence.wrapping_add((self.number * self.size) as u32),
            );
            let mut flags = self.flags;
            if !rest.is_empty() {
                flags &= !(flag::FIN | flag::PSH);
            }
            if self.number > 0 {
                flags &= !flag::CWR;
            }
            layout.set_flags(header, flags);
        }
        layout.write_lengths(header, payload.len());
        layout.write_checksum(header, payload);
        self.number += 1;
        Some(Segment { header, payload })
    }
}

impl Segments<'_> {
    /// The next segment.
    #[allow(clippy::should_implement_trait)] // a lending iterator
    pub fn next(&mut self) -> Option<Segment<'_>> {
        if matches!(self.state, State::Plain(_)) {
            let State::Plain(header) = std::mem::replace(&mut self.state, State::Done) else {
                return None;
            };
            return Some(Segment { header, payload: &[] });
        }
        match &mut self.state {
            State::Super(cutter) => cutter.next(),
            State::Plain(_) | State::Done => None,
        }
    }

    /// How many segments are left.
    pub fn remaining(&self) -> usize {
        match &self.state {
            State::Done => 0,
            State::Plain(_) => 1,
            State::Super(cutter) if cutter.number == 0 => cutter.payload.len().div_ceil(cutter.size).max(1),
            State::Super(cutter) => cutter.payload.len().div_ceil(cutter.size),
        }
    }
}

impl fmt::Debug for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("Done"),
            Self::Plain(packet) => f.debug_tuple("Plain").field(&packet.len()).finish(),
            Self::Super(cutter) => f
                .debug_struct("Super")
                .field("layout", &cutter.layout)
                .field("size", &cutter.size)
                .field("left", &cutter.payload.len())
                .finish_non_exhaustive(),
        }
    }
}
