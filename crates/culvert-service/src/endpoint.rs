//! The endpoint.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::id::{CertificateArn, EndpointId};
use crate::parts::{Association, AuthorizationRule, Route, StoredCrl};

/// A Client VPN endpoint with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// When it was created.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// Where it is in its life.
    pub state: EndpointState,
    /// When the running endpoint last became what is stored here; `None` while it isn't.
    #[serde(with = "time::serde::rfc3339::option")]
    pub applied: Option<OffsetDateTime>,
    /// Text for people.
    pub description: Option<String>,
    /// The families of addresses it is reached over.
    #[serde(default)]
    pub endpoint_ip_address_type: IpAddressType,
    /// The families of addresses it carries.
    #[serde(default)]
    pub traffic_ip_address_type: IpAddressType,
    /// Where clients' IPv4 addresses come from, if it carries IPv4.
    pub client_cidr_block: Option<Ipv4Network>,
    /// Where clients' IPv6 addresses come from, if it carries IPv6: a /64 it was given when it was made.
    #[serde(default)]
    pub client_ipv6_cidr_block: Option<Ipv6Network>,
    /// The certificate it shows to clients.
    pub server_certificate: CertificateArn,
    /// How clients prove who they are: one or two methods, in the order they were given.
    pub authentication: Vec<AuthenticationMethod>,
    /// Where its connection log goes.
    pub connection_log: ConnectionLog,
    /// Resolvers pushed to clients, at most two.
    pub dns_servers: Vec<IpAddr>,
    /// What it speaks outside.
    pub transport: Transport,
    /// The port clients connect to.
    pub vpn_port: u16,
    /// The address of this machine it listens on, given to it when it was made; `None`: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_address: Option<Ipv4Addr>,
    /// Whether clients send only its routes into the tunnel.
    pub split_tunnel: bool,
    /// The VPC of its target networks, once it is fixed.
    pub vpc_id: Option<String>,
    /// Security groups of that VPC that apply to its traffic.
    pub security_group_ids: Vec<String>,
    /// Whether there is a portal where people fetch their profile.
    pub self_service_portal: bool,
    /// Who is asked about new connections.
    pub client_connect: ClientConnect,
    /// Longest session, in hours.
    pub session_timeout_hours: u8,
    /// Text shown to people when they connect.
    pub banner: Banner,
    /// Whether clients are to keep their routes as the endpoint gave them.
    pub route_enforcement: bool,
    /// Whether a client whose session timed out stays disconnected until its user connects again.
    pub disconnect_on_session_timeout: bool,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Target networks, oldest first.
    pub associations: Vec<Association>,
    /// Routes, oldest first.
    pub routes: Vec<Route>,
    /// Authorization rules, oldest first.
    pub rules: Vec<AuthorizationRule>,
    /// The revocation list, once one was imported.
    pub crl: Option<StoredCrl>,
}

impl Endpoint {
    /// Where client addresses come from.
    pub fn client_blocks(&self) -> impl Iterator<Item = IpNetwork> {
        let v4 = self.client_cidr_block.map(IpNetwork::V4);
        v4.into_iter()
            .chain(self.client_ipv6_cidr_block.map(IpNetwork::V6))
    }
}

/// Families of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpAddressType {
    /// IPv4.
    #[default]
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Both.
    DualStack,
}

impl IpAddressType {
    /// Whether IPv4 is among them.
    pub fn v4(self) -> bool {
        self != Self::Ipv6
    }

    /// Whether IPv6 is among them.
    pub fn v6(self) -> bool {
        self != Self::Ipv4
    }

    /// Whether the family of this network is among them.
    pub fn has(self, network: IpNetwork) -> bool {
        match network {
            IpNetwork::V4(_) => self.v4(),
            IpNetwork::V6(_) => self.v6(),
        }
    }
}

/// Where an endpoint is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndpointState {
    /// It has no target network: nobody can connect.
    PendingAssociate,
    /// Clients can connect.
    Available,
    /// Nobody can connect any more; it will be gone.
    Deleting,
}

/// A way for clients to prove who they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthenticationMethod {
    /// A certificate issued by the authority that this certificate comes with.
    Certificate {
        /// The certificate whose chain holds the authority.
        client_root: CertificateArn,
    },
    /// User name and password.
    Directory {
        /// The directory that checks them.
        directory_id: String,
    },
}

/// What is spoken outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// UDP.
    #[default]
    Udp,
    /// TCP.
    Tcp,
}

impl Transport {
    /// The one that this isn't.
    pub fn other(self) -> Self {
        match self {
            Self::Udp => Self::Tcp,
            Self::Tcp => Self::Udp,
        }
    }
}

/// Where a connection log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectionLog {
    /// Nowhere.
    #[default]
    Off,
    /// To a stream of a group.
    On {
        /// The group.
        group: String,
        /// The stream.
        stream: String,
    },
}

/// Who is asked about new connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientConnect {
    /// Nobody.
    #[default]
    Off,
    /// A handler.
    On {
        /// Its ARN.
        function: String,
        /// Whether it is in force already.
        applied: bool,
    },
}

/// Text shown to people when they connect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banner {
    /// Whether it is shown.
    pub enabled: bool,
    /// The text, at most 1400 characters; kept while it isn't shown.
    pub text: Option<String>,
}
