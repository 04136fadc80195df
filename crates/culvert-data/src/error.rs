//! What can go wrong when the tables change. The packet path has [`DropReason`](crate::DropReason) instead.

use std::net::IpAddr;

use culvert_wire::PeerId;

/// Why a peer could not be added: the caller's tables and ours disagree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The peer id is beyond the table.
    #[error("peer id {peer} is out of range, this endpoint has room for {max} clients")]
    PeerIdOutOfRange {
        /// The id.
        peer: PeerId,
        /// Size of the table.
        max: usize,
    },
    /// Another client has the peer id.
    #[error("peer id {peer} belongs to another client; remove that one first")]
    PeerIdInUse {
        /// The id.
        peer: PeerId,
    },
    /// A tunnel address outside the endpoint's client addresses.
    #[error("{address} is not one of the client addresses of this endpoint")]
    AddressOutsideRange {
        /// The address.
        address: IpAddr,
    },
    /// Another client holds the tunnel address.
    #[error("{address} belongs to another client; remove that one first")]
    AddressInUse {
        /// The address.
        address: IpAddr,
    },
    /// IPv4 and IPv6 address are at different offsets in their blocks.
    #[error(
        "{address} is not at the same offset in the IPv6 block as the client's IPv4 address in the client CIDR"
    )]
    AddressMismatch {
        /// The IPv6 address.
        address: IpAddr,
    },
}
