//! Target networks, routes and authorization rules.

use culvert_policy::{Access, AuthorizationRule, Service};
use ipnetwork::IpNetwork;

use super::table::Table;
use super::values::{boolean, choice, network, string, word};
use crate::endpoint::{EndpointSpec, RULE_EVALUATIONS, Route, TargetNetwork};
use crate::error::Fault;

/// What lies behind the endpoint and who may go there.
pub(super) fn networks(table: &Table<'_, '_>, spec: &mut EndpointSpec) {
    for entry in table.tables("target_networks") {
        let cidr = entry.require("cidr", "write the network, as in cidr = \"10.0.0.0/16\"", network);
        let interface = entry.read("interface", string);
        let nat = entry.read("nat", boolean);
        entry.finish();
        let read = cidr.map(|cidr| TargetNetwork {
            cidr,
            automatic_route: true,
            interface,
            nat: nat.unwrap_or_else(|| cidr.is_ipv4()),
        });
        spec.target_networks.extend(read);
    }
    for entry in table.tables("routes") {
        let cure = "write the destination, as in destination_cidr = \"0.0.0.0/0\"";
        let destination = entry.require("destination_cidr", cure, network);
        let through = entry.read("target_network", network);
        let description = entry.read("description", string);
        let Some(destination_cidr) = destination else {
            entry.finish();
            continue;
        };
        match through.or_else(|| best_target(destination_cidr, &spec.target_networks)) {
            Some(target_network) => {
                spec.routes.push(Route {
                    destination_cidr,
                    target_network,
                    description,
                });
            }
            None => entry.refuse(Fault::new(
                format!("the route {destination_cidr} leads nowhere: there is no target network for it"),
                "add one to target_networks",
            )),
        }
        entry.finish();
    }
    for entry in table.tables("authorization_rules") {
        spec.authorization_rules.extend(rule(&entry));
        entry.finish();
    }
    if let Some(evaluation) = table.read("rule_evaluation", |value| choice(value, &RULE_EVALUATIONS)) {
        spec.rule_evaluation = evaluation;
    }
    if let Some(client_to_client) = table.read("client_to_client", boolean) {
        spec.client_to_client = client_to_client;
        spec.client_to_client_ipv6 = client_to_client;
    }
}

fn rule(table: &Table<'_, '_>) -> Option<AuthorizationRule> {
    let cure = "write the destination, as in destination_cidr = \"10.0.0.0/16\"";
    let destination = table.require("destination_cidr", cure, network);
    let all = table.read("access_all", boolean);
    let group = table.read("group_id", string);
    let services = services(table);
    let description = table.read("description", string);
    let access = match (all.unwrap_or(false), group) {
        (true, None) => Some(Access::AllUsers),
        (false, Some(group)) => Some(Access::Group(group)),
        (true, Some(_)) => {
            let message = "the rule names a group and admits everybody";
            table.refuse_key("access_all", Fault::new(message, "keep access_all or group_id"));
            None
        }
        (false, None) if table.has("group_id") => None,
        (false, None) => {
            let cure = "write access_all = true or group_id = \"...\"";
            table.refuse(Fault::new("the rule admits nobody", cure));
            None
        }
    };
    Some(AuthorizationRule {
        destination: destination?,
        access: access?,
        services: services?,
        description,
    })
}

/// What a rule is limited to; `None` after a refusal.
fn services(table: &Table<'_, '_>) -> Option<Vec<Service>> {
    const KEY: &str = "services";
    if !table.has(KEY) {
        return Some(Vec::new());
    }
    let parse = |text: &str| {
        text.parse().map_err(|_| {
            let cure =
                "write it as in \"443/tcp\", \"8000-8999/tcp\", \"53/udp\", \"tcp\", \"udp\" or \"icmp\"";
            Fault::new(format!("{text:?} is no service"), cure)
        })
    };
    let services = table.list(KEY, |value| word(value, parse))?;
    if table.length(KEY) == Some(0) {
        let cure = "name services, or remove the key to allow everything";
        table.refuse_key(KEY, Fault::new("a rule without any service allows nothing", cure));
        return None;
    }
    Some(services)
}

/// The target network a route most likely means: one that contains it, else the first of its family.
fn best_target(destination: IpNetwork, targets: &[TargetNetwork]) -> Option<IpNetwork> {
    let same_family = |target: &&TargetNetwork| target.cidr.is_ipv4() == destination.is_ipv4();
    let containing = targets
        .iter()
        .filter(same_family)
        .filter(|target| {
            target.cidr.contains(destination.network()) && target.cidr.prefix() <= destination.prefix()
        })
        .max_by_key(|target| target.cidr.prefix());
    containing
        .or_else(|| targets.iter().find(same_family))
        .map(|target| target.cidr)
}
