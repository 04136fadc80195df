//! Forms that nobody means well by.

use culvert_query::params::Params;
use culvert_query::{ErrorCode, Method, Request};
use proptest::prelude::*;

use crate::all_actions::forms;
use crate::lab::{Lab, encoded};

#[test]
fn a_refusal_does_not_repeat_all_of_a_long_text() {
    let lab = Lab::new();
    let long = "\u{e4}".repeat(100_000);
    let endpoint = lab.associated();
    let long = encoded(&long);
    for form in [
        format!("Action=DeleteClientVpnEndpoint&ClientVpnEndpointId={long}"),
        format!("Action=DescribeClientVpnEndpoints&ClientVpnEndpointId.1={long}"),
        format!(
            "Action=DisassociateClientVpnTargetNetwork&ClientVpnEndpointId={endpoint}&AssociationId={long}"
        ),
        format!("Action={long}"),
    ] {
        let refusal = lab.refusal(&form);
        assert!(refusal.message.chars().count() <= 1003, "{}", refusal.code);
        assert!(refusal.message.ends_with("..."));
    }
}

/// Values that have broken parsers.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("true".to_owned()),
        Just("-1".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("0.0.0.0/0".to_owned()),
        Just("255.255.255.255/32".to_owned()),
        Just("::/0".to_owned()),
        Just("*".repeat(300)),
        Just("\\".to_owned()),
        Just("]]><x>&".to_owned()),
        "\\PC{0,40}",
    ]
}

/// The form with the `at`th of its values replaced; the action stays.
fn spoilt(form: &str, at: usize, value: &str) -> String {
    let mut pairs: Vec<String> = form.split('&').map(str::to_owned).collect();
    let count = pairs.len();
    if count > 1 {
        let pair = &mut pairs[1 + at % (count - 1)];
        let name = pair.split('=').next().unwrap().to_owned();
        *pair = format!("{name}={}", encoded(value));
    }
    pairs.join("&")
}

#[test]
fn a_spoilt_value_is_refused_or_answered_but_never_breaks_anything() {
    let lab = Lab::new();
    let endpoint = lab.associated();
    let forms = forms(&lab, &endpoint);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let strategy = (
        0..forms.len(),
        0..20usize,
        value(),
        "[A-Z][A-Za-z.0-9]{0,12}",
        value(),
    );
    runner
        .run(&strategy, |(form, at, value, name, other)| {
            let form = spoilt(&forms[form], at, &value);
            for form in [
                format!("{form}&DryRun=true"),
                format!("{form}&{name}={}", encoded(&other)),
                form,
            ] {
                match lab.call(&form) {
                    Ok(answer) => prop_assert!(answer.starts_with("<?xml"), "{form}"),
                    Err(error) => prop_assert_ne!(error.to_api().code, ErrorCode::InternalError, "{}", form),
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn parameters_of_the_query_string_count_like_those_of_the_body() {
    let lab = Lab::new();
    let request = Request {
        method: Method::Get,
        path: "/",
        query: "Action=DescribeVpcs&Version=2016-11-15&VpcId.1=vpc-00000002",
        headers: &[],
        body: &[],
    };
    let params = Params::from_request(&request, &Default::default()).unwrap();
    let call = culvert_ec2::Call {
        params: &params,
        request_id: "request-2",
        now: lab.now.get(),
        random: &|| [0; 16],
    };
    let answer = String::from_utf8(lab.ec2.answer(&call).unwrap()).unwrap();
    assert!(
        answer.contains("<requestId>request-2</requestId>") && answer.contains("vpc-00000002"),
        "{answer}"
    );
}
