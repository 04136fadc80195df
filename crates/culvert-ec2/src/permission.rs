//! What rules of security groups allow, as forms say it: `IpPermissions`, or the flat members of older clients.

use culvert_query::ApiError;
use culvert_query::params::{Group, ParamError};
use culvert_service::{IpProtocol, Permission, PortRange};
use ipnetwork::IpNetwork;

use crate::form::{filled, network, unsupported};

const LIST: &str = "IpPermissions";
/// Members of a form that stand for one permission with one range.
const FLAT: [&str; 4] = ["IpProtocol", "FromPort", "ToPort", "CidrIp"];
/// ICMP over IPv6.
const ICMPV6: &str = "icmpv6";
/// What stands for all types or codes.
const ALL: i64 = -1;

/// The permissions of a form, in the order they are given; there may be none.
pub(crate) fn permissions(form: &Group<'_>) -> Result<Vec<Permission>, ApiError> {
    for member in ["SourceSecurityGroupName", "SourceSecurityGroupOwnerId"] {
        if filled(form, member).is_some() {
            return Err(no_references(member));
        }
    }
    let mut permissions = Vec::new();
    if FLAT.iter().any(|member| form.text(member).is_some()) {
        let protocol = protocol(form)?;
        check_family(form, protocol, true, false)?;
        permissions.push(Permission {
            network: v4(form, "CidrIp")?,
            protocol,
            description: None,
        });
    }
    for structure in form.groups(LIST) {
        in_list(&structure, &mut permissions)?;
    }
    Ok(permissions)
}

fn in_list(form: &Group<'_>, permissions: &mut Vec<Permission>) -> Result<(), ApiError> {
    if !form.groups("Groups").is_empty() {
        return Err(no_references(&form.full_name("Groups")));
    }
    if !form.groups("PrefixListIds").is_empty() {
        let cure = "name the networks of the list with CidrIp";
        return Err(unsupported(&form.full_name("PrefixListIds"), cure));
    }
    let protocol = protocol(form)?;
    let (v4_ranges, v6_ranges) = (form.groups("IpRanges"), form.groups("Ipv6Ranges"));
    if v4_ranges.is_empty() && v6_ranges.is_empty() {
        return Err(form.missing("IpRanges").into());
    }
    check_family(form, protocol, !v4_ranges.is_empty(), !v6_ranges.is_empty())?;
    let mut push = |network, range: &Group<'_>| {
        permissions.push(Permission {
            network,
            protocol,
            description: filled(range, "Description"),
        });
    };
    for range in &v4_ranges {
        push(v4(range, "CidrIp")?, range);
    }
    for range in &v6_ranges {
        push(v6(range, "CidrIpv6")?, range);
    }
    Ok(())
}

fn no_references(name: &str) -> ApiError {
    unsupported(
        name,
        "rules can't refer to security groups, as nothing but Client VPN endpoints is in them; name networks with CidrIp",
    )
}

fn v4(form: &Group<'_>, member: &str) -> Result<IpNetwork, ParamError> {
    match network(form, member)? {
        network @ IpNetwork::V4(_) => Ok(network),
        IpNetwork::V6(_) => Err(form.invalid(member, "It must be an IPv4 network, 10.0.0.0/16 for instance")),
    }
}

fn v6(form: &Group<'_>, member: &str) -> Result<IpNetwork, ParamError> {
    match network(form, member)? {
        network @ IpNetwork::V6(_) => Ok(network),
        IpNetwork::V4(_) => Err(form.invalid(member, "It must be an IPv6 network, fd00::/8 for instance")),
    }
}

fn protocol(form: &Group<'_>) -> Result<IpProtocol, ApiError> {
    const MEMBER: &str = "IpProtocol";
    let name = form.required(MEMBER)?.to_ascii_lowercase();
    match name.as_str() {
        "-1" | "all" => {
            // With all protocols, ports are sent by some and mean nothing.
            form.integer("FromPort", ALL..=65535)?;
            form.integer("ToPort", ALL..=65535)?;
            Ok(IpProtocol::All)
        }
        "tcp" | "6" => Ok(IpProtocol::Tcp(ports(form)?)),
        "udp" | "17" => Ok(IpProtocol::Udp(ports(form)?)),
        "icmp" | "1" => Ok(icmp(form)?),
        // Without types it is about all of them.
        ICMPV6 | "58" if form.text("FromPort").is_none() && form.text("ToPort").is_none() => {
            Ok(IpProtocol::Icmp)
        }
        ICMPV6 | "58" => Ok(icmp(form)?),
        other if other.parse::<u8>().is_ok() => {
            let cure = "use -1, tcp, udp, icmp or icmpv6";
            Err(unsupported(&["IpProtocol=", other].concat(), cure))
        }
        _ => Err(form
            .invalid(
                MEMBER,
                "It must be -1, tcp, udp, icmp, icmpv6, or the number of one",
            )
            .into()),
    }
}

/// ICMP is of IPv4, ICMPv6 of IPv6: which of them is meant follows from the network afterwards.
fn check_family(form: &Group<'_>, protocol: IpProtocol, v4: bool, v6: bool) -> Result<(), ParamError> {
    const MEMBER: &str = "IpProtocol";
    if !matches!(protocol, IpProtocol::Icmp | IpProtocol::IcmpType { .. }) {
        return Ok(());
    }
    let name = form.required(MEMBER)?.to_ascii_lowercase();
    match matches!(name.as_str(), ICMPV6 | "58") {
        true if v4 => Err(form.invalid(MEMBER, "With IPv4 networks it must be icmp")),
        false if v6 => Err(form.invalid(MEMBER, "With IPv6 networks it must be icmpv6")),
        _ => Ok(()),
    }
}

fn ports(form: &Group<'_>) -> Result<PortRange, ParamError> {
    let (first, last) = both(form, 0..=65535)?;
    match (u16::try_from(first), u16::try_from(last)) {
        (Ok(first), Ok(last)) if first <= last => Ok(PortRange { first, last }),
        _ => Err(form.invalid("ToPort", "It must not be below FromPort")),
    }
}

/// Type and code of ICMP are sent as ports.
fn icmp(form: &Group<'_>) -> Result<IpProtocol, ParamError> {
    let (kind, code) = both(form, ALL..=255)?;
    match (u8::try_from(kind), u8::try_from(code)) {
        (Ok(kind), code) => Ok(IpProtocol::IcmpType {
            kind,
            code: code.ok(),
        }),
        (Err(_), Err(_)) => Ok(IpProtocol::Icmp),
        (Err(_), Ok(_)) => {
            Err(form.invalid("ToPort", "It must be -1 if FromPort is: all types have all codes"))
        }
    }
}

fn both(form: &Group<'_>, range: std::ops::RangeInclusive<i64>) -> Result<(i64, i64), ParamError> {
    let first = form
        .integer("FromPort", range.clone())?
        .ok_or_else(|| form.missing("FromPort"))?;
    let last = form
        .integer("ToPort", range)?
        .ok_or_else(|| form.missing("ToPort"))?;
    Ok((first, last))
}
