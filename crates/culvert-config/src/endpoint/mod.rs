//! What an endpoint is, whichever way it was described.
//!
//! [`EndpointSpec`] is a wish: plain data with defaults. [`EndpointSpec::validate`] turns it into an
//! [`EndpointConfig`], which can only be obtained that way and therefore never holds an endpoint that cannot
//! work. The configuration file is one source of wishes; a management interface is another.

mod authentication;
mod conflict;
mod connect_handler;
mod connection_log;
mod control_channel;
mod crypto;
mod network;
mod pem;
mod validate;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use culvert_policy::{Access, AuthorizationRule, Policy, RuleEvaluation};
use culvert_pool::{Pool, PoolConfig, StaticAddress};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

use crate::environment::EgressRule;
use crate::error::{Fault, FieldProblem};

pub use authentication::{
    Authentication, CertificateGroups, CertificatePolicy, ClientCertificates, Combine, ExternalCommand,
    PasswordCheck, VerifyX509Name,
};
pub use connect_handler::{ConnectHandler, FUNCTION_PREFIX, HandlerTarget};
pub use connection_log::{ConnectionLog, LogGroup, LogSink};
pub use control_channel::{ControlChannel, KeyDirection, StaticKeyWrap, TlsAuth, TlsCryptV2};
pub use crypto::{DataCipher, Digest, TlsVersion};
pub use network::{Keepalive, Mssfix, NatRule, Route, StaticClient, TargetNetwork, TransportProtocols};
pub use pem::Pem;
pub use validate::overlap;
pub(crate) use validate::{check_device_name, default_device, special_purpose};

/// The port AWS Client VPN endpoints use unless told otherwise.
pub const DEFAULT_VPN_PORT: NonZeroU16 = NonZeroU16::new(443).expect("443 is not zero");

/// The longest banner, in characters.
pub const MAX_BANNER: usize = 1400;

/// The most DNS servers an endpoint pushes.
pub const MAX_DNS_SERVERS: usize = 8;

/// The most search domains an endpoint pushes.
pub const MAX_DOMAINS: usize = 10;

/// The most services an authorization rule is limited to.
pub const MAX_SERVICES: usize = 32;

/// What the ways to evaluate rules are called, wherever they are written.
pub const RULE_EVALUATIONS: [(&str, RuleEvaluation); 2] = [
    ("longest-prefix", RuleEvaluation::LongestPrefix),
    ("additive", RuleEvaluation::Additive),
];

/// An endpoint as somebody wishes it. Field names are the keys of an `[[endpoint]]` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Name, unique in the configuration: letters, digits, `.`, `_` and `-`, at most 64.
    pub name: String,
    /// Text for people, at most 255 characters.
    pub description: Option<String>,
    /// Where clients' IPv4 addresses come from: /30 to /12. The first host is the server's own address. `None`: the endpoint
    /// carries IPv6 only.
    pub client_cidr_block: Option<Ipv4Network>,
    /// IPv6 prefix for clients, at least as large as `client_cidr_block`.
    pub client_ipv6_cidr_block: Option<Ipv6Network>,
    /// UDP, TCP or both, on the same port.
    pub transport_protocol: TransportProtocols,
    /// Addresses to listen on; `0.0.0.0` and `::` stand for all of a family.
    pub listen_addresses: Vec<IpAddr>,
    /// Port to listen on.
    pub vpn_port: NonZeroU16,
    /// Name of the TUN interface.
    pub device: String,
    /// Server certificate with its chain, PEM.
    pub server_certificate: Pem,
    /// Private key of the server certificate, PEM.
    pub server_private_key: Pem,
    /// How clients prove who they are.
    pub authentication: Authentication,
    /// Who else is asked before a client is let in; `None`: nobody.
    pub connect_handler: Option<ConnectHandler>,
    /// Where it is kept who connected; `None`: nowhere.
    pub connection_log: Option<ConnectionLog>,
    /// What wraps the control channel.
    pub control_channel: ControlChannel,
    /// Oldest TLS version a client may use.
    pub tls_version_min: TlsVersion,
    /// Data channel ciphers, best first.
    pub data_ciphers: Vec<DataCipher>,
    /// Offers the epoch data format, which never runs out of packet numbers, to clients that know it.
    pub data_epoch: bool,
    /// Derives data keys with the TLS exporter where the client can; false keeps to OpenVPN's older way.
    pub tls_key_export: bool,
    /// Digest for the CBC ciphers of old clients; `None` refuses those ciphers.
    pub legacy_cbc: Option<Digest>,
    /// Resolvers pushed to clients; none leaves the device's own.
    pub dns_servers: Vec<IpAddr>,
    /// Search domains pushed to clients.
    pub domains: Vec<String>,
    /// True: clients send only the routes of the endpoint into the tunnel. False: everything.
    pub split_tunnel: bool,
    /// Longest session; `None` is unlimited.
    pub session_timeout: Option<Duration>,
    /// Whether a client whose session timed out stays disconnected until its user connects again.
    pub disconnect_on_session_timeout: bool,
    /// Text shown to people when they connect.
    pub banner: Option<String>,
    /// Networks behind the endpoint.
    pub target_networks: Vec<TargetNetwork>,
    /// Destinations behind the target networks, besides those networks themselves.
    pub routes: Vec<Route>,
    /// Who may reach what; nothing is allowed without a rule.
    pub authorization_rules: Vec<AuthorizationRule>,
    /// Which of the rules that cover a destination count.
    pub rule_evaluation: RuleEvaluation,
    /// Lets clients reach each other over IPv4, where an authorization rule for the client CIDR allows it.
    pub client_to_client: bool,
    /// The same over IPv6.
    pub client_to_client_ipv6: bool,
    /// What clients may begin with the networks behind the endpoint, where security groups apply; `None`: what the rules
    /// allow.
    pub egress: Option<Vec<EgressRule>>,
    /// Pings and the silence after which a peer is given up.
    pub keepalive: Keepalive,
    /// How long a client may take to connect, and to renew its keys.
    pub handshake_window: Duration,
    /// How often the server renews the keys of a session; `None` leaves it to the client.
    pub renegotiation: Option<Duration>,
    /// Tokens that spare clients a second password login; `None` asks again each time.
    pub auth_token: Option<AuthToken>,
    /// Most clients connected at once; `None` means as many as the client CIDR holds.
    pub max_clients: Option<u32>,
    /// MTU of the TUN interface, and of a client's as far as the client allows.
    pub tun_mtu: u16,
    /// Limit put on the TCP segments of tunnelled connections.
    pub mssfix: Mssfix,
    /// Lets one identity be connected more than once; false ends the older session.
    pub duplicate_cn: bool,
    /// Fixed addresses for identities.
    pub static_addresses: Vec<StaticClient>,
    /// Further options pushed to clients as they are.
    pub push: Vec<String>,
}

/// Tokens handed to clients after a password login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthToken {
    /// Key file that signs them, so that they outlive the daemon; endpoints and machines with the same key take each
    /// other's tokens. `None` is a random key of the endpoint that ends with the daemon.
    pub key: Option<PathBuf>,
    /// Age at which a password is asked for again; `None` is never.
    pub lifetime: Option<Duration>,
    /// How often a client's token is replaced by a fresh one.
    pub renewal: Duration,
}

impl EndpointSpec {
    /// An endpoint with the defaults for everything that has one.
    pub fn new(
        name: impl Into<String>,
        client_cidr_block: impl Into<Option<Ipv4Network>>,
        server_certificate: impl Into<Pem>,
        server_private_key: impl Into<Pem>,
        authentication: Authentication,
    ) -> Self {
        let session_timeout = Some(Duration::from_secs(24 * 3600));
        let renegotiation = Some(Duration::from_secs(3600));
        let auth_token = authentication.password().is_some().then(|| AuthToken {
            key: None,
            lifetime: session_timeout,
            renewal: Duration::from_secs(3600),
        });
        Self {
            name: name.into(),
            description: None,
            client_cidr_block: client_cidr_block.into(),
            client_ipv6_cidr_block: None,
            transport_protocol: TransportProtocols::Udp,
            listen_addresses: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            vpn_port: DEFAULT_VPN_PORT,
            device: "cvpn0".into(),
            server_certificate: server_certificate.into(),
            server_private_key: server_private_key.into(),
            authentication,
            connect_handler: None,
            connection_log: None,
            control_channel: ControlChannel::Plain,
            tls_version_min: TlsVersion::Tls12,
            data_ciphers: DataCipher::DEFAULT.to_vec(),
            data_epoch: true,
            tls_key_export: true,
            legacy_cbc: None,
            dns_servers: Vec::new(),
            domains: Vec::new(),
            split_tunnel: false,
            session_timeout,
            disconnect_on_session_timeout: false,
            banner: None,
            target_networks: Vec::new(),
            routes: Vec::new(),
            authorization_rules: Vec::new(),
            rule_evaluation: RuleEvaluation::default(),
            client_to_client: false,
            client_to_client_ipv6: false,
            egress: None,
            keepalive: Keepalive::default(),
            handshake_window: Duration::from_secs(60),
            renegotiation,
            auth_token,
            max_clients: None,
            tun_mtu: 1500,
            mssfix: Mssfix::default(),
            duplicate_cn: true,
            static_addresses: Vec::new(),
            push: Vec::new(),
        }
    }
}

impl EndpointSpec {
    /// Where client addresses come from, of both families.
    pub fn client_blocks(&self) -> impl Iterator<Item = IpNetwork> {
        let v4 = self.client_cidr_block.map(IpNetwork::V4);
        v4.into_iter()
            .chain(self.client_ipv6_cidr_block.map(IpNetwork::V6))
    }
}

/// An endpoint that can work. Reads like its [`EndpointSpec`]; to change one, clone the specification,
/// change that and validate again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointConfig {
    spec: EndpointSpec,
}

impl Deref for EndpointConfig {
    type Target = EndpointSpec;

    fn deref(&self) -> &EndpointSpec {
        &self.spec
    }
}

impl EndpointConfig {
    /// The wish this endpoint fulfils, to be changed and validated again.
    pub fn into_spec(self) -> EndpointSpec {
        self.spec
    }

    /// What stands in the way of this endpoint beside another one on the same machine.
    pub fn conflicts(&self, other: &Self) -> Vec<FieldProblem> {
        let conflicts = self.conflicts_with(other).into_iter();
        conflicts.map(|(field, fault)| fault.at(field)).collect()
    }

    pub(crate) fn conflicts_with(&self, other: &Self) -> Vec<(&'static str, Fault)> {
        conflict::conflicts(self, other)
    }

    /// The server's own IPv4 address in the tunnel: the first host of the client CIDR.
    pub fn server_v4(&self) -> Option<Ipv4Addr> {
        self.client_cidr_block
            .map(|block| Ipv4Addr::from_bits(block.network().to_bits() | 1))
    }

    /// The server's own IPv6 address in the tunnel.
    pub fn server_v6(&self) -> Option<Ipv6Addr> {
        self.client_ipv6_cidr_block
            .map(|block| Ipv6Addr::from_bits(block.network().to_bits() | 1))
    }

    /// Client addresses of this endpoint, sticky by identity.
    pub fn pool_config(&self) -> PoolConfig {
        PoolConfig {
            v4: self.client_cidr_block,
            v6: self.client_ipv6_cidr_block,
            sticky: true,
        }
    }

    /// A pool of the endpoint's addresses with the static ones set aside.
    ///
    /// # Errors
    /// None that validation has not excluded already.
    pub fn build_pool(&self) -> Result<Pool, culvert_pool::PoolError> {
        let mut pool = Pool::new(self.pool_config())?;
        for client in &self.static_addresses {
            pool.reserve_static(client.address())?;
        }
        Ok(pool)
    }

    /// The fixed address of an identity, when it has one.
    pub fn static_address(&self, identity: &str) -> Option<StaticAddress> {
        self.static_addresses
            .iter()
            .find(|entry| entry.client == identity)
            .map(StaticClient::address)
    }

    /// Most clients connected at once: what was asked for, or what the client CIDRs hold.
    pub fn effective_max_clients(&self) -> u32 {
        self.max_clients.unwrap_or_else(|| self.pool_config().capacity())
    }

    /// The route table: target networks come first (where their routes are automatic), then the routes given.
    /// In split-tunnel mode exactly these are pushed.
    pub fn route_table(&self) -> Vec<IpNetwork> {
        let targets = self.target_networks.iter();
        let automatic = targets
            .filter(|network| network.automatic_route)
            .map(|network| network.cidr);
        let mut table: Vec<IpNetwork> = Vec::new();
        for destination in automatic.chain(self.routes.iter().map(|route| route.destination_cidr)) {
            if !table.contains(&destination) {
                table.push(destination);
            }
        }
        table
    }

    /// Every destination the endpoint forwards to: the route table and, with `client_to_client`, the client CIDRs, where a rule
    /// allows it; and the server's own tunnel addresses.
    pub fn forwarded_destinations(&self) -> Vec<IpNetwork> {
        let mut destinations = self.route_table();
        destinations.extend(self.server_v4().map(|v4| IpNetwork::from(IpAddr::V4(v4))));
        destinations.extend(self.server_v6().map(|v6| IpNetwork::from(IpAddr::V6(v6))));
        if self.client_to_client {
            destinations.extend(self.client_cidr_block.map(IpNetwork::from));
        }
        if self.client_to_client_ipv6 {
            destinations.extend(self.client_ipv6_cidr_block.map(IpNetwork::from));
        }
        destinations
    }

    /// The authorization rules over [`Self::forwarded_destinations`], compiled for the packet path.
    pub fn policy(&self) -> Arc<Policy> {
        Policy::compile_as(
            self.rule_evaluation,
            &self.authorization_rules,
            &self.forwarded_destinations(),
        )
    }

    /// Whether what a client may reach depends on its groups.
    pub fn has_group_rules(&self) -> bool {
        let mut rules = self.authorization_rules.iter();
        rules.any(|rule| matches!(rule.access, Access::Group(_)))
    }

    /// Destinations whose packets leave with the server's address instead of the client's.
    pub fn nat_rules(&self) -> Vec<NatRule> {
        let mut rules = Vec::new();
        for network in self.target_networks.iter().filter(|network| network.nat) {
            let interface = network.interface.clone();
            rules.push(NatRule {
                destination: network.cidr,
                interface: interface.clone(),
            });
            let through = self
                .routes
                .iter()
                .filter(|route| route.target_network == network.cidr);
            rules.extend(through.map(|route| NatRule {
                destination: route.destination_cidr,
                interface: interface.clone(),
            }));
        }
        rules
    }
}
