//! What belongs to an endpoint, as XML.

use culvert_query::response::{Element, TimeFormat};
use culvert_service::{
    Access, Association, AuthorizationRule, Connection, Endpoint, EndpointId, Environment, Origin, Route,
    RouteTarget,
};

use super::states::{association_state, connection_state, route_state, rule_state, status};

/// The members of an association.
pub(crate) fn association(
    item: &mut Element<'_>,
    endpoint: &Endpoint,
    association: &Association,
    environment: &Environment,
) {
    item.text("associationId", association.id.as_str());
    item.text("vpcId", &association.vpc_id);
    item.text("targetNetworkId", &association.subnet_id);
    item.text("clientVpnEndpointId", endpoint.id.as_str());
    status(item, association_state(&association.state));
    item.text_list("securityGroups", &endpoint.security_group_ids);
    // An older client ignores these; without the subnet, whose configuration is gone, there is nothing to tell.
    if let Some(subnet) = environment.subnet(&association.subnet_id) {
        item.text_list("availabilityZoneSet", [&subnet.availability_zone]);
        item.text_list("availabilityZoneIdSet", [&subnet.availability_zone_id]);
    }
}

/// The members of a route.
pub(crate) fn route(item: &mut Element<'_>, endpoint: &EndpointId, route: &Route) {
    item.text("clientVpnEndpointId", endpoint.as_str());
    item.text("destinationCidr", &route.destination.to_string());
    item.text("targetSubnet", route_target(&route.target));
    if let RouteTarget::Subnet(_) = route.target {
        item.text("type", "Nat");
    }
    item.text("origin", origin(route.origin));
    status(item, route_state(&route.state));
    item.optional_text("description", route.description.as_deref());
}

/// What a route leads through.
pub(crate) fn route_target(target: &RouteTarget) -> &str {
    match target {
        RouteTarget::Subnet(id) => id,
        RouteTarget::Local => "local",
    }
}

/// Why a route is there.
pub(crate) const fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Associate => "associate",
        Origin::AddRoute => "add-route",
    }
}

/// The members of an authorization rule.
pub(crate) fn rule(item: &mut Element<'_>, endpoint: &EndpointId, rule: &AuthorizationRule) {
    item.text("clientVpnEndpointId", endpoint.as_str());
    item.optional_text("description", rule.description.as_deref());
    item.text("groupId", group_id(&rule.access));
    item.boolean("accessAll", rule.access == Access::AllUsers);
    item.text("destinationCidr", &rule.destination.to_string());
    status(item, rule_state(&rule.state));
    // AWS's clients ignore it. Absent: the rule allows everything.
    if !rule.services.is_empty() {
        item.text_list("culvertServiceSet", rule.services.iter().map(ToString::to_string));
    }
}

/// The group a rule is about; empty for all users.
pub(crate) fn group_id(access: &Access) -> &str {
    match access {
        Access::AllUsers => "",
        Access::Group(group) => group,
    }
}

/// The members of a connection.
pub(crate) fn connection(item: &mut Element<'_>, connection: &Connection) {
    const FORMAT: TimeFormat = TimeFormat::Spaced;
    item.text("clientVpnEndpointId", connection.endpoint.as_str());
    item.time("timestamp", connection.timestamp, FORMAT);
    item.text("connectionId", connection.id.as_str());
    item.optional_text("username", connection.username.as_deref());
    item.time("connectionEstablishedTime", connection.established, FORMAT);
    item.integer("ingressBytes", connection.ingress_bytes);
    item.integer("egressBytes", connection.egress_bytes);
    item.integer("ingressPackets", connection.ingress_packets);
    item.integer("egressPackets", connection.egress_packets);
    let client_ip = connection.client_ip.map(|address| address.to_string());
    item.optional_text("clientIp", client_ip.as_deref());
    let client_ipv6 = connection.client_ipv6.map(|address| address.to_string());
    item.optional_text("clientIpv6Address", client_ipv6.as_deref());
    item.optional_text("commonName", connection.common_name.as_deref());
    status(item, connection_state(connection.state));
    match connection.ended {
        Some(ended) => item.time("connectionEndTime", ended, FORMAT),
        None => item.text("connectionEndTime", "-"),
    }
    item.text_list("postureComplianceStatusSet", &connection.posture);
}
