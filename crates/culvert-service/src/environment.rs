//! What an account would provide: the networks, security groups and directories that endpoints refer to, and the
//! quotas. It comes from the operator's configuration; only security groups may be kept in the store, too.

use ipnetwork::{Ipv4Network, Ipv6Network};

pub use culvert_config::{EgressRule, IpProtocol, ListenAddress, PortRange, Quotas, Vpc};

use crate::security_group::SecurityGroup;

/// The surroundings of endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The account, 12 digits.
    pub account_id: String,
    /// The region, `us-east-1` for instance.
    pub region: String,
    /// Name or address clients reach every endpoint by; `None`: each has a DNS name of its own.
    pub host: Option<String>,
    /// The addresses of this machine that endpoints are given, one to each; empty: each listens on all there are.
    pub listen: Vec<ListenAddress>,
    /// Whether each endpoint listens on UDP and on TCP, whichever it is made for.
    pub both_transports: bool,
    /// Name or address clients reach every endpoint by over IPv6, where `host` doesn't lead there.
    pub ipv6_host: Option<String>,
    /// Where the IPv6 addresses of clients come from: each endpoint that carries IPv6 is given a /64 of it.
    pub client_ipv6_range: Ipv6Network,
    /// The VPCs.
    pub vpcs: Vec<Vpc>,
    /// The subnets, each in one of the VPCs.
    pub subnets: Vec<Subnet>,
    /// The security groups, among them one named `default` for each VPC.
    pub security_groups: Vec<SecurityGroup>,
    /// The directories that check passwords.
    pub directories: Vec<Directory>,
    /// Names of the connect handlers, `AWSClientVPN-posture` for instance. Whom each asks is the daemon's business.
    pub connect_handlers: Vec<String>,
    /// Names of the log groups, `/vpn/office` for instance. Where each is kept is the daemon's business.
    pub log_groups: Vec<String>,
    /// What there may be at most.
    pub quotas: Quotas,
}

impl Environment {
    /// The same with these security groups beside its own, which have precedence.
    pub fn with_security_groups(&self, groups: Vec<SecurityGroup>) -> Self {
        let mut environment = self.clone();
        let more = groups
            .into_iter()
            .filter(|group| self.security_group(&group.id).is_none());
        environment.security_groups.extend(more);
        environment
    }

    /// The VPC with this id.
    pub fn vpc(&self, id: &str) -> Option<&Vpc> {
        self.vpcs.iter().find(|vpc| vpc.id == id)
    }

    /// The subnet with this id.
    pub fn subnet(&self, id: &str) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.id == id)
    }

    /// The security group with this id.
    pub fn security_group(&self, id: &str) -> Option<&SecurityGroup> {
        self.security_groups.iter().find(|group| group.id == id)
    }

    /// The security group that applies where none is named.
    pub fn default_security_group(&self, vpc_id: &str) -> Option<&SecurityGroup> {
        let mut groups = self.security_groups.iter();
        groups.find(|group| group.vpc_id == vpc_id && group.name == "default")
    }

    /// The directory with this id.
    pub fn directory(&self, id: &str) -> Option<&Directory> {
        self.directories.iter().find(|directory| directory.id == id)
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
    /// Whether clients' addresses are replaced by this machine's on the way in.
    pub nat: bool,
    /// Owner, where that is another account.
    pub owner_id: Option<String>,
}

/// A directory: who judges user names and passwords. How it does is the daemon's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// `d-` and 10 letters or digits.
    pub id: String,
}
