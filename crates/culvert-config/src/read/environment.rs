//! `[account]`, `[quotas]`, `[[vpc]]`, `[[subnet]]`, `[[security_group]]`, `[[directory]]`, `[[connect_handler]]`,
//! `[[log_group]]`: what an account would provide.

use ipnetwork::{IpNetwork, Ipv6Network};

use super::authentication::{certificate_groups, password};
use super::connect_handler::connect_handlers;
use super::document::Document;
use super::listen::listen;
use super::log_group::log_groups;
use super::quotas::quotas;
use super::security_group::security_groups;
use super::table::{Table, Value};
use super::values::{boolean, choice, network_v4, network_v6, text, word};
use crate::endpoint::{check_device_name, overlap, special_purpose};
use crate::environment::{Account, Directory, Environment, Resets, Subnet, Vpc, zone_id};
use crate::error::Fault;
use crate::push::check_domain;

/// The widest block of a VPC. Clients' addresses come from elsewhere, so there must be an elsewhere.
const WIDEST: u8 = 8;
/// The prefix of an endpoint's IPv6 addresses.
const CLIENTS_PREFIX: u8 = 64;

/// Reads everything that surrounds managed endpoints.
pub(super) fn environment(document: &Document<'_>, root: &Table<'_, '_>) -> Environment {
    let account = root.table("account").map(account).unwrap_or_default();
    let vpcs = vpcs(document, root);
    let subnets = subnets(document, root, &account, &vpcs);
    let security_groups = security_groups(document, root, &vpcs);
    let directories = directories(document, root);
    let quotas = root.table("quotas").map(quotas).unwrap_or_default();
    Environment {
        account,
        vpcs,
        subnets,
        security_groups,
        directories,
        connect_handlers: connect_handlers(document, root),
        log_groups: log_groups(document, root),
        quotas,
    }
}

fn account(table: Table<'_, '_>) -> Account {
    let default = Account::default();
    let id = table.read("id", |value| word(value, account_id));
    let region = table.read("region", |value| word(value, region));
    let host = table.read("host", |value| word(value, host));
    let listen = listen(&table);
    let both_transports = table.read("both_transports", boolean);
    let ipv6_host = table.read("ipv6_host", |value| word(value, ipv6_host));
    if ipv6_host.is_some() && host.is_none() && listen.is_empty() {
        let cure = "set host too: it is what clients reach this machine by over IPv4";
        table.refuse_key("ipv6_host", Fault::new("there is no host beside it", cure));
    }
    let words = [("live", Resets::Live), ("strict", Resets::Strict)];
    let resets = table.read("resets", |value| choice(value, &words));
    let certificate_groups = table.read("certificate_groups", certificate_groups);
    let client_ipv6_range = table.read("client_ipv6_range", |value| {
        network_v6(value).and_then(checked).and_then(client_range)
    });
    table.finish();
    Account {
        id: id.unwrap_or(default.id),
        region: region.unwrap_or(default.region),
        host,
        listen,
        both_transports: both_transports.unwrap_or(default.both_transports),
        ipv6_host,
        resets: resets.unwrap_or(default.resets),
        certificate_groups,
        client_ipv6_range: client_ipv6_range.unwrap_or(default.client_ipv6_range),
    }
}

/// A range that has room for a /64 of unicast addresses.
fn client_range(range: Ipv6Network) -> Result<Ipv6Network, Fault> {
    if range.prefix() > CLIENTS_PREFIX {
        let cure = "choose a /64 or larger, as in \"2001:db8:100::/48\"";
        return Err(Fault::new(format!("{range} is smaller than a /64"), cure));
    }
    if let Some(special) = special_purpose(range.into()) {
        let cure = "choose a part of your own addresses, or leave the key out for unique local ones";
        return Err(Fault::new(
            format!("{special} addresses cannot be given to clients"),
            cure,
        ));
    }
    Ok(range)
}

fn account_id(text: &str) -> Result<String, Fault> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let message = format!("{text:?} is not the id of an account");
    Err(Fault::new(message, "write 12 digits, as in \"000000000000\""))
}

/// A region is part of host names and ARNs.
pub(super) fn region(text: &str) -> Result<String, Fault> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edges = !text.starts_with('-') && !text.ends_with('-');
    if (1..=32).contains(&text.len()) && text.bytes().all(plain) && edges {
        return Ok(text.to_owned());
    }
    let cure = "use 1 to 32 lower-case letters, digits and dashes, as in \"us-east-1\"";
    Err(Fault::new(format!("{text:?} is not a region"), cure))
}

pub(super) fn host(text: &str) -> Result<String, Fault> {
    if text.parse::<std::net::IpAddr>().is_err() {
        check_domain(text).map_err(|_| {
            let message = format!("{text:?} is neither a host name nor an address");
            Fault::new(
                message,
                "write what clients reach this machine by, as in \"vpn.example.com\"",
            )
        })?;
    }
    Ok(text.to_owned())
}

/// A host that may be reached over IPv6.
fn ipv6_host(text: &str) -> Result<String, Fault> {
    if text.parse::<std::net::Ipv4Addr>().is_ok() {
        let cure = "write a name or an IPv6 address, as in \"2001:db8::1\"";
        return Err(Fault::new(format!("{text} is an IPv4 address"), cure));
    }
    host(text)
}

/// An id: `prefix`, and one of these numbers of digits.
pub(super) fn id(value: &Value<'_, '_>, prefix: &'static str, example: &str) -> Result<String, Fault> {
    let found = text(value)?;
    let hex = |digits: &str| {
        matches!(digits.len(), 8 | 17)
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    match found.strip_prefix(prefix) {
        Some(digits) if hex(digits) => Ok(found.to_owned()),
        _ => {
            let cure = format!("write {prefix} and 8 or 17 lower-case hex digits, as in \"{example}\"");
            Err(Fault::new(format!("{found:?} is not an id here"), cure))
        }
    }
}

fn vpc_id(value: &Value<'_, '_>) -> Result<String, Fault> {
    id(value, "vpc-", "vpc-0123456789abcdef0")
}

/// Reports an id that was there before.
pub(super) fn unique(document: &Document<'_>, path: &str, id: &str, mut taken: impl Iterator<Item = String>) {
    if taken.any(|other| other == id) {
        let fault = Fault::new(format!("there is another {id:?}"), "give each an id of its own");
        document.refuse_field(path, fault.at("id"));
    }
}

/// The `vpc_id` of something that belongs to a VPC, checked to be known.
pub(super) fn owner(table: &Table<'_, '_>, vpcs: &[Vpc]) -> Option<String> {
    let found = table.require("vpc_id", "name the VPC it belongs to", vpc_id)?;
    if !vpcs.iter().any(|vpc| vpc.id == found) {
        let message = format!("there is no VPC {found:?}");
        table.refuse_key(
            "vpc_id",
            Fault::new(message, "declare it with [[vpc]], or correct the id"),
        );
        return None;
    }
    Some(found)
}

/// A network address: with host bits it might be meant for something else.
fn checked<N: Copy + Into<IpNetwork>>(network: N) -> Result<N, Fault> {
    let plain: IpNetwork = network.into();
    if plain.ip() == plain.network() {
        return Ok(network);
    }
    let cure = format!("write {}/{} instead", plain.network(), plain.prefix());
    Err(Fault::new(format!("{plain} is not a network address"), cure))
}

fn vpcs(document: &Document<'_>, root: &Table<'_, '_>) -> Vec<Vpc> {
    let mut vpcs: Vec<Vpc> = Vec::new();
    for table in root.tables("vpc") {
        let path = table.path.clone();
        let id = table.require(
            "id",
            "write an id of your choice, as in id = \"vpc-0123456789abcdef0\"",
            vpc_id,
        );
        if !table.has("cidr_blocks") {
            let cure = "write its networks, as in cidr_blocks = [\"10.20.0.0/16\"]";
            table.refuse(Fault::new("cidr_blocks is missing", cure));
        }
        let cidr_blocks = table.list("cidr_blocks", |value| network_v4(value).and_then(checked));
        let ipv6_cidr_blocks = table.list("ipv6_cidr_blocks", |value| network_v6(value).and_then(checked));
        if table.length("cidr_blocks") == Some(0) {
            let cure = "write one at least, as in [\"10.20.0.0/16\"]";
            table.refuse_key("cidr_blocks", Fault::new("the VPC has no addresses", cure));
        }
        table.finish();
        let (Some(id), Some(cidr_blocks)) = (id, cidr_blocks) else {
            continue;
        };
        let vpc = Vpc {
            id,
            cidr_blocks,
            ipv6_cidr_blocks: ipv6_cidr_blocks.unwrap_or_default(),
        };
        unique(
            document,
            &path,
            &vpc.id,
            vpcs.iter().map(|other| other.id.clone()),
        );
        check_blocks(document, &path, &vpc, &vpcs);
        vpcs.push(vpc);
    }
    vpcs
}

/// This machine has one table of routes, so no two VPCs may share addresses either.
fn check_blocks(document: &Document<'_>, path: &str, vpc: &Vpc, others: &[Vpc]) {
    let blocks: Vec<IpNetwork> = vpc.blocks().collect();
    for (index, block) in blocks.iter().enumerate() {
        let key = if block.is_ipv4() {
            "cidr_blocks"
        } else {
            "ipv6_cidr_blocks"
        };
        let refuse = |message: String, cure: &str| {
            document.refuse_field(path, Fault::new(message, cure).at(key));
        };
        if block.prefix() < WIDEST {
            let cure = "list the networks that are in use; a block has a prefix of /8 or longer";
            refuse(format!("{block} is no VPC's network"), cure);
        }
        if let Some(other) = blocks.iter().take(index).find(|other| overlap(**other, *block)) {
            refuse(format!("{block} overlaps {other}"), "remove one of them");
        }
        if let Some(other) = others
            .iter()
            .find(|other| other.blocks().any(|taken| overlap(taken, *block)))
        {
            refuse(
                format!("{block} overlaps the VPC {:?}", other.id),
                "give each VPC networks of its own",
            );
        }
    }
}

fn subnets(document: &Document<'_>, root: &Table<'_, '_>, account: &Account, vpcs: &[Vpc]) -> Vec<Subnet> {
    let mut subnets: Vec<Subnet> = Vec::new();
    for table in root.tables("subnet") {
        let path = table.path.clone();
        let Some(subnet) = subnet(table, account, vpcs) else {
            continue;
        };
        unique(
            document,
            &path,
            &subnet.id,
            subnets.iter().map(|other| other.id.clone()),
        );
        check_subnet(document, &path, &subnet, vpcs, &subnets);
        subnets.push(subnet);
    }
    subnets
}

fn subnet(table: Table<'_, '_>, account: &Account, vpcs: &[Vpc]) -> Option<Subnet> {
    let cure = "write an id of your choice, as in id = \"subnet-0123456789abcdef0\"";
    let id = table.require("id", cure, |value| {
        id(value, "subnet-", "subnet-0123456789abcdef0")
    });
    let vpc_id = owner(&table, vpcs);
    let cure = "write its network, as in cidr_block = \"10.20.1.0/24\"";
    let cidr_block = table.require("cidr_block", cure, |value| network_v4(value).and_then(checked));
    let ipv6_cidr_block = table.read("ipv6_cidr_block", |value| network_v6(value).and_then(checked));
    let zone = table.read("availability_zone", |value| word(value, zone_name));
    let zone = zone.unwrap_or_else(|| format!("{}a", account.region));
    let given_id = table.read("availability_zone_id", |value| word(value, zone_name));
    let interface = table.read("interface", |value| {
        text(value).and_then(|name| check_device_name(name).map(|()| name.to_owned()))
    });
    let nat = table.read("nat", boolean);
    let ipv6_nat = table.read("ipv6_nat", boolean);
    table.finish();
    Some(Subnet {
        id: id?,
        vpc_id: vpc_id?,
        cidr_block: cidr_block?,
        ipv6_cidr_block,
        availability_zone_id: given_id.unwrap_or_else(|| zone_id(&account.region, &zone)),
        availability_zone: zone,
        interface,
        nat: nat.unwrap_or(true),
        ipv6_nat: ipv6_nat.unwrap_or(false),
    })
}

fn zone_name(text: &str) -> Result<String, Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    let cure = "use 1 to 64 letters, digits and dashes, as in \"us-east-1a\"";
    Err(Fault::new(format!("{text:?} is not a zone"), cure))
}

fn check_subnet(document: &Document<'_>, path: &str, subnet: &Subnet, vpcs: &[Vpc], others: &[Subnet]) {
    let refuse = |key: &str, message: String, cure: &str| {
        document.refuse_field(path, Fault::new(message, cure).at(key));
    };
    if subnet.ipv6_nat && subnet.ipv6_cidr_block.is_none() {
        let message = "there are no IPv6 addresses to translate".to_owned();
        refuse("ipv6_nat", message, "set ipv6_cidr_block too, or remove it");
    }
    let vpc = vpcs.iter().find(|vpc| vpc.id == subnet.vpc_id);
    for block in subnet.blocks() {
        let key = if block.is_ipv4() {
            "cidr_block"
        } else {
            "ipv6_cidr_block"
        };
        if vpc.is_some_and(|vpc| !vpc.contains(block)) {
            let message = format!("{block} is outside the VPC {:?}", subnet.vpc_id);
            refuse(key, message, "choose a part of its blocks, or add a block to it");
        }
        if let Some(other) = others
            .iter()
            .find(|other| other.blocks().any(|taken| overlap(taken, block)))
        {
            let message = format!("{block} overlaps the subnet {:?}", other.id);
            refuse(key, message, "give each subnet addresses of its own");
        }
    }
    for other in others {
        let same_zone = other.availability_zone == subnet.availability_zone;
        if same_zone != (other.availability_zone_id == subnet.availability_zone_id) {
            let message = format!(
                "the subnet {:?} has the zone {} with the id {}",
                other.id, other.availability_zone, other.availability_zone_id
            );
            let key = "availability_zone_id";
            refuse(key, message, "give each zone one id, and no two zones the same");
            break;
        }
    }
}

fn directories(document: &Document<'_>, root: &Table<'_, '_>) -> Vec<Directory> {
    let mut directories: Vec<Directory> = Vec::new();
    for table in root.tables("directory") {
        let path = table.path.clone();
        let cure = "write an id of your choice, as in id = \"d-0123456789\"";
        let id = table.require("id", cure, |value| word(value, directory_id));
        let check = password(&table);
        if let Ok(None) = check {
            let cure = "add users_file or command";
            table.refuse(Fault::new("the directory could judge nobody", cure));
        }
        table.finish();
        let (Some(id), Ok(Some(check))) = (id, check) else {
            continue;
        };
        if let Some(command) = check.command()
            && !(1..=60).contains(&command.timeout.as_secs())
        {
            let message = format!("{} seconds is out of range", command.timeout.as_secs());
            let fault = Fault::new(message, "choose between 1 and 60 seconds");
            document.refuse_field(&path, fault.at("command_timeout"));
        }
        unique(
            document,
            &path,
            &id,
            directories.iter().map(|other| other.id.clone()),
        );
        directories.push(Directory { id, check });
    }
    directories
}

fn directory_id(text: &str) -> Result<String, Fault> {
    let plain = |digits: &str| {
        digits.len() == 10
            && digits
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    match text.strip_prefix("d-") {
        Some(digits) if plain(digits) => Ok(text.to_owned()),
        _ => {
            let cure = "write d- and 10 lower-case letters or digits, as in \"d-0123456789\"";
            Err(Fault::new(format!("{text:?} is not the id of a directory"), cure))
        }
    }
}
