//! What belongs to an endpoint and comes and goes on its own: target networks, routes, rules, the revocation list.

use culvert_policy::Service;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;

use crate::id::AssociationId;

/// An endpoint's association with a target network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Association {
    /// Its id.
    pub id: AssociationId,
    /// The subnet.
    pub subnet_id: String,
    /// The subnet's VPC.
    pub vpc_id: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// Where it is in its life.
    pub state: AssociationState,
}

/// Where an association is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AssociationState {
    /// Wished for.
    Associating,
    /// In force.
    Associated,
    /// Can't be put in force, for this reason.
    Failed(String),
    /// On its way out.
    Disassociating,
}

/// Where packets to a destination go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The destination.
    pub destination: IpNetwork,
    /// What it is reached through.
    pub target: RouteTarget,
    /// Why it is there.
    pub origin: Origin,
    /// Text for people.
    pub description: Option<String>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// Where it is in its life.
    pub state: RouteState,
}

/// What a destination is reached through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RouteTarget {
    /// A subnet the endpoint is associated with, by id.
    Subnet(String),
    /// The endpoint itself: client to client.
    Local,
}

/// Why a route is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// It came with an association.
    Associate,
    /// Somebody added it.
    AddRoute,
}

/// Where a route is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteState {
    /// Wished for.
    Creating,
    /// In force.
    Active,
    /// Can't be put in force, for this reason.
    Failed(String),
    /// On its way out.
    Deleting,
}

/// A rule that allows some or all clients to reach a network. Its identity is network and access together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRule {
    /// The network.
    pub destination: IpNetwork,
    /// Who may reach it.
    pub access: Access,
    /// What it is limited to; empty: everything.
    #[serde(default, with = "services")]
    pub services: Vec<Service>,
    /// Text for people.
    pub description: Option<String>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    /// Where it is in its life.
    pub state: RuleState,
}

/// Services as they are written.
mod services {
    use serde::de::Error;

    use super::*;

    pub(super) fn serialize<S: Serializer>(services: &[Service], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(services.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Service>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts
            .iter()
            .map(|text| text.parse().map_err(D::Error::custom))
            .collect()
    }
}

/// Who a rule admits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Access {
    /// Every client.
    AllUsers,
    /// Clients in this group.
    Group(String),
}

/// Where a rule is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleState {
    /// Wished for.
    Authorizing,
    /// In force.
    Active,
    /// Can't be put in force, for this reason.
    Failed(String),
    /// On its way out.
    Revoking,
}

/// What an endpoint knows of its revocation list, which is kept apart as a [`Crl`](crate::Crl).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCrl {
    /// SHA-256 of the list, in hex.
    pub digest: String,
    /// Its number, in hex, if it has one.
    pub number: Option<String>,
    /// Whether it is in force.
    pub state: CrlState,
}

/// Whether a revocation list is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CrlState {
    /// Not yet; with the reason if it can't be.
    Pending(Option<String>),
    /// It is.
    Active,
}
