//! The actions: each reads its form, calls the service layer and writes its answer.

pub(crate) mod availability_zones;
pub(crate) mod connections;
pub(crate) mod create_endpoint;
pub(crate) mod endpoints;
pub(crate) mod modify_endpoint;
pub(crate) mod network_interfaces;
pub(crate) mod revocation_list;
pub(crate) mod routes;
pub(crate) mod rules;
pub(crate) mod security_group_rules;
pub(crate) mod security_groups;
mod settings;
pub(crate) mod subnets;
pub(crate) mod tags;
pub(crate) mod target_networks;
pub(crate) mod vpc_attribute;
pub(crate) mod vpcs;
