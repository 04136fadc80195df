//! The tunnels that run, as far as management sees them. The daemon has them; this is what it must tell.

use std::net::{Ipv4Addr, Ipv6Addr};

use time::OffsetDateTime;

use crate::id::{ConnectionId, EndpointId};

/// One client's connection, now or within the last hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// When the counters were read.
    pub timestamp: OffsetDateTime,
    /// User name, where users log in.
    pub username: Option<String>,
    /// Common name of the certificate; the user name where there is none.
    pub common_name: Option<String>,
    /// When it was established.
    pub established: OffsetDateTime,
    /// Bytes from the client.
    pub ingress_bytes: u64,
    /// Bytes to the client.
    pub egress_bytes: u64,
    /// Packets from the client.
    pub ingress_packets: u64,
    /// Packets to the client.
    pub egress_packets: u64,
    /// The client's address in the tunnel.
    pub client_ip: Option<Ipv4Addr>,
    /// The client's IPv6 address in the tunnel.
    pub client_ipv6: Option<Ipv6Addr>,
    /// Where it is in its life.
    pub state: ConnectionState,
    /// When it ended.
    pub ended: Option<OffsetDateTime>,
    /// What the connect handler said about the device.
    pub posture: Vec<String>,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It lives.
    Active,
    /// It could not be ended.
    FailedToTerminate,
    /// It is being ended.
    Terminating,
    /// It has ended.
    Terminated,
}

/// What became of a connection that was to be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Termination {
    /// Which.
    pub id: ConnectionId,
    /// What it was before.
    pub previous: ConnectionState,
    /// What it is now.
    pub current: ConnectionState,
}

/// The running endpoints can't be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the endpoint does not answer: {0}")]
pub struct TunnelsError(pub String);

/// The running endpoints. Calls return at once.
pub trait Tunnels: Send + Sync {
    /// The connections of an endpoint, those that live and those that ended within the last hour, in the order they
    /// were established. An endpoint that doesn't run has none that live.
    ///
    /// # Errors
    /// [`TunnelsError`] if the running endpoints can't be asked.
    fn connections(&self, endpoint: &EndpointId) -> Result<Vec<Connection>, TunnelsError>;

    /// Ends connections; ids that aren't known are left out of the answer.
    ///
    /// # Errors
    /// [`TunnelsError`] if the running endpoints can't be asked.
    fn terminate(
        &self,
        endpoint: &EndpointId,
        connections: &[ConnectionId],
    ) -> Result<Vec<Termination>, TunnelsError>;
}
