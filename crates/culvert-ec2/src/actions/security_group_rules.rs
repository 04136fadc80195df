//! Rules of security groups.

use culvert_query::params::Filter;
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{Direction, Revocation, SecurityGroupRule, SecurityGroupRuleId, ServiceError};

use super::security_groups::{group_id, tag};
use super::tags::specified;
use crate::form::owned_texts;
use crate::listing::{Listing, any};
use crate::permission::permissions;
use crate::render;
use crate::task::Task;

/// What rules are called where tags are given.
pub(super) const RESOURCE_TYPE: &str = "security-group-rule";
const FILTERS: &[&str] = &["group-id", "security-group-rule-id", "tag-key", "tag:"];
const IDS: &str = "SecurityGroupRuleId";
const PERMISSIONS: &str = "IpPermissions";

/// `AuthorizeSecurityGroupEgress`.
pub(crate) fn authorize_egress(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    authorize(task, Direction::Egress)
}

/// `AuthorizeSecurityGroupIngress`.
pub(crate) fn authorize_ingress(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    authorize(task, Direction::Ingress)
}

fn authorize(task: &Task<'_>, direction: Direction) -> Result<Vec<u8>, ServiceError> {
    let id = group_id(task)?;
    let permissions = permissions(&task.form)?;
    if permissions.is_empty() {
        return Err(task.form.missing(PERMISSIONS).into());
    }
    let tags = specified(&task.form, RESOURCE_TYPE)?;
    task.ready()?;
    let next_id = || SecurityGroupRuleId::from_random(task.call.id_bytes());
    let groups = &task.ec2.security_groups;
    let added = groups.change(id, &task.environment, |group| {
        group.authorize(direction, &permissions, &tags, next_id)
    })?;
    task.answer(|root| {
        root.boolean("return", true);
        root.list("securityGroupRuleSet", &added, |item, rule| {
            render::security_group_rule(item, id, rule, &task.environment);
        });
    })
}

/// `RevokeSecurityGroupEgress`.
pub(crate) fn revoke_egress(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    revoke(task, Direction::Egress)
}

/// `RevokeSecurityGroupIngress`.
pub(crate) fn revoke_ingress(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    revoke(task, Direction::Ingress)
}

fn revoke(task: &Task<'_>, direction: Direction) -> Result<Vec<u8>, ServiceError> {
    let id = group_id(task)?;
    let what = revocation(task)?;
    task.ready()?;
    let groups = &task.ec2.security_groups;
    let gone = groups.change(id, &task.environment, |group| group.revoke(direction, &what))?;
    task.answer(|root| {
        root.boolean("return", true);
        root.list("revokedSecurityGroupRuleSet", &gone, |item, rule| {
            render::revoked_rule(item, id, rule);
        });
    })
}

fn revocation(task: &Task<'_>) -> Result<Revocation, ServiceError> {
    let rules = owned_texts(&task.form, IDS);
    let permissions = permissions(&task.form)?;
    match (rules.is_empty(), permissions.is_empty()) {
        (true, true) => Err(task.form.missing(PERMISSIONS).into()),
        (true, false) => Ok(Revocation::Permissions(permissions)),
        (false, true) => Ok(Revocation::Rules(rules)),
        (false, false) => {
            let message =
                "Rules are named either with SecurityGroupRuleId or with IpPermissions, not with both";
            Err(ApiError::new(ErrorCode::InvalidParameterCombination, message).into())
        }
    }
}

/// One rule of one group.
struct Row<'a> {
    group: &'a str,
    rule: &'a SecurityGroupRule,
}

/// `DescribeSecurityGroupRules`.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let ids = task.form.texts(IDS);
    let listing = Listing::read(task, FILTERS, &ids)?;
    task.ready()?;
    let environment = &task.surroundings()?;
    let rows = environment.security_groups.iter().flat_map(|group| {
        let rules = group.rules.iter();
        rules.map(|rule| Row {
            group: &group.id,
            rule,
        })
    });
    let all: Vec<Row<'_>> = rows.collect();
    let known = |id: &str| all.iter().any(|row| row.rule.id.as_str() == id);
    if let Some(unknown) = ids.iter().find(|id| !known(id)) {
        let message = format!("The security group rule {unknown:?} does not exist");
        return Err(ApiError::new(ErrorCode::InvalidSecurityGroupRuleIdNotFound, message).into());
    }
    let asked = all
        .into_iter()
        .filter(|row| ids.is_empty() || ids.contains(&row.rule.id.as_str()));
    let page = listing.page(task, asked, |row| row.rule.id.to_string(), matches);
    task.answer(|root| {
        root.list("securityGroupRuleSet", &page.items, |item, row| {
            render::security_group_rule(item, row.group, row.rule, environment);
        });
        root.optional_text("nextToken", page.next.as_deref());
    })
}

fn matches(row: &Row<'_>, filter: &Filter) -> bool {
    match filter.name.as_str() {
        "group-id" => filter.matches(row.group),
        "security-group-rule-id" => filter.matches(row.rule.id.as_str()),
        "tag-key" => any(filter, row.rule.tags.keys()),
        name => tag(name, &row.rule.tags).is_some_and(|value| filter.matches(value)),
    }
}
