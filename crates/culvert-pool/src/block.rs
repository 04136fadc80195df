//! The arithmetic between indices and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{Ipv4Network, Ipv6Network};

use crate::PoolError;

/// Prefix length of the largest client CIDR: /12, 1,048,576 addresses.
pub const LARGEST_PREFIX: u8 = 12;

/// Prefix length of the smallest client CIDR: /30, one client.
pub const SMALLEST_PREFIX: u8 = 30;

/// Index of the server's own address.
pub(crate) const SERVER: u32 = 1;

/// The IPv4 block with its parallel IPv6 prefix; valid by construction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    v4: Ipv4Network,
    v6: Option<Ipv6Network>,
}

impl Block {
    pub(crate) fn new(v4: Ipv4Network, v6: Option<Ipv6Network>) -> Result<Self, PoolError> {
        if !(LARGEST_PREFIX..=SMALLEST_PREFIX).contains(&v4.prefix()) {
            return Err(PoolError::SizeOutOfRange { block: v4 });
        }
        if v4.ip() != v4.network() {
            return Err(PoolError::HostBitsSet {
                block: v4,
                network: v4.network(),
            });
        }
        if let Some(v6) = v6 {
            let longest = 96 + v4.prefix();
            if v6.prefix() > longest {
                return Err(PoolError::V6TooSmall { v6, v4, longest });
            }
            if v6.ip() != v6.network() {
                return Err(PoolError::HostBitsSetV6 {
                    block: v6,
                    network: v6.network(),
                });
            }
        }
        Ok(Self { v4, v6 })
    }

    pub(crate) fn v4_network(&self) -> Ipv4Network {
        self.v4
    }

    pub(crate) fn has_v6(&self) -> bool {
        self.v6.is_some()
    }

    /// Number of addresses, network and broadcast included; at most 2^20.
    pub(crate) fn size(&self) -> u32 {
        1 << (32 - u32::from(self.v4.prefix()))
    }

    /// First index a client can get.
    pub(crate) fn first(&self) -> u32 {
        SERVER + 1
    }

    /// Last index a client can get: the one before broadcast.
    pub(crate) fn last(&self) -> u32 {
        self.size() - 2
    }

    /// Number of indices a client can get.
    pub(crate) fn capacity(&self) -> u32 {
        self.last() + 1 - self.first()
    }

    pub(crate) fn is_assignable(&self, index: u32) -> bool {
        (self.first()..=self.last()).contains(&index)
    }

    /// The IPv4 address of an index below [`Block::size`].
    pub(crate) fn v4(&self, index: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.v4.ip().to_bits() | index)
    }

    /// The IPv6 address of an index below [`Block::size`].
    pub(crate) fn v6(&self, index: u32) -> Option<Ipv6Addr> {
        self.v6
            .map(|network| Ipv6Addr::from_bits(network.ip().to_bits() | u128::from(index)))
    }

    /// The index of an address, or `None` when it is in neither block.
    pub(crate) fn index_of(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(v4) => {
                let offset = v4.to_bits().checked_sub(self.v4.ip().to_bits())?;
                (offset < self.size()).then_some(offset)
            }
            IpAddr::V6(v6) => {
                let offset = v6.to_bits().checked_sub(self.v6?.ip().to_bits())?;
                u32::try_from(offset).ok().filter(|&index| index < self.size())
            }
        }
    }
}
