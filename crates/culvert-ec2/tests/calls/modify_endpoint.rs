//! Changing endpoints.

use culvert_query::ErrorCode;

use crate::lab::Lab;

/// Members that change an endpoint, and what a description shows then.
const CHANGES: &[(&str, &str)] = &[
    ("Description=new", "<description>new</description>"),
    (
        "DnsServers.Enabled=true&DnsServers.CustomDnsServers.1=10.20.0.2",
        "<dnsServer><item>10.20.0.2</item></dnsServer>",
    ),
    ("DnsServers.Enabled=false", "<dnsServer></dnsServer>"),
    ("VpnPort=1194", "<vpnPort>1194</vpnPort>"),
    ("SplitTunnel=true", "<splitTunnel>true</splitTunnel>"),
    (
        "VpcId=vpc-00000001",
        "<item>sg-00000001</item></securityGroupIdSet><vpcId>vpc-00000001</vpcId>",
    ),
    (
        "VpcId=vpc-00000001&SecurityGroupId.1=sg-00000002",
        "<securityGroupIdSet><item>sg-00000002</item></securityGroupIdSet>",
    ),
    (
        "SessionTimeoutHours=12",
        "<sessionTimeoutHours>12</sessionTimeoutHours>",
    ),
    (
        "ClientLoginBannerOptions.Enabled=true&ClientLoginBannerOptions.BannerText=Hi",
        "<enabled>true</enabled><bannerText>Hi</bannerText>",
    ),
    (
        "DisconnectOnSessionTimeout=false",
        "<disconnectOnSessionTimeout>false</disconnectOnSessionTimeout>",
    ),
    (
        "ConnectionLogOptions.Enabled=false",
        "<connectionLogOptions><Enabled>false</Enabled></connectionLogOptions>",
    ),
    (
        "ConnectionLogOptions.Enabled=true&ConnectionLogOptions.CloudwatchLogGroup=/vpn/office&\
         ConnectionLogOptions.CloudwatchLogStream=a/b",
        "<connectionLogOptions><Enabled>true</Enabled><CloudwatchLogGroup>/vpn/office</CloudwatchLogGroup>\
         <CloudwatchLogStream>a/b</CloudwatchLogStream></connectionLogOptions>",
    ),
    (
        "SelfServicePortal=disabled&ClientConnectOptions.Enabled=true&ClientConnectOptions.LambdaFunctionArn=\
         arn:aws:lambda:us-east-1:123456789012:function:AWSClientVPN-posture",
        "<clientConnectOptions><enabled>true</enabled><lambdaFunctionArn>\
         arn:aws:lambda:us-east-1:123456789012:function:AWSClientVPN-posture</lambdaFunctionArn>\
         <status><code>applying</code>",
    ),
    (
        "ClientRouteEnforcementOptions.Enforced=false&DevicePostureOptions.Enabled=false",
        "<enforced>false</enforced>",
    ),
];

#[test]
fn each_setting_changes_and_all_others_stay() {
    let lab = Lab::new();
    let id = lab.endpoint();
    for (change, shown) in CHANGES {
        let answer = lab.members(&format!(
            "Action=ModifyClientVpnEndpoint&ClientVpnEndpointId={id}&{change}"
        ));
        assert_eq!(answer, "<return>true</return>");
        let all = lab.members("Action=DescribeClientVpnEndpoints");
        assert!(all.contains(shown), "{change}: no {shown} in {all}");
    }
    let all = lab.members("Action=DescribeClientVpnEndpoints");
    for (change, shown) in CHANGES {
        let overtaken = change.contains("CustomDnsServers")
            || *change == "VpcId=vpc-00000001"
            || *change == "ConnectionLogOptions.Enabled=false";
        assert!(overtaken || all.contains(shown), "{change} was lost: {all}");
    }
    lab.members(&format!(
        "Action=ModifyClientVpnEndpoint&ClientVpnEndpointId={id}&Description="
    ));
    let cleared = lab.members("Action=DescribeClientVpnEndpoints");
    assert!(!cleared.contains("<description>"), "{cleared}");
}

#[test]
fn the_server_certificate_must_be_one_that_is_there() {
    let lab = Lab::new();
    let (id, arn) = (lab.endpoint(), &lab.arn);
    let modify = format!("Action=ModifyClientVpnEndpoint&ClientVpnEndpointId={id}&ServerCertificateArn");
    lab.members(&format!("{modify}={arn}"));
    let unknown = arn.replace("certificate/ee", "certificate/00");
    assert_eq!(
        lab.code(&format!("{modify}={unknown}")),
        ErrorCode::InvalidParameterValue
    );
}

#[test]
fn what_can_not_change_is_refused() {
    let lab = Lab::new();
    let id = lab.endpoint();
    let before = lab.members("Action=DescribeClientVpnEndpoints");
    for (change, code) in [
        ("ClientCidrBlock=10.9.0.0/22", ErrorCode::UnknownParameter),
        (
            "Authentication.1.Type=certificate-authentication",
            ErrorCode::UnknownParameter,
        ),
        ("TransportProtocol=tcp", ErrorCode::UnknownParameter),
        ("EndpointIpAddressType=ipv4", ErrorCode::UnknownParameter),
        ("DnsServers.1=10.20.0.2", ErrorCode::UnknownParameter),
        ("DnsServers.Enabled=true", ErrorCode::MissingParameter),
        (
            "DnsServers.CustomDnsServers.1=10.20.0.2",
            ErrorCode::InvalidParameterCombination,
        ),
        (
            "DnsServers.Enabled=false&DnsServers.CustomDnsServers.1=10.20.0.2",
            ErrorCode::InvalidParameterCombination,
        ),
        ("SecurityGroupId.1=sg-00000001", ErrorCode::InvalidParameterValue),
        (
            "VpcId=vpc-00000001&SecurityGroupId.1=sg-00000003",
            ErrorCode::InvalidGroupNotFound,
        ),
        ("VpcId=vpc-00000099", ErrorCode::InvalidVpcIdNotFound),
        ("VpnPort=80", ErrorCode::InvalidParameterValue),
        (
            "TransitGatewayConfiguration.TransitGatewayId=tgw-1",
            ErrorCode::UnsupportedOperation,
        ),
        (
            "DevicePostureOptions.Enabled=true",
            ErrorCode::UnsupportedOperation,
        ),
        ("SelfServicePortal=enabled", ErrorCode::UnsupportedOperation),
    ] {
        let form =
            format!("Action=ModifyClientVpnEndpoint&ClientVpnEndpointId={id}&SplitTunnel=true&{change}");
        assert_eq!(lab.code(&form), code, "{change}");
    }
    assert_eq!(lab.members("Action=DescribeClientVpnEndpoints"), before);
}
