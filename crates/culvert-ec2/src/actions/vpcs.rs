//! `DescribeVpcs`: those of the configuration.

use culvert_query::params::Filter;
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{Environment, ServiceError, Vpc};

use crate::listing::{Listing, any, flag, optional};
use crate::render;
use crate::task::Task;

const FILTERS: &[&str] = &[
    "vpc-id",
    "cidr",
    "cidr-block-association.cidr-block",
    "ipv6-cidr-block-association.ipv6-cidr-block",
    "state",
    "owner-id",
    "is-default",
    "isDefault",
    "tag-key",
    "tag:",
];

/// Lists VPCs.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let ids = task.form.texts("VpcId");
    let listing = Listing::read(task, FILTERS, &ids)?;
    task.ready()?;
    let environment = &*task.environment;
    if let Some(unknown) = ids.iter().find(|id| environment.vpc(id).is_none()) {
        let message = format!("The VPC {unknown:?} does not exist");
        return Err(ApiError::new(ErrorCode::InvalidVpcIdNotFound, message).into());
    }
    let vpcs = environment.vpcs.iter();
    let asked = vpcs.filter(|vpc| ids.is_empty() || ids.contains(&vpc.id.as_str()));
    let page = listing.page(
        task,
        asked,
        |vpc| vpc.id.clone(),
        |vpc, filter| matches(vpc, filter, environment),
    );
    task.answer(|root| {
        root.optional_text("nextToken", page.next.as_deref());
        root.list("vpcSet", &page.items, |item, vpc| {
            render::vpc(item, vpc, environment);
        });
    })
}

fn matches(vpc: &Vpc, filter: &Filter, environment: &Environment) -> bool {
    let text = |block: &ipnetwork::Ipv4Network| block.to_string();
    match filter.name.as_str() {
        "vpc-id" => filter.matches(&vpc.id),
        "cidr" => optional(filter, vpc.cidr_blocks.first().map(text).as_deref()),
        "cidr-block-association.cidr-block" => any(filter, vpc.cidr_blocks.iter().map(text)),
        "ipv6-cidr-block-association.ipv6-cidr-block" => {
            any(filter, vpc.ipv6_cidr_blocks.iter().map(ToString::to_string))
        }
        "state" => filter.matches("available"),
        "owner-id" => filter.matches(&environment.account_id),
        "is-default" | "isDefault" => filter.matches(flag(false)),
        // It has no tags.
        _ => false,
    }
}
