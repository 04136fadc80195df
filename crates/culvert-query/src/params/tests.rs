//! Requests as the AWS CLI sends them, and what is refused.

// Helpers of tests: a panic is how they fail.
#![allow(clippy::unwrap_in_result)]

use proptest::prelude::*;

use super::*;
use crate::{ApiError, ErrorCode};

fn read(body: &str, limits: &Limits) -> Result<Params, ParamError> {
    let request = Request {
        method: Method::Post,
        path: "/",
        query: "",
        headers: &[(
            "content-type",
            b"application/x-www-form-urlencoded; charset=utf-8",
        )],
        body: body.as_bytes(),
    };
    Params::from_request(&request, limits)
}

fn params(body: &str) -> Params {
    read(body, &Limits::default()).unwrap()
}

fn refusal(body: &str) -> ApiError {
    read(body, &Limits::default()).unwrap_err().into()
}

/// Part of a CreateClientVpnEndpoint as botocore writes it.
const CREATE: &str = "Action=CreateClientVpnEndpoint&Version=2016-11-15&ClientCidrBlock=10.0.0.0%2F22\
    &Authentication.1.Type=certificate-authentication\
    &Authentication.1.MutualAuthentication.ClientRootCertificateChainArn=arn%3Aaws%3Aacm\
    &ConnectionLogOptions.Enabled=false&DnsServers.1=10.0.0.2&DnsServers.2=10.0.0.3&VpnPort=443&SplitTunnel=true\
    &Description=&TagSpecification.1.ResourceType=client-vpn-endpoint&TagSpecification.1.Tag.1.Key=Name\
    &TagSpecification.1.Tag.1.Value=branch+office%20%E2%9C%93&TransportProtocol=udp";

#[test]
fn a_whole_request_is_read_and_nothing_is_left() {
    let params = params(CREATE);
    assert_eq!(params.action().unwrap(), "CreateClientVpnEndpoint");
    params.check_version("2016-11-15").unwrap();
    let root = params.root();
    assert_eq!(root.required("ClientCidrBlock").unwrap(), "10.0.0.0/22");
    let [authentication] = &root.groups("Authentication")[..] else {
        panic!("one authentication");
    };
    assert_eq!(authentication.name(), "Authentication.1");
    let types = [("certificate-authentication", 1), ("federated-authentication", 2)];
    assert_eq!(authentication.choice("Type", &types).unwrap(), Some(1));
    let mutual = authentication.group("MutualAuthentication").unwrap();
    assert_eq!(mutual.text("ClientRootCertificateChainArn"), Some("arn:aws:acm"));
    assert!(authentication.group("ActiveDirectory").is_none());
    assert_eq!(
        root.group("ConnectionLogOptions")
            .unwrap()
            .boolean("Enabled")
            .unwrap(),
        Some(false)
    );
    assert_eq!(root.texts("DnsServers"), ["10.0.0.2", "10.0.0.3"]);
    assert_eq!(root.integer("VpnPort", 1..=65535).unwrap(), Some(443));
    assert_eq!(root.boolean("SplitTunnel").unwrap(), Some(true));
    assert_eq!(root.boolean("DryRun").unwrap(), None);
    assert_eq!(root.text("Description"), Some(""));
    assert_eq!(root.text("VpcId"), None);
    let specifications = root.tag_specifications(50).unwrap();
    assert_eq!(specifications[0].resource_type, "client-vpn-endpoint");
    assert_eq!(
        specifications[0].tags[0].value.as_deref(),
        Some("branch office \u{2713}")
    );
    // One is left.
    let unknown: ApiError = params.finish().unwrap_err().into();
    assert_eq!(
        unknown.to_string(),
        "UnknownParameter: The parameter TransportProtocol is not recognized"
    );
    root.text("TransportProtocol");
    params.finish().unwrap();
}

#[test]
fn the_unknown_parameter_is_named_in_full() {
    let params = params("Action=A&Authentication.2.MutualAuthentication.Chain=x&Authentication.2.Type=y");
    params.action().unwrap();
    params.root().groups("Authentication")[0].text("Type");
    let name = "Authentication.2.MutualAuthentication.Chain".to_owned();
    assert_eq!(params.finish(), Err(ParamError::Unknown(name)));
}

#[test]
fn lists_keep_their_order_and_may_have_gaps() {
    let params = params("Id.10=c&Id.2=b&Id.1=a&Id.9999=d");
    assert_eq!(params.root().texts("Id"), ["a", "b", "c", "d"]);
    params.finish().unwrap();
}

#[test]
fn one_name_can_be_a_list_for_one_call_and_a_structure_for_another() {
    let params = params("DnsServers.CustomDnsServers.1=10.0.0.2&DnsServers.Enabled=true");
    assert!(params.root().texts("DnsServers").is_empty());
    let servers = params.root().group("DnsServers").unwrap();
    assert_eq!(servers.texts("CustomDnsServers"), ["10.0.0.2"]);
    assert_eq!(servers.boolean("Enabled").unwrap(), Some(true));
    params.finish().unwrap();
}

#[test]
fn a_get_has_its_parameters_in_the_query_and_the_signature_is_not_one_of_them() {
    let request = Request {
        method: Method::Get,
        path: "/",
        query: "Action=A&X-Amz-Signature=00&X-Amz-Date=1&X-Amz-Credential=x",
        headers: &[],
        body: b"Ignored=1",
    };
    let params = Params::from_request(&request, &Limits::default()).unwrap();
    assert_eq!(params.action().unwrap(), "A");
    params.finish().unwrap();
}

#[test]
fn a_post_may_have_parameters_in_both_places_but_not_the_same_ones() {
    let request = |body| Request {
        method: Method::Post,
        path: "/",
        query: "Action=A",
        headers: &[],
        body,
    };
    let both = Params::from_request(&request(b"Version=1"), &Limits::default()).unwrap();
    assert_eq!(
        both.pairs().collect::<Vec<_>>(),
        [("Action", "A"), ("Version", "1")]
    );
    let twice = Params::from_request(&request(b"Action=B"), &Limits::default());
    assert!(matches!(twice, Err(ParamError::Malformed(_))));
}

#[test]
fn a_body_of_another_kind_is_not_a_form() {
    let request = Request {
        method: Method::Post,
        path: "/",
        query: "",
        headers: &[("Content-Type", b"application/json")],
        body: b"{}",
    };
    let error = Params::from_request(&request, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("application/x-www-form-urlencoded"));
}

#[test]
fn what_must_be_there_and_what_must_be_understood() {
    let empty = params("");
    assert_eq!(empty.action(), Err(ParamError::MissingAction));
    let missing: ApiError = empty.root().required("ClientVpnEndpointId").unwrap_err().into();
    assert_eq!(
        missing.to_string(),
        "MissingParameter: The request must contain the parameter ClientVpnEndpointId"
    );
    let bad = params("Version=2014-01-01&DryRun=yes&MaxResults=1e3&VpnPort=443.0&Id=&Transport=UDP");
    let root = bad.root();
    assert_eq!(
        bad.check_version("2016-11-15").unwrap_err().code(),
        ErrorCode::NoSuchVersion
    );
    assert_eq!(
        root.boolean("DryRun").unwrap_err().to_string(),
        "Value (yes) for parameter DryRun is invalid. It must be true or false"
    );
    assert_eq!(
        root.integer("MaxResults", 5..=1000).unwrap_err().to_string(),
        "Value (1e3) for parameter MaxResults is invalid. It must be a number from 5 to 1000"
    );
    assert!(root.integer("VpnPort", 0..=9).is_err());
    assert_eq!(root.required("Id"), Err(ParamError::Missing("Id".to_owned())));
    let choice = root.choice("Transport", &[("udp", ()), ("tcp", ())]).unwrap_err();
    assert!(
        choice.to_string().ends_with("It must be one of: udp, tcp"),
        "{choice}"
    );
}

#[test]
fn numbers_have_bounds() {
    for (text, good) in [
        ("5", true),
        ("1000", true),
        ("4", false),
        ("1001", false),
        ("-5", false),
        ("", false),
    ] {
        let params = params(&["N=", text].concat());
        assert_eq!(params.root().integer("N", 5..=1000).is_ok(), good, "{text}");
    }
}

#[test]
fn a_long_value_is_cut_in_the_message() {
    let params = params(&["DryRun=", &"\u{1234}".repeat(1000)].concat());
    let message = params.root().boolean("DryRun").unwrap_err().to_string();
    assert!(message.chars().count() < 150, "{message}");
}

#[test]
fn malformed_forms() {
    let many = (0..5000).map(|n| format!("P{n}=1&")).collect::<String>();
    let deep = ["a."; 9].concat();
    let bad = [
        "A=1&A=2",
        "A=1&%41=2",
        "A.01=1",
        "A.0=1",
        "A.1=x&A.1=y",
        "A.10001=1",
        "A.99999999999=1",
        "A..B=1",
        ".A=1",
        "A.=1",
        "=1",
        "A=%00",
        "A=%ff",
        "A=%1b%5b",
        "A%20B=1",
        "%C3%A4=1",
        &deep,
        &many,
    ];
    for body in bad {
        assert_eq!(refusal(body).code, ErrorCode::MalformedQueryString, "{body:.80}");
    }
    let small = Limits {
        bytes: 10,
        ..Limits::default()
    };
    assert!(read("A=345678901", &small).is_err());
    assert!(read("A=34567890", &small).is_ok());
}

#[test]
fn filters_are_read_and_checked() {
    let known = ["endpoint-id", "tag:"];
    let good = params(
        "Filter.1.Name=endpoint-id&Filter.1.Value.1=a*&Filter.1.Value.2=b&Filter.2.Name=tag%3AName&Filter.2.Value.1=",
    );
    let filters = good.root().filters(&known).unwrap();
    good.finish().unwrap();
    assert_eq!(filters[0].values, ["a*", "b"]);
    assert!(filters[0].matches("abc") && filters[0].matches("b") && !filters[0].matches("bc"));
    assert!(filters[1].matches("") && !filters[1].matches("x"));
    let code = |body: &str| params(body).root().filters(&known).unwrap_err().code();
    assert_eq!(
        code("Filter.1.Name=Endpoint-id&Filter.1.Value.1=x"),
        ErrorCode::InvalidParameterValue
    );
    assert_eq!(
        code("Filter.1.Name=tag:&Filter.1.Value.1=x"),
        ErrorCode::InvalidParameterValue
    );
    assert_eq!(code("Filter.1.Name=endpoint-id"), ErrorCode::InvalidFilter);
    assert_eq!(code("Filter.1.Value.1=x"), ErrorCode::InvalidFilter);
    let many = |count: usize, item: &dyn Fn(usize) -> String| (1..=count).map(item).collect::<String>();
    let filters = many(51, &|n| {
        format!("Filter.{n}.Name=endpoint-id&Filter.{n}.Value.1=x&")
    });
    assert_eq!(code(&filters), ErrorCode::FilterLimitExceeded);
    let values = many(201, &|n| format!("Filter.1.Value.{n}=x&"));
    assert_eq!(
        code(&["Filter.1.Name=endpoint-id&", &values].concat()),
        ErrorCode::FilterLimitExceeded
    );
    let value = |length: usize| ["Filter.1.Name=endpoint-id&Filter.1.Value.1=", &"x".repeat(length)].concat();
    assert!(params(&value(1024)).root().filters(&known).is_ok());
    assert_eq!(code(&value(1025)), ErrorCode::InvalidParameterValue);
}

#[test]
fn tags_are_read_and_checked() {
    let tags = |body: &str| params(body).root().tags(2);
    let read = tags("Tag.1.Key=a&Tag.1.Value=&Tag.2.Key=b").unwrap();
    assert_eq!(
        (read[0].value.as_deref(), read[1].value.as_deref()),
        (Some(""), None)
    );
    let code = |body: &str| tags(body).unwrap_err().code();
    assert_eq!(code("Tag.1.Value=x"), ErrorCode::MissingParameter);
    assert_eq!(code("Tag.1.Key=a&Tag.2.Key=a"), ErrorCode::InvalidParameterValue);
    assert_eq!(code("Tag.1.Key=AWS:x"), ErrorCode::InvalidParameterValue);
    assert_eq!(
        code(&["Tag.1.Key=", &"k".repeat(128)].concat()),
        ErrorCode::InvalidParameterValue
    );
    assert_eq!(
        code(&["Tag.1.Key=k&Tag.1.Value=", &"v".repeat(257)].concat()),
        ErrorCode::InvalidParameterValue
    );
    assert_eq!(
        code("Tag.1.Key=a&Tag.2.Key=b&Tag.3.Key=c"),
        ErrorCode::TagLimitExceeded
    );
    let specification = |body: &str| params(body).root().tag_specifications(2).unwrap_err().to_string();
    assert!(specification("TagSpecification.1.Tag.1.Key=a").ends_with("TagSpecification.1.ResourceType"));
    assert!(specification("TagSpecification.1.ResourceType=a").ends_with("TagSpecification.1.Tag"));
}

/// Encodes what a client would send.
fn form(pairs: &[(String, String)]) -> String {
    let encode = |text: &str| crate::encoding::encode(text.as_bytes());
    pairs
        .iter()
        .map(|(name, value)| [&encode(name), "=", &encode(value), "&"].concat())
        .collect()
}

proptest! {
    #[test]
    fn hostile_forms_do_not_panic(body in prop_oneof!["\\PC{0,60}", "([A-C0-2.]{0,6}=[a-z%0-9+]{0,4}&){0,12}"]) {
        if let Ok(params) = read(&body, &Limits::default()) {
            let root = params.root();
            let _ = (root.filters(&["a"]), root.tags(3), root.tag_specifications(3));
            for name in ["A", "B", "C"] {
                let _ = (root.texts(name), root.groups(name), root.boolean(name));
            }
            let _ = params.finish();
        }
    }

    #[test]
    fn values_arrive_as_they_were_sent(values in prop::collection::vec("[\\PC\n\t]{0,20}", 1..20)) {
        let values: Vec<_> = values.into_iter().filter(|value| is_xml_text(value)).collect();
        let pairs: Vec<_> = values.iter().enumerate().map(|(n, value)| (format!("List.{}", n + 1), value.clone())).collect();
        let params = params(&form(&pairs));
        prop_assert_eq!(params.root().texts("List"), values);
        prop_assert!(params.finish().is_ok());
    }

    #[test]
    fn finish_names_exactly_what_was_not_read(read_some in prop::collection::vec(any::<bool>(), 1..12)) {
        let pairs: Vec<_> = (0..read_some.len()).map(|n| (format!("P{n:02}"), "x".to_owned())).collect();
        let params = params(&form(&pairs));
        for ((name, _), read) in pairs.iter().zip(&read_some) {
            if *read {
                params.root().text(name);
            }
        }
        let first = read_some.iter().position(|read| !read);
        let wanted = first.map_or(Ok(()), |n| Err(ParamError::Unknown(pairs[n].0.clone())));
        prop_assert_eq!(params.finish(), wanted);
    }
}
