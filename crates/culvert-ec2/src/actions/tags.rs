//! Tags of endpoints. Networks and security groups come from the configuration and have none.

use std::collections::{BTreeMap, BTreeSet};

use culvert_query::params::Filter;
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{Endpoint, ServiceError};

use super::create_endpoint::RESOURCE_TYPE;
use crate::form::unsupported;
use crate::listing::Listing;
use crate::task::Task;

/// Most resources of one request.
const MAX_RESOURCES: usize = 1000;
/// Most tags of one request.
const MAX_TAGS: usize = 1000;
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
    for mut endpoint in resources(task, &ids)? {
        endpoint.create_tags(&tags)?;
    }
    for id in ids {
        task.change(None, id, |endpoint| endpoint.create_tags(&tags))?;
    }
    task.done()
}

/// `DeleteTags`.
pub(crate) fn delete(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let ids = resource_ids(task)?;
    let given = task.form.tags(MAX_TAGS)?;
    task.ready()?;
    let tags: Vec<(String, Option<String>)> = given.into_iter().map(|tag| (tag.key, tag.value)).collect();
    resources(task, &ids)?;
    for id in ids {
        task.change(None, id, |endpoint| {
            endpoint.delete_tags(&tags);
            Ok(())
        })?;
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

/// The endpoints with these ids, which must all be there.
fn resources(task: &Task<'_>, ids: &[&str]) -> Result<Vec<Endpoint>, ServiceError> {
    let endpoints = task.endpoints()?;
    let find = |id: &&str| {
        let mut endpoints = endpoints.iter();
        let found = endpoints.find(|endpoint| endpoint.id.as_str() == *id);
        found.cloned().ok_or_else(|| refusal(task, id).into())
    };
    ids.iter().map(find).collect()
}

fn refusal(task: &Task<'_>, id: &str) -> ApiError {
    let environment = &task.environment;
    let configured = environment.vpc(id).is_some()
        || environment.subnet(id).is_some()
        || environment.security_group(id).is_some();
    if configured {
        let cure = "it comes from the configuration, and only Client VPN endpoints can be tagged";
        return unsupported(&["Tagging ", id].concat(), cure);
    }
    ApiError::new(ErrorCode::InvalidId, format!("The ID {id:?} is not valid"))
}

/// One tag of one endpoint.
struct Row<'a> {
    id: &'a str,
    key: &'a str,
    value: &'a str,
}

/// `DescribeTags`.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let listing = Listing::read(task, FILTERS, &[])?;
    task.ready()?;
    let endpoints = task.endpoints()?;
    let rows = endpoints.iter().flat_map(|endpoint| {
        endpoint.tags.iter().map(|(key, value)| Row {
            id: endpoint.id.as_str(),
            key,
            value,
        })
    });
    let page = listing.page(task, rows, |row| format!("{} {}", row.id, row.key), matches);
    task.answer(|root| {
        root.optional_text("nextToken", page.next.as_deref());
        root.list("tagSet", &page.items, |item, row| {
            item.text("key", row.key);
            item.text("resourceId", row.id);
            item.text("resourceType", RESOURCE_TYPE);
            item.text("value", row.value);
        });
    })
}

fn matches(row: &Row<'_>, filter: &Filter) -> bool {
    match filter.name.as_str() {
        "key" => filter.matches(row.key),
        "value" => filter.matches(row.value),
        "resource-id" => filter.matches(row.id),
        "resource-type" => filter.matches(RESOURCE_TYPE),
        name => name.strip_prefix("tag:") == Some(row.key) && filter.matches(row.value),
    }
}
