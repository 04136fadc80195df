//! Pages, and filters that are wrong.

use culvert_query::ErrorCode;
use time::Duration;

use crate::lab::{Lab, text, texts};

fn rules(lab: &Lab, endpoint: &str, count: u8) {
    for n in 0..count {
        lab.members(&format!(
            "Action=AuthorizeClientVpnIngress&ClientVpnEndpointId={endpoint}&TargetNetworkCidr=10.{n}.0.0/16\
             &AuthorizeAllGroups=true"
        ));
        lab.now.set(lab.now.get() + Duration::seconds(1));
    }
}

fn describe(endpoint: &str, more: &str) -> String {
    format!("Action=DescribeClientVpnAuthorizationRules&ClientVpnEndpointId={endpoint}{more}")
}

#[test]
fn pages_continue_each_other_even_if_rules_vanish_between_them() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    rules(&lab, &endpoint, 12);
    let first = lab.members(&describe(&endpoint, "&MaxResults=5"));
    let mut seen = texts(&first, "destinationCidr");
    assert_eq!(seen.len(), 5);
    // The last one of the page, and one before it, are gone when the next page is asked for.
    for gone in ["10.4.0.0/16", "10.1.0.0/16"] {
        lab.members(&format!(
            "Action=RevokeClientVpnIngress&ClientVpnEndpointId={endpoint}&TargetNetworkCidr={gone}&RevokeAllGroups=true"
        ));
    }
    lab.settle();
    let mut token = text(&first, "nextToken");
    loop {
        let page = lab.members(&describe(&endpoint, &format!("&MaxResults=5&NextToken={token}")));
        seen.extend(texts(&page, "destinationCidr"));
        match texts(&page, "nextToken").pop() {
            Some(next) => token = next,
            None => break,
        }
    }
    let wanted: Vec<String> = (0..12).map(|n| format!("10.{n}.0.0/16")).collect();
    assert_eq!(seen, wanted);
}

#[test]
fn a_page_that_holds_all_has_no_token() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    rules(&lab, &endpoint, 5);
    let all = lab.members(&describe(&endpoint, "&MaxResults=5"));
    assert_eq!(texts(&all, "destinationCidr").len(), 5);
    assert!(!all.contains("nextToken"), "{all}");
}

#[test]
fn a_token_is_good_only_for_its_own_question_and_a_day() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    rules(&lab, &endpoint, 6);
    let token = text(&lab.members(&describe(&endpoint, "&MaxResults=5")), "nextToken");
    let with = |more: &str| describe(&endpoint, &format!("&NextToken={token}{more}"));
    let other = lab.create_form().replace("10.8.0.0", "10.9.0.0") + "&VpnPort=1194";
    let other = text(&lab.members(&other), "clientVpnEndpointId");
    for foreign in [
        with("x"),
        with("&Filter.1.Name=group-id&Filter.1.Value.1=a"),
        describe(&other, &format!("&NextToken={token}")),
        with("").replace("AuthorizationRules", "Routes"),
    ] {
        assert_eq!(lab.code(&foreign), ErrorCode::InvalidPaginationToken, "{foreign}");
    }
    assert_eq!(texts(&lab.members(&with("")), "destinationCidr"), ["10.5.0.0/16"]);
    lab.now.set(lab.now.get() + Duration::hours(25));
    assert_eq!(lab.code(&with("")), ErrorCode::InvalidPaginationToken);
}

#[test]
fn endpoints_are_filtered_by_what_they_are() {
    let lab = Lab::new();
    let one = lab.endpoint();
    let two = lab.create_form().replace("10.8.0.0", "10.9.0.0")
        + "&TransportProtocol=tcp&VpcId=vpc-00000001&TagSpecification.1.ResourceType=client-vpn-endpoint\
           &TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=lab";
    let two = text(&lab.members(&two), "clientVpnEndpointId");
    let (one, two) = (one.as_str(), two.as_str());
    for (name, value, wanted) in [
        ("endpoint-id", one, &[one][..]),
        ("transport-protocol", "tcp", &[two]),
        ("transport-protocol", "TCP", &[]),
        ("status", "pending-associate", &[one, two]),
        ("vpc-id", "vpc-00000001", &[two]),
        ("tag-key", "Name", &[two]),
        ("tag:Name", "l*", &[two]),
        ("tag:Name", "x", &[]),
        (
            "transport-protocol",
            "tcp&Filter.1.Value.2=udp&Filter.2.Name=vpc-id&Filter.2.Value.1=*",
            &[two],
        ),
    ] {
        let form = format!("Action=DescribeClientVpnEndpoints&Filter.1.Name={name}&Filter.1.Value.1={value}");
        assert_eq!(
            texts(&lab.members(&form), "clientVpnEndpointId"),
            wanted,
            "{name} {value}"
        );
    }
    let by_id = format!("Action=DescribeClientVpnEndpoints&ClientVpnEndpointId.1={two}");
    assert_eq!(texts(&lab.members(&by_id), "clientVpnEndpointId"), [two]);
}

/// Every action that lists, with what it needs.
const LISTING: &[(&str, bool, bool)] = &[
    ("DescribeClientVpnEndpoints", false, true),
    ("DescribeClientVpnTargetNetworks", true, true),
    ("DescribeClientVpnRoutes", true, true),
    ("DescribeClientVpnAuthorizationRules", true, true),
    ("DescribeClientVpnConnections", true, true),
    ("DescribeTags", false, true),
    ("DescribeVpcs", false, true),
    ("DescribeSubnets", false, true),
    ("DescribeSecurityGroups", false, true),
    ("DescribeAvailabilityZones", false, false),
    ("DescribeNetworkInterfaces", false, true),
];

#[test]
fn wrong_filters_and_page_sizes_are_refused_everywhere() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    let values: String = (1..=201).map(|n| format!("&Filter.1.Value.{n}=x")).collect();
    let too_many = format!("Filter.1.Name=NAME{values}");
    let more = [
        (
            "Filter.1.Name=color&Filter.1.Value.1=red",
            ErrorCode::InvalidParameterValue,
        ),
        ("Filter.1.Name=NAME", ErrorCode::InvalidFilter),
        (&*too_many, ErrorCode::FilterLimitExceeded),
        ("MaxResults=4", ErrorCode::InvalidParameterValue),
        ("MaxResults=1001", ErrorCode::InvalidParameterValue),
        ("NextToken=x", ErrorCode::InvalidPaginationToken),
    ];
    for (action, of_endpoint, pages) in LISTING {
        let of = if *of_endpoint {
            format!("&ClientVpnEndpointId={endpoint}")
        } else {
            String::new()
        };
        let known = match *action {
            "DescribeClientVpnEndpoints" => "endpoint-id",
            "DescribeClientVpnTargetNetworks" => "association-id",
            "DescribeClientVpnRoutes" => "origin",
            "DescribeClientVpnAuthorizationRules" => "group-id",
            "DescribeClientVpnConnections" => "username",
            "DescribeTags" => "key",
            "DescribeSecurityGroups" => "group-id",
            "DescribeAvailabilityZones" => "zone-id",
            _ => "vpc-id",
        };
        for (form, code) in more {
            let code = if *pages || form.starts_with("Filter") {
                code
            } else {
                ErrorCode::UnknownParameter
            };
            let form = format!("Action={action}{of}&{}", form.replace("NAME", known));
            assert_eq!(lab.code(&form), code, "{action} {}", &form[..form.len().min(200)]);
        }
        if *of_endpoint {
            let unknown = format!("Action={action}&ClientVpnEndpointId=cvpn-endpoint-0");
            assert_eq!(lab.code(&unknown), ErrorCode::EndpointIdNotFound);
            assert_eq!(lab.code(&format!("Action={action}")), ErrorCode::MissingParameter);
        }
    }
}
