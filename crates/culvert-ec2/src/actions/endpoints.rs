//! Endpoints as a whole: listing, deleting, and the profile of their clients.

use std::collections::BTreeSet;

use culvert_query::params::Filter;
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{Endpoint, ServiceError};

use crate::listing::{Listing, any, optional, position};
use crate::render::{self, status};
use crate::task::Task;

const FILTERS: &[&str] = &[
    "endpoint-id",
    "transport-protocol",
    "status",
    "vpc-id",
    "tag-key",
    "tag:",
];

/// `DeleteClientVpnEndpoint`.
pub(crate) fn delete(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let id = task.endpoint_id()?;
    task.ready()?;
    let state = task.change(None, id, |endpoint| {
        endpoint.delete()?;
        Ok(endpoint.state)
    })?;
    task.answer(|root| status(root, render::endpoint_state(state)))
}

/// `DescribeClientVpnEndpoints`.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let ids = task.form.texts("ClientVpnEndpointId");
    let listing = Listing::read(task, FILTERS, &ids)?;
    task.ready()?;
    let mut endpoints = task.endpoints()?;
    let known: BTreeSet<&str> = endpoints.iter().map(|endpoint| endpoint.id.as_str()).collect();
    if let Some(unknown) = ids.iter().find(|id| !known.contains(*id)) {
        let message = format!("The Client VPN endpoint {unknown:?} does not exist");
        return Err(ApiError::new(ErrorCode::EndpointIdNotFound, message).into());
    }
    endpoints.retain(|endpoint| ids.is_empty() || ids.contains(&endpoint.id.as_str()));
    let position = |endpoint: &Endpoint| position(endpoint.created, endpoint.id.as_str());
    let page = listing.page(task, endpoints, position, matches);
    task.answer(|root| {
        root.list("clientVpnEndpoint", &page.items, |item, endpoint| {
            render::endpoint(item, endpoint, &task.environment);
        });
        root.optional_text("nextToken", page.next.as_deref());
    })
}

fn matches(endpoint: &Endpoint, filter: &Filter) -> bool {
    match filter.name.as_str() {
        "endpoint-id" => filter.matches(endpoint.id.as_str()),
        "transport-protocol" => filter.matches(render::transport(endpoint.transport)),
        "status" => filter.matches(render::endpoint_state(endpoint.state).code),
        "vpc-id" => optional(filter, endpoint.vpc_id.as_deref()),
        "tag-key" => any(filter, endpoint.tags.keys()),
        name => {
            let key = name.strip_prefix("tag:");
            let value = key.and_then(|key| endpoint.tags.get(key));
            optional(filter, value.map(String::as_str))
        }
    }
}

/// `ExportClientVpnClientConfiguration`.
pub(crate) fn export_configuration(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let id = task.endpoint_id()?;
    task.ready()?;
    let endpoint = task.endpoint(id)?;
    let server = task
        .ec2
        .certificates
        .get(&endpoint.server_certificate.to_string())?;
    let stored = task.ec2.registry.endpoints()?;
    let others: Vec<Endpoint> = stored.into_iter().map(|stored| stored.endpoint).collect();
    let profile = endpoint.client_configuration(&task.environment, &server, &others);
    task.answer(|root| root.text("clientConfiguration", &profile))
}
