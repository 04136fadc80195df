//! From nested prefixes to disjoint sorted ranges.
//!
//! Both families are handled as 128-bit numbers here; only the finished filter narrows IPv4 to 32 bits.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::filter::Range;

/// A range of addresses and the position, in the sorted list of distinct prefixes, of its longest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) range: Range<u128>,
    pub(crate) prefix: usize,
}

/// An address as a number.
pub(crate) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// First and last address of a network; host bits do not matter.
pub(crate) fn range(network: IpNetwork) -> Range<u128> {
    (bits(network.network()), bits(network.broadcast()))
}

/// Splits the union of nested-or-disjoint ranges into segments, each owned by its innermost range.
///
/// `prefixes` must be distinct and sorted by start, then longer range first, so that a range follows the one
/// around it.
pub(crate) fn segments(prefixes: &[Range<u128>]) -> Vec<Segment> {
    let mut out = Vec::with_capacity(prefixes.len() * 2);
    // Enclosing ranges of the current position, innermost last, and where the next segment starts.
    let mut open: Vec<usize> = Vec::new();
    let mut position = 0;
    let mut emit = |start: u128, end: u128, prefix: usize| {
        if start <= end {
            out.push(Segment {
                range: (start, end),
                prefix,
            });
        }
    };
    for (index, &(start, _)) in prefixes.iter().enumerate() {
        while let Some(&inner) = open.last()
            && prefixes[inner].1 < start
        {
            emit(position, prefixes[inner].1, inner);
            position = prefixes[inner].1 + 1; // below `start`, so it cannot overflow
            open.pop();
        }
        if let Some(&outer) = open.last()
            && position < start
        {
            emit(position, start - 1, outer);
        }
        open.push(index);
        position = start;
    }
    while let Some(inner) = open.pop() {
        emit(position, prefixes[inner].1, inner);
        match prefixes[inner].1.checked_add(1) {
            Some(next) => position = position.max(next),
            None => break,
        }
    }
    out
}

/// Sorts ranges and joins those that overlap or touch.
pub(crate) fn union(mut ranges: Vec<Range<u128>>) -> Vec<Range<u128>> {
    ranges.sort_unstable();
    let mut out: Vec<Range<u128>> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match out.last_mut() {
            Some(last) if start <= last.1.saturating_add(1) => last.1 = last.1.max(end),
            _ => out.push((start, end)),
        }
    }
    out
}

/// Cuts segments down to the parts inside `allowed`; both sorted and disjoint.
pub(crate) fn intersect(segments: &[Segment], allowed: &[Range<u128>]) -> Vec<Segment> {
    let mut out = Vec::with_capacity(segments.len());
    let (mut s, mut a) = (0, 0);
    while let (Some(segment), Some(&(start, end))) = (segments.get(s), allowed.get(a)) {
        let range = (segment.range.0.max(start), segment.range.1.min(end));
        if range.0 <= range.1 {
            out.push(Segment {
                range,
                prefix: segment.prefix,
            });
        }
        if segment.range.1 <= end {
            s += 1;
        } else {
            a += 1;
        }
    }
    out
}
