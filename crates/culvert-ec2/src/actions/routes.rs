//! Routes.

use culvert_query::params::Filter;
use culvert_service::{CreateRoute, Route, ServiceError};

use crate::form::{filled, network};
use crate::listing::{Listing, position};
use crate::render::{self, status};
use crate::task::Task;

const FILTERS: &[&str] = &["destination-cidr", "origin", "target-subnet"];

/// `CreateClientVpnRoute`.
pub(crate) fn create(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    let request = CreateRoute {
        destination: network(&task.form, "DestinationCidrBlock")?,
        target: filled(&task.form, "TargetVpcSubnetId"),
        description: filled(&task.form, "Description"),
    };
    let repeat = task.repeat()?;
    task.ready()?;
    let quotas = &task.environment.quotas;
    let route = task.change(repeat.as_ref(), endpoint_id, |endpoint| {
        endpoint.create_route(&request, quotas, task.call.now)
    })?;
    task.answer(|root| status(root, render::route_state(&route.state)))
}

/// `DeleteClientVpnRoute`.
pub(crate) fn delete(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    let destination = network(&task.form, "DestinationCidrBlock")?;
    let target = filled(&task.form, "TargetVpcSubnetId");
    task.ready()?;
    let route = task.change(None, endpoint_id, |endpoint| {
        endpoint.delete_route(destination, target.as_deref())
    })?;
    task.answer(|root| status(root, render::route_state(&route.state)))
}

/// `DescribeClientVpnRoutes`.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let endpoint_id = task.endpoint_id()?;
    let listing = Listing::read(task, FILTERS, &[endpoint_id])?;
    task.ready()?;
    let endpoint = task.endpoint(endpoint_id)?;
    let place = |route: &&Route| {
        let id = format!("{} {}", route.destination, render::route_target(&route.target));
        position(route.created, &id)
    };
    let page = listing.page(task, &endpoint.routes, place, |route, filter| {
        matches(route, filter)
    });
    task.answer(|root| {
        root.list("routes", &page.items, |item, route| {
            render::route(item, &endpoint.id, route);
        });
        root.optional_text("nextToken", page.next.as_deref());
    })
}

fn matches(route: &Route, filter: &Filter) -> bool {
    match filter.name.as_str() {
        "destination-cidr" => filter.matches(&route.destination.to_string()),
        "origin" => filter.matches(render::origin(route.origin)),
        _ => filter.matches(render::route_target(&route.target)),
    }
}
