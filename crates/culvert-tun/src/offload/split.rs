//! Reading super-packets and cutting them into segments.

use std::io;

use super::vnet;

/// The longest IP packet, and so the longest super-packet.
const MAX_PACKET: usize = 65_535;

/// Room for one super-packet: one per worker, reused from read to read.
#[derive(Debug)]
pub struct SuperBuf {
    /// The virtio header, then the packet.
    bytes: Box<[u8]>,
    len: usize,
}

impl SuperBuf {
    /// An empty buffer of 64 KiB.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; vnet::HEADER_LEN + MAX_PACKET].into_boxed_slice(),
            len: 0,
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

    /// The segments to send, in order; a plain packet is one.
    pub fn segments(&mut self) -> Segments<'_> {
        Segments {
            rest: Some(self.packet_mut()),
        }
    }

    /// Reads with `read`, which fills a virtio header first if `header`.
    pub(crate) fn fill(
        &mut self,
        header: bool,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.len = 0;
        let skip = if header { 0 } else { vnet::HEADER_LEN };
        let len = read(self.bytes.get_mut(skip..).unwrap_or_default())?;
        self.len = (skip + len).saturating_sub(vnet::HEADER_LEN);
        Ok(())
    }
}

impl Default for SuperBuf {
    fn default() -> Self {
        Self::new()
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
    rest: Option<&'b mut [u8]>,
}

impl Segments<'_> {
    /// The next segment.
    #[allow(clippy::should_implement_trait)] // a lending iterator
    pub fn next(&mut self) -> Option<Segment<'_>> {
        let header = self.rest.take()?;
        Some(Segment { header, payload: &[] })
    }

    /// How many segments are left.
    pub fn remaining(&self) -> usize {
        usize::from(self.rest.is_some())
    }
}
