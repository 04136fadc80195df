//! Security groups: what clients may begin with the networks behind the endpoint.
//!
//! ```text
//! chain forward
//!     iifname DEVICE oifname DEVICE accept          one client to another: no security group's business
//!     iifname DEVICE ct state established,related accept
//!     iifname DEVICE tcp dport 443 ip daddr @SET accept     one set for each family, protocol and port range
//!     iifname DEVICE counter drop
//! ```
//!
//! Security groups are stateful: answers always pass, so a packet of an established connection costs one look at its
//! state however many entries there are.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ipnetwork::IpNetwork;
use nftables::{
    batch::Batch,
    expr::{CT, Expression, MetaKey, NamedExpression, Prefix, Range, SetItem},
    schema::{Chain, NfListObject, Set, SetFlag, SetType, SetTypeValue},
    stmt::{Counter, Operator, Statement},
    types::{NfChainPolicy, NfChainType, NfFamily, NfHook},
};

use super::{field, matching, meta, rule, table_name, text};

const CHAIN: &str = "forward";
/// `filter` priority.
const PRIORITY: i32 = 0;

/// Something clients may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// Towards this network; host bits are ignored.
    pub destination: IpNetwork,
    /// With this protocol.
    pub protocol: EgressProtocol,
}

/// A protocol over IP, and which of its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EgressProtocol {
    /// Everything.
    All,
    /// TCP to these ports.
    Tcp(RangeInclusive<u16>),
    /// UDP to these ports.
    Udp(RangeInclusive<u16>),
    /// ICMP, and ICMPv6 over IPv6.
    Icmp,
    /// ICMP messages of one type, and of one code if it is given; ICMPv6 messages over IPv6.
    IcmpType {
        /// The type.
        kind: u8,
        /// The code.
        code: Option<u8>,
    },
}

/// What the entries of one set have in common, besides being of IPv6 or not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    All,
    Ports {
        protocol: &'static str,
        first: u16,
        last: u16,
    },
    Icmp,
    IcmpType {
        kind: u8,
        code: Option<u8>,
    },
}

impl Class {
    fn of(protocol: &EgressProtocol) -> Self {
        let ports = |protocol, ports: &RangeInclusive<u16>| Self::Ports {
            protocol,
            first: *ports.start(),
            last: *ports.end(),
        };
        match protocol {
            EgressProtocol::All => Self::All,
            EgressProtocol::Tcp(range) => ports("tcp", range),
            EgressProtocol::Udp(range) => ports("udp", range),
            EgressProtocol::Icmp => Self::Icmp,
            EgressProtocol::IcmpType { kind, code } => Self::IcmpType {
                kind: *kind,
                code: *code,
            },
        }
    }

    /// Matches the protocol and its ports, or types.
    fn statements(self, v6: bool) -> Vec<Statement<'static>> {
        match self {
            Self::All => Vec::new(),
            Self::Icmp => {
                let name = if v6 { "ipv6-icmp" } else { "icmp" };
                vec![matching(meta(MetaKey::L4proto), Operator::EQ, text(name))]
            }
            Self::IcmpType { kind, code } => {
                let protocol = if v6 { "icmpv6" } else { "icmp" };
                let equals = |name, value: u8| {
                    matching(
                        field(protocol, name),
                        Operator::EQ,
                        Expression::Number(value.into()),
                    )
                };
                let code = code.map(|code| equals("code", code));
                std::iter::once(equals("type", kind)).chain(code).collect()
            }
            Self::Ports {
                protocol,
                first,
                last,
            } => {
                let number = |port: u16| Expression::Number(port.into());
                let ports = if first == last {
                    number(first)
                } else {
                    Expression::Range(Box::new(Range {
                        range: [number(first), number(last)],
                    }))
                };
                vec![matching(field(protocol, "dport"), Operator::EQ, ports)]
            }
        }
    }
}

/// Adds the chain and its sets.
pub(super) fn add_chain(batch: &mut Batch<'static>, device: &str, entries: &[Egress]) {
    batch.add(NfListObject::Chain(Chain {
        family: NfFamily::INet,
        table: table_name(device).into(),
        name: CHAIN.into(),
        _type: Some(NfChainType::Filter),
        hook: Some(NfHook::Forward),
        prio: Some(PRIORITY),
        policy: Some(NfChainPolicy::Accept),
        ..Chain::default()
    }));
    let to_a_client = matching(meta(MetaKey::Oifname), Operator::EQ, text(device));
    batch.add(rule(
        device,
        CHAIN,
        vec![from(device), to_a_client, Statement::Accept(None)],
    ));
    batch.add(rule(
        device,
        CHAIN,
        vec![from(device), established(), Statement::Accept(None)],
    ));
    for (number, ((v6, class), networks)) in by_class(entries).into_iter().enumerate() {
        let name = format!("egress{number}");
        batch.add(set(device, &name, v6, &networks));
        let mut statements = vec![from(device)];
        statements.extend(class.statements(v6));
        let destination = field(if v6 { "ip6" } else { "ip" }, "daddr");
        statements.push(matching(destination, Operator::EQ, text(format!("@{name}"))));
        statements.push(Statement::Accept(None));
        batch.add(rule(device, CHAIN, statements));
    }
    let counted = Statement::Counter(Counter::Anonymous(None));
    batch.add(rule(
        device,
        CHAIN,
        vec![from(device), counted, Statement::Drop(None)],
    ));
}

fn from(device: &str) -> Statement<'static> {
    matching(meta(MetaKey::Iifname), Operator::EQ, text(device))
}

fn established() -> Statement<'static> {
    let state = Expression::Named(NamedExpression::CT(CT {
        key: "state".into(),
        family: None,
        dir: None,
    }));
    let states = ["established", "related"].map(|state| SetItem::Element(text(state)));
    let states = Expression::Named(NamedExpression::Set(states.into()));
    matching(state, Operator::IN, states)
}

/// The networks of each class and family, none inside another: a set can't hold overlapping ones.
fn by_class(entries: &[Egress]) -> BTreeMap<(bool, Class), Vec<IpNetwork>> {
    let mut classes: BTreeMap<(bool, Class), Vec<IpNetwork>> = BTreeMap::new();
    for entry in entries {
        let key = (entry.destination.is_ipv6(), Class::of(&entry.protocol));
        classes.entry(key).or_default().push(entry.destination);
    }
    for networks in classes.values_mut() {
        // A network sorts before what is inside it, and right behind it comes what is.
        networks.sort_by_key(|network| (network.network(), network.prefix()));
        networks.dedup_by(|inner, outer| outer.contains(inner.network()));
    }
    classes
}

fn set(device: &str, name: &str, v6: bool, networks: &[IpNetwork]) -> NfListObject<'static> {
    let prefix = |network: &IpNetwork| {
        Expression::Named(NamedExpression::Prefix(Prefix {
            addr: Box::new(text(network.network().to_string())),
            len: network.prefix().into(),
        }))
    };
    let elements: Vec<Expression<'static>> = networks.iter().map(prefix).collect();
    NfListObject::Set(Box::new(Set {
        family: NfFamily::INet,
        table: table_name(device).into(),
        name: name.to_owned().into(),
        handle: None,
        set_type: SetTypeValue::Single(if v6 { SetType::Ipv6Addr } else { SetType::Ipv4Addr }),
        policy: None,
        flags: Some([SetFlag::Interval].into()),
        elem: Some(elements.into()),
        timeout: None,
        gc_interval: None,
        size: None,
        comment: None,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(destination: &str, ports: RangeInclusive<u16>) -> Egress {
        Egress {
            destination: destination.parse().unwrap(),
            protocol: EgressProtocol::Tcp(ports),
        }
    }

    #[test]
    fn entries_share_a_set_by_family_protocol_and_ports() {
        let entries = [
            tcp("10.0.0.0/8", 443..=443),
            tcp("10.1.0.0/16", 443..=443),
            tcp("10.0.0.7/32", 443..=443),
            tcp("11.0.0.0/8", 443..=443),
            tcp("10.0.0.0/8", 80..=80),
            tcp("fd00::/8", 443..=443),
        ];
        let classes = by_class(&entries);
        assert_eq!(classes.len(), 3);
        let https: Vec<IpNetwork> = ["10.0.0.0/8", "11.0.0.0/8"]
            .map(|net| net.parse().unwrap())
            .into();
        assert!(classes.values().any(|networks| *networks == https));
    }

    fn network() -> impl Strategy<Value = IpNetwork> {
        (0u32..64, 24u8..=32).prop_map(|(low, prefix)| {
            IpNetwork::new(
                std::net::Ipv4Addr::from_bits(0x0a00_0000 | low << 3).into(),
                prefix,
            )
            .unwrap()
        })
    }

    proptest! {
        #[test]
        fn sets_hold_the_same_addresses_without_overlap(networks in proptest::collection::vec(network(), 0..40), probe in 0u32..1024) {
            let entries: Vec<Egress> = networks
                .iter()
                .map(|network| Egress { destination: *network, protocol: EgressProtocol::All })
                .collect();
            let kept: Vec<IpNetwork> = by_class(&entries).into_values().flatten().collect();
            let probe = std::net::IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 | probe));
            let covering = kept.iter().filter(|network| network.contains(probe)).count();
            prop_assert_eq!(covering > 0, networks.iter().any(|network| network.contains(probe)));
            prop_assert!(covering <= 1, "{:?}", kept);
        }
    }
}
