//! Why the pool refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

/// Why a pool could not be built or an address could not be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The client CIDR is larger or smaller than a pool can be.
    #[error("the client CIDR {block} has a size the pool cannot serve; choose a prefix from /12 to /30")]
    SizeOutOfRange {
        /// The block as configured.
        block: Ipv4Network,
    },
    /// The client CIDR has bits set behind its prefix.
    #[error("{block} is not a network address; write {network}/{} instead", block.prefix())]
    HostBitsSet {
        /// The block as configured.
        block: Ipv4Network,
        /// The network address that was probably meant.
        network: Ipv4Addr,
    },
    /// The IPv6 prefix has bits set behind its length.
    #[error("{block} is not a network address; write {network}/{} instead", block.prefix())]
    HostBitsSetV6 {
        /// The prefix as configured.
        block: Ipv6Network,
        /// The network address that was probably meant.
        network: Ipv6Addr,
    },
    /// The IPv6 prefix has fewer addresses than the IPv4 block.
    #[error("the client IPv6 CIDR {v6} has fewer addresses than {v4}; use a prefix of /{longest} or shorter")]
    V6TooSmall {
        /// The IPv6 prefix as configured.
        v6: Ipv6Network,
        /// The IPv4 block it should run parallel to.
        v4: Ipv4Network,
        /// The longest prefix that would do.
        longest: u8,
    },
    /// The IPv6 prefix, which has no IPv4 block beside it, has no room for a client.
    #[error("the client IPv6 CIDR {block} has no room for a client; use a prefix of /126 or shorter")]
    LoneV6TooSmall {
        /// The prefix as configured.
        block: Ipv6Network,
    },
    /// There is neither an IPv4 block nor an IPv6 prefix.
    #[error("there are no client addresses; give a client CIDR of either family")]
    NoBlock,
    /// Every address is taken or reserved.
    #[error("all {capacity} client addresses are in use; use a larger client CIDR or end idle sessions")]
    Exhausted {
        /// How many client addresses the block has.
        capacity: u32,
    },
    /// The wanted static address belongs to a connected client.
    #[error("the static address {0} is in use by another session; end that session first")]
    AddressInUse(IpAddr),
    /// The wanted static address is not in the client CIDR at all.
    #[error("the static address {address} is outside the client CIDR {block}; choose one inside it")]
    OutsideRange {
        /// The wanted address.
        address: IpAddr,
        /// The endpoint's block of its family.
        block: IpNetwork,
    },
    /// The wanted static address is the network, server or broadcast address.
    #[error("{0} is the network, server or broadcast address of the client CIDR; choose another address")]
    NotAssignable(IpAddr),
    /// An IPv4 address was wanted from an endpoint without IPv4.
    #[error("the static address {0} needs IPv4, but this endpoint has no client IPv4 CIDR")]
    NoV4(Ipv4Addr),
    /// An IPv6 address was wanted from an endpoint without IPv6.
    #[error("the static address {0} needs IPv6, but this endpoint has no client IPv6 CIDR")]
    NoV6(Ipv6Addr),
    /// The wanted IPv4 and IPv6 addresses belong to different indices.
    #[error("static addresses {v4} and {wanted} do not belong together; {v4} goes with {expected}")]
    Mismatch {
        /// The wanted IPv4 address.
        v4: Ipv4Addr,
        /// The wanted IPv6 address.
        wanted: Ipv6Addr,
        /// The IPv6 address of the same index.
        expected: Ipv6Addr,
    },
}
