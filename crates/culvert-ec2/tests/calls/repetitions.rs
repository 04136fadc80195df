//! Requests that are sent again because their answer got lost.

use culvert_query::ErrorCode;
use culvert_service::ServiceError;

use crate::lab::{Lab, texts};

#[test]
fn a_repeated_request_gets_its_first_answer_and_does_nothing() {
    let lab = Lab::new();
    let create = lab.create_form() + "&ClientToken=one";
    let first = lab.members(&create);
    assert_eq!(lab.members(&create), first);
    let endpoint = texts(&first, "clientVpnEndpointId").remove(0);
    let on = |action: &str, more: &str| {
        format!("Action={action}&ClientVpnEndpointId={endpoint}&{more}&ClientToken=one")
    };
    for form in [
        on("AssociateClientVpnTargetNetwork", "SubnetId=subnet-0000000a"),
        on(
            "CreateClientVpnRoute",
            "DestinationCidrBlock=10.1.0.0/16&TargetVpcSubnetId=subnet-0000000a",
        ),
        on(
            "AuthorizeClientVpnIngress",
            "TargetNetworkCidr=10.1.0.0/16&AuthorizeAllGroups=true",
        ),
    ] {
        let answer = lab.members(&form);
        lab.settle();
        let before = lab.ec2.registry.snapshot().unwrap().endpoints;
        assert_eq!(lab.members(&form), answer, "{form}");
        assert_eq!(lab.ec2.registry.snapshot().unwrap().endpoints, before, "{form}");
        let other = form.replace("10.1.", "10.2.").replace("0000000a", "0000000b");
        assert_eq!(
            lab.code(&other),
            ErrorCode::IdempotentParameterMismatch,
            "{other}"
        );
        let without = form.replace("&ClientToken=one", "");
        lab.refusal(&without);
    }
    let shown = lab.members("Action=DescribeClientVpnEndpoints");
    assert_eq!(texts(&shown, "clientVpnEndpointId").len(), 1);
}

#[test]
fn a_repetition_may_say_that_it_is_no_dry_run_and_a_dry_run_uses_up_no_token() {
    let lab = Lab::new();
    let create = lab.create_form() + "&ClientToken=one";
    assert_eq!(
        lab.code(&format!("{create}&DryRun=true")),
        ErrorCode::DryRunOperation
    );
    let answer = lab.members(&create);
    assert_eq!(lab.members(&format!("{create}&DryRun=false")), answer);
}

#[test]
fn tokens_that_can_not_be_are_refused() {
    let lab = Lab::new();
    let token = "t".repeat(65);
    let refusal = lab
        .call(&format!("{}&ClientToken={token}", lab.create_form()))
        .unwrap_err();
    assert!(matches!(refusal, ServiceError::Refused(_)));
    assert_eq!(refusal.to_api().code, ErrorCode::InvalidClientToken);
}
