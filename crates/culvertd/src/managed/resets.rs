//! Which changes of an endpoint end its connections when resets are strict.

use std::collections::HashSet;

use culvert_config::EndpointConfig;
use culvert_policy::{Access, Service};
use ipnetwork::IpNetwork;

/// Whether a change ends connections on AWS: of server certificate, DNS servers, split tunnel, routes of a split tunnel,
/// revocation list, authorization rules and port.
pub(crate) fn ends_connections(before: &EndpointConfig, after: &EndpointConfig) -> bool {
    let split = before.split_tunnel && after.split_tunnel;
    before.server_certificate != after.server_certificate
        || before.server_private_key != after.server_private_key
        || before.dns_servers != after.dns_servers
        || before.split_tunnel != after.split_tunnel
        || split && routes(before) != routes(after)
        || revocation_list(before) != revocation_list(after)
        || rules(before) != rules(after)
        || before.rule_evaluation != after.rule_evaluation
        || before.vpn_port != after.vpn_port
}

/// What is pushed to clients, in any order.
fn routes(config: &EndpointConfig) -> HashSet<IpNetwork> {
    config.route_table().into_iter().collect()
}

fn rules(config: &EndpointConfig) -> HashSet<(IpNetwork, &Access, &[Service])> {
    let rules = config.authorization_rules.iter();
    rules
        .map(|rule| (rule.destination, &rule.access, &*rule.services))
        .collect()
}

fn revocation_list(config: &EndpointConfig) -> Option<&culvert_config::Pem> {
    config.authentication.certificates()?.crl.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::samples::Sample;
    use culvert_service::Endpoint;

    /// Whether a change of the stored endpoint ends connections; `split` as it is before.
    fn ends(split: bool, change: impl FnOnce(&mut Endpoint)) -> bool {
        let mut sample = Sample::new();
        sample.endpoint.split_tunnel = split;
        let before = sample.config().unwrap();
        change(&mut sample.endpoint);
        ends_connections(&before, &sample.config().unwrap())
    }

    fn add_route(endpoint: &mut Endpoint) {
        let mut route = endpoint.routes[0].clone();
        route.destination = "192.168.9.0/24".parse().unwrap();
        endpoint.routes.push(route);
    }

    #[test]
    fn exactly_the_documented_changes_end_connections() {
        assert!(!ends(false, |_| {}));
        assert!(ends(false, |endpoint| endpoint
            .dns_servers
            .push("10.20.0.2".parse().unwrap())));
        assert!(ends(false, |endpoint| endpoint.split_tunnel = true));
        assert!(ends(true, |endpoint| endpoint.split_tunnel = false));
        assert!(ends(true, add_route));
        assert!(!ends(false, add_route));
        assert!(ends(false, |endpoint| endpoint.rules.clear()));
        assert!(ends(false, |endpoint| endpoint.rules[0].services =
            vec!["443/tcp".parse().unwrap()]));
        assert!(ends(false, |endpoint| {
            let tag = (
                culvert_service::RULE_EVALUATION_TAG.to_owned(),
                "additive".to_owned(),
            );
            endpoint.tags.extend([tag]);
        }));
        assert!(ends(false, |endpoint| endpoint.vpn_port = 1194));
        assert!(!ends(false, |endpoint| endpoint.description = Some("another".into())));
        assert!(!ends(false, |endpoint| endpoint.session_timeout_hours = 8));
        assert!(!ends(false, |endpoint| endpoint.security_group_ids =
            vec!["sg-00000001".into()]));
        assert!(!ends(false, |endpoint| {
            endpoint.banner.enabled = true;
            endpoint.banner.text = Some("Welcome".into());
        }));
    }

    #[test]
    fn another_revocation_list_ends_connections() {
        let mut sample = Sample::new();
        let before = sample.config().unwrap();
        sample.revoke_by(*b"LIST");
        let first = sample.config().unwrap();
        assert!(ends_connections(&before, &first));
        sample.revoke_by(*b"NEXT");
        assert!(ends_connections(&first, &sample.config().unwrap()));
    }

    #[test]
    fn another_server_certificate_ends_connections() {
        let mut sample = Sample::new();
        let before = sample.config().unwrap();
        sample.certificates[0].certificate = "RENEWED".into();
        assert!(ends_connections(&before, &sample.config().unwrap()));
    }
}
