//! Resources as XML, member by member in the order of the API's model, and their states in its words.

mod endpoint;
mod networks;
mod parts;
mod security_groups;
mod states;

pub(crate) use endpoint::{dns_name, endpoint, transport};
pub(crate) use networks::{
    Zone, interface_description, network_interface, network_interface_id, network_interface_state, subnet,
    vpc, zone,
};
pub(crate) use parts::{association, connection, group_id, origin, route, route_target, rule};
pub(crate) use security_groups::{
    revoked_rule, security_group, security_group_arn, security_group_rule, tag_set,
};
pub(crate) use states::{
    association_state, connection_state, crl_state, endpoint_state, named_status, route_state, rule_state,
    status,
};
