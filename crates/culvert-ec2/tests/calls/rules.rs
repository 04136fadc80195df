//! Authorization rules.

use culvert_query::ErrorCode;

use crate::lab::{Lab, texts};

#[test]
fn rules_are_authorized_and_revoked() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    let on = |action: &str| format!("Action={action}&ClientVpnEndpointId={endpoint}");
    let network = "&TargetNetworkCidr=10.20.0.0/16";
    let all = on("AuthorizeClientVpnIngress") + network + "&AuthorizeAllGroups=true";
    let group = on("AuthorizeClientVpnIngress") + network + "&AccessGroupId=ops&Description=admins";
    for form in [&all, &group] {
        assert_eq!(lab.members(form), "<status><code>authorizing</code></status>");
        assert_eq!(lab.code(form), ErrorCode::DuplicateAuthorizationRule);
    }
    lab.settle();
    let rule = |description: &str, group: &str, all: bool, state: &str| {
        format!(
            "<item><clientVpnEndpointId>{endpoint}</clientVpnEndpointId>{description}<groupId>{group}</groupId>\
             <accessAll>{all}</accessAll><destinationCidr>10.20.0.0/16</destinationCidr>\
             <status><code>{state}</code></status></item>"
        )
    };
    let describe = on("DescribeClientVpnAuthorizationRules");
    let (everybody, admins) = (rule("", "", true, "active"), "<description>admins</description>");
    assert_eq!(
        lab.members(&describe),
        format!(
            "<authorizationRule>{everybody}{}</authorizationRule>",
            rule(admins, "ops", false, "active")
        )
    );
    let revoke = on("RevokeClientVpnIngress") + network + "&AccessGroupId=ops";
    assert_eq!(lab.members(&revoke), "<status><code>revoking</code></status>");
    lab.settle();
    assert_eq!(
        lab.members(&describe),
        format!("<authorizationRule>{everybody}</authorizationRule>")
    );
    assert_eq!(lab.code(&revoke), ErrorCode::AuthorizationRuleNotFound);
    let revoke_all = on("RevokeClientVpnIngress") + network + "&RevokeAllGroups=true";
    assert_eq!(lab.members(&revoke_all), "<status><code>revoking</code></status>");
}

#[test]
fn each_reason_against_a_rule_has_its_code() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    for (form, code) in [
        ("TargetNetworkCidr=10.0.0.0/8", ErrorCode::MissingParameter),
        (
            "TargetNetworkCidr=10.0.0.0/8&AuthorizeAllGroups=false",
            ErrorCode::MissingParameter,
        ),
        (
            "TargetNetworkCidr=10.0.0.0/8&AuthorizeAllGroups=true&AccessGroupId=a",
            ErrorCode::InvalidParameterValue,
        ),
        ("AuthorizeAllGroups=true", ErrorCode::MissingParameter),
        (
            "TargetNetworkCidr=10.0.0.1/8&AuthorizeAllGroups=true",
            ErrorCode::InvalidParameterValue,
        ),
        (
            "TargetNetworkCidr=10.0.0.0&AuthorizeAllGroups=true",
            ErrorCode::InvalidParameterValue,
        ),
        (
            "TargetNetworkCidr=fd00::/8&AuthorizeAllGroups=true",
            ErrorCode::InvalidParameterValue,
        ),
        (
            "TargetNetworkCidr=10.0.0.0/8&RevokeAllGroups=true",
            ErrorCode::MissingParameter,
        ),
    ] {
        let form = format!("Action=AuthorizeClientVpnIngress&ClientVpnEndpointId={endpoint}&{form}");
        assert_eq!(lab.code(&form), code, "{form}");
    }
    let mut environment = (**lab.ec2.environment.load()).clone();
    environment.quotas.authorization_rules = 0;
    lab.ec2.environment.store(environment.into());
    let form = format!(
        "Action=AuthorizeClientVpnIngress&ClientVpnEndpointId={endpoint}&TargetNetworkCidr=10.0.0.0/8&AccessGroupId=a"
    );
    assert_eq!(lab.code(&form), ErrorCode::AuthorizationRuleLimitExceeded);
}

#[test]
fn filters_narrow_the_list() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    for rule in [
        "10.20.0.0/16&AccessGroupId=ops&Description=one",
        "10.21.0.0/16&AccessGroupId=dev",
        "10.22.0.0/16&AuthorizeAllGroups=true",
    ] {
        lab.members(&format!(
            "Action=AuthorizeClientVpnIngress&ClientVpnEndpointId={endpoint}&TargetNetworkCidr={rule}"
        ));
    }
    for (name, value, wanted) in [
        ("description", "on*", &["10.20.0.0/16"][..]),
        ("destination-cidr", "10.21.0.0/16", &["10.21.0.0/16"]),
        (
            "group-id",
            "ops&Filter.1.Value.2=dev",
            &["10.20.0.0/16", "10.21.0.0/16"],
        ),
        ("group-id", "Ops", &[]),
    ] {
        let answer = lab.members(&format!(
            "Action=DescribeClientVpnAuthorizationRules&ClientVpnEndpointId={endpoint}&Filter.1.Name={name}&Filter.1.Value.1={value}"
        ));
        assert_eq!(texts(&answer, "destinationCidr"), wanted, "{name} {value}");
    }
}

#[test]
fn a_rule_is_limited_to_the_services_it_names() {
    let lab = Lab::new();
    let endpoint = lab.endpoint();
    let on = |action: &str| format!("Action={action}&ClientVpnEndpointId={endpoint}");
    let rule = on("AuthorizeClientVpnIngress") + "&TargetNetworkCidr=10.20.0.0/16&AuthorizeAllGroups=true";
    for (services, code) in [
        ("Culvert.Service.1=https", ErrorCode::InvalidParameterValue),
        (
            "Culvert.Service.1=443/tcp&Culvert.Service.2=",
            ErrorCode::InvalidParameterValue,
        ),
        ("Culvert.Service=443/tcp", ErrorCode::UnknownParameter),
        (
            "Culvert.Service.1=443/tcp&Culvert.Port=443",
            ErrorCode::UnknownParameter,
        ),
        ("Culvert=1", ErrorCode::UnknownParameter),
    ] {
        assert_eq!(lab.code(&format!("{rule}&{services}")), code, "{services}");
    }
    let token = "&ClientToken=once";
    let services = "&Culvert.Service.2=53/udp&Culvert.Service.1=443/tcp";
    lab.members(&format!("{rule}{token}{services}"));
    lab.members(&format!("{rule}{token}{services}"));
    let widened = lab.code(&format!("{rule}{token}"));
    assert_eq!(widened, ErrorCode::IdempotentParameterMismatch);
    let described = lab.members(&on("DescribeClientVpnAuthorizationRules"));
    assert!(
        described.contains("<culvertServiceSet><item>443/tcp</item><item>53/udp</item></culvertServiceSet>"),
        "{described}"
    );
}
