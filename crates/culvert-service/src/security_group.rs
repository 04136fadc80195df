//! Security groups: what clients may begin with the networks behind an endpoint.

mod change;

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::environment::{EgressRule, IpProtocol, PortRange};
use crate::id::SecurityGroupRuleId;

pub(crate) use change::checked_text;
pub use change::{Permission, Revocation};

/// A security group, declared in the configuration or kept in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// `sg-` and 8 or 17 hex digits.
    pub id: String,
    /// The VPC it belongs to.
    pub vpc_id: String,
    /// Name, unique in its VPC.
    pub name: String,
    /// Text for people.
    pub description: String,
    /// What is allowed, in the order it was added; nothing else is.
    pub rules: Vec<SecurityGroupRule>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Whether it comes from the configuration, which is where it is changed then.
    #[serde(skip)]
    pub declared: bool,
}

impl SecurityGroup {
    /// The rules of one direction.
    pub fn rules(&self, direction: Direction) -> impl Iterator<Item = &SecurityGroupRule> {
        self.rules.iter().filter(move |rule| rule.direction == direction)
    }

    /// What clients may begin.
    pub fn egress(&self) -> impl Iterator<Item = EgressRule> {
        self.rules(Direction::Egress).map(|rule| EgressRule {
            destination: rule.network,
            protocol: rule.protocol,
        })
    }
}

/// One that the configuration declares. Its rules have ids that stay as long as they do.
impl From<&culvert_config::SecurityGroup> for SecurityGroup {
    fn from(group: &culvert_config::SecurityGroup) -> Self {
        let rule = |rule: &EgressRule| SecurityGroupRule {
            id: declared_id(&group.id, rule),
            direction: Direction::Egress,
            network: rule.destination,
            protocol: rule.protocol,
            description: None,
            tags: BTreeMap::new(),
        };
        Self {
            id: group.id.clone(),
            vpc_id: group.vpc_id.clone(),
            name: group.name.clone(),
            description: group.description.clone(),
            rules: group.egress.iter().map(rule).collect(),
            tags: BTreeMap::new(),
            declared: true,
        }
    }
}

/// The id of a declared rule follows from what it says.
fn declared_id(group: &str, rule: &EgressRule) -> SecurityGroupRuleId {
    let hash = digest(&SHA256, format!("{group} {rule:?}").as_bytes());
    let mut id = [0; 9];
    for (byte, from) in id.iter_mut().zip(hash.as_ref()) {
        *byte = *from;
    }
    SecurityGroupRuleId::from_random(id)
}

/// Which way what a rule allows is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    /// By clients, towards the networks.
    Egress,
    /// From the networks, towards clients. Such rules are kept and shown, and decide nothing: what may be begun with a
    /// client is what authorization rules say.
    Ingress,
}

/// One rule of a security group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    /// Its id.
    pub id: SecurityGroupRuleId,
    /// Its direction.
    pub direction: Direction,
    /// The other side.
    pub network: IpNetwork,
    /// With this protocol.
    #[serde(with = "StoredProtocol")]
    pub protocol: IpProtocol,
    /// Text for people.
    pub description: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A protocol as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(remote = "IpProtocol")]
enum StoredProtocol {
    All,
    Tcp(#[serde(with = "StoredPorts")] PortRange),
    Udp(#[serde(with = "StoredPorts")] PortRange),
    Icmp,
    IcmpType { kind: u8, code: Option<u8> },
}

/// Ports as they are kept.
#[derive(Serialize, Deserialize)]
#[serde(remote = "PortRange")]
struct StoredPorts {
    first: u16,
    last: u16,
}

#[cfg(test)]
mod tests;
