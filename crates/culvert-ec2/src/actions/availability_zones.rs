//! `DescribeAvailabilityZones`: those that subnets of the configuration are in.

use std::collections::BTreeSet;

use culvert_query::params::Filter;
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{Environment, ServiceError};

use crate::listing::Listing;
use crate::render::{self, Zone};
use crate::task::Task;

const FILTERS: &[&str] = &[
    "zone-name",
    "zone-id",
    "region-name",
    "group-name",
    "state",
    "zone-type",
    "opt-in-status",
];

/// Lists zones.
pub(crate) fn describe(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let names = task.form.texts("ZoneName");
    let ids = task.form.texts("ZoneId");
    // There are none that one would have to opt in to, so all are listed either way.
    task.form.boolean("AllAvailabilityZones")?;
    let listing = Listing::whole(task, FILTERS)?;
    task.ready()?;
    let environment = &*task.environment;
    let zones = zones(environment);
    let unknown_name = names
        .iter()
        .find(|name| zones.iter().all(|zone| zone.name != **name));
    let unknown_id = ids.iter().find(|id| zones.iter().all(|zone| zone.id != **id));
    if let Some(unknown) = unknown_name.or(unknown_id) {
        let message = format!("Invalid availability zone: {unknown:?}");
        return Err(ApiError::new(ErrorCode::InvalidParameterValue, message).into());
    }
    let asked = zones.iter().filter(|zone| {
        (names.is_empty() || names.contains(&zone.name.as_str()))
            && (ids.is_empty() || ids.contains(&zone.id.as_str()))
    });
    let page = listing.page(
        task,
        asked,
        |zone| zone.name.clone(),
        |zone, filter| matches(zone, filter, environment),
    );
    task.answer(|root| {
        root.list("availabilityZoneInfo", &page.items, |item, zone| {
            render::zone(item, zone, environment);
        });
    })
}

fn zones(environment: &Environment) -> BTreeSet<Zone> {
    let subnets = environment.subnets.iter();
    subnets
        .map(|subnet| Zone {
            name: subnet.availability_zone.clone(),
            id: subnet.availability_zone_id.clone(),
        })
        .collect()
}

fn matches(zone: &Zone, filter: &Filter, environment: &Environment) -> bool {
    filter.matches(match filter.name.as_str() {
        "zone-name" => &zone.name,
        "zone-id" => &zone.id,
        "region-name" | "group-name" => &environment.region,
        "state" => "available",
        "zone-type" => "availability-zone",
        _ => "opt-in-not-required",
    })
}
