//! Authorization rules.

use culvert_query::params::Filter;
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{Access, AuthorizationRule, RuleRequest, Service, ServiceError};

use crate::form::{filled, network};
use crate::listing::{Listing, optional, position};
use crate::render::{self, status};
use crate::task::Task;

const FILTERS: &[&str] = &["description", "destination-cidr", "group-id"];

/// `AuthorizeClientVpnIngress`.
pub(crate) fn authorize(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    let request = RuleRequest {
        destination: network(&task.form, "TargetNetworkCidr")?,
        access: access(task, "AuthorizeAllGroups")?,
        services: services(task)?,
        description: filled(&task.form, "Description"),
    };
    let repeat = task.repeat()?;
    task.ready()?;
    let quotas = &task.environment.quotas;
    let rule = task.change(repeat.as_ref(), endpoint_id, |endpoint| {
        endpoint.authorize(&request, quotas, task.call.now)
    })?;
    task.answer(|root| status(root, render::rule_state(&rule.state)))
}

/// `RevokeClientVpnIngress`.
pub(crate) fn revoke(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    let destination = network(&task.form, "TargetNetworkCidr")?;
    let access = access(task, "RevokeAllGroups")?;
    task.ready()?;
    let rule = task.change(None, endpoint_id, |endpoint| {
        endpoint.revoke(destination, &access)
    })?;
    task.answer(|root| status(root, render::rule_state(&rule.state)))
}

/// Who a rule is about: either `AccessGroupId`, or `all` set to true.
fn access(task: &Task<'_>, all: &str) -> Result<Access, ServiceError> {
    const GROUP: &str = "AccessGroupId";
    let group = filled(&task.form, GROUP);
    let refusal = match (group, task.form.boolean(all)?) {
        (None, Some(true)) => return Ok(Access::AllUsers),
        (Some(group), Some(false) | None) => return Ok(Access::Group(group)),
        (Some(_), Some(true)) => ApiError::new(
            ErrorCode::InvalidParameterValue,
            format!("{GROUP} and {all}=true exclude each other: give one of them"),
        ),
        (None, Some(false) | None) => ApiError::new(
            ErrorCode::MissingParameter,
            format!("You must specify either {GROUP} or {all}=true"),
        ),
    };
    Err(refusal.into())
}

/// `Culvert.Service.N`, which AWS doesn't have: what a rule is limited to.
fn services(task: &Task<'_>) -> Result<Vec<Service>, ServiceError> {
    const MEMBER: &str = "Service";
    let Some(own) = task.form.group("Culvert") else {
        return Ok(Vec::new());
    };
    let texts = own.texts(MEMBER);
    let parsed = texts
        .iter()
        .map(|text| text.parse().map_err(|error| own.invalid(MEMBER, error)));
    Ok(parsed.collect::<Result<_, _>>()?)
}

/// `DescribeClientVpnAuthorizationRules`.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    let listing = Listing::read(task, FILTERS, &[endpoint_id])?;
    task.ready()?;
    let endpoint = task.endpoint(endpoint_id)?;
    let place = |rule: &&AuthorizationRule| {
        let group = render::group_id(&rule.access);
        position(rule.created, &format!("{} {group}", rule.destination))
    };
    let page = listing.page(task, &endpoint.rules, place, |rule, filter| matches(rule, filter));
    task.answer(|root| {
        root.list("authorizationRule", &page.items, |item, rule| {
            render::rule(item, &endpoint.id, rule);
        });
        root.optional_text("nextToken", page.next.as_deref());
    })
}

fn matches(rule: &AuthorizationRule, filter: &Filter) -> bool {
    match filter.name.as_str() {
        "description" => optional(filter, rule.description.as_deref()),
        "destination-cidr" => filter.matches(&rule.destination.to_string()),
        _ => filter.matches(render::group_id(&rule.access)),
    }
}
