//! Security groups and their rules as XML.

use std::collections::BTreeMap;

use culvert_query::response::Element;
use culvert_service::{
    Direction, Environment, IpProtocol, PortRange, SecurityGroup, SecurityGroupId, SecurityGroupRule,
};
use ipnetwork::IpNetwork;

/// Protocol and ports in EC2's words; the ports of ICMP are type and code.
type Words = (&'static str, Option<(i32, i32)>);

/// EC2's word for all types or codes, and for all ports.
const ALL: i32 = -1;

/// The members of a security group.
pub(crate) fn security_group(item: &mut Element<'_>, group: &SecurityGroup, environment: &Environment) {
    item.text("groupId", &group.id);
    permissions(item, "ipPermissionsEgress", group, Direction::Egress);
    tag_set(item, &group.tags);
    item.text("vpcId", &group.vpc_id);
    item.text("securityGroupArn", &security_group_arn(&group.id, environment));
    item.text("ownerId", &environment.account_id);
    item.text("groupName", &group.name);
    item.text("groupDescription", &group.description);
    permissions(item, "ipPermissions", group, Direction::Ingress);
}

/// The ARN of a security group or of a rule, by its id.
pub(crate) fn security_group_arn(id: &str, environment: &Environment) -> String {
    let kind = if id.starts_with(SecurityGroupId::PREFIX) {
        "security-group"
    } else {
        "security-group-rule"
    };
    let Environment {
        region, account_id, ..
    } = environment;
    format!("arn:aws:ec2:{region}:{account_id}:{kind}/{id}")
}

/// Tags, by key.
pub(crate) fn tag_set(item: &mut Element<'_>, tags: &BTreeMap<String, String>) {
    item.list("tagSet", tags, |one, (key, value)| {
        one.text("key", key);
        one.text("value", value);
    });
}

/// The rules of one direction, those of the same protocol and ports together.
fn permissions(item: &mut Element<'_>, name: &str, group: &SecurityGroup, direction: Direction) {
    let mut permissions: Vec<(Words, Vec<&SecurityGroupRule>)> = Vec::new();
    for rule in group.rules(direction) {
        let words = protocol(rule);
        match permissions.iter_mut().find(|(other, _)| *other == words) {
            Some((_, rules)) => rules.push(rule),
            None => permissions.push((words, vec![rule])),
        }
    }
    item.list(name, permissions, |one, (words, rules)| {
        permission(one, words, &rules)
    });
}

fn permission(item: &mut Element<'_>, (protocol, ports): Words, rules: &[&SecurityGroupRule]) {
    item.text("ipProtocol", protocol);
    if let Some((first, last)) = ports {
        item.integer("fromPort", first);
        item.integer("toPort", last);
    }
    item.text_list("groups", [""; 0]);
    ranges(item, "ipRanges", "cidrIp", rules, IpNetwork::is_ipv4);
    ranges(item, "ipv6Ranges", "cidrIpv6", rules, IpNetwork::is_ipv6);
    item.text_list("prefixListIds", [""; 0]);
}

fn ranges(
    item: &mut Element<'_>,
    name: &str,
    member: &str,
    rules: &[&SecurityGroupRule],
    of_family: fn(&IpNetwork) -> bool,
) {
    let own = rules.iter().filter(|rule| of_family(&rule.network));
    item.list(name, own, |range, rule| {
        range.optional_text("description", rule.description.as_deref());
        range.text(member, &rule.network.to_string());
    });
}

/// The members of a rule.
pub(crate) fn security_group_rule(
    item: &mut Element<'_>,
    group: &str,
    rule: &SecurityGroupRule,
    environment: &Environment,
) {
    item.text("securityGroupRuleId", rule.id.as_str());
    item.text("groupId", group);
    item.text("groupOwnerId", &environment.account_id);
    said(item, rule);
    item.optional_text("description", rule.description.as_deref());
    tag_set(item, &rule.tags);
    let arn = security_group_arn(rule.id.as_str(), environment);
    item.text("securityGroupRuleArn", &arn);
}

/// The members of a rule that is no more.
pub(crate) fn revoked_rule(item: &mut Element<'_>, group: &str, rule: &SecurityGroupRule) {
    item.text("securityGroupRuleId", rule.id.as_str());
    item.text("groupId", group);
    said(item, rule);
    item.optional_text("description", rule.description.as_deref());
}

/// What a rule says.
fn said(item: &mut Element<'_>, rule: &SecurityGroupRule) {
    item.boolean("isEgress", rule.direction == Direction::Egress);
    let (protocol, ports) = protocol(rule);
    let (first, last) = ports.unwrap_or((ALL, ALL));
    item.text("ipProtocol", protocol);
    item.integer("fromPort", first);
    item.integer("toPort", last);
    let member = if rule.network.is_ipv4() {
        "cidrIpv4"
    } else {
        "cidrIpv6"
    };
    item.text(member, &rule.network.to_string());
}

fn protocol(rule: &SecurityGroupRule) -> Words {
    let range = |ports: PortRange| Some((i32::from(ports.first), i32::from(ports.last)));
    let icmp = if rule.network.is_ipv6() { "icmpv6" } else { "icmp" };
    match rule.protocol {
        IpProtocol::All => ("-1", None),
        IpProtocol::Tcp(ports) => ("tcp", range(ports)),
        IpProtocol::Udp(ports) => ("udp", range(ports)),
        IpProtocol::Icmp => (icmp, Some((ALL, ALL))),
        IpProtocol::IcmpType { kind, code } => (icmp, Some((kind.into(), code.map_or(ALL, i32::from)))),
    }
}
