//! Rules of a group, without a store.

use std::cell::Cell;

use culvert_query::{ApiError, ErrorCode};

use super::*;
use crate::operations::samples::code;

fn group() -> SecurityGroup {
    SecurityGroup {
        id: "sg-0123456789abcdef0".into(),
        vpc_id: "vpc-00000001".into(),
        name: "web".into(),
        description: "web".into(),
        rules: Vec::new(),
        tags: BTreeMap::new(),
        declared: false,
    }
}

fn tcp(network: &str, port: u16) -> Permission {
    Permission {
        network: network.parse().unwrap(),
        protocol: IpProtocol::Tcp(PortRange {
            first: port,
            last: port,
        }),
        description: None,
    }
}

fn ids() -> impl Fn() -> SecurityGroupRuleId {
    let next = Cell::new(0);
    move || {
        next.set(next.get() + 1);
        SecurityGroupRuleId::from_random([next.get(); 9])
    }
}

fn authorize(
    group: &mut SecurityGroup,
    direction: Direction,
    permissions: &[Permission],
) -> Result<Vec<SecurityGroupRule>, ApiError> {
    let tags = [("Name".to_owned(), "rule".to_owned())].into();
    let start = group.rules.len();
    let fresh = ids();
    (0..start).for_each(|_| drop(fresh()));
    group.authorize(direction, permissions, &tags, fresh)
}

#[test]
fn rules_of_each_direction_come_and_go_on_their_own() {
    let mut group = group();
    let added = authorize(&mut group, Direction::Egress, &[tcp("10.20.0.7/16", 443)]).unwrap();
    assert_eq!(added[0].network.to_string(), "10.20.0.0/16", "without host bits");
    assert_eq!(added[0].tags["Name"], "rule");
    authorize(&mut group, Direction::Ingress, &[tcp("10.20.0.0/16", 443)]).unwrap();
    assert_eq!((group.rules.len(), group.egress().count()), (2, 1));
    let said = Revocation::Permissions(vec![tcp("10.20.9.9/16", 443)]);
    let gone = group.revoke(Direction::Ingress, &said).unwrap();
    assert_eq!(gone[0].direction, Direction::Ingress);
    assert_eq!(
        code(group.revoke(Direction::Ingress, &said)),
        ErrorCode::InvalidPermissionNotFound
    );
    let named = Revocation::Rules(vec![added[0].id.to_string()]);
    assert_eq!(
        code(group.revoke(Direction::Ingress, &named)),
        ErrorCode::InvalidSecurityGroupRuleIdNotFound,
        "it is one of the other direction"
    );
    assert_eq!(group.revoke(Direction::Egress, &named).unwrap(), added);
    assert!(group.rules.is_empty());
}

#[test]
fn a_refused_change_changes_nothing() {
    let mut group = group();
    authorize(&mut group, Direction::Egress, &[tcp("10.0.0.0/8", 80)]).unwrap();
    let before = group.clone();
    let mut refused =
        |permissions: &[Permission]| code(authorize(&mut group, Direction::Egress, permissions));
    let fresh = tcp("10.0.0.0/8", 81);
    assert_eq!(
        refused(&[fresh.clone(), tcp("10.0.0.0/8", 80)]),
        ErrorCode::InvalidPermissionDuplicate
    );
    assert_eq!(
        refused(&[fresh.clone(), fresh.clone()]),
        ErrorCode::InvalidParameterValue
    );
    let mut described = fresh.clone();
    described.description = Some("tab\there".into());
    assert_eq!(refused(&[described]), ErrorCode::InvalidParameterValue);
    let many: Vec<Permission> = (100..160).map(|port| tcp("10.0.0.0/8", port)).collect();
    assert_eq!(refused(&many), ErrorCode::RulesPerSecurityGroupLimitExceeded);
    let half = Revocation::Permissions(vec![tcp("10.0.0.0/8", 80), fresh]);
    assert_eq!(
        code(group.revoke(Direction::Egress, &half)),
        ErrorCode::InvalidPermissionNotFound
    );
    assert_eq!(group, before);
    authorize(&mut group, Direction::Egress, &many[1..]).unwrap();
    assert_eq!(group.rules.len(), 60);
}

#[test]
fn every_protocol_is_read_back_as_it_was_kept() {
    let range = PortRange { first: 1, last: 2 };
    for protocol in [
        IpProtocol::All,
        IpProtocol::Tcp(range),
        IpProtocol::Udp(range),
        IpProtocol::Icmp,
        IpProtocol::IcmpType {
            kind: 8,
            code: Some(0),
        },
        IpProtocol::IcmpType { kind: 3, code: None },
    ] {
        let mut group = group();
        let permission = Permission {
            protocol,
            ..tcp("10.0.0.0/8", 1)
        };
        authorize(&mut group, Direction::Egress, &[permission]).unwrap();
        let kept = serde_json::to_string(&group).unwrap();
        assert_eq!(
            serde_json::from_str::<SecurityGroup>(&kept).unwrap(),
            group,
            "{kept}"
        );
    }
}

#[test]
fn rules_of_a_declared_group_keep_their_ids() {
    let rule = |port: u16| EgressRule {
        destination: "10.0.0.0/8".parse().unwrap(),
        protocol: tcp("10.0.0.0/8", port).protocol,
    };
    let mut declared = culvert_config::SecurityGroup {
        id: "sg-00000001".into(),
        vpc_id: "vpc-00000001".into(),
        name: "web".into(),
        description: String::new(),
        egress: vec![rule(80), rule(443)],
    };
    let before = SecurityGroup::from(&declared);
    declared.egress.remove(0);
    let after = SecurityGroup::from(&declared);
    assert!(after.declared);
    assert_eq!(before.rules[1], after.rules[0]);
    assert_ne!(before.rules[0].id, before.rules[1].id);
}
