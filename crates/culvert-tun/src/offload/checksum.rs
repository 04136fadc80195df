//! The Internet checksum (RFC 1071), fast enough for every byte of a gigabit.
//!
//! Sums are taken over native-order words: the one's complement sum of byte-swapped words is the byte-swapped
//! sum, so the result written in native order is right on every machine.

use std::ops::Add;

/// A one's complement sum under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Sums `bytes`, as if a zero byte followed an odd number of them.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        // Eight independent lanes of 32-bit words: what compilers turn into vector additions. A lane would
        // overflow after 16 GiB.
        let mut lanes = [0u64; 8];
        let (blocks, rest) = bytes.as_chunks::<32>();
        for block in blocks {
            let (words, _) = block.as_chunks::<4>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane += u64::from(u32::from_ne_bytes(*word));
            }
        }
        let (pairs, odd) = rest.as_chunks::<2>();
        let mut sum: u64 = lanes.iter().sum();
        sum += pairs
            .iter()
            .map(|pair| u64::from(u16::from_ne_bytes(*pair)))
            .sum::<u64>();
        if let Some(last) = odd.first() {
            sum += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        Self(sum)
    }

    /// A number that stands in the packet as two bytes in network order.
    pub(crate) fn of_u16(value: u16) -> Self {
        Self(value.to_be().into())
    }

    /// The sum folded to 16 bits, as it is written to a field the kernel completes.
    pub(crate) fn partial(self) -> [u8; 2] {
        self.fold().to_ne_bytes()
    }

    /// The checksum: the complement of the folded sum.
    pub(crate) fn checksum(self) -> [u8; 2] {
        (!self.fold()).to_ne_bytes()
    }

    /// The checksum of UDP, where zero would mean that there is none.
    pub(crate) fn checksum_nonzero(self) -> [u8; 2] {
        match self.checksum() {
            [0, 0] => [0xff, 0xff],
            other => other,
        }
    }

    /// Whether a sum over data and its checksum says that both fit.
    pub(crate) fn is_valid(self) -> bool {
        self.fold() == 0xffff
    }

    fn fold(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }
}

impl Add for Sum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        // Both halves are far from 64 bits unless the data is; folding first keeps them so.
        Self((self.0 & 0xffff_ffff) + (self.0 >> 32) + (other.0 & 0xffff_ffff) + (other.0 >> 32))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 to the letter.
    fn slow(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_rfc_1071_sums_up() {
        let sum = Sum::of(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.partial(), [0xdd, 0xf2]);
        assert_eq!(sum.checksum(), [0x22, 0x0d]);
    }

    #[test]
    fn an_ipv4_header_gets_its_known_checksum() {
        let mut header = *b"\x45\0\0\x73\0\0\x40\0\x40\x11\0\0\xc0\xa8\0\x01\xc0\xa8\0\xc7";
        let checksum = Sum::of(&header).checksum();
        assert_eq!(checksum, [0xb8, 0x61]);
        header[10..12].copy_from_slice(&checksum);
        assert!(Sum::of(&header).is_valid());
    }

    #[test]
    fn udp_never_gets_the_checksum_that_means_none() {
        assert_eq!(Sum::of(&[0xff, 0xff]).checksum(), [0, 0]);
        assert_eq!(Sum::of(&[0xff, 0xff]).checksum_nonzero(), [0xff, 0xff]);
    }

    proptest! {
        #[test]
        fn the_fast_sum_is_the_slow_sum(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(Sum::of(&bytes).checksum(), slow(&bytes).to_be_bytes());
        }

        #[test]
        fn parts_of_even_length_add_up(
            bytes in proptest::collection::vec(any::<u8>(), 0..500),
            at in 0usize..250,
            number: u16,
        ) {
            let (front, back) = bytes.split_at((at * 2).min(bytes.len() / 2 * 2));
            let sum = Sum::of_u16(number) + Sum::of(front) + Sum::of(back);
            let whole: Vec<u8> = number.to_be_bytes().into_iter().chain(bytes.iter().copied()).collect();
            prop_assert_eq!(sum.checksum(), slow(&whole).to_be_bytes());
        }
    }
}
