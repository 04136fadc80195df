//! Tags.

use culvert_query::ErrorCode;

use crate::lab::{Lab, text, texts};

#[test]
fn tags_are_set_listed_and_deleted() {
    let lab = Lab::new();
    let one = lab.endpoint();
    let two = lab.create_form().replace("10.8.0.0", "10.9.0.0") + "&VpnPort=1194";
    let two = text(&lab.members(&two), "clientVpnEndpointId");
    let both = format!("ResourceId.1={one}&ResourceId.2={two}");
    let create = format!("Action=CreateTags&{both}&Tag.1.Key=team&Tag.1.Value=net&Tag.2.Key=empty");
    assert_eq!(lab.members(&create), "<return>true</return>");
    let row = |id: &str, key: &str, value: &str| {
        format!(
            "<item><key>{key}</key><resourceId>{id}</resourceId><resourceType>client-vpn-endpoint</resourceType>\
             <value>{value}</value></item>"
        )
    };
    let describe = |more: &str| lab.members(&format!("Action=DescribeTags{more}"));
    let wanted = [
        row(&one, "empty", ""),
        row(&one, "team", "net"),
        row(&two, "empty", ""),
        row(&two, "team", "net"),
    ];
    assert_eq!(describe(""), format!("<tagSet>{}</tagSet>", wanted.concat()));
    for (name, value, count) in [
        ("key", "team", 2),
        ("value", "net", 2),
        ("value", "Net", 0),
        ("resource-id", &*one, 2),
        ("resource-type", "client-vpn-endpoint", 4),
        ("resource-type", "vpc", 0),
        ("tag:team", "n*", 2),
        ("tag:other", "*", 0),
    ] {
        let shown = describe(&format!("&Filter.1.Name={name}&Filter.1.Value.1={value}"));
        assert_eq!(texts(&shown, "key").len(), count, "{name} {value}");
    }
    let delete =
        format!("Action=DeleteTags&ResourceId.1={one}&Tag.1.Key=team&Tag.1.Value=other&Tag.2.Key=empty");
    assert_eq!(lab.members(&delete), "<return>true</return>");
    assert_eq!(texts(&describe(""), "key"), ["team", "empty", "team"]);
    lab.members(&format!("Action=DeleteTags&{both}"));
    assert_eq!(describe(""), "<tagSet></tagSet>");
}

#[test]
fn each_reason_against_tags_has_its_code_and_no_resource_changes() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    let tags = |count: usize| -> String { (1..=count).map(|n| format!("&Tag.{n}.Key=k{n}")).collect() };
    for (form, code) in [
        (format!("ResourceId.1={endpoint}"), ErrorCode::MissingParameter),
        (tags(1), ErrorCode::MissingParameter),
        (
            format!("ResourceId.1={endpoint}&ResourceId.2=x{}", tags(1)),
            ErrorCode::InvalidId,
        ),
        (
            format!("ResourceId.1={endpoint}&ResourceId.2=vpc-00000001{}", tags(1)),
            ErrorCode::UnsupportedOperation,
        ),
        (
            format!("ResourceId.1={endpoint}{}", tags(51)),
            ErrorCode::TagLimitExceeded,
        ),
        (
            format!("ResourceId.1={endpoint}&Tag.1.Key=aws:x"),
            ErrorCode::InvalidParameterValue,
        ),
        (
            format!("ResourceId.1={endpoint}&Tag.1.Key=x&Tag.2.Key=x"),
            ErrorCode::InvalidParameterValue,
        ),
    ] {
        assert_eq!(lab.code(&format!("Action=CreateTags&{form}")), code, "{form}");
    }
    assert_eq!(lab.code("Action=DeleteTags&ResourceId.1=x"), ErrorCode::InvalidId);
    assert_eq!(lab.members("Action=DescribeTags"), "<tagSet></tagSet>");
}
