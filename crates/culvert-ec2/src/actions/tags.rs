//! Tags of endpoints, security groups and their rules. What comes from the configuration has none.

use std::collections::{BTreeMap, BTreeSet};

use culvert_query::params::{Filter, Group, ParamError};
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{Endpoint, Environment, SecurityGroup, ServiceError};

use super::{create_endpoint, security_group_rules, security_groups};
use crate::form::unsupported;
use crate::listing::Listing;
use crate::task::Task;

/// Most resources of one request.
const MAX_RESOURCES: usize = 1000;
/// Most tags of one request.
const MAX_TAGS: usize = 1000;
/// Most tags that a resource is created with.
const MAX_FIRST_TAGS: usize = 50;
const FILTERS: &[&str] = &["key", "value", "resource-id", "resource-type", "tag:"];

/// `CreateTags`.
pub(crate) fn create(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let ids = resource_ids(task)?;
    let given = task.form.tags(MAX_TAGS)?;
    if given.is_empty() {
        return Err(task.form.missing("Tag").into());
    }
    task.ready()?;
    let tags: BTreeMap<String, String> = given
        .into_iter()
        .map(|tag| (tag.key, tag.value.unwrap_or_default()))
        .collect();
    // All are tried on copies first, so that a refusal of one leaves the others alone.
    let resources = resources(task, &ids)?;
    for (id, resource) in &resources {
        match resource.clone() {
            Resource::Endpoint(mut endpoint) => endpoint.create_tags(&tags)?,
            Resource::Group(mut group) => group.create_tags(id, &tags)?,
        }
    }
    for (id, resource) in resources {
        match resource {
            Resource::Endpoint(_) => task.change(None, id, |endpoint| endpoint.create_tags(&tags))?,
            Resource::Group(group) => {
                change_group(task, &group, |group| group.create_tags(id, &tags))?;
            }
        }
    }
    task.done()
}

/// `DeleteTags`.
pub(crate) fn delete(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let ids = resource_ids(task)?;
    let given = task.form.tags(MAX_TAGS)?;
    task.ready()?;
    let tags: Vec<(String, Option<String>)> = given.into_iter().map(|tag| (tag.key, tag.value)).collect();
    for (id, resource) in resources(task, &ids)? {
        match resource {
            Resource::Endpoint(_) => task.change(None, id, |endpoint| {
                endpoint.delete_tags(&tags);
                Ok(())
            })?,
            Resource::Group(group) => {
                change_group(task, &group, |group| group.delete_tags(id, &tags))?;
            }
        }
    }
    task.done()
}

/// `ResourceId`, at least one, each once.
fn resource_ids<'a>(task: &Task<'a>) -> Result<Vec<&'a str>, ServiceError> {
    const MEMBER: &str = "ResourceId";
    let mut ids = task.form.texts(MEMBER);
    if ids.is_empty() {
        return Err(task.form.missing(MEMBER).into());
    }
    if ids.len() > MAX_RESOURCES {
        let message = format!("{MEMBER} has more than {MAX_RESOURCES} items");
        return Err(ApiError::new(ErrorCode::InvalidParameterValue, message).into());
    }
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
    Ok(ids)
}

/// What has tags.
#[derive(Clone)]
enum Resource {
    Endpoint(Box<Endpoint>),
    /// A group: its own tags, or those of one of its rules.
    Group(SecurityGroup),
}

/// The resources with these ids, which must all be there.
fn resources<'a>(task: &Task<'_>, ids: &[&'a str]) -> Result<Vec<(&'a str, Resource)>, ServiceError> {
    let endpoints = task.endpoints()?;
    let environment = task.surroundings()?;
    let find = |id: &&'a str| {
        let mut endpoints = endpoints.iter();
        let endpoint = endpoints.find(|endpoint| endpoint.id.as_str() == *id);
        let mut groups = environment.security_groups.iter();
        let group = groups.find(|group| !group.declared && belongs(group, id));
        let endpoint = endpoint.map(|endpoint| Resource::Endpoint(Box::new(endpoint.clone())));
        let found = endpoint.or_else(|| group.cloned().map(Resource::Group));
        let resource = found.ok_or_else(|| refusal(&environment, id))?;
        Ok((*id, resource))
    };
    ids.iter().map(find).collect()
}

/// Whether an id is that of a group or of one of its rules.
fn belongs(group: &SecurityGroup, id: &str) -> bool {
    group.id == id || group.rules.iter().any(|rule| rule.id.as_str() == id)
}

fn change_group(
    task: &Task<'_>,
    group: &SecurityGroup,
    change: impl Fn(&mut SecurityGroup) -> Result<(), ApiError>,
) -> Result<(), ServiceError> {
    let groups = &task.ec2.security_groups;
    groups.change(&group.id, &task.environment, change)
}

fn refusal(environment: &Environment, id: &str) -> ApiError {
    let configured = environment.vpc(id).is_some()
        || environment.subnet(id).is_some()
        || environment.security_groups.iter().any(|group| belongs(group, id));
    if configured {
        let cure = "it comes from the configuration; Client VPN endpoints and the security groups made by \
                    CreateSecurityGroup can be tagged";
        return unsupported(&["Tagging ", id].concat(), cure);
    }
    ApiError::new(ErrorCode::InvalidId, format!("The ID {id:?} is not valid"))
}

/// The tags that a resource of this type is created with, from `TagSpecification`.
pub(super) fn specified(form: &Group<'_>, resource_type: &str) -> Result<BTreeMap<String, String>, ApiError> {
    let specifications = form.tag_specifications(MAX_FIRST_TAGS)?;
    let wrong = |reason: String| ParamError::Value {
        name: form.full_name("TagSpecification"),
        value: String::new(),
        reason,
    };
    if specifications.len() > 1 {
        return Err(wrong("There can be only one".to_owned()).into());
    }
    let mut tags = BTreeMap::new();
    for specification in specifications {
        if specification.resource_type != resource_type {
            return Err(wrong(format!("Its ResourceType must be {resource_type}")).into());
        }
        let pairs = specification.tags.into_iter();
        tags.extend(pairs.map(|tag| (tag.key, tag.value.unwrap_or_default())));
    }
    Ok(tags)
}

/// One tag of one resource.
struct Row<'a> {
    id: &'a str,
    kind: &'static str,
    key: &'a str,
    value: &'a str,
}

/// `DescribeTags`.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let listing = Listing::read(task, FILTERS, &[])?;
    task.ready()?;
    let endpoints = task.endpoints()?;
    let environment = task.surroundings()?;
    let mut rows = Vec::new();
    for endpoint in &endpoints {
        rows.extend(tags_of(
            endpoint.id.as_str(),
            create_endpoint::RESOURCE_TYPE,
            &endpoint.tags,
        ));
    }
    for group in &environment.security_groups {
        rows.extend(tags_of(&group.id, security_groups::RESOURCE_TYPE, &group.tags));
        for rule in &group.rules {
            rows.extend(tags_of(
                rule.id.as_str(),
                security_group_rules::RESOURCE_TYPE,
                &rule.tags,
            ));
        }
    }
    let page = listing.page(task, rows, |row| format!("{} {}", row.id, row.key), matches);
    task.answer(|root| {
        root.optional_text("nextToken", page.next.as_deref());
        root.list("tagSet", &page.items, |item, row| {
            item.text("key", row.key);
            item.text("resourceId", row.id);
            item.text("resourceType", row.kind);
            item.text("value", row.value);
        });
    })
}

fn tags_of<'a>(
    id: &'a str,
    kind: &'static str,
    tags: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = Row<'a>> {
    tags.iter().map(move |(key, value)| Row { id, kind, key, value })
}

fn matches(row: &Row<'_>, filter: &Filter) -> bool {
    match filter.name.as_str() {
        "key" => filter.matches(row.key),
        "value" => filter.matches(row.value),
        "resource-id" => filter.matches(row.id),
        "resource-type" => filter.matches(row.kind),
        name => name.strip_prefix("tag:") == Some(row.key) && filter.matches(row.value),
    }
}
