//! What two endpoints of one machine cannot have in common.

use super::{EndpointConfig, overlap};
use crate::error::Fault;

/// What two endpoints cannot have in common, by field of the first.
pub(super) fn conflicts(one: &EndpointConfig, other: &EndpointConfig) -> Vec<(&'static str, Fault)> {
    let mut found = Vec::new();
    let mut refuse = |field, message: String, cure: &str| found.push((field, Fault::new(message, cure)));
    if one.name == other.name {
        refuse(
            "name",
            format!("there is another endpoint {:?}", one.name),
            "give each a name of its own",
        );
    }
    if one.device == other.device {
        let message = format!(
            "the endpoint {:?} has the device {} already",
            other.name, other.device
        );
        refuse(
            "device",
            message,
            "give each a device of its own, or leave the key out",
        );
    }
    if one
        .client_blocks()
        .any(|block| other.client_blocks().any(|taken| overlap(block, taken)))
    {
        let message = format!("the client CIDR overlaps that of the endpoint {:?}", other.name);
        refuse(
            "client_cidr_block",
            message,
            "give each endpoint addresses of its own",
        );
    }
    let transports = (one.transport_protocol, other.transport_protocol);
    let same_transport = transports.0.udp() && transports.1.udp() || transports.0.tcp() && transports.1.tcp();
    let shared = one.listen_addresses.iter().any(|a| {
        let same_family = |b: &&std::net::IpAddr| a.is_ipv4() == b.is_ipv4();
        let mut others = other.listen_addresses.iter().filter(same_family);
        others.any(|b| a == b || a.is_unspecified() || b.is_unspecified())
    });
    if same_transport && shared && one.vpn_port == other.vpn_port {
        let message = format!(
            "the endpoint {:?} listens on port {} there already",
            other.name, other.vpn_port
        );
        refuse(
            "vpn_port",
            message,
            "choose another vpn_port, transport_protocol or listen_addresses",
        );
    }
    found
}
