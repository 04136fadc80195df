//! What the configuration declares, as callers find it.

use culvert_query::ErrorCode;

use crate::lab::{Lab, texts};

#[test]
fn a_vpc_shows_its_blocks() {
    let lab = Lab::new();
    let block = |cidr: &str| {
        format!(
            "<item><cidrBlock>{cidr}</cidrBlock><cidrBlockState><state>associated</state></cidrBlockState></item>"
        )
    };
    let (first, second) = (block("10.20.0.0/16"), block("10.21.0.0/16"));
    let wanted = format!(
        "<vpcSet><item><ownerId>123456789012</ownerId><instanceTenancy>default</instanceTenancy>\
         <ipv6CidrBlockAssociationSet><item><ipv6CidrBlock>fd00:20::/56</ipv6CidrBlock>\
         <ipv6CidrBlockState><state>associated</state></ipv6CidrBlockState></item></ipv6CidrBlockAssociationSet>\
         <cidrBlockAssociationSet>{first}{second}</cidrBlockAssociationSet>\
         <isDefault>false</isDefault><tagSet></tagSet><vpcId>vpc-00000001</vpcId><state>available</state>\
         <cidrBlock>10.20.0.0/16</cidrBlock></item></vpcSet>"
    );
    assert_eq!(lab.members("Action=DescribeVpcs&VpcId.1=vpc-00000001"), wanted);
}

#[test]
fn the_attributes_of_a_vpc_are_off() {
    let lab = Lab::new();
    let ask = |id: &str, name: &str| format!("Action=DescribeVpcAttribute&VpcId={id}&Attribute={name}");
    for name in [
        "enableDnsSupport",
        "enableDnsHostnames",
        "enableNetworkAddressUsageMetrics",
    ] {
        assert_eq!(
            lab.members(&ask("vpc-00000001", name)),
            format!("<vpcId>vpc-00000001</vpcId><{name}><value>false</value></{name}>")
        );
    }
    assert_eq!(
        lab.code(&ask("vpc-00000099", "enableDnsSupport")),
        ErrorCode::InvalidVpcIdNotFound
    );
    assert_eq!(
        lab.code(&ask("vpc-00000001", "color")),
        ErrorCode::InvalidParameterValue
    );
    assert_eq!(lab.code(&ask("vpc-00000001", "")), ErrorCode::MissingParameter);
}

#[test]
fn a_subnet_shows_zone_and_addresses() {
    let lab = Lab::new();
    let wanted = "<subnetSet><item><availabilityZoneId>use1-az2</availabilityZoneId><ownerId>123456789012</ownerId>\
        <assignIpv6AddressOnCreation>false</assignIpv6AddressOnCreation>\
        <ipv6CidrBlockAssociationSet><item><ipv6CidrBlock>fd00:20::/64</ipv6CidrBlock>\
        <ipv6CidrBlockState><state>associated</state></ipv6CidrBlockState></item></ipv6CidrBlockAssociationSet>\
        <tagSet></tagSet><subnetArn>arn:aws:ec2:us-east-1:123456789012:subnet/subnet-0000000b</subnetArn>\
        <ipv6Native>false</ipv6Native><subnetId>subnet-0000000b</subnetId><state>available</state>\
        <vpcId>vpc-00000001</vpcId><cidrBlock>10.20.2.0/24</cidrBlock>\
        <availableIpAddressCount>251</availableIpAddressCount><availabilityZone>us-east-1b</availabilityZone>\
        <defaultForAz>false</defaultForAz><mapPublicIpOnLaunch>false</mapPublicIpOnLaunch></item></subnetSet>";
    assert_eq!(
        lab.members("Action=DescribeSubnets&SubnetId.1=subnet-0000000b"),
        wanted
    );
}

#[test]
fn a_security_group_shows_what_may_be_begun() {
    let lab = Lab::new();
    let wanted = "<securityGroupInfo><item><groupId>sg-00000002</groupId><ipPermissionsEgress>\
        <item><ipProtocol>tcp</ipProtocol><fromPort>443</fromPort><toPort>444</toPort><groups></groups>\
        <ipRanges><item><cidrIp>10.20.0.0/16</cidrIp></item></ipRanges><ipv6Ranges></ipv6Ranges><prefixListIds></prefixListIds></item>\
        <item><ipProtocol>udp</ipProtocol><fromPort>443</fromPort><toPort>444</toPort><groups></groups>\
        <ipRanges></ipRanges><ipv6Ranges><item><cidrIpv6>fd00::/8</cidrIpv6></item></ipv6Ranges><prefixListIds></prefixListIds></item>\
        <item><ipProtocol>icmpv6</ipProtocol><fromPort>-1</fromPort><toPort>-1</toPort><groups></groups>\
        <ipRanges></ipRanges><ipv6Ranges><item><cidrIpv6>fd00::/8</cidrIpv6></item></ipv6Ranges><prefixListIds></prefixListIds></item>\
        </ipPermissionsEgress><tagSet></tagSet><vpcId>vpc-00000001</vpcId>\
        <securityGroupArn>arn:aws:ec2:us-east-1:123456789012:security-group/sg-00000002</securityGroupArn>\
        <ownerId>123456789012</ownerId><groupName>web</groupName><groupDescription>the group web</groupDescription>\
        <ipPermissions></ipPermissions></item></securityGroupInfo>";
    assert_eq!(
        lab.members("Action=DescribeSecurityGroups&GroupName.1=web"),
        wanted
    );
    let default = lab.members("Action=DescribeSecurityGroups&GroupId.1=sg-00000001");
    assert!(
        default
            .contains("<item><ipProtocol>-1</ipProtocol><groups></groups><ipRanges><item><cidrIp>0.0.0.0/0"),
        "{default}"
    );
}

#[test]
fn a_zone_is_listed_once_however_many_subnets_are_in_it() {
    let lab = Lab::new();
    let wanted = "<availabilityZoneInfo><item><optInStatus>opt-in-not-required</optInStatus>\
        <regionName>us-east-1</regionName><zoneName>us-east-1a</zoneName><zoneId>use1-az1</zoneId>\
        <groupName>us-east-1</groupName><networkBorderGroup>us-east-1</networkBorderGroup>\
        <zoneType>availability-zone</zoneType><zoneState>available</zoneState></item></availabilityZoneInfo>";
    assert_eq!(
        lab.members("Action=DescribeAvailabilityZones&ZoneName.1=us-east-1a"),
        wanted
    );
    let all = lab.members("Action=DescribeAvailabilityZones&AllAvailabilityZones=true");
    assert_eq!(
        texts(&all, "zoneId"),
        ["use1-az1", "use1-az2", "use1-az4", "use1-az5", "use1-az6"]
    );
}

#[test]
fn what_is_not_declared_is_unknown() {
    let lab = Lab::new();
    for (form, code) in [
        (
            "DescribeVpcs&VpcId.1=vpc-00000099",
            ErrorCode::InvalidVpcIdNotFound,
        ),
        (
            "DescribeSubnets&SubnetId.1=subnet-00000099",
            ErrorCode::InvalidSubnetIdNotFound,
        ),
        (
            "DescribeSecurityGroups&GroupId.1=sg-00000099",
            ErrorCode::InvalidGroupNotFound,
        ),
        (
            "DescribeSecurityGroups&GroupName.1=none",
            ErrorCode::InvalidGroupNotFound,
        ),
        (
            "DescribeAvailabilityZones&ZoneName.1=mars-1a",
            ErrorCode::InvalidParameterValue,
        ),
        (
            "DescribeAvailabilityZones&ZoneId.1=m1-az1",
            ErrorCode::InvalidParameterValue,
        ),
        (
            "DescribeNetworkInterfaces&NetworkInterfaceId.1=eni-1",
            ErrorCode::InvalidNetworkInterfaceIdNotFound,
        ),
    ] {
        assert_eq!(lab.code(&format!("Action={form}")), code, "{form}");
    }
}

/// Action, element counted, filter, value, how many.
const FILTERS: &[(&str, &str, &str, &str, usize)] = &[
    ("DescribeVpcs", "vpcId", "vpc-id", "vpc-*", 2),
    ("DescribeVpcs", "vpcId", "cidr", "10.30.0.0/16", 1),
    ("DescribeVpcs", "vpcId", "cidr", "10.21.0.0/16", 0),
    (
        "DescribeVpcs",
        "vpcId",
        "cidr-block-association.cidr-block",
        "10.21.0.0/16",
        1,
    ),
    (
        "DescribeVpcs",
        "vpcId",
        "ipv6-cidr-block-association.ipv6-cidr-block",
        "fd00:20::/56",
        1,
    ),
    ("DescribeVpcs", "vpcId", "state", "available", 2),
    ("DescribeVpcs", "vpcId", "owner-id", "123456789012", 2),
    ("DescribeVpcs", "vpcId", "isDefault", "true", 0),
    ("DescribeVpcs", "vpcId", "is-default", "false", 2),
    ("DescribeVpcs", "vpcId", "tag:Name", "*", 0),
    ("DescribeSubnets", "subnetId", "subnet-id", "subnet-0000000a", 1),
    ("DescribeSubnets", "subnetId", "vpc-id", "vpc-00000002", 1),
    ("DescribeSubnets", "subnetId", "cidr-block", "10.20.1.0/24", 1),
    (
        "DescribeSubnets",
        "subnetId",
        "ipv6-cidr-block-association.ipv6-cidr-block",
        "fd00:20::/64",
        1,
    ),
    (
        "DescribeSubnets",
        "subnetId",
        "availability-zone",
        "us-east-1a",
        2,
    ),
    (
        "DescribeSubnets",
        "subnetId",
        "availability-zone-id",
        "use1-az1",
        2,
    ),
    ("DescribeSubnets", "subnetId", "state", "pending", 0),
    ("DescribeSubnets", "subnetId", "owner-id", "999999999999", 1),
    ("DescribeSubnets", "subnetId", "default-for-az", "false", 6),
    ("DescribeSubnets", "subnetId", "tag-key", "Name", 0),
    ("DescribeSecurityGroups", "groupId", "group-id", "sg-00000001", 1),
    ("DescribeSecurityGroups", "groupId", "group-name", "default", 2),
    ("DescribeSecurityGroups", "groupId", "vpc-id", "vpc-00000001", 2),
    ("DescribeSecurityGroups", "groupId", "description", "*web", 1),
    ("DescribeSecurityGroups", "groupId", "owner-id", "123456789012", 3),
    ("DescribeSecurityGroups", "groupId", "tag:Name", "*", 0),
    (
        "DescribeAvailabilityZones",
        "zoneId",
        "zone-name",
        "us-east-1a",
        1,
    ),
    ("DescribeAvailabilityZones", "zoneId", "zone-id", "use1-az2", 1),
    (
        "DescribeAvailabilityZones",
        "zoneId",
        "region-name",
        "us-east-1",
        5,
    ),
    ("DescribeAvailabilityZones", "zoneId", "state", "available", 5),
    (
        "DescribeAvailabilityZones",
        "zoneId",
        "zone-type",
        "local-zone",
        0,
    ),
    (
        "DescribeAvailabilityZones",
        "zoneId",
        "opt-in-status",
        "opt-in-not-required",
        5,
    ),
    (
        "DescribeNetworkInterfaces",
        "subnetId",
        "network-interface-id",
        "eni-*",
        1,
    ),
    (
        "DescribeNetworkInterfaces",
        "subnetId",
        "subnet-id",
        "subnet-0000000a",
        1,
    ),
    (
        "DescribeNetworkInterfaces",
        "subnetId",
        "vpc-id",
        "vpc-00000002",
        0,
    ),
    (
        "DescribeNetworkInterfaces",
        "subnetId",
        "availability-zone",
        "us-east-1a",
        1,
    ),
    (
        "DescribeNetworkInterfaces",
        "subnetId",
        "description",
        "ClientVPN*",
        1,
    ),
    (
        "DescribeNetworkInterfaces",
        "subnetId",
        "group-id",
        "sg-00000001",
        1,
    ),
    (
        "DescribeNetworkInterfaces",
        "subnetId",
        "group-name",
        "default",
        1,
    ),
    (
        "DescribeNetworkInterfaces",
        "subnetId",
        "interface-type",
        "interface",
        1,
    ),
    (
        "DescribeNetworkInterfaces",
        "subnetId",
        "owner-id",
        "123456789012",
        1,
    ),
    (
        "DescribeNetworkInterfaces",
        "subnetId",
        "requester-managed",
        "false",
        0,
    ),
    ("DescribeNetworkInterfaces", "subnetId", "status", "in-use", 1),
    ("DescribeNetworkInterfaces", "subnetId", "tag:Name", "*", 0),
];

#[test]
fn filters_narrow_the_lists() {
    let lab = Lab::new();
    lab.associated();
    for (action, element, name, value, count) in FILTERS {
        let shown = lab.members(&format!(
            "Action={action}&Filter.1.Name={name}&Filter.1.Value.1={value}"
        ));
        let rows = texts(&shown, element).len();
        assert_eq!(rows, *count, "{action} {name}={value}: {shown}");
    }
}
