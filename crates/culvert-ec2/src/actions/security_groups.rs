//! Security groups: those of the configuration with the default group of each VPC, and those that are made at run time.

use culvert_query::params::Filter;
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{
    CreateSecurityGroup, Environment, SecurityGroup, SecurityGroupId, SecurityGroupRuleId, ServiceError,
};

use super::tags::specified;
use crate::form::{filled, unsupported};
use crate::listing::{Listing, any};
use crate::render;
use crate::task::Task;

/// What groups are called where tags are given.
pub(super) const RESOURCE_TYPE: &str = "security-group";
const FILTERS: &[&str] = &[
    "group-id",
    "group-name",
    "vpc-id",
    "description",
    "owner-id",
    "tag-key",
    "tag:",
];

/// `CreateSecurityGroup`.
pub(crate) fn create(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let name = task.form.required("GroupName")?.to_owned();
    let description = task.form.required("GroupDescription")?.to_owned();
    let vpc_id = filled(&task.form, "VpcId");
    let tags = specified(&task.form, RESOURCE_TYPE)?;
    task.ready()?;
    let vpc_id = vpc_id.ok_or_else(|| {
        let message = "No VPC is the default here; name one with VpcId";
        ApiError::new(ErrorCode::VpcIdNotSpecified, message)
    })?;
    let request = CreateSecurityGroup {
        vpc_id,
        name,
        description,
        tags,
    };
    let id = SecurityGroupId::from_random(task.call.id_bytes());
    let rule_id = SecurityGroupRuleId::from_random(task.call.id_bytes());
    let groups = &task.ec2.security_groups;
    let group = groups.create(&request, &task.environment, id, rule_id)?;
    task.answer(|root| {
        root.text("groupId", &group.id);
        render::tag_set(root, &group.tags);
        let arn = render::security_group_arn(&group.id, &task.environment);
        root.text("securityGroupArn", &arn);
    })
}

/// `DeleteSecurityGroup`.
pub(crate) fn delete(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let id = group_id(task)?;
    task.ready()?;
    task.ec2.security_groups.delete(id, &task.environment)?;
    task.answer(|root| {
        root.boolean("return", true);
        root.text("groupId", id);
    })
}

/// `GroupId`. Names are unique only in their VPC, and no VPC is the default.
pub(super) fn group_id<'a>(task: &Task<'a>) -> Result<&'a str, ServiceError> {
    if filled(&task.form, "GroupName").is_some() {
        return Err(unsupported("GroupName", "name the group with GroupId").into());
    }
    Ok(task.form.required("GroupId")?)
}

/// `DescribeSecurityGroups`.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let ids = task.form.texts("GroupId");
    let names = task.form.texts("GroupName");
    // A separator no id has, so that ids and names can't be taken for each other.
    let scope: Vec<&str> = ids.iter().chain(&[""]).chain(&names).copied().collect();
    let listing = Listing::read(task, FILTERS, &scope)?;
    task.ready()?;
    let environment = &task.surroundings()?;
    let unknown_id = ids.iter().find(|id| environment.security_group(id).is_none());
    let named = |name: &str| environment.security_groups.iter().any(|group| group.name == name);
    let unknown_name = names.iter().find(|name| !named(name));
    if let Some(unknown) = unknown_id.or(unknown_name) {
        let message = format!("The security group {unknown:?} does not exist");
        return Err(ApiError::new(ErrorCode::InvalidGroupNotFound, message).into());
    }
    let groups = environment.security_groups.iter();
    let asked = groups.filter(|group| {
        (ids.is_empty() || ids.contains(&group.id.as_str()))
            && (names.is_empty() || names.contains(&group.name.as_str()))
    });
    let page = listing.page(
        task,
        asked,
        |group| group.id.clone(),
        |group, filter| matches(group, filter, environment),
    );
    task.answer(|root| {
        root.optional_text("nextToken", page.next.as_deref());
        root.list("securityGroupInfo", &page.items, |item, group| {
            render::security_group(item, group, environment);
        });
    })
}

fn matches(group: &SecurityGroup, filter: &Filter, environment: &Environment) -> bool {
    match filter.name.as_str() {
        "group-id" => filter.matches(&group.id),
        "group-name" => filter.matches(&group.name),
        "vpc-id" => filter.matches(&group.vpc_id),
        "description" => filter.matches(&group.description),
        "owner-id" => filter.matches(&environment.account_id),
        "tag-key" => any(filter, group.tags.keys()),
        name => tag(name, &group.tags).is_some_and(|value| filter.matches(value)),
    }
}

/// The tag that a filter of the name `tag:KEY` looks at.
pub(super) fn tag<'t>(
    filter: &str,
    tags: &'t std::collections::BTreeMap<String, String>,
) -> Option<&'t String> {
    filter.strip_prefix("tag:").and_then(|key| tags.get(key))
}
