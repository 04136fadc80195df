//! Whole answers, read and shown.

use serde_json::{Value, json};

use super::model::{Endpoints, Page, SecurityGroups};
use super::xml;

const ENDPOINT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<DescribeClientVpnEndpointsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId>
<clientVpnEndpoint><item>
<clientVpnEndpointId>cvpn-endpoint-1</clientVpnEndpointId><description>a &amp; b</description>
<status><code>available</code></status><creationTime>2026-01-02T03:04:05</creationTime><dnsName>vpn.test</dnsName>
<clientCidrBlock>10.8.0.0/22</clientCidrBlock><dnsServer><item>10.0.0.2</item><item>10.0.0.3</item></dnsServer>
<splitTunnel>true</splitTunnel><vpnProtocol>openvpn</vpnProtocol><transportProtocol>tcp</transportProtocol><vpnPort>1194</vpnPort>
<associatedTargetNetwork><item><networkId>subnet-1</networkId><networkType>vpc</networkType></item></associatedTargetNetwork>
<serverCertificateArn>arn:s</serverCertificateArn>
<authenticationOptions><item><type>directory-service-authentication</type><activeDirectory><directoryId>d-1</directoryId>
</activeDirectory></item></authenticationOptions>
<connectionLogOptions><Enabled>true</Enabled><CloudwatchLogGroup>g</CloudwatchLogGroup><CloudwatchLogStream>s</CloudwatchLogStream>
</connectionLogOptions>
<tagSet><item><key>Name</key><value>office</value></item></tagSet><securityGroupIdSet><item>sg-1</item></securityGroupIdSet>
<vpcId>vpc-1</vpcId>
<clientConnectOptions><enabled>true</enabled><lambdaFunctionArn>arn:f</lambdaFunctionArn><status><code>applying</code></status>
</clientConnectOptions>
<sessionTimeoutHours>8</sessionTimeoutHours>
<clientLoginBannerOptions><enabled>true</enabled><bannerText>Hello</bannerText></clientLoginBannerOptions>
<clientRouteEnforcementOptions><enforced>false</enforced></clientRouteEnforcementOptions>
<endpointIpAddressType>dual-stack</endpointIpAddressType><trafficIpAddressType>ipv4</trafficIpAddressType>
<disconnectOnSessionTimeout>true</disconnectOnSessionTimeout><appliedAt>2026-01-02T03:04:06.789Z</appliedAt><somethingNewer><deep><er/></deep></somethingNewer>
</item></clientVpnEndpoint></DescribeClientVpnEndpointsResponse>";

fn endpoint() -> super::model::Endpoint {
    let page: Endpoints = xml::answer("DescribeClientVpnEndpoints", ENDPOINT).unwrap();
    let (mut found, next) = page.split();
    assert_eq!(next, None);
    found.remove(0)
}

#[test]
fn an_endpoint_is_written_with_the_names_of_the_api() {
    let expected: Value = json!({
        "client_vpn_endpoint_id": "cvpn-endpoint-1",
        "description": "a & b",
        "status": { "code": "available" },
        "creation_time": "2026-01-02T03:04:05",
        "applied_at": "2026-01-02T03:04:06.789Z",
        "dns_name": "vpn.test",
        "client_cidr_block": "10.8.0.0/22",
        "dns_servers": ["10.0.0.2", "10.0.0.3"],
        "split_tunnel": true,
        "transport_protocol": "tcp",
        "vpn_port": 1194,
        "associated_target_networks": [{ "network_id": "subnet-1", "network_type": "vpc" }],
        "server_certificate_arn": "arn:s",
        "authentication_options": [
            { "type": "directory-service-authentication", "active_directory": { "directory_id": "d-1" } }
        ],
        "connection_log_options": { "enabled": true, "cloudwatch_log_group": "g", "cloudwatch_log_stream": "s" },
        "tags": [{ "key": "Name", "value": "office" }],
        "security_group_ids": ["sg-1"],
        "vpc_id": "vpc-1",
        "self_service_portal_url": null,
        "client_connect_options": { "enabled": true, "lambda_function_arn": "arn:f", "status": { "code": "applying" } },
        "session_timeout_hours": 8,
        "disconnect_on_session_timeout": true,
        "client_login_banner_options": { "enabled": true, "banner_text": "Hello" },
        "client_route_enforcement_options": { "enforced": false },
        "endpoint_ip_address_type": "dual-stack",
        "traffic_ip_address_type": "ipv4",
    });
    assert_eq!(json!(endpoint()), expected);
}

#[test]
fn everything_about_an_endpoint_fits_a_line_each() {
    let text = super::endpoint::details(&endpoint());
    assert_eq!(
        text,
        "endpoint                       cvpn-endpoint-1\n\
         description                    a & b\n\
         status                         available\n\
         created                        2026-01-02T03:04:05\n\
         applied at                     2026-01-02T03:04:06.789Z\n\
         dns name                       vpn.test\n\
         clients                        10.8.0.0/22\n\
         address types outside          dual-stack\n\
         address types inside           ipv4\n\
         transport                      tcp, port 1194\n\
         authentication                 directory-service-authentication (d-1)\n\
         server certificate             arn:s\n\
         networks                       subnet-1\n\
         vpc                            vpc-1\n\
         security groups                sg-1\n\
         dns servers                    10.0.0.2, 10.0.0.3\n\
         split tunnel                   yes\n\
         session timeout                8 hours\n\
         disconnect on session timeout  yes\n\
         connection log                 g / s\n\
         connect handler                arn:f (applying)\n\
         banner                         Hello\n\
         route enforcement              no\n\
         tags                           Name=office\n"
    );
}

#[test]
fn lists_may_be_empty_or_absent() {
    for body in ["<R/>", "<R><clientVpnEndpoint/></R>", "<R><nextToken/></R>"] {
        let page: Endpoints = xml::answer("X", body).unwrap();
        let (found, next) = page.split();
        assert!(found.is_empty() && next.unwrap_or_default().is_empty(), "{body}");
    }
}

#[test]
fn what_a_security_group_lets_through_is_readable() {
    let group = |permission: &str| {
        let body = format!(
            "<R><securityGroupInfo><item><groupId>sg-1</groupId><groupName>n</groupName><groupDescription/><vpcId>v</vpcId>\
             <ipPermissionsEgress><item>{permission}</item></ipPermissionsEgress><ipPermissions/></item></securityGroupInfo></R>"
        );
        let page: SecurityGroups = xml::answer("X", &body).unwrap();
        page.split().0[0].ip_permissions_egress[0].to_string()
    };
    let v4 = "<ipRanges><item><cidrIp>10.0.0.0/8</cidrIp></item></ipRanges><ipv6Ranges/>";
    let v6 = "<ipRanges/><ipv6Ranges><item><cidrIpv6>::/0</cidrIpv6></item></ipv6Ranges>";
    for (protocol, to, text) in [
        ("<ipProtocol>-1</ipProtocol>", v4, "all to 10.0.0.0/8"),
        (
            "<ipProtocol>icmpv6</ipProtocol><fromPort>-1</fromPort><toPort>-1</toPort>",
            v6,
            "icmpv6 to ::/0",
        ),
        (
            "<ipProtocol>icmp</ipProtocol><fromPort>8</fromPort><toPort>-1</toPort>",
            v4,
            "icmp type 8 to 10.0.0.0/8",
        ),
        (
            "<ipProtocol>icmp</ipProtocol><fromPort>3</fromPort><toPort>4</toPort>",
            v4,
            "icmp type 3 code 4 to 10.0.0.0/8",
        ),
        (
            "<ipProtocol>tcp</ipProtocol><fromPort>80</fromPort><toPort>80</toPort>",
            v4,
            "tcp 80 to 10.0.0.0/8",
        ),
        (
            "<ipProtocol>udp</ipProtocol><fromPort>1</fromPort><toPort>9</toPort>",
            v4,
            "udp 1-9 to 10.0.0.0/8",
        ),
    ] {
        assert_eq!(group(&format!("{protocol}{to}")), text);
    }
}
