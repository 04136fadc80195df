//! Routes.

use culvert_query::ErrorCode;

use crate::lab::{Lab, text, texts};

const SUBNET: &str = "subnet-0000000a";

#[test]
fn routes_come_with_an_association_or_are_added_and_deleted() {
    let lab = Lab::new();
    let endpoint = lab.associated();
    let on = |action: &str, more: &str| {
        format!("Action={action}ClientVpnRoute{more}&ClientVpnEndpointId={endpoint}")
    };
    let target = format!("&DestinationCidrBlock=192.168.0.0/16&TargetVpcSubnetId={SUBNET}");
    let create = on("Create", "") + &target + "&Description=lab";
    assert_eq!(lab.members(&create), "<status><code>creating</code></status>");
    lab.settle();
    let route = |cidr: &str, origin: &str, state: &str, description: &str| {
        format!(
            "<item><clientVpnEndpointId>{endpoint}</clientVpnEndpointId><destinationCidr>{cidr}</destinationCidr>\
             <targetSubnet>{SUBNET}</targetSubnet><type>Nat</type><origin>{origin}</origin>\
             <status><code>{state}</code></status><description>{description}</description></item>"
        )
    };
    let automatic = [
        route("10.20.0.0/16", "associate", "active", "Default Route"),
        route("10.21.0.0/16", "associate", "active", "Default Route"),
    ]
    .concat();
    let added = |state: &str| route("192.168.0.0/16", "add-route", state, "lab");
    let describe = on("Describe", "s");
    assert_eq!(
        lab.members(&describe),
        format!("<routes>{automatic}{}</routes>", added("active"))
    );
    let delete = on("Delete", "") + &target;
    assert_eq!(lab.members(&delete), "<status><code>deleting</code></status>");
    assert_eq!(
        lab.members(&describe),
        format!("<routes>{automatic}{}</routes>", added("deleting"))
    );
    lab.settle();
    assert_eq!(lab.members(&describe), format!("<routes>{automatic}</routes>"));
    assert_eq!(lab.code(&delete), ErrorCode::RouteNotFound);
}

#[test]
fn clients_reach_each_other_through_local() {
    let lab = Lab::new();
    let endpoint = lab.associated();
    lab.members(&format!(
        "Action=CreateClientVpnRoute&ClientVpnEndpointId={endpoint}&DestinationCidrBlock=10.8.0.0/22&TargetVpcSubnetId=local"
    ));
    let shown = lab.members(&format!(
        "Action=DescribeClientVpnRoutes&ClientVpnEndpointId={endpoint}&Filter.1.Name=target-subnet&Filter.1.Value.1=local"
    ));
    assert_eq!(text(&shown, "targetSubnet"), "local");
    assert!(!shown.contains("<type>"), "nothing is translated: {shown}");
}

#[test]
fn filters_narrow_the_list() {
    let lab = Lab::new();
    let endpoint = lab.associated();
    let shown = |name: &str, value: &str| {
        let answer = lab.members(&format!(
            "Action=DescribeClientVpnRoutes&ClientVpnEndpointId={endpoint}&Filter.1.Name={name}&Filter.1.Value.1={value}"
        ));
        texts(&answer, "destinationCidr").len()
    };
    for (name, value, count) in [
        ("destination-cidr", "10.21.0.0/16", 1),
        ("destination-cidr", "10.2?.0.0/16", 2),
        ("origin", "associate", 2),
        ("origin", "add-route", 0),
        ("target-subnet", SUBNET, 2),
    ] {
        assert_eq!(shown(name, value), count, "{name} {value}");
    }
}

#[test]
fn each_reason_against_a_route_has_its_code() {
    let lab = Lab::new();
    let lonely = lab.endpoint();
    let create = |endpoint: &str, destination: &str, target: &str| {
        format!(
            "Action=CreateClientVpnRoute&ClientVpnEndpointId={endpoint}&DestinationCidrBlock={destination}{target}"
        )
    };
    let through = format!("&TargetVpcSubnetId={SUBNET}");
    let early = lab.code(&create(&lonely, "0.0.0.0/0", &through));
    assert_eq!(early, ErrorCode::ActiveAssociationNotFound);
    lab.members(&format!(
        "Action=AssociateClientVpnTargetNetwork&ClientVpnEndpointId={lonely}&SubnetId={SUBNET}"
    ));
    for (destination, target, code) in [
        ("", &*through, ErrorCode::MissingParameter),
        ("x", &through, ErrorCode::InvalidParameterValue),
        ("10.1.0.1/16", &through, ErrorCode::InvalidParameterValue),
        ("10.8.0.0/24", &through, ErrorCode::InvalidParameterValue),
        ("10.1.0.0/16", "", ErrorCode::MissingParameter),
        (
            "10.1.0.0/16",
            "&TargetVpcSubnetId=subnet-0000000b",
            ErrorCode::SubnetIdNotFound,
        ),
        (
            "10.1.0.0/16",
            "&TargetVpcSubnetId=local",
            ErrorCode::InvalidParameterValue,
        ),
        ("10.20.0.0/16", &through, ErrorCode::DuplicateRoute),
    ] {
        assert_eq!(
            lab.code(&create(&lonely, destination, target)),
            code,
            "{destination} {target}"
        );
    }
    let automatic = create(&lonely, "10.20.0.0/16", &through).replace("=Create", "=Delete");
    assert_eq!(lab.code(&automatic), ErrorCode::InvalidParameterValue);
    let mut environment = (**lab.ec2.environment.load()).clone();
    environment.quotas.routes_per_association = 2;
    lab.ec2.environment.store(environment.into());
    assert_eq!(
        lab.code(&create(&lonely, "10.1.0.0/16", &through)),
        ErrorCode::RouteLimitExceeded
    );
}
