//! What an account would provide to endpoints that are managed at run time: networks, security groups, directories; and
//! the API they are managed through.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use sha2::{Digest, Sha256};

use crate::endpoint::{CertificateGroups, ConnectHandler, LogGroup, PasswordCheck};

/// The surroundings of endpoints that are managed at run time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// The account.
    pub account: Account,
    /// The VPCs.
    pub vpcs: Vec<Vpc>,
    /// The subnets, each in one of the VPCs; no two share an address.
    pub subnets: Vec<Subnet>,
    /// The security groups, among them one named `default` for each VPC.
    pub security_groups: Vec<SecurityGroup>,
    /// The directories that judge user names and passwords.
    pub directories: Vec<Directory>,
    /// The connect handlers that may be asked about clients.
    pub connect_handlers: Vec<ConnectHandler>,
    /// The log groups that connection logs may go to.
    pub log_groups: Vec<LogGroup>,
    /// What there may be at most.
    pub quotas: Quotas,
}

/// Whose endpoints they are, and how changes of them come into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// 12 digits.
    pub id: String,
    /// Lower-case letters, digits and dashes, `us-east-1` for instance.
    pub region: String,
    /// Name or address clients reach every endpoint by; `None`: each has a DNS name of its own.
    pub host: Option<String>,
    /// The addresses of this machine that endpoints are given, one to each; empty: each listens on all there are.
    pub listen: Vec<ListenAddress>,
    /// Whether each endpoint listens on UDP and on TCP, whichever it is made for.
    pub both_transports: bool,
    /// Name or address clients reach every endpoint by over IPv6, where `host` doesn't lead there.
    pub ipv6_host: Option<String>,
    /// Which changes end connections.
    pub resets: Resets,
    /// What of client certificates names groups; `None`: nothing does.
    pub certificate_groups: Option<CertificateGroups>,
    /// Where the IPv6 addresses of clients come from: each endpoint that carries IPv6 is given a /64 of it.
    pub client_ipv6_range: Ipv6Network,
}

/// The unique local addresses that are assigned locally (RFC 4193).
pub const UNIQUE_LOCAL: Ipv6Network =
    Ipv6Network::new_checked(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0), 8).expect("8 is a prefix");

impl Default for Account {
    fn default() -> Self {
        Self {
            id: "000000000000".into(),
            region: "us-east-1".into(),
            host: None,
            listen: Vec::new(),
            both_transports: false,
            ipv6_host: None,
            resets: Resets::Live,
            certificate_groups: None,
            client_ipv6_range: UNIQUE_LOCAL,
        }
    }
}

/// An address of this machine, for one endpoint or for several that listen on different ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// The address.
    pub address: Ipv4Addr,
    /// Name or address clients reach it by, where that is another.
    pub host: Option<String>,
}

/// Which changes of an endpoint end its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resets {
    /// Only those that can't be made without.
    Live,
    /// Those that do on AWS: of server certificate, DNS servers, split tunnel, routes of a split tunnel, revocation list,
    /// authorization rules and port.
    Strict,
}

/// Where the API is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Address and port; one of the loopback interface where there is no certificate.
    pub listen: SocketAddr,
    /// Serves HTTPS; `None`: HTTP.
    pub tls: Option<ApiCertificate>,
    /// File of the access keys.
    pub access_keys: PathBuf,
}

/// What the API shows to its callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiCertificate {
    /// Certificate with its chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub private_key: PathBuf,
}

/// A network of the operator's, of which subnets are parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vpc {
    /// `vpc-` and 8 or 17 hex digits.
    pub id: String,
    /// Its address blocks, at least one; the first is the primary one.
    pub cidr_blocks: Vec<Ipv4Network>,
    /// Its IPv6 blocks.
    pub ipv6_cidr_blocks: Vec<Ipv6Network>,
}

impl Vpc {
    pub(crate) fn contains(&self, network: IpNetwork) -> bool {
        match network {
            IpNetwork::V4(v4) => self.cidr_blocks.iter().any(|block| v4.is_subnet_of(*block)),
            IpNetwork::V6(v6) => self.ipv6_cidr_blocks.iter().any(|block| v6.is_subnet_of(*block)),
        }
    }

    /// All its blocks.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = IpNetwork> {
        let v4 = self.cidr_blocks.iter().map(|block| IpNetwork::V4(*block));
        v4.chain(self.ipv6_cidr_blocks.iter().map(|block| IpNetwork::V6(*block)))
    }
}

/// A network behind this machine that endpoints may be associated with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-` and 8 or 17 hex digits.
    pub id: String,
    /// The VPC it belongs to.
    pub vpc_id: String,
    /// Its addresses.
    pub cidr_block: Ipv4Network,
    /// Its IPv6 addresses.
    pub ipv6_cidr_block: Option<Ipv6Network>,
    /// Zone, `us-east-1a` for instance: an endpoint has one subnet in each.
    pub availability_zone: String,
    /// The zone's id, `use1-az1` for instance.
    pub availability_zone_id: String,
    /// Interface it is behind; `None` leaves it to the system's routes.
    pub interface: Option<String>,
    /// Whether clients' IPv4 addresses are replaced by this machine's on the way in.
    pub nat: bool,
    /// The same for IPv6 addresses.
    pub ipv6_nat: bool,
}

impl Subnet {
    /// All its blocks.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = IpNetwork> {
        let v6 = self.ipv6_cidr_block.map(IpNetwork::V6);
        [Some(IpNetwork::V4(self.cidr_block)), v6].into_iter().flatten()
    }
}

/// A security group: what clients it applies to may begin with the networks behind an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityGroup {
    /// `sg-` and 8 or 17 hex digits.
    pub id: String,
    /// The VPC it belongs to.
    pub vpc_id: String,
    /// Name, unique in its VPC.
    pub name: String,
    /// Text for people.
    pub description: String,
    /// What may be begun; nothing else may.
    pub egress: Vec<EgressRule>,
}

/// The name of the group that applies where none is chosen.
pub(crate) const DEFAULT_GROUP: &str = "default";

impl SecurityGroup {
    /// The group of a VPC whose operator declared none: everything is allowed. Its id follows from the VPC's.
    pub(crate) fn default_of(vpc_id: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"culvert default security group\0");
        hash.update(vpc_id.as_bytes());
        let digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            id: format!("sg-{}", digits.get(..17).unwrap_or(&digits)),
            vpc_id: vpc_id.to_owned(),
            name: DEFAULT_GROUP.into(),
            description: "default VPC security group".into(),
            egress: EgressRule::everything(),
        }
    }
}

/// Something that may be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EgressRule {
    /// Towards this network.
    pub destination: IpNetwork,
    /// With this protocol.
    pub protocol: IpProtocol,
}

impl EgressRule {
    /// All traffic of both families.
    pub(crate) fn everything() -> Vec<Self> {
        let all = |destination| Self {
            destination,
            protocol: IpProtocol::All,
        };
        let v4 = Ipv4Network::from(Ipv4Addr::UNSPECIFIED);
        let v6 = Ipv6Network::from(Ipv6Addr::UNSPECIFIED);
        // Shortening a prefix always works.
        let v4 = Ipv4Network::new(v4.ip(), 0).unwrap_or(v4);
        let v6 = Ipv6Network::new(v6.ip(), 0).unwrap_or(v6);
        vec![all(v4.into()), all(v6.into())]
    }
}

/// A protocol over IP, and which of its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpProtocol {
    /// Everything.
    All,
    /// TCP to these ports.
    Tcp(PortRange),
    /// UDP to these ports.
    Udp(PortRange),
    /// ICMP and ICMPv6.
    Icmp,
    /// ICMP messages of one type, and of one code if it is given; ICMPv6 messages where the network is one of IPv6.
    IcmpType {
        /// The type, 8 for an echo request for instance.
        kind: u8,
        /// The code.
        code: Option<u8>,
    },
}

/// Destination ports from first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last; not below the first.
    pub last: u16,
}

/// A directory: who judges user names and passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// `d-` and 10 lower-case letters or digits.
    pub id: String,
    /// How they are judged.
    pub check: PasswordCheck,
}

/// What there may be at most of what is managed at run time. The defaults are those of AWS.
///
/// Source: AWS Client VPN Administrator Guide, "Quotas".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Endpoints.
    pub endpoints: usize,
    /// Authorization rules of an endpoint.
    pub authorization_rules: usize,
    /// Routes of a target network association.
    pub routes_per_association: usize,
    /// Entries of a revocation list.
    pub crl_entries: usize,
    /// Security groups of an endpoint.
    pub security_groups: usize,
    /// Connections of a user that one call may end.
    pub terminate_connections: usize,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            endpoints: 5,
            authorization_rules: 200,
            routes_per_association: 100,
            crl_entries: 20_000,
            security_groups: 5,
            terminate_connections: 5,
        }
    }
}

/// The id of a zone as AWS forms it: `use1-az2` for `us-east-1b`. A zone whose name isn't the region's and a letter is its
/// own id.
pub(crate) fn zone_id(region: &str, zone: &str) -> String {
    let letter = zone.strip_prefix(region).map(str::as_bytes);
    let Some(&[letter @ b'a'..=b'z']) = letter else {
        return zone.to_owned();
    };
    let parts: Vec<&str> = region.split('-').collect();
    let last = parts.len().saturating_sub(1);
    let short: String = parts
        .iter()
        .enumerate()
        .map(|(index, part)| match *part {
            _ if index == 0 || index == last => part,
            "north" => "n",
            "south" => "s",
            "east" => "e",
            "west" => "w",
            "central" => "c",
            "northeast" => "ne",
            "northwest" => "nw",
            "southeast" => "se",
            "southwest" => "sw",
            "gov" => "g",
            other => other,
        })
        .collect();
    format!("{short}-az{}", letter - b'a' + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_numbered_within_a_short_form_of_their_region() {
        for (region, zone, id) in [
            ("us-east-1", "us-east-1a", "use1-az1"),
            ("ap-northeast-1", "ap-northeast-1c", "apne1-az3"),
            ("us-gov-west-1", "us-gov-west-1b", "usgw1-az2"),
            ("local-1", "local-1a", "local1-az1"),
            ("lab", "laba", "lab-az1"),
            ("us-east-1", "rack-7", "rack-7"),
            ("us-east-1", "us-east-1", "us-east-1"),
        ] {
            assert_eq!(zone_id(region, zone), id, "{zone}");
        }
    }

    #[test]
    fn each_vpc_has_a_default_group_of_its_own_that_stays_the_same() {
        let group = SecurityGroup::default_of("vpc-0123456789abcdef0");
        assert_eq!(group, SecurityGroup::default_of("vpc-0123456789abcdef0"));
        assert_ne!(group.id, SecurityGroup::default_of("vpc-0123456789abcdef1").id);
        assert_eq!(group.id.len(), "sg-".len() + 17);
        let everything: Vec<String> = group
            .egress
            .iter()
            .map(|rule| rule.destination.to_string())
            .collect();
        assert_eq!(everything, ["0.0.0.0/0", "::/0"]);
    }
}
