//! Associating subnets, and security groups.

use culvert_query::ErrorCode;

use crate::lab::{Lab, id, text, texts};

fn associate(endpoint: &str, subnet: &str) -> String {
    format!("Action=AssociateClientVpnTargetNetwork&ClientVpnEndpointId={endpoint}&SubnetId={subnet}")
}

#[test]
fn an_association_comes_and_goes() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    let association = id("cvpn-assoc-", 2);
    assert_eq!(
        lab.members(&associate(&endpoint, "subnet-0000000a")),
        format!("<associationId>{association}</associationId><status><code>associating</code></status>")
    );
    lab.settle();
    let describe = format!("Action=DescribeClientVpnTargetNetworks&ClientVpnEndpointId={endpoint}");
    let wanted = format!(
        "<clientVpnTargetNetworks><item><associationId>{association}</associationId><vpcId>vpc-00000001</vpcId>\
         <targetNetworkId>subnet-0000000a</targetNetworkId><clientVpnEndpointId>{endpoint}</clientVpnEndpointId>\
         <status><code>associated</code></status><securityGroups><item>sg-00000001</item></securityGroups>\
         <availabilityZoneSet><item>us-east-1a</item></availabilityZoneSet>\
         <availabilityZoneIdSet><item>use1-az1</item></availabilityZoneIdSet></item></clientVpnTargetNetworks>"
    );
    assert_eq!(lab.members(&describe), wanted);
    let shown = lab.members("Action=DescribeClientVpnEndpoints");
    assert_eq!(text(&shown, "code"), "available");
    assert!(shown.contains(
        "<associatedTargetNetwork><item><networkId>subnet-0000000a</networkId><networkType>vpc</networkType></item>"
    ));
    let end = format!(
        "Action=DisassociateClientVpnTargetNetwork&ClientVpnEndpointId={endpoint}&AssociationId={association}"
    );
    assert_eq!(
        lab.members(&end),
        format!("<associationId>{association}</associationId><status><code>disassociating</code></status>")
    );
    lab.settle();
    assert_eq!(
        lab.members(&describe),
        "<clientVpnTargetNetworks></clientVpnTargetNetworks>"
    );
    assert_eq!(lab.code(&end), ErrorCode::AssociationIdNotFound);
    let gone = format!("{describe}&AssociationIds.1={association}");
    assert_eq!(lab.code(&gone), ErrorCode::AssociationIdNotFound);
}

#[test]
fn why_an_association_failed_is_told() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    lab.members(&associate(&endpoint, "subnet-0000000a"));
    lab.settle_with(Err("the port is <taken>"));
    let shown = lab.members(&format!(
        "Action=DescribeClientVpnTargetNetworks&ClientVpnEndpointId={endpoint}"
    ));
    let wanted =
        "<status><code>association-failed</code><message>the port is &lt;taken&gt;</message></status>";
    assert!(shown.contains(wanted), "{shown}");
}

#[test]
fn each_reason_against_an_association_has_its_code() {
    let lab = Lab::new();
    let endpoint = lab.associated();
    for (subnet, code) in [
        ("subnet-0000000a", ErrorCode::DuplicateAssociation),
        ("subnet-0000000c", ErrorCode::SubnetIdDuplicateAz),
        ("subnet-0000000d", ErrorCode::InvalidParameterValue),
        ("subnet-0000000e", ErrorCode::InvalidParameterValue),
        ("subnet-000000f0", ErrorCode::SubnetIdDifferentAccount),
        ("subnet-00000099", ErrorCode::SubnetIdNotFound),
        ("net-1", ErrorCode::InvalidSubnetIdMalformed),
        ("", ErrorCode::MissingParameter),
        (
            "subnet-0000000b&AvailabilityZone=us-east-1a",
            ErrorCode::UnsupportedOperation,
        ),
        (
            "subnet-0000000b&AvailabilityZoneId=use1-az1",
            ErrorCode::UnsupportedOperation,
        ),
    ] {
        assert_eq!(lab.code(&associate(&endpoint, subnet)), code, "{subnet}");
    }
    assert_eq!(
        lab.code(&associate("cvpn-endpoint-x", "subnet-0000000b")),
        ErrorCode::EndpointIdNotFound
    );
    let wide = lab.create_form().replace("10.8.0.0/22", "10.16.0.0/12") + "&VpnPort=1194";
    let wide = text(&lab.members(&wide), "clientVpnEndpointId");
    assert_eq!(
        lab.code(&associate(&wide, "subnet-0000000a")),
        ErrorCode::SubnetIdOverlappingCidr
    );
}

#[test]
fn filters_and_ids_narrow_the_list() {
    let lab = Lab::new();
    let endpoint = lab.associated();
    let second = text(
        &lab.members(&associate(&endpoint, "subnet-0000000b")),
        "associationId",
    );
    let describe = format!("Action=DescribeClientVpnTargetNetworks&ClientVpnEndpointId={endpoint}");
    let shown = |more: &str| texts(&lab.members(&format!("{describe}&{more}")), "targetNetworkId");
    let filter = |name: &str, value: &str| shown(&format!("Filter.1.Name={name}&Filter.1.Value.1={value}"));
    assert_eq!(shown("DryRun=false"), ["subnet-0000000a", "subnet-0000000b"]);
    assert_eq!(shown(&format!("AssociationIds.1={second}")), ["subnet-0000000b"]);
    assert_eq!(filter("association-id", &second), ["subnet-0000000b"]);
    assert_eq!(filter("target-network-id", "*a"), ["subnet-0000000a"]);
    assert_eq!(filter("vpc-id", "vpc-00000001").len(), 2);
    assert!(filter("vpc-id", "vpc-00000002").is_empty());
}

#[test]
fn security_groups_are_replaced() {
    let lab = Lab::new();
    let endpoint = lab.associated();
    let apply = format!("Action=ApplySecurityGroupsToClientVpnTargetNetwork&ClientVpnEndpointId={endpoint}");
    let answer = lab.members(&format!(
        "{apply}&VpcId=vpc-00000001&SecurityGroupId.1=sg-00000002"
    ));
    assert_eq!(
        answer,
        "<securityGroupIds><item>sg-00000002</item></securityGroupIds>"
    );
    for (form, code) in [
        ("VpcId=vpc-00000001", ErrorCode::MissingParameter),
        ("SecurityGroupId.1=sg-00000002", ErrorCode::MissingParameter),
        (
            "VpcId=vpc-00000001&SecurityGroupId.1=sg-00000003",
            ErrorCode::InvalidGroupNotFound,
        ),
        (
            "VpcId=vpc-00000002&SecurityGroupId.1=sg-00000003",
            ErrorCode::InvalidParameterValue,
        ),
    ] {
        assert_eq!(lab.code(&format!("{apply}&{form}")), code, "{form}");
    }
}
