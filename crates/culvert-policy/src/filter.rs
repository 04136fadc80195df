//! What one client may reach: sorted disjoint ranges and a binary search.

use std::net::IpAddr;

/// Inclusive range of addresses as numbers.
pub(crate) type Range<T> = (T, T);

/// The destinations one set of groups may reach. Immutable; share it behind an `Arc`.
///
/// Checked for packets from the client by destination and for packets to the client by source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFilter {
    v4: Box<[Range<u32>]>,
    v6: Box<[Range<u128>]>,
}

impl ClientFilter {
    /// A filter that allows nothing.
    pub fn deny_all() -> Self {
        Self::default()
    }

    /// A filter that allows every address of both families.
    pub fn allow_all() -> Self {
        Self {
            v4: Box::new([(0, u32::MAX)]),
            v6: Box::new([(0, u128::MAX)]),
        }
    }

    /// `v4` and `v6` are sorted, disjoint and not adjacent; `v4` numbers fit 32 bits.
    pub(crate) fn new(v4: &[Range<u128>], v6: Vec<Range<u128>>) -> Self {
        let narrow = |number: u128| u32::try_from(number).unwrap_or(u32::MAX);
        let v4 = v4
            .iter()
            .map(|&(start, end)| (narrow(start), narrow(end)))
            .collect();
        Self {
            v4,
            v6: v6.into_boxed_slice(),
        }
    }

    /// True when the client may exchange packets with this address.
    #[inline]
    pub fn allows(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => covers(&self.v4, v4.to_bits()),
            IpAddr::V6(v6) => covers(&self.v6, v6.to_bits()),
        }
    }

    /// True when nothing at all is allowed.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

#[inline]
fn covers<T: Ord + Copy>(ranges: &[Range<T>], address: T) -> bool {
    let after = ranges.partition_point(|&(start, _)| start <= address);
    after
        .checked_sub(1)
        .and_then(|last| ranges.get(last))
        .is_some_and(|&(_, end)| address <= end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_ends_are_inclusive_and_families_are_apart() {
        let filter = ClientFilter::new(&[(10, 20), (30, 30)], vec![(10, u128::MAX)]);
        let v4 = |bits: u32| filter.allows(std::net::Ipv4Addr::from_bits(bits).into());
        assert_eq!(
            [9, 10, 20, 21, 29, 30, 31].map(v4),
            [false, true, true, false, false, true, false]
        );
        assert!(filter.allows("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap()));
        assert!(!filter.allows("::9".parse().unwrap()));
    }

    #[test]
    fn the_two_trivial_filters_do_what_they_say() {
        for address in ["0.0.0.0", "255.255.255.255", "::", "ffff::1"] {
            let address = address.parse().unwrap();
            assert!(ClientFilter::allow_all().allows(address));
            assert!(!ClientFilter::deny_all().allows(address));
        }
        assert!(ClientFilter::deny_all().is_empty());
    }
}
