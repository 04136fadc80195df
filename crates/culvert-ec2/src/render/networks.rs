//! What comes from the configuration, as XML: VPCs, subnets, zones; and the network interface that
//! stands for an association.

use culvert_query::response::Element;
use culvert_service::{Association, AssociationId, AssociationState, Endpoint, Environment, Subnet, Vpc};

/// Addresses of a subnet that AWS keeps for itself: its network's, its broadcast's, and three more.
const RESERVED: u32 = 5;

/// The members of a VPC.
pub(crate) fn vpc(item: &mut Element<'_>, vpc: &Vpc, environment: &Environment) {
    item.text("ownerId", &environment.account_id);
    item.text("instanceTenancy", "default");
    item.list(
        "ipv6CidrBlockAssociationSet",
        &vpc.ipv6_cidr_blocks,
        |one, block| {
            one.text("ipv6CidrBlock", &block.to_string());
            one.structure("ipv6CidrBlockState", |state| state.text("state", "associated"));
        },
    );
    item.list("cidrBlockAssociationSet", &vpc.cidr_blocks, |one, block| {
        one.text("cidrBlock", &block.to_string());
        one.structure("cidrBlockState", |state| state.text("state", "associated"));
    });
    item.boolean("isDefault", false);
    no_tags(item);
    item.text("vpcId", &vpc.id);
    item.text("state", "available");
    let primary = vpc.cidr_blocks.first().map(ToString::to_string);
    item.optional_text("cidrBlock", primary.as_deref());
}

/// The members of a subnet.
pub(crate) fn subnet(item: &mut Element<'_>, subnet: &Subnet, environment: &Environment) {
    let owner = subnet.owner_id.as_ref().unwrap_or(&environment.account_id);
    item.text("availabilityZoneId", &subnet.availability_zone_id);
    item.text("ownerId", owner);
    item.boolean("assignIpv6AddressOnCreation", false);
    item.list(
        "ipv6CidrBlockAssociationSet",
        subnet.ipv6_cidr_block,
        |one, block| {
            one.text("ipv6CidrBlock", &block.to_string());
            one.structure("ipv6CidrBlockState", |state| state.text("state", "associated"));
        },
    );
    no_tags(item);
    let arn = format!("arn:aws:ec2:{}:{owner}:subnet/{}", environment.region, subnet.id);
    item.text("subnetArn", &arn);
    item.boolean("ipv6Native", false);
    item.text("subnetId", &subnet.id);
    item.text("state", "available");
    item.text("vpcId", &subnet.vpc_id);
    item.text("cidrBlock", &subnet.cidr_block.to_string());
    item.integer(
        "availableIpAddressCount",
        subnet.cidr_block.size().saturating_sub(RESERVED),
    );
    item.text("availabilityZone", &subnet.availability_zone);
    item.boolean("defaultForAz", false);
    item.boolean("mapPublicIpOnLaunch", false);
}

/// A zone that subnets are in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Zone {
    /// Name.
    pub(crate) name: String,
    /// Id.
    pub(crate) id: String,
}

/// The members of a zone.
pub(crate) fn zone(item: &mut Element<'_>, zone: &Zone, environment: &Environment) {
    item.text("optInStatus", "opt-in-not-required");
    item.text("regionName", &environment.region);
    item.text("zoneName", &zone.name);
    item.text("zoneId", &zone.id);
    item.text("groupName", &environment.region);
    item.text("networkBorderGroup", &environment.region);
    item.text("zoneType", "availability-zone");
    item.text("zoneState", "available");
}

/// The id of the interface of an association: it has the same digits.
pub(crate) fn network_interface_id(association: &AssociationId) -> String {
    let digits = association.as_str().strip_prefix(AssociationId::PREFIX);
    ["eni-", digits.unwrap_or_default()].concat()
}

/// The state of the interface of an association; `None` where there is no such interface.
pub(crate) const fn network_interface_state(state: &AssociationState) -> Option<&'static str> {
    match state {
        AssociationState::Associating => Some("attaching"),
        AssociationState::Associated => Some("in-use"),
        AssociationState::Disassociating => Some("detaching"),
        AssociationState::Failed(_) => None,
    }
}

/// The members of the interface of an association. Its address is that of this machine in the subnet, which the
/// system chooses for each packet, so none is told.
pub(crate) fn network_interface(
    item: &mut Element<'_>,
    endpoint: &Endpoint,
    association: &Association,
    environment: &Environment,
) {
    let subnet = environment.subnet(&association.subnet_id);
    item.optional_text(
        "availabilityZone",
        subnet.map(|subnet| subnet.availability_zone.as_str()),
    );
    item.text("description", &interface_description(endpoint));
    item.list("groupSet", &endpoint.security_group_ids, |group, id| {
        group.text("groupId", id);
        let known = environment.security_group(id);
        group.optional_text("groupName", known.map(|known| known.name.as_str()));
    });
    item.text("interfaceType", "interface");
    item.text("networkInterfaceId", &network_interface_id(&association.id));
    item.text("ownerId", &environment.account_id);
    item.boolean("requesterManaged", true);
    item.boolean("sourceDestCheck", false);
    item.optional_text("status", network_interface_state(&association.state));
    item.text("subnetId", &association.subnet_id);
    no_tags(item);
    item.text("vpcId", &association.vpc_id);
}

/// The text by which people find the interfaces of an endpoint.
pub(crate) fn interface_description(endpoint: &Endpoint) -> String {
    format!("ClientVPN Endpoint resource: {}", endpoint.id)
}

/// What comes from the configuration has no tags.
fn no_tags(item: &mut Element<'_>) {
    item.text_list("tagSet", [""; 0]);
}
