//! Where a packet came from and goes to, on the outside of the tunnel.

use std::net::{IpAddr, SocketAddr};

/// Transport protocol of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// One OpenVPN packet per datagram.
    Udp,
    /// A byte stream with a 2-byte length before each packet.
    Tcp,
}

impl Transport {
    /// `"udp"` or `"tcp"`, as used in configuration, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Both ends of a UDP exchange with one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UdpPath {
    /// The client's address and port.
    pub remote: SocketAddr,
    /// The address of ours the client talks to, so that replies leave from it; `None` if unknown.
    pub local: Option<IpAddr>,
    /// Index of the listening address the packet arrived on.
    pub socket: u16,
}

/// One accepted TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpLink {
    /// Unique in this process; never reused, so a late event cannot hit another connection.
    pub id: u64,
    /// The client's address and port.
    pub remote: SocketAddr,
}

/// The outside address of a peer: what identifies a link and where answers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkAddr {
    /// A UDP path.
    Udp(UdpPath),
    /// A TCP connection.
    Tcp(TcpLink),
}

impl LinkAddr {
    /// The peer's address and port.
    pub fn remote(&self) -> SocketAddr {
        match self {
            Self::Udp(path) => path.remote,
            Self::Tcp(link) => link.remote,
        }
    }

    /// True for UDP links.
    pub fn is_udp(&self) -> bool {
        matches!(self, Self::Udp(_))
    }

    /// Transport protocol of this link.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Udp(_) => Transport::Udp,
            Self::Tcp(_) => Transport::Tcp,
        }
    }

    /// Bytes around one packet on the wire: IP and UDP headers, or IP and TCP headers and the length prefix.
    ///
    /// 28 or 48 for UDP over IPv4 or IPv6, 42 or 62 for TCP. IPv4-mapped IPv6 addresses count as IPv4.
    pub fn outer_overhead(&self) -> usize {
        let transport = match self {
            Self::Udp(_) => 8,
            Self::Tcp(_) => 20 + 2,
        };
        self.ip_header() + transport
    }

    /// IP and UDP header bytes that the size limit of control packets counts, also on TCP: 28 or 48.
    ///
    /// Source: OpenVPN 2.6 behaviour of `max-packet-size`.
    pub fn control_overhead(&self) -> usize {
        self.ip_header() + 8
    }

    fn ip_header(&self) -> usize {
        if self.remote().ip().to_canonical().is_ipv4() {
            20
        } else {
            40
        }
    }
}

impl std::fmt::Display for LinkAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.transport(), self.remote())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(remote: &str) -> LinkAddr {
        LinkAddr::Udp(UdpPath {
            remote: remote.parse().unwrap(),
            local: None,
            socket: 0,
        })
    }

    fn tcp(remote: &str) -> LinkAddr {
        LinkAddr::Tcp(TcpLink {
            id: 1,
            remote: remote.parse().unwrap(),
        })
    }

    #[test]
    fn outer_overhead_counts_ip_transport_and_length_prefix() {
        assert_eq!(udp("192.0.2.1:1194").outer_overhead(), 28);
        assert_eq!(udp("[2001:db8::1]:1194").outer_overhead(), 48);
        assert_eq!(tcp("192.0.2.1:443").outer_overhead(), 42);
        assert_eq!(tcp("[2001:db8::1]:443").outer_overhead(), 62);
    }

    #[test]
    fn mapped_addresses_count_as_ipv4() {
        assert_eq!(udp("[::ffff:192.0.2.1]:1194").outer_overhead(), 28);
    }

    #[test]
    fn control_overhead_is_that_of_udp_on_both_transports() {
        assert_eq!(tcp("192.0.2.1:443").control_overhead(), 28);
        assert_eq!(udp("[2001:db8::1]:1194").control_overhead(), 48);
    }

    #[test]
    fn display_names_transport_and_address() {
        assert_eq!(tcp("192.0.2.1:443").to_string(), "tcp:192.0.2.1:443");
    }
}
