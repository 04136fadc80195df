//! Transports, networks behind the endpoint, addresses and packet sizes.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use culvert_pool::StaticAddress;
use ipnetwork::IpNetwork;

/// What an endpoint speaks outside; never nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportProtocols {
    /// UDP only.
    Udp,
    /// TCP only.
    Tcp,
    /// Both on the same port.
    UdpAndTcp,
}

impl TransportProtocols {
    /// True when UDP is served.
    pub fn udp(self) -> bool {
        matches!(self, Self::Udp | Self::UdpAndTcp)
    }

    /// True when TCP is served.
    pub fn tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::UdpAndTcp)
    }
}

/// A network behind the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetNetwork {
    /// The network.
    pub cidr: IpNetwork,
    /// Whether there is a route to it without one being given.
    pub automatic_route: bool,
    /// Interface it is behind; `None` leaves it to the system's routes.
    pub interface: Option<String>,
    /// Replace the client's address by the server's on the way in.
    pub nat: bool,
}

/// A destination behind a target network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destination.
    pub destination_cidr: IpNetwork,
    /// The `cidr` of the target network it is reached through.
    pub target_network: IpNetwork,
    /// Text for people.
    pub description: Option<String>,
}

/// Packets from the client CIDR to a destination that leave with the server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatRule {
    /// Where the packets go.
    pub destination: IpNetwork,
    /// Only when they leave by this interface.
    pub interface: Option<String>,
}

/// A fixed address for an identity; at least one of the two is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticClient {
    /// User name, or the common name of the certificate where no user logs in.
    pub client: String,
    /// IPv4 address inside the client CIDR.
    pub ipv4_address: Option<Ipv4Addr>,
    /// IPv6 address inside the client IPv6 CIDR.
    pub ipv6_address: Option<Ipv6Addr>,
}

impl StaticClient {
    /// The address as the pool wants it.
    pub fn address(&self) -> StaticAddress {
        StaticAddress {
            v4: self.ipv4_address,
            v6: self.ipv6_address,
        }
    }
}

/// Pings and silence, both ends alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// An idle side pings after this time.
    pub ping: Duration,
    /// A client that hears nothing for so long reconnects; the server waits twice as long.
    pub ping_restart: Duration,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            ping: Duration::from_secs(10),
            ping_restart: Duration::from_secs(60),
        }
    }
}

/// The limit on TCP segments; sizes in bytes, words as in OpenVPN's `mssfix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mssfix {
    /// Segments pass as they are.
    Off,
    /// So that an outer IP packet fits (`mssfix N mtu`).
    Mtu(u16),
    /// So that the payload of an outer UDP or TCP packet fits (`mssfix N`).
    Payload(u16),
    /// So that an inner packet fits (`mssfix N fixed`).
    Fixed(u16),
}

impl Default for Mssfix {
    fn default() -> Self {
        Self::Mtu(1492)
    }
}
