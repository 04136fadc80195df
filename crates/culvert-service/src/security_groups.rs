//! The security groups in the store.
//!
//! ```text
//! /ec2/<id>   a security group with its rules
//! ```
//!
//! Those of the configuration are not kept: they are shown beside these, and changed where they are declared.

use std::collections::BTreeMap;
use std::sync::Arc;

use culvert_query::{ApiError, ErrorCode};
use culvert_store::{Compare, Key, KeyRange, Op, RangeRequest, Revision, Store, Txn};
use ipnetwork::{IpNetwork, Ipv4Network};

use crate::environment::{Environment, IpProtocol};
use crate::error::ServiceError;
use crate::id::{SecurityGroupId, SecurityGroupRuleId, is_resource_id};
use crate::operations::tags;
use crate::record;
use crate::registry::{ANY_CHANGE, Listing, Registry};
use crate::retry::tries;
use crate::security_group::{Direction, SecurityGroup, SecurityGroupRule, checked_text};

/// Between those of revocation lists and endpoints, so that one range has all that endpoints are run with.
pub(crate) const PREFIX: &str = "/ec2/";
/// Most groups: all are read whenever one is looked up.
const MAX_GROUPS: usize = 500;
/// The name of the group that applies where none is chosen; each VPC has one in the configuration.
const DEFAULT: &str = "default";

/// What a new group is to be.
#[derive(Clone, Debug)]
pub struct CreateSecurityGroup {
    /// Its VPC.
    pub vpc_id: String,
    /// Name.
    pub name: String,
    /// Text for people.
    pub description: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// The security groups in the store. Calls block.
#[derive(Clone)]
pub struct SecurityGroups {
    store: Arc<dyn Store>,
}

impl SecurityGroups {
    /// Groups in this store, which also holds the endpoints that use them.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// All of them, by id.
    ///
    /// # Errors
    /// [`ServiceError::Store`], [`ServiceError::Record`].
    pub fn list(&self) -> Result<Vec<SecurityGroup>, ServiceError> {
        let response = self.store.range(&RangeRequest::from(KeyRange::prefix(PREFIX)))?;
        let read = |kv: &culvert_store::KeyValue| record::read(&kv.key, &kv.value);
        response.kvs.iter().map(read).collect()
    }

    /// Makes a group that allows clients everything, by a rule with this id.
    ///
    /// # Errors
    /// `InvalidVpcID.NotFound`, `InvalidParameterValue`, `InvalidGroup.Reserved`, `InvalidGroup.Duplicate`,
    /// `SecurityGroupLimitExceeded`, `TagLimitExceeded`, and [`ServiceError`].
    pub fn create(
        &self,
        request: &CreateSecurityGroup,
        environment: &Environment,
        id: SecurityGroupId,
        rule_id: SecurityGroupRuleId,
    ) -> Result<SecurityGroup, ServiceError> {
        let group = made(request, environment, id, rule_id)?;
        let key = key(&group.id);
        let value = record::write(&key, &group)?;
        for () in tries() {
            let listing = self.listing()?;
            let all = environment.with_security_groups(self.list()?).security_groups;
            check_room(&all, &group)?;
            // Another of the same name that is made meanwhile moves the mark.
            let txn = Txn::new()
                .when(Compare::absent(key.clone()))
                .when(Compare::unchanged(ANY_CHANGE, listing.changed))
                .then(Op::put(key.clone(), value.clone()))
                .then(Op::put(ANY_CHANGE, ""));
            if self.store.txn(&txn)?.succeeded {
                return Ok(group);
            }
        }
        Err(ServiceError::Contended)
    }

    /// Deletes a group that no endpoint uses.
    ///
    /// # Errors
    /// `InvalidGroupId.Malformed`, `InvalidGroup.NotFound`, `UnsupportedOperation` for one that the configuration
    /// declares, `DependencyViolation`, and [`ServiceError`].
    pub fn delete(&self, id: &str, environment: &Environment) -> Result<(), ServiceError> {
        for () in tries() {
            let listing = self.listing()?;
            let (_, revision) = self.find(id, environment)?;
            let mut endpoints = listing.endpoints.iter().map(|stored| &stored.endpoint);
            if let Some(user) =
                endpoints.find(|endpoint| endpoint.security_group_ids.iter().any(|used| used == id))
            {
                let message = format!(
                    "The security group {id} is in use by {}; apply others to that or delete it first",
                    user.id
                );
                return Err(ApiError::new(ErrorCode::DependencyViolation, message).into());
            }
            // An endpoint that is given it meanwhile moves the mark, and one that is given it later looks for it.
            let txn = Txn::new()
                .when(Compare::unchanged(key(id), revision))
                .when(Compare::unchanged(ANY_CHANGE, listing.changed))
                .then(Op::delete(key(id)))
                .then(Op::put(ANY_CHANGE, ""));
            if self.store.txn(&txn)?.succeeded {
                return Ok(());
            }
        }
        Err(ServiceError::Contended)
    }

    /// Changes a group. `change` may be called several times, each time with the group as it is.
    ///
    /// # Errors
    /// `InvalidGroupId.Malformed`, `InvalidGroup.NotFound`, `UnsupportedOperation` for one that the configuration
    /// declares, what `change` refuses, and [`ServiceError`]. Nothing has changed then.
    pub fn change<T>(
        &self,
        id: &str,
        environment: &Environment,
        change: impl Fn(&mut SecurityGroup) -> Result<T, ApiError>,
    ) -> Result<T, ServiceError> {
        for () in tries() {
            let (mut group, revision) = self.find(id, environment)?;
            let answer = change(&mut group)?;
            let key = key(id);
            let value = record::write(&key, &group)?;
            let txn = Txn::new()
                .when(Compare::unchanged(key.clone(), revision))
                .then(Op::put(key, value));
            if self.store.txn(&txn)?.succeeded {
                return Ok(answer);
            }
        }
        Err(ServiceError::Contended)
    }

    /// The group with this id, and the revision of its last change.
    fn find(&self, id: &str, environment: &Environment) -> Result<(SecurityGroup, Revision), ServiceError> {
        if !is_resource_id(id, SecurityGroupId::PREFIX) {
            let message = format!("Invalid id {id:?}: a security group's is sg- and 8 or 17 hex digits");
            return Err(ApiError::new(ErrorCode::InvalidGroupIdMalformed, message).into());
        }
        if environment.security_group(id).is_some_and(|group| group.declared) {
            return Err(declared(id).into());
        }
        let range = RangeRequest::from(KeyRange::single(key(id)));
        let response = self.store.range(&range)?;
        let kv = response.kvs.first().ok_or_else(|| {
            let message = format!("The security group {id:?} does not exist");
            ApiError::new(ErrorCode::InvalidGroupNotFound, message)
        })?;
        Ok((record::read(&kv.key, &kv.value)?, kv.mod_revision))
    }

    fn listing(&self) -> Result<Listing, ServiceError> {
        Registry::new(Arc::clone(&self.store)).listing()
    }
}

fn made(
    request: &CreateSecurityGroup,
    environment: &Environment,
    id: SecurityGroupId,
    rule_id: SecurityGroupRuleId,
) -> Result<SecurityGroup, ApiError> {
    let refuse = |code, message: String| Err(ApiError::new(code, message));
    checked_text("GroupName", &request.name)?;
    checked_text("GroupDescription", &request.description)?;
    if request.name.eq_ignore_ascii_case(DEFAULT) {
        let message =
            "The name \"default\" is kept for the group that applies where none is chosen; use another one";
        return refuse(ErrorCode::InvalidGroupReserved, message.to_owned());
    }
    if request.name.is_empty() || request.name.starts_with(SecurityGroupId::PREFIX) {
        let message = "GroupName: it must not be empty or begin with sg-";
        return refuse(ErrorCode::InvalidParameterValue, message.to_owned());
    }
    if environment.vpc(&request.vpc_id).is_none() {
        let message = format!("The VPC {:?} does not exist", request.vpc_id);
        return refuse(ErrorCode::InvalidVpcIdNotFound, message);
    }
    Ok(SecurityGroup {
        id: id.into(),
        vpc_id: request.vpc_id.clone(),
        name: request.name.clone(),
        description: request.description.clone(),
        rules: vec![everything(rule_id)],
        tags: tags::checked(request.tags.clone())?,
        declared: false,
    })
}

/// The rule that a new group has.
fn everything(id: SecurityGroupRuleId) -> SecurityGroupRule {
    let unspecified = Ipv4Network::from(std::net::Ipv4Addr::UNSPECIFIED);
    // Shortening a prefix always works.
    let all = Ipv4Network::new(unspecified.ip(), 0).unwrap_or(unspecified);
    SecurityGroupRule {
        id,
        direction: Direction::Egress,
        network: IpNetwork::V4(all),
        protocol: IpProtocol::All,
        description: None,
        tags: BTreeMap::new(),
    }
}

/// Whether a group may come to those there are.
fn check_room(all: &[SecurityGroup], group: &SecurityGroup) -> Result<(), ApiError> {
    let mut same = all.iter().filter(|other| other.vpc_id == group.vpc_id);
    if let Some(other) = same.find(|other| other.name == group.name) {
        let message = format!(
            "The security group {:?} exists already in the VPC {}: {}",
            group.name, group.vpc_id, other.id
        );
        return Err(ApiError::new(ErrorCode::InvalidGroupDuplicate, message));
    }
    if all.len() >= MAX_GROUPS {
        let message =
            format!("There are {MAX_GROUPS} security groups, the most there may be; delete one first");
        return Err(ApiError::new(ErrorCode::SecurityGroupLimitExceeded, message));
    }
    Ok(())
}

fn declared(id: &str) -> ApiError {
    let message = format!(
        "The security group {id} is declared in the configuration file, or follows from a VPC there; change it there and reload"
    );
    ApiError::new(ErrorCode::UnsupportedOperation, message)
}

fn key(id: &str) -> Key {
    Key::from(format!("{PREFIX}{id}").as_str())
}

#[cfg(test)]
mod tests;
