//! The arithmetic between indices and addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

use crate::PoolError;

/// Prefix length of the largest client CIDR: /12, 1,048,576 addresses.
pub const LARGEST_PREFIX: u8 = 12;

/// Prefix length of the smallest client CIDR: /30, one client.
pub const SMALLEST_PREFIX: u8 = 30;

/// Index of the server's own address.
pub(crate) const SERVER: u32 = 1;

/// Addresses used of an IPv6 prefix that has no IPv4 block beside it: more than an endpoint has clients.
const LONE_V6_SIZE: u32 = 1 << 17;

/// Prefix length of the smallest IPv6 prefix alone: one client.
const SMALLEST_V6_PREFIX: u8 = 126;

/// The IPv4 block, the IPv6 prefix, or both in parallel; valid by construction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    v4: Option<Ipv4Network>,
    v6: Option<Ipv6Network>,
    size: u32,
}

impl Block {
    pub(crate) fn new(v4: Option<Ipv4Network>, v6: Option<Ipv6Network>) -> Result<Self, PoolError> {
        if let Some(v4) = v4 {
            check_v4(v4)?;
        }
        if let Some(v6) = v6 {
            check_v6(v6, v4)?;
        }
        let size = match (v4, v6) {
            (Some(v4), _) => 1 << (32 - u32::from(v4.prefix())),
            (None, Some(v6)) => 1u32
                .checked_shl(128 - u32::from(v6.prefix()))
                .map_or(LONE_V6_SIZE, |size| size.min(LONE_V6_SIZE)),
            (None, None) => return Err(PoolError::NoBlock),
        };
        Ok(Self { v4, v6, size })
    }

    /// The block of the same family as an address.
    pub(crate) fn network_of(&self, address: IpAddr) -> Option<IpNetwork> {
        match address {
            IpAddr::V4(_) => self.v4.map(IpNetwork::V4),
            IpAddr::V6(_) => self.v6.map(IpNetwork::V6),
        }
    }

    /// Number of addresses, network and broadcast included; at most 2^20.
    pub(crate) fn size(&self) -> u32 {
        self.size
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
    pub(crate) fn v4(&self, index: u32) -> Option<Ipv4Addr> {
        self.v4
            .map(|network| Ipv4Addr::from_bits(network.ip().to_bits() | index))
    }

    /// The IPv6 address of an index below [`Block::size`].
    pub(crate) fn v6(&self, index: u32) -> Option<Ipv6Addr> {
        self.v6
            .map(|network| Ipv6Addr::from_bits(network.ip().to_bits() | u128::from(index)))
    }

    /// The IPv4 address of an index below [`Block::size`], or its IPv6 address: one of them is there.
    pub(crate) fn address(&self, index: u32) -> IpAddr {
        match (self.v4(index), self.v6(index)) {
            (Some(v4), _) => v4.into(),
            (None, v6) => v6.unwrap_or(Ipv6Addr::UNSPECIFIED).into(),
        }
    }

    /// The index of an address, or `None` when it is in neither block.
    pub(crate) fn index_of(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(v4) => {
                let offset = v4.to_bits().checked_sub(self.v4?.ip().to_bits())?;
                (offset < self.size()).then_some(offset)
            }
            IpAddr::V6(v6) => {
                let offset = v6.to_bits().checked_sub(self.v6?.ip().to_bits())?;
                u32::try_from(offset).ok().filter(|&index| index < self.size())
            }
        }
    }
}

fn check_v4(v4: Ipv4Network) -> Result<(), PoolError> {
    if !(LARGEST_PREFIX..=SMALLEST_PREFIX).contains(&v4.prefix()) {
        return Err(PoolError::SizeOutOfRange { block: v4 });
    }
    if v4.ip() != v4.network() {
        return Err(PoolError::HostBitsSet {
            block: v4,
            network: v4.network(),
        });
    }
    Ok(())
}

fn check_v6(v6: Ipv6Network, v4: Option<Ipv4Network>) -> Result<(), PoolError> {
    match v4 {
        Some(v4) if v6.prefix() > 96 + v4.prefix() => {
            let longest = 96 + v4.prefix();
            return Err(PoolError::V6TooSmall { v6, v4, longest });
        }
        None if v6.prefix() > SMALLEST_V6_PREFIX => return Err(PoolError::LoneV6TooSmall { block: v6 }),
        _ => {}
    }
    if v6.ip() != v6.network() {
        return Err(PoolError::HostBitsSetV6 {
            block: v6,
            network: v6.network(),
        });
    }
    Ok(())
}
