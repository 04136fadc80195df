//! Associations with target networks, and the security groups that apply to them.

use culvert_query::params::Filter;
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{Association, AssociationId, ServiceError};

use crate::form::{filled, owned_texts, unsupported};
use crate::listing::{Listing, position};
use crate::render::{self, status};
use crate::task::Task;

const FILTERS: &[&str] = &["association-id", "target-network-id", "vpc-id"];

/// `AssociateClientVpnTargetNetwork`.
pub(crate) fn associate(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    for member in ["AvailabilityZone", "AvailabilityZoneId"] {
        if filled(&task.form, member).is_some() {
            let cure = "zones are named only with transit gateways; name a subnet with SubnetId";
            return Err(unsupported(member, cure).into());
        }
    }
    let subnet = task.form.required("SubnetId")?;
    let repeat = task.repeat()?;
    task.ready()?;
    let id = AssociationId::from_random(task.call.id_bytes());
    let association = task.change(repeat.as_ref(), endpoint_id, |endpoint| {
        endpoint.associate(&task.environment, subnet, id.clone(), task.call.now)
    })?;
    answer(task, &association)
}

/// `DisassociateClientVpnTargetNetwork`.
pub(crate) fn disassociate(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    let id = task.form.required("AssociationId")?;
    task.ready()?;
    let association = task.change(None, endpoint_id, |endpoint| endpoint.disassociate(id))?;
    answer(task, &association)
}

fn answer(task: &Task<'_>, association: &Association) -> Result<Vec<u8>, ServiceError> {
    task.answer(|root| {
        root.text("associationId", association.id.as_str());
        status(root, render::association_state(&association.state));
    })
}

/// `DescribeClientVpnTargetNetworks`.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    let ids = task.form.texts("AssociationIds");
    let mut scope = vec![endpoint_id];
    scope.extend(&ids);
    let listing = Listing::read(task, FILTERS, &scope)?;
    task.ready()?;
    let endpoint = task.endpoint(endpoint_id)?;
    let known = |id: &str| endpoint.associations.iter().any(|one| one.id.as_str() == id);
    if let Some(unknown) = ids.iter().find(|id| !known(id)) {
        let message = format!("The Client VPN endpoint {endpoint_id} has no association {unknown:?}");
        return Err(ApiError::new(ErrorCode::AssociationIdNotFound, message).into());
    }
    let associations = endpoint.associations.iter();
    let asked = associations.filter(|one| ids.is_empty() || ids.contains(&one.id.as_str()));
    let position = |one: &&Association| position(one.created, one.id.as_str());
    let page = listing.page(task, asked, position, |one, filter| matches(one, filter));
    task.answer(|root| {
        root.list("clientVpnTargetNetworks", &page.items, |item, association| {
            render::association(item, &endpoint, association, &task.environment);
        });
        root.optional_text("nextToken", page.next.as_deref());
    })
}

fn matches(association: &Association, filter: &Filter) -> bool {
    filter.matches(match filter.name.as_str() {
        "association-id" => association.id.as_str(),
        "target-network-id" => &association.subnet_id,
        _ => &association.vpc_id,
    })
}

/// `ApplySecurityGroupsToClientVpnTargetNetwork`.
pub(crate) fn apply_security_groups(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    let vpc_id = task.form.required("VpcId")?;
    let groups = owned_texts(&task.form, "SecurityGroupId");
    if groups.is_empty() {
        return Err(task.form.missing("SecurityGroupId").into());
    }
    task.ready()?;
    let registry = &task.ec2.registry;
    let applied = registry.change(task.once(None), endpoint_id, |endpoint, _| {
        endpoint.apply_security_groups(&task.surroundings()?, vpc_id, &groups)?;
        Ok::<_, ServiceError>(endpoint.security_group_ids.clone())
    })?;
    task.answer(|root| root.text_list("securityGroupIds", &applied))
}
