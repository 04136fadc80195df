//! What holds for every action.

use culvert_query::ErrorCode;

use crate::lab::{Lab, encoded};
use crate::revocation_list;
use crate::security_groups::{self, WEB};

/// A form for each action that would be answered in a lab whose endpoint is associated.
pub(crate) fn forms(lab: &Lab, endpoint: &str) -> Vec<String> {
    let of = |action: &str, more: &str| format!("Action={action}&ClientVpnEndpointId={endpoint}{more}");
    let association = lab.ec2.registry.snapshot().unwrap().endpoints[0]
        .endpoint
        .associations[0]
        .id
        .clone();
    let crl = encoded(&revocation_list::list(lab, 1));
    let group = security_groups::group(lab, "mine");
    let route = "&DestinationCidrBlock=10.1.0.0/16&TargetVpcSubnetId=subnet-0000000a";
    vec![
        lab.create_form().replace("10.8.0.0", "10.9.0.0") + "&VpnPort=1194",
        of("ModifyClientVpnEndpoint", "&Description=x"),
        of("AssociateClientVpnTargetNetwork", "&SubnetId=subnet-0000000b"),
        of(
            "ApplySecurityGroupsToClientVpnTargetNetwork",
            "&VpcId=vpc-00000001&SecurityGroupId.1=sg-00000002",
        ),
        of("CreateClientVpnRoute", route),
        of(
            "AuthorizeClientVpnIngress",
            "&TargetNetworkCidr=10.1.0.0/16&AuthorizeAllGroups=true",
        ),
        of(
            "ImportClientVpnClientCertificateRevocationList",
            &format!("&CertificateRevocationList={crl}"),
        ),
        of("ExportClientVpnClientCertificateRevocationList", ""),
        of("ExportClientVpnClientConfiguration", ""),
        format!("Action=CreateTags&ResourceId.1={endpoint}&Tag.1.Key=a&Tag.1.Value=b"),
        "Action=DescribeClientVpnEndpoints".into(),
        of("DescribeClientVpnTargetNetworks", ""),
        of("DescribeClientVpnRoutes", ""),
        of("DescribeClientVpnAuthorizationRules", ""),
        of("DescribeClientVpnConnections", ""),
        "Action=DescribeTags".into(),
        "Action=DescribeVpcs".into(),
        "Action=DescribeVpcAttribute&VpcId=vpc-00000001&Attribute=enableDnsSupport".into(),
        "Action=DescribeSubnets".into(),
        "Action=DescribeSecurityGroups".into(),
        format!(
            "Action=AuthorizeSecurityGroupEgress&GroupId={group}&{WEB}&TagSpecification.1.ResourceType=security-group-rule&TagSpecification.1.Tag.1.Key=a"
        ),
        format!("Action=AuthorizeSecurityGroupIngress&GroupId={group}&{WEB}"),
        "Action=DescribeSecurityGroupRules".into(),
        format!("Action=RevokeSecurityGroupEgress&GroupId={group}&{WEB}"),
        format!("Action=RevokeSecurityGroupIngress&GroupId={group}&{WEB}"),
        format!("Action=DeleteSecurityGroup&GroupId={group}"),
        "Action=CreateSecurityGroup&GroupName=other&GroupDescription=other&VpcId=vpc-00000001".into(),
        "Action=DescribeAvailabilityZones".into(),
        "Action=DescribeNetworkInterfaces".into(),
        of("TerminateClientVpnConnections", "&Username=ann"),
        format!("Action=DeleteTags&ResourceId.1={endpoint}"),
        of(
            "RevokeClientVpnIngress",
            "&TargetNetworkCidr=10.1.0.0/16&RevokeAllGroups=true",
        ),
        of("DeleteClientVpnRoute", route),
        of(
            "DisassociateClientVpnTargetNetwork",
            &format!("&AssociationId={association}"),
        ),
        of("DeleteClientVpnEndpoint", ""),
    ]
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_would_have_been() {
    let lab = Lab::new();
    let endpoint = lab.associated();
    let forms = forms(&lab, &endpoint);
    let before = lab.ec2.registry.snapshot().unwrap();
    for form in forms {
        assert_eq!(
            lab.code(&format!("{form}&DryRun=true")),
            ErrorCode::DryRunOperation,
            "{form}"
        );
        let misspelt = format!("{form}&DryRun=true&Color=red");
        assert_eq!(lab.code(&misspelt), ErrorCode::UnknownParameter, "{form}");
        assert_eq!(
            lab.code(&format!("{form}&DryRun=maybe")),
            ErrorCode::InvalidParameterValue,
            "{form}"
        );
    }
    let after = lab.ec2.registry.snapshot().unwrap();
    assert_eq!(
        (after.revision, after.endpoints),
        (before.revision, before.endpoints)
    );
}

#[test]
fn what_belongs_to_an_endpoint_needs_one_that_exists() {
    let lab = Lab::new();
    let endpoint = lab.associated();
    for form in forms(&lab, &endpoint) {
        let named = format!("&ClientVpnEndpointId={endpoint}");
        if form.contains(&named) {
            assert_eq!(
                lab.code(&form.replace(&named, "")),
                ErrorCode::MissingParameter,
                "{form}"
            );
            for unknown in ["cvpn-endpoint-0123456789abcdef0", "nonsense", "%2F"] {
                let form = form.replace(&named, &format!("&ClientVpnEndpointId={unknown}"));
                assert_eq!(lab.code(&form), ErrorCode::EndpointIdNotFound, "{form}");
            }
        }
    }
}

#[test]
fn an_action_that_exists_elsewhere_is_told_from_one_that_does_not() {
    let lab = Lab::new();
    for (action, code) in [
        (
            "AcceptTransitGatewayClientVpnAttachment",
            ErrorCode::UnsupportedOperation,
        ),
        (
            "RejectTransitGatewayClientVpnAttachment",
            ErrorCode::UnsupportedOperation,
        ),
        (
            "DeleteTransitGatewayClientVpnAttachment",
            ErrorCode::UnsupportedOperation,
        ),
        (
            "GetClientVpnEndpointAuthorizationPolicy",
            ErrorCode::UnsupportedOperation,
        ),
        (
            "ModifyClientVpnEndpointAuthorizationPolicy",
            ErrorCode::UnsupportedOperation,
        ),
        (
            "DeleteClientVpnEndpointAuthorizationPolicy",
            ErrorCode::UnsupportedOperation,
        ),
        ("ModifySecurityGroupRules", ErrorCode::UnsupportedOperation),
        (
            "UpdateSecurityGroupRuleDescriptionsEgress",
            ErrorCode::UnsupportedOperation,
        ),
        (
            "UpdateSecurityGroupRuleDescriptionsIngress",
            ErrorCode::UnsupportedOperation,
        ),
        ("RunInstances", ErrorCode::InvalidAction),
        ("describeVpcs", ErrorCode::InvalidAction),
        ("", ErrorCode::MissingAction),
    ] {
        assert_eq!(lab.code(&format!("Action={action}")), code, "{action}");
    }
}

#[test]
fn only_the_version_that_is_spoken_is_answered() {
    let lab = Lab::new();
    let code = |form: &str| lab.send(form).unwrap_err().to_api().code;
    assert_eq!(code("Action=DescribeVpcs"), ErrorCode::MissingParameter);
    assert_eq!(
        code("Action=DescribeVpcs&Version=2014-10-01"),
        ErrorCode::NoSuchVersion
    );
    assert_eq!(code("Version=2016-11-15"), ErrorCode::MissingAction);
    lab.send("Action=DescribeVpcs&Version=2016-11-15").unwrap();
}
