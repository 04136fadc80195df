//! `DescribeSubnets`: those of the configuration.

use culvert_query::params::Filter;
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{Environment, ServiceError, Subnet};

use crate::listing::{Listing, flag, optional};
use crate::render;
use crate::task::Task;

const FILTERS: &[&str] = &[
    "subnet-id",
    "vpc-id",
    "cidr",
    "cidr-block",
    "cidrBlock",
    "ipv6-cidr-block-association.ipv6-cidr-block",
    "availability-zone",
    "availabilityZone",
    "availability-zone-id",
    "availabilityZoneId",
    "state",
    "owner-id",
    "default-for-az",
    "defaultForAz",
    "map-public-ip-on-launch",
    "tag-key",
    "tag:",
];

/// Lists subnets.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let ids = task.form.texts("SubnetId");
    let listing = Listing::read(task, FILTERS, &ids)?;
    task.ready()?;
    let environment = &*task.environment;
    if let Some(unknown) = ids.iter().find(|id| environment.subnet(id).is_none()) {
        let message = format!("The subnet {unknown:?} does not exist");
        return Err(ApiError::new(ErrorCode::InvalidSubnetIdNotFound, message).into());
    }
    let subnets = environment.subnets.iter();
    let asked = subnets.filter(|subnet| ids.is_empty() || ids.contains(&subnet.id.as_str()));
    let page = listing.page(
        task,
        asked,
        |subnet| subnet.id.clone(),
        |subnet, filter| matches(subnet, filter, environment),
    );
    task.answer(|root| {
        root.optional_text("nextToken", page.next.as_deref());
        root.list("subnetSet", &page.items, |item, subnet| {
            render::subnet(item, subnet, environment);
        });
    })
}

fn matches(subnet: &Subnet, filter: &Filter, environment: &Environment) -> bool {
    match filter.name.as_str() {
        "subnet-id" => filter.matches(&subnet.id),
        "vpc-id" => filter.matches(&subnet.vpc_id),
        "cidr" | "cidr-block" | "cidrBlock" => filter.matches(&subnet.cidr_block.to_string()),
        "ipv6-cidr-block-association.ipv6-cidr-block" => {
            let block = subnet.ipv6_cidr_block.as_ref().map(ToString::to_string);
            optional(filter, block.as_deref())
        }
        "availability-zone" | "availabilityZone" => filter.matches(&subnet.availability_zone),
        "availability-zone-id" | "availabilityZoneId" => filter.matches(&subnet.availability_zone_id),
        "state" => filter.matches("available"),
        "owner-id" => filter.matches(subnet.owner_id.as_ref().unwrap_or(&environment.account_id)),
        "default-for-az" | "defaultForAz" | "map-public-ip-on-launch" => filter.matches(flag(false)),
        // It has no tags.
        _ => false,
    }
}
