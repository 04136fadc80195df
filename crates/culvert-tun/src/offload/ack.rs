//! Thinning acknowledgements: of several pure TCP acknowledgements of one flow in a batch, the last says it all.
//!
//! Writing one to the TUN device costs as much as writing a super-packet: it runs through the whole stack of the kernel,
//! and, where the sender is on this machine, through that too. A receiver that takes its packets one by one acknowledges
//! every second of them; here the acknowledgements become as sparse as those of a receiver whose network card joins packets.
//!
//! An acknowledgement is cumulative, so a later one that is the same but for a higher number, a newer time stamp and another
//! window makes the earlier one redundant. What it acknowledged selectively must be said again, or have been said by the
//! acknowledgement before it: then the sender learns of each byte that arrived, only somewhat later. Everything else is kept:
//! duplicates that say nothing new (they signal loss), reports of data that arrived twice, congestion echoes, anything with
//! data, and every sixteenth, so that the sender's clock ticks on.
//!
//! Source: RFC 3449, section 5.2.1 (ACK filtering); RFC 2018 (selective acknowledgement); RFC 2883 (reports of duplicates).

use super::layout::{Layout, Protocol, flag};

/// Acknowledgements one may stand for, itself not counted: with one for every two segments the sender is told of a
/// super-packet's worth at a time.
pub(super) const MAX_SUPERSEDED: u32 = 15;

/// TCP header without options.
const BARE: usize = 20;

/// A TCP packet that is nothing but an acknowledgement: no data, no flags beside it, no options but a time stamp and
/// selective acknowledgements in their customary forms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acknowledgement<'p> {
    packet: &'p [u8],
    layout: Layout,
    /// Everything up to here has arrived.
    number: u32,
    /// When it was sent, by the receiver's clock.
    stamp: Option<u32>,
    /// Pieces beyond `number` that have arrived: where each begins and ends, big-endian.
    pieces: &'p [[u8; 8]],
}

impl<'p> Acknowledgement<'p> {
    /// Reads a packet of this layout; `None` if it is anything else.
    pub(super) fn of(packet: &'p [u8], layout: Layout) -> Option<Self> {
        let pure = layout.protocol == Protocol::Tcp
            && packet.len() == layout.header_len
            && layout.flags(packet) == flag::ACK;
        if !pure {
            return None;
        }
        let options = packet.get(layout.transport + BARE..)?;
        // Two fillers, kind 8, length 10.
        let (stamp, rest) = match options {
            [1, 1, 8, 10, a, b, c, d, _, _, _, _, rest @ ..] => {
                (Some(u32::from_be_bytes([*a, *b, *c, *d])), rest)
            }
            rest => (None, rest),
        };
        // Two fillers, kind 5, its length.
        let pieces = match rest {
            [] => &[],
            [1, 1, 5, len, pieces @ ..] if usize::from(*len) == pieces.len() + 2 => {
                match pieces.as_chunks() {
                    (pieces, []) => pieces,
                    _ => return None,
                }
            }
            _ => return None,
        };
        Some(Self {
            packet,
            layout,
            number: be32(packet, layout.transport + 8)?,
            stamp,
            pieces,
        })
    }

    /// Whether the two belong to one direction of one connection.
    pub(super) fn is_of_flow(&self, other: &Self) -> bool {
        let at = self.layout.transport;
        let addresses = if self.layout.v6 { 8..40 } else { 12..20 };
        self.layout.v6 == other.layout.v6 && self.equals(other, addresses) && self.equals(other, at..at + 4)
    }

    /// Whether `later` makes this one redundant. `before` is the one of the same flow that the sender gets before it.
    pub(super) fn is_superseded_by(&self, later: &Self, before: Option<&Self>) -> bool {
        let advance = distance(self.number, later.number);
        let says_more =
            advance > 0 || (advance == 0 && self.pieces != later.pieces && !later.pieces.is_empty());
        let newer = match (self.stamp, later.stamp) {
            (Some(ours), Some(theirs)) => distance(ours, theirs) >= 0,
            (None, None) => true,
            _ => false,
        };
        let said_before =
            |piece: &[u8; 8]| before.is_some_and(|before| before.covers(piece) && before.is_intact());
        let known = |piece: &[u8; 8]| later.covers(piece) || said_before(piece);
        says_more
            && newer
            && self.has_like_headers(later)
            && !self.reports_duplicate()
            && self.pieces.iter().all(known)
            && later.is_intact()
    }

    /// Whether its checksums fit: one that was damaged before it was encrypted is for its receiver to discard, not to stand for
    /// sound ones.
    fn is_intact(&self) -> bool {
        self.layout.is_intact(self.packet)
    }

    /// Whether the headers differ in nothing but lengths, IPv4's identification, checksums, window, and what the fields of
    /// this type hold.
    fn has_like_headers(&self, other: &Self) -> bool {
        let ip = if self.layout.v6 {
            self.equals(other, 0..4) && self.equals(other, 6..8)
        } else {
            self.equals(other, 0..2) && self.equals(other, 6..10)
        };
        let at = self.layout.transport;
        let reserved = |packet: &[u8]| packet.get(at + 12).map(|byte| byte & 0x0f);
        // The sequence number, the bits beside the header length, and the urgent pointer.
        ip && self.is_of_flow(other)
            && self.equals(other, at + 4..at + 8)
            && reserved(self.packet) == reserved(other.packet)
            && self.equals(other, at + 18..at + BARE)
    }

    /// Whether it tells the sender that data arrived twice: its first piece lies below the number or within the second.
    fn reports_duplicate(&self) -> bool {
        match self.pieces {
            [first, rest @ ..] => {
                let [_, end] = bounds(first);
                distance(end, self.number) >= 0 || rest.first().is_some_and(|second| holds(second, first))
            }
            [] => false,
        }
    }

    /// Whether it says that `piece` has arrived.
    fn covers(&self, piece: &[u8; 8]) -> bool {
        let [_, end] = bounds(piece);
        distance(end, self.number) >= 0 || self.pieces.iter().any(|ours| holds(ours, piece))
    }

    fn equals(&self, other: &Self, range: std::ops::Range<usize>) -> bool {
        match (self.packet.get(range.clone()), other.packet.get(range)) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => false,
        }
    }
}

/// How far `to` is ahead of `from`; numbers wrap.
fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..).and_then(<[u8]>::first_chunk);
    four.map(|four| u32::from_be_bytes(*four))
}

/// Where a piece begins and ends.
fn bounds(piece: &[u8; 8]) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = *piece;
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
}

/// Whether the inner piece lies within the outer one.
fn holds(outer: &[u8; 8], inner: &[u8; 8]) -> bool {
    let ([outer_start, outer_end], [start, end]) = (bounds(outer), bounds(inner));
    distance(outer_start, start) >= 0 && distance(end, outer_end) >= 0
}

#[cfg(test)]
mod tests;
