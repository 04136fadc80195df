//! `DescribeSecurityGroups`: those of the configuration, and the default group of each VPC.

use culvert_query::params::Filter;
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{Environment, SecurityGroup, ServiceError};

use crate::listing::Listing;
use crate::render;
use crate::task::Task;

const FILTERS: &[&str] = &[
    "group-id",
    "group-name",
    "vpc-id",
    "description",
    "owner-id",
    "tag-key",
    "tag:",
];

/// Lists security groups.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let ids = task.form.texts("GroupId");
    let names = task.form.texts("GroupName");
    // A separator no id has, so that ids and names can't be taken for each other.
    let scope: Vec<&str> = ids.iter().chain(&[""]).chain(&names).copied().collect();
    let listing = Listing::read(task, FILTERS, &scope)?;
    task.ready()?;
    let environment = &*task.environment;
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
        // It has no tags.
        _ => false,
    }
}
