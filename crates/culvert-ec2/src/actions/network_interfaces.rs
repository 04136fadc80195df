//! `DescribeNetworkInterfaces`: one for each association of an endpoint with a subnet.

use culvert_query::params::Filter;
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{Association, Endpoint, Environment, ServiceError};

use crate::listing::{Listing, any, flag, optional, position};
use crate::render;
use crate::task::Task;

const FILTERS: &[&str] = &[
    "network-interface-id",
    "subnet-id",
    "vpc-id",
    "availability-zone",
    "description",
    "group-id",
    "group-name",
    "interface-type",
    "owner-id",
    "requester-managed",
    "status",
    "tag-key",
    "tag:",
];

/// The interface of an association.
struct Interface<'a> {
    id: String,
    status: &'static str,
    endpoint: &'a Endpoint,
    association: &'a Association,
}

/// Lists network interfaces.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let ids = task.form.texts("NetworkInterfaceId");
    // There are none that others manage and hide, so all are listed either way.
    task.form.boolean("IncludeManagedResources")?;
    let listing = Listing::read(task, FILTERS, &ids)?;
    task.ready()?;
    let environment = &task.surroundings()?;
    let endpoints = task.endpoints()?;
    let mut interfaces: Vec<Interface<'_>> = endpoints.iter().flat_map(of_endpoint).collect();
    let known = |id: &str| interfaces.iter().any(|interface| interface.id == id);
    if let Some(unknown) = ids.iter().find(|id| !known(id)) {
        let message = format!("The network interface {unknown:?} does not exist");
        return Err(ApiError::new(ErrorCode::InvalidNetworkInterfaceIdNotFound, message).into());
    }
    interfaces.retain(|interface| ids.is_empty() || ids.contains(&interface.id.as_str()));
    let page = listing.page(
        task,
        interfaces,
        |interface| position(interface.association.created, &interface.id),
        |interface, filter| matches(interface, filter, environment),
    );
    task.answer(|root| {
        root.list("networkInterfaceSet", &page.items, |item, interface| {
            render::network_interface(item, interface.endpoint, interface.association, environment);
        });
        root.optional_text("nextToken", page.next.as_deref());
    })
}

fn of_endpoint(endpoint: &Endpoint) -> impl Iterator<Item = Interface<'_>> {
    endpoint.associations.iter().filter_map(move |association| {
        Some(Interface {
            id: render::network_interface_id(&association.id),
            status: render::network_interface_state(&association.state)?,
            endpoint,
            association,
        })
    })
}

fn matches(interface: &Interface<'_>, filter: &Filter, environment: &Environment) -> bool {
    let (endpoint, association) = (interface.endpoint, interface.association);
    let groups = &endpoint.security_group_ids;
    match filter.name.as_str() {
        "network-interface-id" => filter.matches(&interface.id),
        "subnet-id" => filter.matches(&association.subnet_id),
        "vpc-id" => filter.matches(&association.vpc_id),
        "availability-zone" => {
            let subnet = environment.subnet(&association.subnet_id);
            optional(filter, subnet.map(|subnet| subnet.availability_zone.as_str()))
        }
        "description" => filter.matches(&render::interface_description(endpoint)),
        "group-id" => any(filter, groups),
        "group-name" => {
            let known = groups.iter().filter_map(|id| environment.security_group(id));
            any(filter, known.map(|group| &group.name))
        }
        "interface-type" => filter.matches("interface"),
        "owner-id" => filter.matches(&environment.account_id),
        "requester-managed" => filter.matches(flag(true)),
        "status" => filter.matches(interface.status),
        // It has no tags.
        _ => false,
    }
}
