//! `[[security_group]]`.

use super::document::Document;
use super::environment::{id, owner, unique};
use super::table::Table;
use super::values::{choice, network, number, string};
use crate::environment::{DEFAULT_GROUP, EgressRule, IpProtocol, PortRange, SecurityGroup, Vpc};
use crate::error::Fault;

/// Longest name and description, in characters, as in AWS.
const MAX_TEXT: usize = 255;

/// Reads the groups and adds a default one to each VPC that has none.
pub(super) fn security_groups(
    document: &Document<'_>,
    root: &Table<'_, '_>,
    vpcs: &[Vpc],
) -> Vec<SecurityGroup> {
    let mut groups: Vec<SecurityGroup> = Vec::new();
    for table in root.tables("security_group") {
        let path = table.path.clone();
        let Some(group) = security_group(table, vpcs) else {
            continue;
        };
        unique(
            document,
            &path,
            &group.id,
            groups.iter().map(|other| other.id.clone()),
        );
        let mut others = groups.iter().filter(|other| other.vpc_id == group.vpc_id);
        if others.any(|other| other.name == group.name) {
            let message = format!("the VPC {:?} has a group {:?} already", group.vpc_id, group.name);
            let fault = Fault::new(message, "give each group of a VPC a name of its own");
            document.refuse_field(&path, fault.at("name"));
        }
        groups.push(group);
    }
    for vpc in vpcs {
        let mut own = groups.iter().filter(|group| group.vpc_id == vpc.id);
        if !own.any(|group| group.name == DEFAULT_GROUP) {
            groups.push(SecurityGroup::default_of(&vpc.id));
        }
    }
    groups
}

fn security_group(table: Table<'_, '_>, vpcs: &[Vpc]) -> Option<SecurityGroup> {
    let cure = "write an id of your choice, as in id = \"sg-0123456789abcdef0\"";
    let id = table.require("id", cure, |value| id(value, "sg-", "sg-0123456789abcdef0"));
    let vpc_id = owner(&table, vpcs);
    let name = table.require(
        "name",
        "write a name; \"default\" applies where none is chosen",
        |value| string(value).and_then(checked_text),
    );
    let description = table.read("description", |value| string(value).and_then(checked_text));
    let egress = if table.has("egress") {
        table
            .tables("egress")
            .into_iter()
            .filter_map(egress_rule)
            .collect()
    } else {
        EgressRule::everything()
    };
    table.finish();
    Some(SecurityGroup {
        id: id?,
        vpc_id: vpc_id?,
        description: description.unwrap_or_default(),
        name: name?,
        egress,
    })
}

fn checked_text(text: String) -> Result<String, Fault> {
    if (1..=MAX_TEXT).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        return Ok(text);
    }
    let cure = format!("use 1 to {MAX_TEXT} printable characters");
    Err(Fault::new("this text can't be used here", cure))
}

/// A protocol before its ports are known.
#[derive(Clone, Copy)]
enum Word {
    All,
    Tcp,
    Udp,
    Icmp,
}

fn egress_rule(table: Table<'_, '_>) -> Option<EgressRule> {
    let words = [
        ("all", Word::All),
        ("tcp", Word::Tcp),
        ("udp", Word::Udp),
        ("icmp", Word::Icmp),
    ];
    let cure = "write \"all\", \"tcp\", \"udp\" or \"icmp\"";
    let protocol = table.require("protocol", cure, |value| choice(value, &words));
    let destination = table.require(
        "cidr",
        "write the network, as in cidr = \"10.20.0.0/16\"",
        network,
    );
    let from = table.read("from_port", |value| number::<u16>(value, 0, 65535));
    let to = table.read("to_port", |value| number::<u16>(value, 0, 65535));
    let given = table.has("from_port") || table.has("to_port");
    let ports = match (from, to) {
        _ if !given => Some(PortRange {
            first: 0,
            last: 65535,
        }),
        (Some(first), Some(last)) if first <= last => Some(PortRange { first, last }),
        (Some(_), Some(_)) => {
            let message = "the first port is above the last";
            table.refuse_key("from_port", Fault::new(message, "exchange from_port and to_port"));
            None
        }
        _ if table.has("from_port") && table.has("to_port") => None,
        _ => {
            let cure = "give from_port and to_port; they may be the same";
            table.refuse(Fault::new("the range of ports has one end", cure));
            None
        }
    };
    if given && matches!(protocol, Some(Word::All | Word::Icmp)) {
        let message = "ports mean nothing for this protocol";
        table.refuse_key(
            "protocol",
            Fault::new(message, "remove them, or use \"tcp\" or \"udp\""),
        );
    }
    table.finish();
    Some(EgressRule {
        destination: destination?,
        protocol: match protocol? {
            Word::All => IpProtocol::All,
            Word::Tcp => IpProtocol::Tcp(ports?),
            Word::Udp => IpProtocol::Udp(ports?),
            Word::Icmp => IpProtocol::Icmp,
        },
    })
}
