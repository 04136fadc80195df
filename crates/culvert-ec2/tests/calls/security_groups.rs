//! Security groups that are made, filled and deleted by calls.

use culvert_query::ErrorCode;

use crate::lab::{Lab, id, text, texts};

/// A permission that is authorized in many tests.
pub(crate) const WEB: &str = "IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=443&IpPermissions.1.ToPort=443\
    &IpPermissions.1.IpRanges.1.CidrIp=10.20.0.0/16";

/// A new group; its id.
pub(crate) fn group(lab: &Lab, name: &str) -> String {
    let form =
        format!("Action=CreateSecurityGroup&GroupName={name}&GroupDescription=some&VpcId=vpc-00000001");
    text(&lab.members(&form), "groupId")
}

fn describe(lab: &Lab, group: &str) -> String {
    lab.members(&format!("Action=DescribeSecurityGroups&GroupId.1={group}"))
}

/// A form that asks for something with this permission.
fn ask(action: &str, group: &str, permission: &str) -> String {
    format!("Action={action}&GroupId={group}&{permission}")
}

/// One permission with one range.
fn permission(protocol: &str, from: i32, to: i32, cidr: &str) -> String {
    format!(
        "IpPermissions.1.IpProtocol={protocol}&IpPermissions.1.FromPort={from}&IpPermissions.1.ToPort={to}\
         &IpPermissions.1.IpRanges.1.CidrIp={cidr}"
    )
}

/// The same for an IPv6 network.
fn over_ipv6(protocol: &str, from: i32, to: i32, cidr: &str) -> String {
    permission(protocol, from, to, cidr).replace("IpRanges.1.CidrIp", "Ipv6Ranges.1.CidrIpv6")
}

#[test]
fn networks_may_be_of_ipv6() {
    let lab = Lab::new();
    let group = group(&lab, "mine");
    let all = "IpPermissions.1.IpProtocol=-1&IpPermissions.1.Ipv6Ranges.1.CidrIpv6=::/0";
    let pings = "IpPermissions.1.IpProtocol=icmpv6&IpPermissions.1.Ipv6Ranges.1.CidrIpv6=fd00::/8";
    for permission in [all, pings] {
        let answer = lab.members(&ask("AuthorizeSecurityGroupEgress", &group, permission));
        assert!(answer.contains("<cidrIpv6>"), "{answer}");
        let again = lab.code(&ask("AuthorizeSecurityGroupEgress", &group, permission));
        assert_eq!(again, ErrorCode::InvalidPermissionDuplicate);
    }
    let shown = describe(&lab, &group);
    assert!(
        shown.contains("<ipv6Ranges><item><cidrIpv6>::/0</cidrIpv6></item></ipv6Ranges>"),
        "{shown}"
    );
    lab.members(&ask("RevokeSecurityGroupEgress", &group, pings));
    assert!(!describe(&lab, &group).contains("icmpv6"));
}

#[test]
fn a_new_group_allows_clients_everything() {
    let lab = Lab::new();
    let form = "Action=CreateSecurityGroup&GroupName=my%20web&GroupDescription=for%20the%20web&VpcId=vpc-00000002\
        &TagSpecification.1.ResourceType=security-group&TagSpecification.1.Tag.1.Key=team\
        &TagSpecification.1.Tag.1.Value=net";
    let group = id("sg-", 1);
    let tags = "<tagSet><item><key>team</key><value>net</value></item></tagSet>";
    let arn = format!(
        "<securityGroupArn>arn:aws:ec2:us-east-1:123456789012:security-group/{group}</securityGroupArn>"
    );
    assert_eq!(
        lab.members(form),
        format!("<groupId>{group}</groupId>{tags}{arn}")
    );
    let wanted = format!(
        "<securityGroupInfo><item><groupId>{group}</groupId><ipPermissionsEgress><item><ipProtocol>-1</ipProtocol>\
         <groups></groups><ipRanges><item><cidrIp>0.0.0.0/0</cidrIp></item></ipRanges><ipv6Ranges></ipv6Ranges>\
         <prefixListIds></prefixListIds></item></ipPermissionsEgress>{tags}<vpcId>vpc-00000002</vpcId>{arn}\
         <ownerId>123456789012</ownerId><groupName>my web</groupName><groupDescription>for the web</groupDescription>\
         <ipPermissions></ipPermissions></item></securityGroupInfo>"
    );
    assert_eq!(describe(&lab, &group), wanted);
    for (name, value, count) in [
        ("tag:team", "n*", 1),
        ("tag-key", "team", 1),
        ("tag:other", "*", 0),
        ("vpc-id", "vpc-00000002", 2),
    ] {
        let form = format!("Action=DescribeSecurityGroups&Filter.1.Name={name}&Filter.1.Value.1={value}");
        assert_eq!(
            texts(&lab.members(&form), "groupId").len(),
            count,
            "{name} {value}"
        );
    }
    let gone = format!("Action=DeleteSecurityGroup&GroupId={group}");
    assert_eq!(
        lab.members(&gone),
        format!("<return>true</return><groupId>{group}</groupId>")
    );
    assert_eq!(lab.code(&gone), ErrorCode::InvalidGroupNotFound);
}

#[test]
fn each_reason_against_a_group_has_its_code() {
    let lab = Lab::new();
    group(&lab, "mine");
    let vpc = "VpcId=vpc-00000001";
    for (form, code) in [
        (
            format!("GroupName=mine&GroupDescription=x&{vpc}"),
            ErrorCode::InvalidGroupDuplicate,
        ),
        (
            format!("GroupName=web&GroupDescription=x&{vpc}"),
            ErrorCode::InvalidGroupDuplicate,
        ),
        (
            format!("GroupName=default&GroupDescription=x&{vpc}"),
            ErrorCode::InvalidGroupReserved,
        ),
        (format!("GroupName=a&{vpc}"), ErrorCode::MissingParameter),
        (format!("GroupDescription=a&{vpc}"), ErrorCode::MissingParameter),
        (
            "GroupName=a&GroupDescription=x".into(),
            ErrorCode::VpcIdNotSpecified,
        ),
        (
            "GroupName=a&GroupDescription=x&VpcId=vpc-00000099".into(),
            ErrorCode::InvalidVpcIdNotFound,
        ),
        (
            format!(
                "GroupName=a&GroupDescription=x&{vpc}&TagSpecification.1.ResourceType=vpc&TagSpecification.1.Tag.1.Key=a"
            ),
            ErrorCode::InvalidParameterValue,
        ),
    ] {
        assert_eq!(
            lab.code(&format!("Action=CreateSecurityGroup&{form}")),
            code,
            "{form}"
        );
    }
    for (form, code) in [
        ("GroupId=sg-00000002", ErrorCode::UnsupportedOperation),
        ("GroupName=mine", ErrorCode::UnsupportedOperation),
        ("GroupId=sg-00000099", ErrorCode::InvalidGroupNotFound),
        ("GroupId=mine", ErrorCode::InvalidGroupIdMalformed),
        ("", ErrorCode::MissingParameter),
    ] {
        assert_eq!(
            lab.code(&format!("Action=DeleteSecurityGroup&{form}")),
            code,
            "{form}"
        );
    }
}

#[test]
fn endpoints_use_a_group_as_long_as_it_is_there() {
    let lab = Lab::new();
    let endpoint = lab.associated();
    let group = group(&lab, "mine");
    let apply = |group: &str| {
        format!(
            "Action=ApplySecurityGroupsToClientVpnTargetNetwork&ClientVpnEndpointId={endpoint}&VpcId=vpc-00000001\
             &SecurityGroupId.1={group}"
        )
    };
    lab.members(&apply(&group));
    let interface =
        lab.members("Action=DescribeNetworkInterfaces&Filter.1.Name=group-name&Filter.1.Value.1=mine");
    assert_eq!(text(&interface, "groupName"), "mine");
    let delete = format!("Action=DeleteSecurityGroup&GroupId={group}");
    assert_eq!(lab.code(&delete), ErrorCode::DependencyViolation);
    let modify = format!(
        "Action=ModifyClientVpnEndpoint&ClientVpnEndpointId={endpoint}&VpcId=vpc-00000001\
         &SecurityGroupId.1=sg-00000002"
    );
    lab.members(&modify);
    lab.members(&modify.replace("sg-00000002", &group));
    assert_eq!(lab.code(&delete), ErrorCode::DependencyViolation);
    lab.members(&apply("sg-00000001"));
    lab.members(&delete);
    assert_eq!(lab.code(&apply(&group)), ErrorCode::InvalidGroupNotFound);
    let create = lab.create_form().replace("10.8.0.0", "10.9.0.0")
        + &format!("&VpnPort=1194&VpcId=vpc-00000001&SecurityGroupId.1={group}");
    assert_eq!(lab.code(&create), ErrorCode::InvalidGroupNotFound);
}

#[test]
fn rules_are_authorized_described_and_revoked() {
    let lab = Lab::new();
    let group = group(&lab, "mine");
    let form = ask("AuthorizeSecurityGroupEgress", &group, WEB)
        + "&IpPermissions.1.IpRanges.1.Description=the%20web&TagSpecification.1.ResourceType=security-group-rule\
           &TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=b";
    let rule = id("sgr-", 3);
    let members = |direction: bool| {
        format!(
            "<isEgress>{direction}</isEgress><ipProtocol>tcp</ipProtocol><fromPort>443</fromPort>\
             <toPort>443</toPort><cidrIpv4>10.20.0.0/16</cidrIpv4>"
        )
    };
    let wanted = format!(
        "<securityGroupRuleSet><item><securityGroupRuleId>{rule}</securityGroupRuleId><groupId>{group}</groupId>\
         <groupOwnerId>123456789012</groupOwnerId>{}<description>the web</description>\
         <tagSet><item><key>a</key><value>b</value></item></tagSet>\
         <securityGroupRuleArn>arn:aws:ec2:us-east-1:123456789012:security-group-rule/{rule}</securityGroupRuleArn>\
         </item></securityGroupRuleSet>",
        members(true)
    );
    assert_eq!(lab.members(&form), format!("<return>true</return>{wanted}"));
    let one = format!("Action=DescribeSecurityGroupRules&SecurityGroupRuleId.1={rule}");
    assert_eq!(lab.members(&one), wanted);
    lab.members(&ask("AuthorizeSecurityGroupIngress", &group, WEB));
    let of_group =
        format!("Action=DescribeSecurityGroupRules&Filter.1.Name=group-id&Filter.1.Value.1={group}");
    assert_eq!(
        texts(&lab.members(&of_group), "isEgress"),
        ["true", "true", "false"],
        "the one it was made with, and both"
    );
    let shown = describe(&lab, &group);
    let (egress, ingress) = shown.split_once("<ipPermissions>").unwrap();
    assert_eq!(texts(egress, "ipProtocol"), ["-1", "tcp"]);
    assert_eq!(texts(ingress, "cidrIp"), ["10.20.0.0/16"]);
    let revoked = lab.members(&ask("RevokeSecurityGroupEgress", &group, WEB));
    let wanted = format!(
        "<return>true</return><revokedSecurityGroupRuleSet><item><securityGroupRuleId>{rule}</securityGroupRuleId>\
         <groupId>{group}</groupId>{}<description>the web</description></item></revokedSecurityGroupRuleSet>",
        members(true)
    );
    assert_eq!(revoked, wanted);
    assert_eq!(
        lab.code(&ask("RevokeSecurityGroupEgress", &group, WEB)),
        ErrorCode::InvalidPermissionNotFound
    );
    let by_id = ask(
        "RevokeSecurityGroupIngress",
        &group,
        &format!("SecurityGroupRuleId.1={}", id("sgr-", 4)),
    );
    lab.members(&by_id);
    assert_eq!(lab.code(&by_id), ErrorCode::InvalidSecurityGroupRuleIdNotFound);
    assert_eq!(lab.code(&one), ErrorCode::InvalidSecurityGroupRuleIdNotFound);
    assert_eq!(texts(&lab.members(&of_group), "isEgress"), ["true"]);
}

#[test]
fn the_default_rule_is_revoked_as_terraform_does() {
    let lab = Lab::new();
    let group = group(&lab, "mine");
    let v4 = permission("-1", 0, 0, "0.0.0.0/0");
    lab.members(&ask("RevokeSecurityGroupEgress", &group, &v4));
    let v6 = "IpPermissions.1.IpProtocol=-1&IpPermissions.1.FromPort=0&IpPermissions.1.ToPort=0\
        &IpPermissions.1.Ipv6Ranges.1.CidrIpv6=::/0";
    assert_eq!(
        lab.code(&ask("RevokeSecurityGroupEgress", &group, v6)),
        ErrorCode::InvalidPermissionNotFound
    );
    assert!(describe(&lab, &group).contains("<ipPermissionsEgress></ipPermissionsEgress>"));
}

#[test]
fn the_flat_form_of_older_clients_means_the_same() {
    let lab = Lab::new();
    let group = group(&lab, "mine");
    let flat = "IpProtocol=tcp&FromPort=443&ToPort=443&CidrIp=10.20.0.0/16";
    lab.members(&ask("AuthorizeSecurityGroupIngress", &group, flat));
    assert_eq!(
        lab.code(&ask("AuthorizeSecurityGroupIngress", &group, WEB)),
        ErrorCode::InvalidPermissionDuplicate
    );
    lab.members(&ask("RevokeSecurityGroupIngress", &group, flat));
}

#[test]
fn protocols_are_shown_in_their_words() {
    let lab = Lab::new();
    let group = group(&lab, "mine");
    for (protocol, from, to, wanted) in [
        ("TCP", 1, 2, ["tcp", "1", "2"]),
        ("6", 0, 65535, ["tcp", "0", "65535"]),
        ("17", 53, 53, ["udp", "53", "53"]),
        ("icmp", -1, -1, ["icmp", "-1", "-1"]),
        ("1", 8, -1, ["icmp", "8", "-1"]),
        ("icmp", 3, 4, ["icmp", "3", "4"]),
        ("icmpv6", -1, -1, ["icmpv6", "-1", "-1"]),
        ("58", 128, 0, ["icmpv6", "128", "0"]),
        ("all", -1, -1, ["-1", "-1", "-1"]),
    ] {
        let permission = if wanted[0] == "icmpv6" {
            over_ipv6(protocol, from, to, "fd00:9::/32")
        } else {
            permission(protocol, from, to, "10.9.0.0/16")
        };
        let answer = lab.members(&ask("AuthorizeSecurityGroupEgress", &group, &permission));
        let shown = ["ipProtocol", "fromPort", "toPort"].map(|name| text(&answer, name));
        assert_eq!(shown, wanted, "{permission}");
    }
}

#[test]
fn each_reason_against_a_rule_has_its_code_and_the_group_stays() {
    let lab = Lab::new();
    let group = group(&lab, "mine");
    lab.members(&ask("AuthorizeSecurityGroupEgress", &group, WEB));
    let before = describe(&lab, &group);
    let net = "10.0.0.0/8";
    let head = "IpPermissions.1.IpProtocol=-1";
    for (permission, code) in [
        (WEB.to_owned(), ErrorCode::InvalidPermissionDuplicate),
        (
            format!("{WEB}&IpPermissions.1.IpRanges.2.CidrIp=10.20.0.9/16"),
            ErrorCode::InvalidPermissionDuplicate,
        ),
        (
            format!("{head}&IpPermissions.1.IpRanges.1.CidrIp={net}&IpPermissions.1.IpRanges.2.CidrIp={net}"),
            ErrorCode::InvalidParameterValue,
        ),
        (
            format!("{head}&IpPermissions.1.Groups.1.GroupId={group}"),
            ErrorCode::UnsupportedOperation,
        ),
        (
            format!("{head}&IpPermissions.1.PrefixListIds.1.PrefixListId=pl-1"),
            ErrorCode::UnsupportedOperation,
        ),
        (
            "SourceSecurityGroupName=web".into(),
            ErrorCode::UnsupportedOperation,
        ),
        (
            format!("{head}&IpPermissions.1.IpRanges.1.CidrIp=fd00::/8"),
            ErrorCode::InvalidParameterValue,
        ),
        (
            format!("{head}&IpPermissions.1.Ipv6Ranges.1.CidrIpv6={net}"),
            ErrorCode::InvalidParameterValue,
        ),
        (head.into(), ErrorCode::MissingParameter),
        (String::new(), ErrorCode::MissingParameter),
        (
            format!("IpPermissions.1.IpProtocol=tcp&IpPermissions.1.IpRanges.1.CidrIp={net}"),
            ErrorCode::MissingParameter,
        ),
        (permission("47", 0, 0, net), ErrorCode::UnsupportedOperation),
        (
            permission("icmpv6", -1, -1, net),
            ErrorCode::InvalidParameterValue,
        ),
        (
            over_ipv6("icmp", 8, 0, "fd00::/8"),
            ErrorCode::InvalidParameterValue,
        ),
        (
            "IpProtocol=icmpv6&FromPort=-1&ToPort=-1&CidrIp=10.0.0.0/8".into(),
            ErrorCode::InvalidParameterValue,
        ),
        (permission("gre", 0, 0, net), ErrorCode::InvalidParameterValue),
        (permission("tcp", 2, 1, net), ErrorCode::InvalidParameterValue),
        (permission("tcp", -1, 1, net), ErrorCode::InvalidParameterValue),
        (permission("udp", 1, 65536, net), ErrorCode::InvalidParameterValue),
        (permission("icmp", -1, 3, net), ErrorCode::InvalidParameterValue),
        (permission("icmp", 256, -1, net), ErrorCode::InvalidParameterValue),
    ] {
        let form = ask("AuthorizeSecurityGroupEgress", &group, &permission);
        assert_eq!(lab.code(&form), code, "{permission}");
    }
    for (group, code) in [
        ("sg-00000002", ErrorCode::UnsupportedOperation),
        ("sg-00000099", ErrorCode::InvalidGroupNotFound),
    ] {
        for action in [
            "AuthorizeSecurityGroupEgress",
            "AuthorizeSecurityGroupIngress",
            "RevokeSecurityGroupEgress",
            "RevokeSecurityGroupIngress",
        ] {
            assert_eq!(lab.code(&ask(action, group, WEB)), code, "{action} {group}");
        }
    }
    let both = format!("{WEB}&SecurityGroupRuleId.1=sgr-1");
    assert_eq!(
        lab.code(&ask("RevokeSecurityGroupEgress", &group, &both)),
        ErrorCode::InvalidParameterCombination
    );
    let ranges: String = (1..=60)
        .map(|number| format!("&IpPermissions.1.IpRanges.{number}.CidrIp=10.{number}.0.0/16"))
        .collect();
    assert_eq!(
        lab.code(&ask(
            "AuthorizeSecurityGroupEgress",
            &group,
            &format!("{head}{ranges}")
        )),
        ErrorCode::RulesPerSecurityGroupLimitExceeded
    );
    assert_eq!(describe(&lab, &group), before);
}

#[test]
fn groups_and_their_rules_have_tags() {
    let lab = Lab::new();
    let group = group(&lab, "mine");
    let rule = text(
        &lab.members(&ask("AuthorizeSecurityGroupEgress", &group, WEB)),
        "securityGroupRuleId",
    );
    let both = format!("ResourceId.1={group}&ResourceId.2={rule}");
    lab.members(&format!(
        "Action=CreateTags&{both}&Tag.1.Key=team&Tag.1.Value=net"
    ));
    let tags = lab.members("Action=DescribeTags");
    assert_eq!(
        texts(&tags, "resourceType"),
        ["security-group", "security-group-rule"]
    );
    assert_eq!(texts(&tags, "resourceId"), [&*group, &*rule]);
    let of_rule = "Action=DescribeSecurityGroupRules&Filter.1.Name=tag:team&Filter.1.Value.1=net".to_owned();
    assert_eq!(texts(&lab.members(&of_rule), "securityGroupRuleId"), [&*rule]);
    lab.members(&format!("Action=DeleteTags&ResourceId.1={rule}"));
    assert_eq!(texts(&lab.members("Action=DescribeTags"), "resourceId"), [group]);
    let declared =
        lab.members("Action=DescribeSecurityGroupRules&Filter.1.Name=group-id&Filter.1.Value.1=sg-00000001");
    for id in ["sg-00000002", &text(&declared, "securityGroupRuleId")] {
        let form = format!("Action=CreateTags&ResourceId.1={id}&Tag.1.Key=team");
        assert_eq!(lab.code(&form), ErrorCode::UnsupportedOperation, "{id}");
    }
}
