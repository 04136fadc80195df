//! Connections: listing and ending them.

use culvert_query::ErrorCode;
use culvert_service::{Connection, ConnectionId, ConnectionState};
use time::Duration;

use crate::lab::{Lab, NOW, id, texts};

fn connection(endpoint: &str, number: u8, username: Option<&str>) -> Connection {
    Connection {
        id: ConnectionId::from_random([number; 9]),
        endpoint: endpoint.parse().unwrap(),
        timestamp: NOW,
        username: username.map(str::to_owned),
        common_name: Some("laptop".into()),
        established: NOW - Duration::minutes(i64::from(100 - number)),
        ingress_bytes: 1,
        egress_bytes: u64::MAX,
        ingress_packets: 3,
        egress_packets: 4,
        client_ip: format!("10.8.0.{number}").parse().ok(),
        client_ipv6: None,
        state: ConnectionState::Active,
        ended: None,
        posture: vec!["compliant".into()],
    }
}

#[test]
fn connections_are_listed_with_all_that_is_known_of_them() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    let mut ended = connection(&endpoint, 2, None);
    (ended.state, ended.ended) = (ConnectionState::Terminated, Some(NOW - Duration::minutes(1)));
    ended.client_ipv6 = "fd00::2".parse().ok();
    ended.posture.clear();
    *lab.tunnels.connections.lock().unwrap() = vec![connection(&endpoint, 1, Some("ann")), ended];
    let (first, second) = (id("cvpn-connection-", 1), id("cvpn-connection-", 2));
    let counters = "<ingressBytes>1</ingressBytes><egressBytes>18446744073709551615</egressBytes>\
        <ingressPackets>3</ingressPackets><egressPackets>4</egressPackets>";
    let wanted = format!(
        "<connections><item><clientVpnEndpointId>{endpoint}</clientVpnEndpointId>\
         <timestamp>2027-01-15 08:00:00</timestamp><connectionId>{first}</connectionId><username>ann</username>\
         <connectionEstablishedTime>2027-01-15 06:21:00</connectionEstablishedTime>{counters}\
         <clientIp>10.8.0.1</clientIp><commonName>laptop</commonName><status><code>active</code></status>\
         <connectionEndTime>-</connectionEndTime>\
         <postureComplianceStatusSet><item>compliant</item></postureComplianceStatusSet></item>\
         <item><clientVpnEndpointId>{endpoint}</clientVpnEndpointId>\
         <timestamp>2027-01-15 08:00:00</timestamp><connectionId>{second}</connectionId>\
         <connectionEstablishedTime>2027-01-15 06:22:00</connectionEstablishedTime>{counters}\
         <clientIp>10.8.0.2</clientIp><clientIpv6Address>fd00::2</clientIpv6Address><commonName>laptop</commonName>\
         <status><code>terminated</code></status><connectionEndTime>2027-01-15 07:59:00</connectionEndTime>\
         <postureComplianceStatusSet></postureComplianceStatusSet></item></connections>"
    );
    let describe = format!("Action=DescribeClientVpnConnections&ClientVpnEndpointId={endpoint}");
    assert_eq!(lab.members(&describe), wanted);
    for (name, value, wanted) in [
        ("connection-id", &*first, &first),
        ("username", "ann", &first),
        ("client-ip", "10.8.0.2", &second),
        ("client-ipv6-address", "fd00::2", &second),
        ("status", "terminated", &second),
        ("status", "active", &first),
    ] {
        let answer = lab.members(&format!(
            "{describe}&Filter.1.Name={name}&Filter.1.Value.1={value}"
        ));
        assert_eq!(
            texts(&answer, "connectionId"),
            [wanted.as_str()],
            "{name} {value}"
        );
    }
    let named = lab.members(&format!(
        "{describe}&Filter.1.Name=common-name&Filter.1.Value.1=lap*"
    ));
    assert_eq!(texts(&named, "connectionId").len(), 2);
}

#[test]
fn connections_are_ended_one_by_one_or_by_user() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    let all = [(1, "ann"), (2, "bob"), (3, "bob"), (4, "eve")]
        .map(|(n, user)| connection(&endpoint, n, Some(user)));
    *lab.tunnels.connections.lock().unwrap() = all.to_vec();
    let terminate = format!("Action=TerminateClientVpnConnections&ClientVpnEndpointId={endpoint}");
    let ended = |n| {
        let id = id("cvpn-connection-", n);
        format!(
            "<item><connectionId>{id}</connectionId><previousStatus><code>active</code></previousStatus>\
             <currentStatus><code>terminating</code></currentStatus></item>"
        )
    };
    let head = format!("<clientVpnEndpointId>{endpoint}</clientVpnEndpointId>");
    let first = id("cvpn-connection-", 1);
    assert_eq!(
        lab.members(&format!("{terminate}&ConnectionId={first}")),
        format!("{head}<connectionStatuses>{}</connectionStatuses>", ended(1))
    );
    assert_eq!(
        lab.members(&format!("{terminate}&Username=bob")),
        format!(
            "{head}<username>bob</username><connectionStatuses>{}{}</connectionStatuses>",
            ended(2),
            ended(3)
        )
    );
    let unknown = id("cvpn-connection-", 9);
    for (form, code) in [
        (format!("ConnectionId={unknown}"), ErrorCode::ConnectionIdNotFound),
        ("Username=nobody".into(), ErrorCode::ConnectionUserNotFound),
        ("DryRun=false".into(), ErrorCode::MissingParameter),
        (
            format!("ConnectionId={first}&Username=ann"),
            ErrorCode::InvalidParameterCombination,
        ),
    ] {
        assert_eq!(lab.code(&format!("{terminate}&{form}")), code, "{form}");
    }
}

#[test]
fn one_call_ends_only_so_many_connections_of_a_user() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    *lab.tunnels.connections.lock().unwrap() =
        (1..=6).map(|n| connection(&endpoint, n, Some("ann"))).collect();
    let form = format!("Action=TerminateClientVpnConnections&ClientVpnEndpointId={endpoint}&Username=ann");
    assert_eq!(lab.code(&form), ErrorCode::TerminateConnectionsLimitExceeded);
}

#[test]
fn an_endpoint_that_does_not_answer_is_to_be_asked_again() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    *lab.tunnels.broken.lock().unwrap() = true;
    let on = |action: &str| format!("Action={action}&ClientVpnEndpointId={endpoint}");
    assert_eq!(
        lab.code(&on("DescribeClientVpnConnections")),
        ErrorCode::Unavailable
    );
    let terminate = on("TerminateClientVpnConnections") + "&Username=ann";
    assert_eq!(lab.code(&terminate), ErrorCode::Unavailable);
}
