//! Connections of clients: listing and ending them.

use std::net::{Ipv4Addr, Ipv6Addr};

use culvert_query::params::Filter;
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{Connection, ServiceError, TerminateWhat, terminate as end};

use crate::form::filled;
use crate::listing::{Listing, optional, position};
use crate::render::{self, named_status};
use crate::task::Task;

const FILTERS: &[&str] = &[
    "connection-id",
    "username",
    "common-name",
    "client-ip",
    "client-ipv6-address",
    "status",
];

/// `DescribeClientVpnConnections`.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    let listing = Listing::read(task, FILTERS, &[endpoint_id])?;
    task.ready()?;
    let endpoint = task.endpoint(endpoint_id)?;
    let connections = task.ec2.tunnels.connections(&endpoint.id)?;
    let place = |one: &Connection| position(one.established, one.id.as_str());
    let page = listing.page(task, connections, place, matches);
    task.answer(|root| {
        root.list("connections", &page.items, render::connection);
        root.optional_text("nextToken", page.next.as_deref());
    })
}

fn matches(connection: &Connection, filter: &Filter) -> bool {
    let text = |text: &Option<String>| optional(filter, text.as_deref());
    let v4 = connection.client_ip.as_ref().map(Ipv4Addr::to_string);
    let v6 = connection.client_ipv6.as_ref().map(Ipv6Addr::to_string);
    match filter.name.as_str() {
        "connection-id" => filter.matches(connection.id.as_str()),
        "username" => text(&connection.username),
        "common-name" => text(&connection.common_name),
        "client-ip" => text(&v4),
        "client-ipv6-address" => text(&v6),
        _ => filter.matches(render::connection_state(connection.state).code),
    }
}

/// `TerminateClientVpnConnections`.
pub(crate) fn terminate(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    let user = filled(&task.form, "Username");
    let what = what(filled(&task.form, "ConnectionId"), user.clone())?;
    task.ready()?;
    let endpoint = task.endpoint(endpoint_id)?;
    let tunnels = &*task.ec2.tunnels;
    let ended = end(tunnels, &endpoint.id, what, &task.environment.quotas)?;
    task.answer(|root| {
        root.text("clientVpnEndpointId", endpoint.id.as_str());
        root.optional_text("username", user.as_deref());
        root.list("connectionStatuses", &ended, |item, termination| {
            item.text("connectionId", termination.id.as_str());
            named_status(
                item,
                "previousStatus",
                render::connection_state(termination.previous),
            );
            named_status(
                item,
                "currentStatus",
                render::connection_state(termination.current),
            );
        });
    })
}

fn what(connection: Option<String>, user: Option<String>) -> Result<TerminateWhat, ApiError> {
    match (connection, user) {
        (Some(id), None) => Ok(TerminateWhat::Connection(id)),
        (None, Some(name)) => Ok(TerminateWhat::User(name)),
        (None, None) => Err(ApiError::new(
            ErrorCode::MissingParameter,
            "You must specify either ConnectionId or Username",
        )),
        (Some(_), Some(_)) => Err(ApiError::new(
            ErrorCode::InvalidParameterCombination,
            "ConnectionId and Username exclude each other: give one of them",
        )),
    }
}
