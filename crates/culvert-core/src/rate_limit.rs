//! How many connection attempts a source may make: token buckets per address and per network in a table of fixed
//! size.
//!
//! Each source is an IPv4 address or an IPv6 /64, and is judged a second time together with its neighbours (IPv4
//! /24, IPv6 /48) under a looser limit. Buckets are not entries that could be evicted, but cells shared by hash: a
//! source has one cell in each of two rows and passes when either of them admits it. So memory is constant, a flood
//! of invented sources can't reset anybody's bucket, and a source suffers from others only if it collides with busy
//! ones in both rows. The hash is keyed, so nobody can choose whom to collide with.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use culvert_crypto::Entropy;

use crate::keyed_hash::KeyedHash;

/// Steady rate and burst of one token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Attempts per second that may go on forever. 0 switches the limit off.
    pub per_second: u32,
    /// Attempts that may come at once after a quiet time.
    pub burst: u32,
}

/// Limits on connection attempts (answered hard resets) by where they come from.
///
/// The defaults let a whole office behind one address reconnect at once, and 250 machines of one /24 retry eight
/// times a second each without hindering anybody; a single spoofed victim still gets no more than a few kilobytes
/// per second reflected at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptLimits {
    /// For one IPv4 address or one IPv6 /64.
    pub source: Rate,
    /// For one IPv4 /24 or one IPv6 /48.
    pub network: Rate,
}

impl Default for AttemptLimits {
    fn default() -> Self {
        Self {
            source: Rate {
                per_second: 64,
                burst: 256,
            },
            network: Rate {
                per_second: 4096,
                burst: 8192,
            },
        }
    }
}

/// Cells per row of the table of single sources (two rows of 8 bytes each: 256 KiB).
const SOURCE_CELLS: usize = 1 << 14;
/// Cells per row of the table of networks (64 KiB).
const NETWORK_CELLS: usize = 1 << 12;

/// The limiter of one endpoint.
pub(crate) struct AttemptLimiter {
    hash: KeyedHash,
    epoch: Instant,
    source: Table,
    network: Table,
}

impl AttemptLimiter {
    pub(crate) fn new(now: Instant, limits: AttemptLimits, entropy: &mut dyn Entropy) -> Self {
        Self {
            hash: KeyedHash::new(entropy),
            epoch: now,
            source: Table::new(SOURCE_CELLS, limits.source),
            network: Table::new(NETWORK_CELLS, limits.network),
        }
    }

    /// Changes the limits; what sources have used up so far stays used.
    pub(crate) fn set_limits(&mut self, limits: AttemptLimits) {
        self.source.set_rate(limits.source);
        self.network.set_rate(limits.network);
    }

    /// Takes one token for an attempt from `address`; `false` if it has none left.
    pub(crate) fn admit(&mut self, now: Instant, address: IpAddr) -> bool {
        let at = self.micros(now);
        let (source, network) = self.hashes(address);
        let (by_source, by_network) = (self.source.admits(at, source), self.network.admits(at, network));
        if by_source == [false; 2] || by_network == [false; 2] {
            return false;
        }
        self.source.charge(at, source, by_source);
        self.network.charge(at, network, by_network);
        true
    }

    /// Gives the token of a completed handshake back.
    pub(crate) fn refund(&mut self, address: IpAddr) {
        let (source, network) = self.hashes(address);
        self.source.refund(source);
        self.network.refund(network);
    }

    fn micros(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_micros()).unwrap_or(u64::MAX / 2)
    }

    fn hashes(&self, address: IpAddr) -> (u64, u64) {
        let (family, source, network) = match address.to_canonical() {
            IpAddr::V4(v4) => (4, u64::from(v4.to_bits()), u64::from(v4.to_bits() >> 8)),
            IpAddr::V6(v6) => {
                let upper = (v6.to_bits() >> 64) as u64;
                (6, upper, upper >> 16)
            }
        };
        (
            self.hash.hash(&[family, source]),
            self.hash.hash(&[family | 0x100, network]),
        )
    }
}

/// Two rows of cells. A cell holds the time (µs since the epoch) at which its bucket is full again; a bucket is
/// exhausted when that lies more than `tolerance` ahead (the "generic cell rate algorithm").
struct Table {
    rows: [Box<[u64]>; 2],
    interval: u64,
    tolerance: u64,
}

impl Table {
    fn new(cells: usize, rate: Rate) -> Self {
        let row = || vec![0u64; cells].into_boxed_slice();
        let mut table = Self {
            rows: [row(), row()],
            interval: 0,
            tolerance: 0,
        };
        table.set_rate(rate);
        table
    }

    fn set_rate(&mut self, rate: Rate) {
        let second = Duration::from_secs(1).as_micros() as u64;
        self.interval = second.checked_div(u64::from(rate.per_second)).unwrap_or(0);
        self.tolerance = self.interval * u64::from(rate.burst.max(1) - 1);
    }

    /// The cell of a hash in each row: disjoint parts of the hash, so that colliding in one row says nothing
    /// about the other.
    fn cells(&self, hash: u64) -> [usize; 2] {
        let mask = self.rows[0].len() - 1;
        [hash as usize & mask, (hash >> 32) as usize & mask]
    }

    fn admits(&self, at: u64, hash: u64) -> [bool; 2] {
        let [first, second] = self.cells(hash);
        [self.rows[0][first], self.rows[1][second]].map(|full| full <= at + self.tolerance)
    }

    /// Charges the cells that admitted; a full one stays as it is, so no cell runs ahead without bound.
    fn charge(&mut self, at: u64, hash: u64, admitted: [bool; 2]) {
        for ((row, cell), admitted) in self.rows.iter_mut().zip(cells_of(hash)).zip(admitted) {
            let mask = row.len() - 1;
            let full = &mut row[cell & mask];
            if admitted {
                *full = (*full).max(at) + self.interval;
            }
        }
    }

    fn refund(&mut self, hash: u64) {
        for (row, cell) in self.rows.iter_mut().zip(cells_of(hash)) {
            let mask = row.len() - 1;
            let full = &mut row[cell & mask];
            *full = full.saturating_sub(self.interval);
        }
    }
}

fn cells_of(hash: u64) -> [usize; 2] {
    [hash as usize, (hash >> 32) as usize]
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use culvert_crypto::SeededEntropy;

    use super::*;

    fn limiter(limits: AttemptLimits) -> (AttemptLimiter, Instant) {
        let now = Instant::now();
        (AttemptLimiter::new(now, limits, &mut SeededEntropy::new(7)), now)
    }

    fn host(network: u8, host: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(203, 0, network, host))
    }

    #[test]
    fn a_burst_is_admitted_and_then_only_the_steady_rate() {
        let source = Rate {
            per_second: 10,
            burst: 5,
        };
        let (mut limiter, now) = limiter(AttemptLimits {
            source,
            ..AttemptLimits::default()
        });
        let admitted = (0..50).filter(|_| limiter.admit(now, host(1, 1))).count();
        assert_eq!(admitted, 5);
        let admitted = (1..=1000u64)
            .filter(|ms| limiter.admit(now + Duration::from_millis(*ms), host(1, 1)))
            .count();
        assert_eq!(admitted, 10);
    }

    #[test]
    fn another_address_is_not_hindered_by_an_exhausted_one() {
        let (mut limiter, now) = limiter(AttemptLimits::default());
        while limiter.admit(now, host(1, 1)) {}
        assert!(limiter.admit(now, host(1, 2)));
        assert!(limiter.admit(now, IpAddr::V6(Ipv6Addr::LOCALHOST)));
    }

    #[test]
    fn neighbours_share_the_wider_bucket() {
        let network = Rate {
            per_second: 10,
            burst: 20,
        };
        let (mut limiter, now) = limiter(AttemptLimits {
            network,
            ..AttemptLimits::default()
        });
        let admitted = (0..200).filter(|i| limiter.admit(now, host(1, *i))).count();
        assert_eq!(admitted, 20);
        assert!(limiter.admit(now, host(2, 1)), "the next network has its own");
    }

    #[test]
    fn ipv6_addresses_of_one_64_are_one_source() {
        let source = Rate {
            per_second: 1,
            burst: 3,
        };
        let (mut limiter, now) = limiter(AttemptLimits {
            source,
            ..AttemptLimits::default()
        });
        let at = |low: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, low));
        assert_eq!((0..100).filter(|low| limiter.admit(now, at(*low))).count(), 3);
    }

    #[test]
    fn a_completed_handshake_gives_its_token_back() {
        let source = Rate {
            per_second: 1,
            burst: 1,
        };
        let (mut limiter, now) = limiter(AttemptLimits {
            source,
            ..AttemptLimits::default()
        });
        assert!(limiter.admit(now, host(1, 1)));
        assert!(!limiter.admit(now, host(1, 1)));
        limiter.refund(host(1, 1));
        assert!(limiter.admit(now, host(1, 1)));
    }

    #[test]
    fn two_hundred_and_fifty_noisy_neighbours_do_not_hinder_a_newcomer() {
        let (mut limiter, now) = limiter(AttemptLimits::default());
        for tick in 0..80u64 {
            let now = now + Duration::from_millis(tick * 125);
            for noisy in 0..250 {
                assert!(
                    limiter.admit(now, host(1, noisy)),
                    "eight a second is within the limit"
                );
            }
            assert!(limiter.admit(now, host(1, 251)));
            assert!(limiter.admit(now, host(9, 1)));
        }
    }

    #[test]
    fn a_flood_of_invented_sources_leaves_nearly_everybody_able_to_connect() {
        let (mut limiter, now) = limiter(AttemptLimits::default());
        for i in 0..100_000u32 {
            limiter.admit(
                now,
                IpAddr::V4(Ipv4Addr::from_bits(i.wrapping_mul(2_654_435_761))),
            );
        }
        let admitted = (0..250).filter(|i| limiter.admit(now, host(3, *i))).count();
        assert_eq!(admitted, 250);
    }

    #[test]
    fn a_rate_of_zero_switches_the_limit_off() {
        let off = Rate {
            per_second: 0,
            burst: 0,
        };
        let (mut limiter, now) = limiter(AttemptLimits {
            source: off,
            network: off,
        });
        assert!((0..100_000).all(|_| limiter.admit(now, host(1, 1))));
    }
}
