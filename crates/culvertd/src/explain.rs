//! Explains why a client may begin to talk with a destination, or may not.

use std::net::IpAddr;

use culvert_admin::{ExplainStep, Service};
use culvert_config::{EgressRule, EndpointConfig, IpProtocol, PortRange};
use culvert_policy::{self as policy, RuleEvaluation, Verdict};
use ipnetwork::IpNetwork;

/// What is looked at, up to what decides, and the outcome: in the order in which the packet path looks at it.
pub(crate) fn explain(
    config: &EndpointConfig,
    groups: &[String],
    destination: IpAddr,
    service: Option<Service>,
) -> (bool, Vec<ExplainStep>) {
    let mut steps = Vec::new();
    let mut pass = |what: &str, (passes, why): (bool, String)| {
        let what = what.to_owned();
        steps.push(ExplainStep { what, passes, why });
        passes
    };
    let allowed = if is_server(config, destination) {
        let why =
            format!("{destination} is the server's own address in the tunnel, which every client reaches");
        pass("server", (true, why))
    } else if let Some(between_clients) = client_to_client(config, destination) {
        pass("client to client", between_clients) && pass("rule", rule(config, groups, destination, service))
    } else {
        pass("route", route(config, destination))
            && pass("rule", rule(config, groups, destination, service))
            && pass("security groups", egress(config, destination, service))
    };
    (allowed, steps)
}

fn is_server(config: &EndpointConfig, destination: IpAddr) -> bool {
    match destination {
        IpAddr::V4(v4) => config.server_v4() == Some(v4),
        IpAddr::V6(v6) => config.server_v6() == Some(v6),
    }
}

/// Whether clients reach each other; `None` if no client has the destination's address.
fn client_to_client(config: &EndpointConfig, destination: IpAddr) -> Option<(bool, String)> {
    let (block, enabled): (Option<IpNetwork>, bool) = match destination {
        IpAddr::V4(_) => (config.client_cidr_block.map(Into::into), config.client_to_client),
        IpAddr::V6(_) => (
            config.client_ipv6_cidr_block.map(Into::into),
            config.client_to_client_ipv6,
        ),
    };
    let block = block.filter(|block| block.contains(destination))?;
    let why = if enabled {
        format!("clients, of {block}, reach each other where the rules of both allow it")
    } else {
        format!(
            "{destination} is a client's, of {block}, and clients of this endpoint don't reach each other"
        )
    };
    Some((enabled, why))
}

fn route(config: &EndpointConfig, destination: IpAddr) -> (bool, String) {
    let routes = config.forwarded_destinations();
    let leading = routes.iter().filter(|route| route.contains(destination));
    match leading.max_by_key(|route| route.prefix()) {
        Some(route) => (true, format!("{route} leads there")),
        None => (false, format!("no route leads to {destination}; add one")),
    }
}

fn rule(
    config: &EndpointConfig,
    groups: &[String],
    destination: IpAddr,
    service: Option<Service>,
) -> (bool, String) {
    let additive = config.rule_evaluation == RuleEvaluation::Additive;
    match config.policy().explain(groups, destination) {
        Verdict::Allowed(network) if additive => (
            true,
            format!("a rule for {network} admits the client; rules are additive"),
        ),
        Verdict::Allowed(network) => (
            true,
            format!("the rules for {network} are the most specific ones, and one of them admits the client"),
        ),
        Verdict::Limited(network, services) => limited(network, &services, service, additive),
        Verdict::OtherGroups(_) if additive => (
            false,
            format!("all rules for {destination} are for groups the client is not in"),
        ),
        Verdict::OtherGroups(network) => (
            false,
            format!(
                "the rules for {network} are the most specific ones, and all of them are for groups the client is not in; \
                 less specific rules do not count"
            ),
        ),
        Verdict::NoRule | Verdict::NoRoute => (false, format!("no rule covers {destination}; authorize one")),
    }
}

/// What rules say that are limited to services.
fn limited(
    network: IpNetwork,
    services: &[policy::Service],
    service: Option<Service>,
    additive: bool,
) -> (bool, String) {
    let texts: Vec<String> = services.iter().map(ToString::to_string).collect();
    let which = if additive {
        format!("the rules that admit the client, among them one for {network},")
    } else {
        format!("the rules for {network} are the most specific ones, and those that admit the client")
    };
    let only = format!("{which} allow {}", texts.join(", "));
    match service {
        None => (true, format!("{only}; name a service for more")),
        Some(service) if services.iter().any(|allowed| includes(*allowed, service)) => (true, only),
        Some(service) => (false, format!("{only}, but not {service}")),
    }
}

fn includes(allowed: policy::Service, service: Service) -> bool {
    match (allowed, service) {
        (policy::Service::Tcp(ports), Service::Tcp(port))
        | (policy::Service::Udp(ports), Service::Udp(port)) => ports.contains(port),
        (policy::Service::Icmp, Service::Icmp) => true,
        (policy::Service::Tcp(_) | policy::Service::Udp(_) | policy::Service::Icmp, _) => false,
    }
}

fn egress(config: &EndpointConfig, destination: IpAddr, service: Option<Service>) -> (bool, String) {
    let Some(rules) = &config.egress else {
        return (true, "they allow everything".to_owned());
    };
    let behind = |rule: &&EgressRule| rule.destination.contains(destination);
    let found = rules.iter().filter(behind).find(|rule| speaks(rule, service));
    match (found, service) {
        (Some(rule), Some(service)) if matches!(rule.protocol, IpProtocol::IcmpType { .. }) => (
            true,
            format!("a rule for {} allows one type of {service}", rule.destination),
        ),
        (Some(rule), Some(service)) => (true, format!("a rule for {} allows {service}", rule.destination)),
        (Some(rule), None) => (
            true,
            format!(
                "a rule for {} allows some of it; name a service for more",
                rule.destination
            ),
        ),
        (None, Some(service)) => (false, format!("no rule allows {service} to {destination}")),
        (None, None) => (false, format!("no rule allows anything to {destination}")),
    }
}

/// Whether a rule is about a service; `None`: any.
fn speaks(rule: &EgressRule, service: Option<Service>) -> bool {
    let within = |range: &PortRange, port: u16| (range.first..=range.last).contains(&port);
    match (&rule.protocol, service) {
        (_, None) | (IpProtocol::All, _) => true,
        (IpProtocol::Tcp(range), Some(Service::Tcp(port)))
        | (IpProtocol::Udp(range), Some(Service::Udp(port))) => within(range, port),
        (IpProtocol::Tcp(_) | IpProtocol::Udp(_), _) | (_, Some(Service::Tcp(_) | Service::Udp(_))) => false,
        (_, Some(Service::Icmp)) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managed::sample_config;

    fn told(
        change: impl FnOnce(&mut culvert_service::Endpoint),
        destination: &str,
        service: &str,
    ) -> (bool, String) {
        let config = sample_config(change);
        let (allowed, steps) = explain(
            &config,
            &["staff".to_owned()],
            destination.parse().unwrap(),
            service.parse().ok(),
        );
        assert_eq!(allowed, steps.iter().all(|step| step.passes));
        (allowed, steps.last().unwrap().why.clone())
    }

    #[test]
    fn what_decides_comes_last() {
        let (allowed, why) = told(|_| {}, "192.0.2.1", "");
        assert!(!allowed && why.contains("no route"), "{why}");
        let (allowed, why) = told(|endpoint| endpoint.rules.clear(), "10.20.1.10", "");
        assert!(!allowed && why.contains("no rule covers"), "{why}");
        let other = |endpoint: &mut culvert_service::Endpoint| {
            let mut rule = endpoint.rules[0].clone();
            rule.destination = "10.20.1.0/24".parse().unwrap();
            rule.access = culvert_service::Access::Group("admins".into());
            endpoint.rules.push(rule);
        };
        let (allowed, why) = told(other, "10.20.1.10", "");
        assert!(
            !allowed && why.contains("10.20.1.0/24") && why.contains("not in"),
            "{why}"
        );
        let (allowed, why) = told(other, "10.20.2.10", "");
        assert!(allowed && why.contains("everything"), "{why}");
    }

    #[test]
    fn clients_and_the_server_are_no_networks() {
        let everywhere = |endpoint: &mut culvert_service::Endpoint| {
            endpoint.rules[0].destination = "0.0.0.0/0".parse().unwrap();
        };
        let (allowed, why) = told(everywhere, "10.8.0.9", "");
        assert!(!allowed && why.contains("don't reach each other"), "{why}");
        let mut config = sample_config(everywhere);
        let server = config.server_v4().unwrap();
        let (allowed, why) = told(|endpoint| endpoint.rules.clear(), &server.to_string(), "");
        assert!(allowed && why.contains("every client"), "{why}");
        let client = "10.8.0.9".parse().unwrap();
        let mut spec = (*config).clone();
        spec.client_to_client = true;
        spec.egress = Some(Vec::new());
        config = spec.validate().unwrap();
        let (allowed, steps) = explain(&config, &[], client, None);
        let asked: Vec<&str> = steps.iter().map(|step| step.what.as_str()).collect();
        assert_eq!(asked, ["client to client", "rule"], "security groups have no say");
        assert!(allowed, "{steps:?}");
    }

    #[test]
    fn a_limited_rule_is_asked_for_the_service() {
        let https = |endpoint: &mut culvert_service::Endpoint| {
            endpoint.rules[0].services = vec!["443/tcp".parse().unwrap(), "53/udp".parse().unwrap()];
        };
        for (service, allowed, part) in [
            ("443/tcp", true, "everything"),
            ("53/udp", true, "everything"),
            ("443/udp", false, "allow 443/tcp, 53/udp, but not 443/udp"),
            ("icmp", false, "but not icmp"),
            ("", true, "everything"),
        ] {
            let (outcome, why) = told(https, "10.20.1.10", service);
            assert!(outcome == allowed && why.contains(part), "{service}: {why}");
        }
    }

    #[test]
    fn additive_rules_shadow_nothing() {
        let shadowed = |endpoint: &mut culvert_service::Endpoint| {
            let mut rule = endpoint.rules[0].clone();
            rule.destination = "10.20.1.0/24".parse().unwrap();
            rule.access = culvert_service::Access::Group("admins".into());
            endpoint.rules.push(rule);
        };
        assert!(!told(shadowed, "10.20.1.10", "").0);
        let additive = |endpoint: &mut culvert_service::Endpoint| {
            shadowed(endpoint);
            let tag = (
                culvert_service::RULE_EVALUATION_TAG.to_owned(),
                "additive".to_owned(),
            );
            endpoint.tags.extend([tag]);
        };
        assert!(told(additive, "10.20.1.10", "").0);
        let (allowed, why) = told(
            |endpoint| {
                additive(endpoint);
                endpoint.rules.remove(0);
            },
            "10.20.1.10",
            "",
        );
        assert!(!allowed && why.contains("all rules for 10.20.1.10"), "{why}");
    }

    #[test]
    fn security_groups_are_about_services() {
        let web = |endpoint: &mut culvert_service::Endpoint| {
            endpoint.security_group_ids = vec!["sg-00000001".into()];
        };
        for (service, allowed, part) in [
            ("443/tcp", true, "allows 443/tcp"),
            ("80/tcp", false, "no rule allows 80/tcp"),
            ("443/udp", false, "no rule"),
            ("icmp", false, "no rule"),
            ("", true, "some of it"),
        ] {
            let (outcome, why) = told(web, "10.20.1.10", service);
            assert!(outcome == allowed && why.contains(part), "{service}: {why}");
        }
        let ping = |endpoint: &mut culvert_service::Endpoint| {
            endpoint.security_group_ids = vec!["sg-00000002".into()];
        };
        assert!(told(ping, "10.20.1.10", "icmp").0);
        let none = |endpoint: &mut culvert_service::Endpoint| {
            endpoint.security_group_ids = vec!["sg-00000003".into()];
        };
        assert!(!told(none, "10.20.1.10", "").0);
    }
}
