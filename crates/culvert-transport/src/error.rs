//! What can go wrong when a socket is set up, told so that an operator knows what to do.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use culvert_wire::Transport;
use socket2::{Domain, Protocol, Socket, Type};

/// Why a listening socket could not be made. Each text names the address, the cause and the cure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Another socket holds the port.
    #[error(
        "{} port {} on {} is already in use by another program; find it with `ss -{}lpn 'sport = :{}'` and \
         stop it, or choose another port",
        name(*.transport), .address.port(), .address.ip(), flag(*.transport), .address.port()
    )]
    PortInUse {
        /// Transport of the socket.
        transport: Transport,
        /// Address asked for.
        address: SocketAddr,
    },
    /// Ports below 1024 need a privilege.
    #[error(
        "no permission to listen on {} port {} ({}); start the daemon as root or give it CAP_NET_BIND_SERVICE \
         (AmbientCapabilities= in its systemd unit), or choose a port from 1024 up",
        name(*.transport), .address.port(), .address.ip()
    )]
    PermissionDenied {
        /// Transport of the socket.
        transport: Transport,
        /// Address asked for.
        address: SocketAddr,
    },
    /// The machine does not own the address.
    #[error(
        "cannot listen on {} port {}: the address {} is not configured on this machine; `ip address` lists \
         those that are, and {} means all of them",
        name(*.transport), .address.port(), .address.ip(), any(*.address)
    )]
    AddressNotAvailable {
        /// Transport of the socket.
        transport: Transport,
        /// Address asked for.
        address: SocketAddr,
    },
    /// The kernel lacks the address family (IPv6 switched off at boot).
    #[error(
        "cannot listen on {} {address}: this kernel has no {} support; remove the address from the \
         configuration or enable the family",
        name(*.transport), if .address.is_ipv6() { "IPv6" } else { "IPv4" }
    )]
    FamilyNotSupported {
        /// Transport of the socket.
        transport: Transport,
        /// Address asked for.
        address: SocketAddr,
    },
    /// The process or the machine has no file descriptors left.
    #[error(
        "cannot listen on {} {address}: out of file descriptors ({source}); raise LimitNOFILE= in the systemd \
         unit or `ulimit -n`",
        name(*.transport)
    )]
    NoDescriptors {
        /// Transport of the socket.
        transport: Transport,
        /// Address asked for.
        address: SocketAddr,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Any other refusal.
    #[error("cannot listen on {} {address}: {step} failed: {source}", name(*.transport))]
    Io {
        /// Transport of the socket.
        transport: Transport,
        /// Address asked for.
        address: SocketAddr,
        /// What was being done.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl TransportError {
    /// Sorts an error of the kernel by what an operator can do about it.
    pub(crate) fn new(
        transport: Transport,
        address: SocketAddr,
        step: &'static str,
        source: io::Error,
    ) -> Self {
        match source.raw_os_error() {
            Some(libc::EADDRINUSE) => Self::PortInUse { transport, address },
            Some(libc::EACCES | libc::EPERM) => Self::PermissionDenied { transport, address },
            Some(libc::EADDRNOTAVAIL) => Self::AddressNotAvailable { transport, address },
            Some(libc::EAFNOSUPPORT) => Self::FamilyNotSupported { transport, address },
            Some(libc::EMFILE | libc::ENFILE) => Self::NoDescriptors {
                transport,
                address,
                source,
            },
            _ => Self::Io {
                transport,
                address,
                step,
                source,
            },
        }
    }
}

/// Checks that nobody listens on `address`, without sharing the port.
///
/// The sockets of the workers share their port (`SO_REUSEPORT`), so a second daemon of the same user would
/// bind without an error and take half of the packets. Call this once before the workers bind.
///
/// # Errors
///
/// [`TransportError::PortInUse`] and whatever else would keep the workers from binding.
pub fn probe_free(transport: Transport, address: SocketAddr) -> Result<(), TransportError> {
    let fail = |step| move |source| TransportError::new(transport, address, step, source);
    let (kind, protocol) = match transport {
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))
        .map_err(fail("opening the socket"))?;
    if address.is_ipv6() {
        socket
            .set_only_v6(true)
            .map_err(fail("restricting the socket to IPv6"))?;
    }
    if transport == Transport::Tcp {
        // Connections of a daemon that just stopped linger in TIME_WAIT and are no obstacle; a listener is.
        socket.set_reuse_address(true).map_err(fail("SO_REUSEADDR"))?;
    }
    socket.bind(&address.into()).map_err(fail("binding"))?;
    if transport == Transport::Tcp {
        socket.listen(1).map_err(fail("listening"))?;
    }
    Ok(())
}

fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
    }
}

fn flag(transport: Transport) -> char {
    match transport {
        Transport::Udp => 'u',
        Transport::Tcp => 't',
    }
}

fn any(address: SocketAddr) -> IpAddr {
    match address {
        SocketAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_reported_with_port_address_and_cure() {
        let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = probe_free(Transport::Udp, address).unwrap_err();
        assert!(matches!(error, TransportError::PortInUse { .. }));
        let text = error.to_string();
        assert!(text.contains(&address.port().to_string()), "{text}");
        assert!(text.contains("127.0.0.1"), "{text}");
        assert!(text.contains("ss -ulpn"), "{text}");
    }

    #[test]
    fn a_tcp_listener_is_an_obstacle_and_its_old_connections_are_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(matches!(
            probe_free(Transport::Tcp, address),
            Err(TransportError::PortInUse { .. })
        ));
        let client = std::net::TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        drop(server); // the side that closes first keeps TIME_WAIT
        drop(client);
        drop(listener);
        probe_free(Transport::Tcp, address).unwrap();
    }

    #[test]
    fn an_address_of_another_machine_is_reported_as_not_configured() {
        let address: SocketAddr = "192.0.2.1:5000".parse().unwrap();
        let error = probe_free(Transport::Udp, address).unwrap_err();
        assert!(matches!(error, TransportError::AddressNotAvailable { .. }));
        assert!(error.to_string().contains("0.0.0.0 means all"), "{error}");
    }
}
