//! What one client may reach: sorted disjoint ranges and a binary search.
//!
//! Destinations where everything is allowed come first and stand apart, so limits cost nothing there.

use std::net::IpAddr;
use std::sync::Arc;

use crate::service::key;

/// Inclusive range of addresses, or of services, as numbers.
pub(crate) type Range<T> = (T, T);

/// A range of addresses with which some services are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limited<T> {
    pub(crate) range: Range<T>,
    /// Ranges of keys.
    pub(crate) services: Arc<[Range<u32>]>,
}

/// The destinations of one family that a client may reach; all ranges are disjoint, and sorted within each list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Where everything is allowed.
    pub(crate) open: Vec<Range<u128>>,
    /// Where some services are.
    pub(crate) limited: Vec<Limited<u128>>,
}

/// The destinations one set of groups may reach. Immutable; share it behind an `Arc`.
///
/// Checked for packets from the client by destination and for packets to the client by source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFilter {
    v4: Box<[Range<u32>]>,
    v6: Box<[Range<u128>]>,
    limited_v4: Box<[Limited<u32>]>,
    limited_v6: Box<[Limited<u128>]>,
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
            ..Self::default()
        }
    }

    /// The numbers of `v4` fit 32 bits.
    pub(crate) fn new(v4: Reach, v6: Reach) -> Self {
        let narrow = |number: u128| u32::try_from(number).unwrap_or(u32::MAX);
        let narrow = |(start, end): Range<u128>| (narrow(start), narrow(end));
        let limited_v4 = v4.limited.into_iter().map(|limited| Limited {
            range: narrow(limited.range),
            services: limited.services,
        });
        Self {
            v4: v4.open.into_iter().map(narrow).collect(),
            v6: v6.open.into(),
            limited_v4: limited_v4.collect(),
            limited_v6: v6.limited.into(),
        }
    }

    /// True when the client may exchange any packet with this address.
    #[inline]
    pub fn allows(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => covers(&self.v4, v4.to_bits()),
            IpAddr::V6(v6) => covers(&self.v6, v6.to_bits()),
        }
    }

    /// True when what is allowed depends on the service for some address.
    #[inline]
    pub fn has_limits(&self) -> bool {
        !self.limited_v4.is_empty() || !self.limited_v6.is_empty()
    }

    /// True when the client may exchange packets of some service with this address.
    pub fn reaches(&self, address: IpAddr) -> bool {
        self.allows(address) || self.services(address).is_some()
    }

    /// True when the client may exchange packets with this address whose protocol has this number and that concern this
    /// port of the address. `None`: of any port; where the protocol has no ports any number will do.
    pub fn allows_service(&self, address: IpAddr, protocol: u8, port: Option<u16>) -> bool {
        self.allows(address)
            || self.services(address).is_some_and(|services| {
                let wanted = match port {
                    Some(port) => (key(protocol, port), key(protocol, port)),
                    None => (key(protocol, 0), key(protocol, u16::MAX)),
                };
                overlap(services, wanted)
            })
    }

    /// True when nothing at all is allowed.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty() && !self.has_limits()
    }

    /// The services that an address is limited to.
    fn services(&self, address: IpAddr) -> Option<&[Range<u32>]> {
        match address {
            IpAddr::V4(v4) => limits(&self.limited_v4, v4.to_bits()),
            IpAddr::V6(v6) => limits(&self.limited_v6, v6.to_bits()),
        }
    }
}

#[inline]
fn covers<T: Ord + Copy>(ranges: &[Range<T>], address: T) -> bool {
    overlap(ranges, (address, address))
}

/// Whether a range shares a number with one of the sorted disjoint `ranges`.
#[inline]
fn overlap<T: Ord + Copy>(ranges: &[Range<T>], wanted: Range<T>) -> bool {
    let after = ranges.partition_point(|&(start, _)| start <= wanted.1);
    after
        .checked_sub(1)
        .and_then(|last| ranges.get(last))
        .is_some_and(|&(_, end)| wanted.0 <= end)
}

fn limits<T: Ord + Copy>(limited: &[Limited<T>], address: T) -> Option<&[Range<u32>]> {
    let after = limited.partition_point(|limited| limited.range.0 <= address);
    let last = limited.get(after.checked_sub(1)?)?;
    (address <= last.range.1).then_some(&*last.services)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(open: &[Range<u128>]) -> Reach {
        Reach {
            open: open.to_vec(),
            limited: Vec::new(),
        }
    }

    #[test]
    fn range_ends_are_inclusive_and_families_are_apart() {
        let filter = ClientFilter::new(reach(&[(10, 20), (30, 30)]), reach(&[(10, u128::MAX)]));
        let v4 = |bits: u32| filter.allows(std::net::Ipv4Addr::from_bits(bits).into());
        assert_eq!(
            [9, 10, 20, 21, 29, 30, 31].map(v4),
            [false, true, true, false, false, true, false]
        );
        assert!(filter.allows("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap()));
        assert!(!filter.allows("::9".parse().unwrap()));
        assert!(!filter.has_limits());
    }

    #[test]
    fn the_two_trivial_filters_do_what_they_say() {
        for address in ["0.0.0.0", "255.255.255.255", "::", "ffff::1"] {
            let address = address.parse().unwrap();
            assert!(ClientFilter::allow_all().allows(address));
            assert!(ClientFilter::allow_all().allows_service(address, 6, Some(1)));
            assert!(!ClientFilter::deny_all().allows(address));
            assert!(!ClientFilter::deny_all().allows_service(address, 6, None));
        }
        assert!(ClientFilter::deny_all().is_empty());
    }

    #[test]
    fn a_limited_range_allows_its_services_and_nothing_beyond_its_ends() {
        let mut v4 = reach(&[(10, 19)]);
        v4.limited.push(Limited {
            range: (20, 29),
            services: [(key(6, 443), key(6, 443)), (key(17, 50), key(17, 60))].into(),
        });
        let filter = ClientFilter::new(v4, Reach::default());
        let at = |bits: u32| IpAddr::V4(std::net::Ipv4Addr::from_bits(bits));
        assert!(filter.has_limits() && !filter.is_empty());
        assert!(!filter.allows(at(20)), "not everything");
        assert_eq!(
            [9, 10, 20, 29, 30].map(|bits| filter.reaches(at(bits))),
            [false, true, true, true, false]
        );
        for (address, protocol, port, allowed) in [
            (19, 6, Some(80), true),
            (20, 6, Some(80), false),
            (20, 6, Some(443), true),
            (29, 17, Some(60), true),
            (29, 17, Some(61), false),
            (20, 6, None, true),
            (20, 17, None, true),
            (20, 1, None, false),
            (20, 1, Some(0), false),
            (30, 6, Some(443), false),
        ] {
            assert_eq!(
                filter.allows_service(at(address), protocol, port),
                allowed,
                "{address} {protocol} {port:?}"
            );
        }
    }
}
