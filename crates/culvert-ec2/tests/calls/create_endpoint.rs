//! Creating, listing and deleting endpoints.

use culvert_query::ErrorCode;

use crate::lab::{Lab, encoded, id, text, texts};

#[test]
fn the_answer_has_the_members_of_the_model() {
    let lab = Lab::new();
    let id = id("cvpn-endpoint-", 1);
    let wanted = format!(
        "<clientVpnEndpointId>{id}</clientVpnEndpointId><status><code>pending-associate</code></status>\
         <dnsName>{id}.prod.clientvpn.us-east-1.amazonaws.com</dnsName>"
    );
    assert_eq!(lab.members(&lab.create_form()), wanted);
}

#[test]
fn a_description_shows_the_defaults_of_what_was_left_out() {
    let lab = Lab::new();
    let (id, arn) = (lab.endpoint(), &lab.arn);
    let wanted = format!(
        "<clientVpnEndpoint><item><clientVpnEndpointId>{id}</clientVpnEndpointId>\
         <status><code>pending-associate</code></status><creationTime>2027-01-15T08:00:00</creationTime>\
         <dnsName>*.{id}.prod.clientvpn.us-east-1.amazonaws.com</dnsName>\
         <clientCidrBlock>10.8.0.0/22</clientCidrBlock><dnsServer></dnsServer><splitTunnel>false</splitTunnel>\
         <vpnProtocol>openvpn</vpnProtocol><transportProtocol>udp</transportProtocol><vpnPort>443</vpnPort>\
         <associatedTargetNetwork></associatedTargetNetwork><serverCertificateArn>{arn}</serverCertificateArn>\
         <authenticationOptions><item><type>certificate-authentication</type>\
         <mutualAuthentication><clientRootCertificateChain>{arn}</clientRootCertificateChain></mutualAuthentication>\
         </item></authenticationOptions><connectionLogOptions><Enabled>false</Enabled></connectionLogOptions>\
         <tagSet></tagSet><securityGroupIdSet></securityGroupIdSet>\
         <clientConnectOptions><enabled>false</enabled><status><code>applied</code></status></clientConnectOptions>\
         <sessionTimeoutHours>24</sessionTimeoutHours>\
         <clientLoginBannerOptions><enabled>false</enabled></clientLoginBannerOptions>\
         <clientRouteEnforcementOptions><enforced>false</enforced></clientRouteEnforcementOptions>\
         <disconnectOnSessionTimeout>true</disconnectOnSessionTimeout>\
         <endpointIpAddressType>ipv4</endpointIpAddressType><trafficIpAddressType>ipv4</trafficIpAddressType>\
         </item></clientVpnEndpoint>"
    );
    assert_eq!(lab.members("Action=DescribeClientVpnEndpoints"), wanted);
}

#[test]
fn every_setting_that_is_given_comes_back() {
    let lab = Lab::new();
    let form = format!(
        "{}&Authentication.2.Type=directory-service-authentication\
         &Authentication.2.ActiveDirectory.DirectoryId=d-0123456789\
         &DnsServers.1=10.20.0.2&DnsServers.2=10.20.0.3&TransportProtocol=tcp&VpnPort=1194&Description=a%20%3C%20b\
         &SplitTunnel=true&TagSpecification.1.ResourceType=client-vpn-endpoint\
         &TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=office\
         &TagSpecification.1.Tag.2.Key=empty&SecurityGroupId.1=sg-00000002&VpcId=vpc-00000001\
         &SelfServicePortal=disabled&ClientConnectOptions.Enabled=false&SessionTimeoutHours=8\
         &ClientLoginBannerOptions.Enabled=true&ClientLoginBannerOptions.BannerText=Welcome\
         &ClientRouteEnforcementOptions.Enforced=false&DisconnectOnSessionTimeout=false\
         &EndpointIpAddressType=ipv4&TrafficIpAddressType=ipv4&DevicePostureOptions.Enabled=false\
         &ConnectionLogOptions.IncludeAuthorizationPolicyContext=false",
        lab.create_form()
    );
    lab.members(&form);
    let shown = lab.members("Action=DescribeClientVpnEndpoints");
    for wanted in [
        "<description>a &lt; b</description>",
        "<dnsServer><item>10.20.0.2</item><item>10.20.0.3</item></dnsServer><splitTunnel>true</splitTunnel>",
        "<transportProtocol>tcp</transportProtocol><vpnPort>1194</vpnPort>",
        "<item><type>directory-service-authentication</type>\
         <activeDirectory><directoryId>d-0123456789</directoryId></activeDirectory></item></authenticationOptions>",
        "<tagSet><item><key>Name</key><value>office</value></item><item><key>empty</key><value></value></item></tagSet>",
        "<securityGroupIdSet><item>sg-00000002</item></securityGroupIdSet><vpcId>vpc-00000001</vpcId>",
        "<sessionTimeoutHours>8</sessionTimeoutHours>",
        "<enabled>true</enabled><bannerText>Welcome</bannerText>",
        "<disconnectOnSessionTimeout>false</disconnectOnSessionTimeout>",
    ] {
        assert!(shown.contains(wanted), "no {wanted} in {shown}");
    }
}

#[test]
fn a_connection_log_without_a_stream_gets_one_named_after_the_endpoint() {
    let lab = Lab::new();
    let form = lab.create_form().replace(
        "ConnectionLogOptions.Enabled=false",
        "ConnectionLogOptions.Enabled=true&ConnectionLogOptions.CloudwatchLogGroup=/vpn/office",
    );
    lab.members(&form);
    let shown = lab.members("Action=DescribeClientVpnEndpoints");
    let start = "<connectionLogOptions><Enabled>true</Enabled><CloudwatchLogGroup>/vpn/office</CloudwatchLogGroup>\
                 <CloudwatchLogStream>cvpn-endpoint-";
    let (_, stream) = shown.split_once(start).unwrap_or_else(|| panic!("{shown}"));
    let (stream, _) = stream.split_once("</CloudwatchLogStream>").unwrap();
    assert!(
        stream.contains("-us-east-1-") && stream.matches('/').count() == 2,
        "{stream}"
    );
    assert_eq!(stream.rsplit('-').next().map(str::len), Some(12), "{stream}");
}

#[test]
fn an_endpoint_behind_a_host_of_the_operators_has_its_name() {
    let lab = Lab::new();
    let mut environment = (**lab.ec2.environment.load()).clone();
    environment.host = Some("vpn.example.com".into());
    lab.ec2.environment.store(environment.into());
    let created = lab.members(&lab.create_form());
    assert_eq!(text(&created, "dnsName"), "vpn.example.com");
    let shown = lab.members("Action=DescribeClientVpnEndpoints");
    assert_eq!(text(&shown, "dnsName"), "vpn.example.com");
}

/// What of the smallest form to replace, by what, and the code of the refusal.
const REFUSED: &[(&str, &str, ErrorCode)] = &[
    ("ClientCidrBlock=10.8.0.0/22&", "", ErrorCode::MissingParameter),
    ("10.8.0.0/22", "10.8.0.0/23", ErrorCode::InvalidParameterValue),
    ("10.8.0.0/22", "10.0.0.0/11", ErrorCode::InvalidParameterValue),
    ("10.8.0.0/22", "10.8.0.1/22", ErrorCode::InvalidParameterValue),
    ("10.8.0.0/22", "10.8.0.0", ErrorCode::InvalidParameterValue),
    ("10.8.0.0/22", "fd00::/22", ErrorCode::InvalidParameterValue),
    (
        "10.8.0.0/22",
        "10.20.0.0/22&VpcId=vpc-00000001",
        ErrorCode::InvalidParameterValue,
    ),
    ("&ServerCertificateArn=", "&X=", ErrorCode::MissingParameter),
    (
        "&ServerCertificateArn=arn:aws:acm:us",
        "&ServerCertificateArn=arn:aws:acm:eu",
        ErrorCode::InvalidParameterValue,
    ),
    (
        "&ConnectionLogOptions.Enabled=false",
        "",
        ErrorCode::MissingParameter,
    ),
    (
        "Options.Enabled=false",
        "Options.Enabled=no",
        ErrorCode::InvalidParameterValue,
    ),
    (
        "Options.Enabled=false",
        "Options.Enabled=true",
        ErrorCode::MissingParameter,
    ),
    (
        "Authentication.1.Type=certificate",
        "Authentication.1.Type=magic",
        ErrorCode::InvalidParameterValue,
    ),
    (
        "Authentication.1.Type=certificate",
        "Authentication.1.Type=federated",
        ErrorCode::InvalidParameterValue,
    ),
    (
        "Authentication.1.Type=certificate-authentication&",
        "",
        ErrorCode::MissingParameter,
    ),
    (
        "Authentication.1.Mutual",
        "Authentication.1.Active",
        ErrorCode::UnknownParameter,
    ),
    (
        "Authentication.1.MutualAuthentication.ClientRootCertificateChainArn",
        "Description",
        ErrorCode::MissingParameter,
    ),
];

/// What to add to the smallest form, and the code of the refusal.
const REFUSED_MORE: &[(&str, ErrorCode)] = &[
    (
        "DnsServers.1=1.1.1.1&DnsServers.2=1.1.1.2&DnsServers.3=1.1.1.3",
        ErrorCode::InvalidParameterValue,
    ),
    ("DnsServers.1=one", ErrorCode::InvalidParameterValue),
    ("TransportProtocol=sctp", ErrorCode::InvalidParameterValue),
    ("VpnPort=8443", ErrorCode::InvalidParameterValue),
    ("VpnPort=x", ErrorCode::InvalidParameterValue),
    ("SplitTunnel=yes", ErrorCode::InvalidParameterValue),
    ("SecurityGroupId.1=sg-00000001", ErrorCode::InvalidParameterValue),
    (
        "SecurityGroupId.1=sg-00000099&VpcId=vpc-00000001",
        ErrorCode::InvalidGroupNotFound,
    ),
    ("VpcId=vpc-00000099", ErrorCode::InvalidVpcIdNotFound),
    ("SelfServicePortal=true", ErrorCode::InvalidParameterValue),
    ("SelfServicePortal=enabled", ErrorCode::UnsupportedOperation),
    ("ClientConnectOptions.Enabled=true", ErrorCode::MissingParameter),
    (
        "ClientConnectOptions.Enabled=true&ClientConnectOptions.LambdaFunctionArn=\
         arn:aws:lambda:us-east-1:123456789012:function:AWSClientVPN-unknown",
        ErrorCode::InvalidParameterValue,
    ),
    (
        "ClientRouteEnforcementOptions.Enforced=true",
        ErrorCode::UnsupportedOperation,
    ),
    ("SessionTimeoutHours=9", ErrorCode::InvalidParameterValue),
    (
        "ClientLoginBannerOptions.Enabled=true",
        ErrorCode::MissingParameter,
    ),
    ("EndpointIpAddressType=ipv9", ErrorCode::InvalidParameterValue),
    (
        "TrafficIpAddressType=ipv6",
        ErrorCode::InvalidParameterCombination,
    ),
    ("DnsServers.1=fd00::53", ErrorCode::InvalidParameterValue),
    ("TrafficIpAddressType=ipx", ErrorCode::InvalidParameterValue),
    (
        "TransitGatewayConfiguration.TransitGatewayId=tgw-1",
        ErrorCode::UnsupportedOperation,
    ),
    (
        "DevicePostureOptions.Enabled=true",
        ErrorCode::UnsupportedOperation,
    ),
    (
        "DevicePostureOptions.TrustProvider.1.TenantId=x",
        ErrorCode::UnsupportedOperation,
    ),
    (
        "ConnectionLogOptions.IncludeAuthorizationPolicyContext=true",
        ErrorCode::UnsupportedOperation,
    ),
    (
        "TagSpecification.1.ResourceType=vpc&TagSpecification.1.Tag.1.Key=a",
        ErrorCode::InvalidParameterValue,
    ),
    (
        "TagSpecification.1.ResourceType=client-vpn-endpoint",
        ErrorCode::MissingParameter,
    ),
    (
        "TagSpecification.1.ResourceType=client-vpn-endpoint&TagSpecification.1.Tag.1.Key=aws:a",
        ErrorCode::InvalidParameterValue,
    ),
    ("ClientToken=%C3%A4", ErrorCode::InvalidClientToken),
    (
        "DnsServers.CustomDnsServers.1=1.1.1.1",
        ErrorCode::UnknownParameter,
    ),
    ("Color=red", ErrorCode::UnknownParameter),
];

#[test]
fn each_reason_against_an_endpoint_has_its_code_and_leaves_nothing_behind() {
    let lab = Lab::new();
    let form = lab.create_form();
    for (old, new, code) in REFUSED {
        assert!(form.contains(old), "{old}");
        assert_eq!(lab.code(&form.replace(old, new)), *code, "{old} -> {new}");
    }
    for (more, code) in REFUSED_MORE {
        assert_eq!(lab.code(&format!("{form}&{more}")), *code, "{more}");
    }
    let banner = encoded(&"\u{e4}".repeat(1401));
    let long =
        format!("{form}&ClientLoginBannerOptions.Enabled=true&ClientLoginBannerOptions.BannerText={banner}");
    assert_eq!(lab.code(&long), ErrorCode::InvalidParameterValue);
    let tags: String = (1..=51)
        .map(|n| format!("&TagSpecification.1.Tag.{n}.Key=k{n}"))
        .collect();
    let tags = format!("{form}&TagSpecification.1.ResourceType=client-vpn-endpoint{tags}");
    assert_eq!(lab.code(&tags), ErrorCode::TagLimitExceeded);
    assert_eq!(
        lab.members("Action=DescribeClientVpnEndpoints"),
        "<clientVpnEndpoint></clientVpnEndpoint>"
    );
}

#[test]
fn federated_users_are_not_supported() {
    let lab = Lab::new();
    let form = lab
        .create_form()
        .replace("=certificate-auth", "=federated-auth")
        .replace(
            "MutualAuthentication.ClientRootCertificateChainArn",
            "FederatedAuthentication.SAMLProviderArn",
        );
    assert_eq!(lab.code(&form), ErrorCode::UnsupportedOperation);
}

#[test]
fn the_length_of_a_banner_is_counted_in_characters() {
    let lab = Lab::new();
    let banner = "\u{e4}".repeat(1400);
    lab.members(&format!(
        "{}&ClientLoginBannerOptions.Enabled=true&ClientLoginBannerOptions.BannerText={}",
        lab.create_form(),
        encoded(&banner)
    ));
    assert_eq!(
        text(&lab.members("Action=DescribeClientVpnEndpoints"), "bannerText"),
        banner
    );
}

#[test]
fn there_are_only_as_many_endpoints_as_the_quota_allows() {
    let lab = Lab::new();
    let mut environment = (**lab.ec2.environment.load()).clone();
    environment.quotas.endpoints = 1;
    lab.ec2.environment.store(environment.into());
    lab.endpoint();
    let second = lab.create_form().replace("10.8.0.0", "10.9.0.0") + "&VpnPort=1194";
    assert_eq!(lab.code(&second), ErrorCode::EndpointLimitExceeded);
}

#[test]
fn an_endpoint_is_deleted_once_it_has_no_target_network() {
    let lab = Lab::new();
    let id = lab.associated();
    let delete = format!("Action=DeleteClientVpnEndpoint&ClientVpnEndpointId={id}");
    assert_eq!(lab.code(&delete), ErrorCode::DependencyViolation);
    let shown = lab.members(&format!(
        "Action=DescribeClientVpnTargetNetworks&ClientVpnEndpointId={id}"
    ));
    let association = text(&shown, "associationId");
    lab.members(&format!(
        "Action=DisassociateClientVpnTargetNetwork&ClientVpnEndpointId={id}&AssociationId={association}"
    ));
    assert_eq!(lab.code(&delete), ErrorCode::DependencyViolation);
    lab.settle();
    assert_eq!(lab.members(&delete), "<status><code>deleting</code></status>");
    let modify = format!("Action=ModifyClientVpnEndpoint&ClientVpnEndpointId={id}&SplitTunnel=true");
    assert_eq!(lab.code(&modify), ErrorCode::IncorrectState);
    let describe = format!("Action=DescribeClientVpnEndpoints&ClientVpnEndpointId.1={id}");
    assert_eq!(texts(&lab.members(&describe), "code"), ["deleting", "applied"]);
    lab.settle();
    assert_eq!(lab.code(&describe), ErrorCode::EndpointIdNotFound);
    assert_eq!(lab.code(&delete), ErrorCode::EndpointIdNotFound);
}

#[test]
fn the_profile_of_an_endpoint_names_it_and_its_authority() {
    let lab = Lab::new();
    let id = lab.endpoint();
    let answer = lab.members(&format!(
        "Action=ExportClientVpnClientConfiguration&ClientVpnEndpointId={id}"
    ));
    let profile = text(&answer, "clientConfiguration");
    assert_eq!(
        answer,
        format!("<clientConfiguration>{profile}</clientConfiguration>")
    );
    assert!(profile.starts_with("client\ndev tun\nproto udp\n"), "{profile}");
    assert!(
        profile.contains(&format!(
            "remote {id}.prod.clientvpn.us-east-1.amazonaws.com 443\n"
        )),
        "{profile}"
    );
    assert!(
        profile.contains("&lt;ca&gt;\n-----BEGIN CERTIFICATE-----\n"),
        "{profile}"
    );
    assert!(
        profile.ends_with("verify-x509-name vpn.example.com name\n"),
        "{profile}"
    );
}
