//! What is possible but hardly meant.

use culvert_policy::Access;

use super::document::Document;
use crate::endpoint::{EndpointConfig, overlap};
use crate::error::Fault;

/// Reports what is possible but hardly meant.
pub(super) fn warn(document: &Document<'_>, place: &str, endpoint: &EndpointConfig) {
    let warn = |field: &str, message: &str, cure: &str| {
        document.warn(&format!("{place}.{field}"), Fault::new(message, cure));
    };
    if endpoint.authorization_rules.is_empty() {
        let cure = "add authorization_rules; nothing is allowed without one";
        warn(
            "authorization_rules",
            "clients of this endpoint may reach nothing",
            cure,
        );
    } else if endpoint.target_networks.is_empty() && !endpoint.client_to_client {
        let cure = "add target_networks";
        warn(
            "target_networks",
            "clients of this endpoint can reach nothing but the server itself",
            cure,
        );
    }
    let default_route = endpoint.route_table().iter().any(|network| network.prefix() <= 1);
    if !endpoint.split_tunnel && !default_route {
        let message = "clients send everything into the tunnel, but there is no default route behind it";
        let cure = "set split_tunnel = true, or add a route and a rule for 0.0.0.0/0";
        warn("split_tunnel", message, cure);
    }
    if endpoint.split_tunnel && default_route {
        let message = "a default route makes split_tunnel behave like a full tunnel";
        warn(
            "split_tunnel",
            message,
            "remove the route for 0.0.0.0/0, or set split_tunnel = false",
        );
    }
    for (index, rule) in endpoint.authorization_rules.iter().enumerate() {
        let field = format!("authorization_rules[{index}]");
        // The group `nobody` says that this is meant: it keeps everybody out of a part of a larger network.
        if endpoint.authentication.password().is_none()
            && matches!(&rule.access, Access::Group(group) if group != "nobody")
        {
            let message = "certificates carry no groups, so this rule admits nobody";
            warn(
                &field,
                message,
                "use access_all = true, or add password authentication; the group \"nobody\" if it is meant",
            );
        }
        let routed = endpoint.forwarded_destinations();
        if !routed.iter().any(|network| overlap(*network, rule.destination)) {
            let message = format!("no route leads to {}", rule.destination);
            warn(&field, &message, "add it to routes or target_networks");
        }
    }
}
