//! What the daemon tells about itself, its endpoints and its clients.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Everything `culvert status` shows apart from the clients, which are paged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The daemon itself.
    pub daemon: DaemonInfo,
    /// Each endpoint, in the order of the configuration file.
    pub endpoints: Vec<EndpointInfo>,
}

/// The running daemon process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonInfo {
    /// Version of the daemon, e.g. `0.1.0`.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Seconds since the daemon started.
    pub uptime_seconds: u64,
}

/// One Client VPN endpoint and its load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointInfo {
    /// Name from the configuration.
    pub name: String,
    /// Whether it serves clients now.
    pub state: EndpointState,
    /// When it last became what it is, in seconds since 1970; older daemons don't tell.
    #[serde(default)]
    pub applied_at_unix: Option<u64>,
    /// Addresses it accepts clients on.
    pub listeners: Vec<ListenerInfo>,
    /// TUN device, e.g. `cvpn0`.
    pub device: String,
    /// Client address ranges in CIDR form, IPv4 first.
    pub client_cidr: Vec<String>,
    /// Connected clients.
    pub clients: u32,
    /// Most clients the endpoint admits.
    pub max_clients: u32,
    /// Client addresses leased now.
    pub pool_in_use: u64,
    /// Client addresses there are.
    pub pool_capacity: u64,
    /// Dropped packets since start, by reason name; reasons never met are left out.
    pub drops: BTreeMap<String, u64>,
    /// Worker threads that carry its packets.
    pub workers: u32,
    /// What the kernel does for it, as of now.
    pub offload: OffloadInfo,
}

/// Work on whole trains of packets that an endpoint leaves to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffloadInfo {
    /// Datagrams of a client are received joined.
    pub udp_gro: OffloadState,
    /// Datagrams to a client are sent joined.
    pub udp_gso: OffloadState,
    /// Super-packets cross the TUN device.
    pub tun: OffloadState,
    /// Those of UDP, too.
    pub tun_udp: OffloadState,
    /// Packets of a flow are written to the TUN device joined.
    pub tun_join: OffloadState,
}

impl OffloadInfo {
    /// Each offload with its name in the configuration.
    pub fn all(&self) -> [(&'static str, OffloadState); 5] {
        [
            ("udp_gro", self.udp_gro),
            ("udp_gso", self.udp_gso),
            ("tun", self.tun),
            ("tun_udp", self.tun_udp),
            ("tun_join", self.tun_join),
        ]
    }
}

/// Whether an offload is in use, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OffloadState {
    /// In use.
    On,
    /// Wanted, but the kernel refused it at the start or since.
    Refused,
    /// Switched off in the configuration.
    Off,
    /// The endpoint has nothing it could be used for.
    Unused,
}

impl fmt::Display for OffloadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::On => "on",
            Self::Refused => "refused by the kernel",
            Self::Off => "switched off",
            Self::Unused => "unused",
        })
    }
}

/// Whether an endpoint serves clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// Being set up.
    Starting,
    /// Serving clients.
    Available,
    /// Refusing new clients and ending the present ones.
    Stopping,
    /// Not serving; the daemon's log says why.
    Failed,
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Available => "available",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
        })
    }
}

/// One address an endpoint accepts clients on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerInfo {
    /// UDP or TCP.
    pub transport: Transport,
    /// Bound address and port.
    pub address: SocketAddr,
}

/// What carries a client's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

/// One connected client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInfo {
    /// Unique within its endpoint while the daemon runs.
    pub client_id: u64,
    /// Name of the endpoint it is connected to.
    pub endpoint: String,
    /// Id of its connection, as the management API has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<String>,
    /// Groups it is in, as far as its login tells.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Common name of its certificate, if it showed one.
    pub common_name: Option<String>,
    /// User name it logged in with, if it had to.
    pub username: Option<String>,
    /// Where its packets come from now.
    pub real_address: SocketAddr,
    /// UDP or TCP.
    pub transport: Transport,
    /// Address inside the tunnel.
    pub virtual_v4: Option<Ipv4Addr>,
    /// Address inside the tunnel.
    pub virtual_v6: Option<Ipv6Addr>,
    /// When it connected, Unix seconds.
    pub connected_since_unix: u64,
    /// Data channel cipher, e.g. `AES-256-GCM`.
    pub cipher: String,
    /// Bytes received from it, as on the wire (with OpenVPN's overhead, without IP and UDP/TCP headers).
    pub link_rx_bytes: u64,
    /// Bytes sent to it, counted alike.
    pub link_tx_bytes: u64,
    /// Bytes of IP packets received from it.
    pub tunnel_rx_bytes: u64,
    /// Bytes of IP packets sent to it.
    pub tunnel_tx_bytes: u64,
    /// Client version it announced (`IV_VER`).
    pub iv_ver: Option<String>,
    /// Platform it announced (`IV_PLAT`).
    pub iv_plat: Option<String>,
}
