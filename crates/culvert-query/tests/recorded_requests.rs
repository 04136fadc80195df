//! Requests signed by others: AWS's published test suite and botocore. `tests/data/make_vectors.py` tells how the files
//! were made.

// Helpers of tests: a panic is how they fail.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result)]

use culvert_query::idempotency::Fingerprint;
use culvert_query::params::{Limits, Params};
use culvert_query::sigv4::{Caller, Credential, SigV4Error, Verifier};
use culvert_query::{API_VERSION, Method, Request};
use serde_json::Value;
use time::OffsetDateTime;
use zeroize::Zeroizing;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z, the time of AWS's suite.
const SUITE_TIME: i64 = 1_440_938_160;
/// 2026-01-01T00:00:00Z, the time of the requests made with botocore.
const BOTOCORE_TIME: i64 = 1_767_225_600;

/// Hands over a recorded request, with the body it came with.
fn with_request<R>(case: &Value, act: impl FnOnce(&Request<'_>) -> R) -> R {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let target = text(&case["target"]);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let headers: Vec<(String, String)> = case["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| (text(&field[0]), text(&field[1])))
        .collect();
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (&**n, v.as_bytes())).collect();
    act(&Request {
        method: Method::from_name(case["method"].as_str().unwrap()).unwrap(),
        path,
        query,
        headers: &headers,
        body: text(&case["body"]).as_bytes(),
    })
}

fn verify(
    case: &Value,
    secret: &str,
    token: Option<&str>,
    service: &str,
    unix: i64,
) -> Result<Caller, SigV4Error> {
    let lookup = |access_key: &str| {
        (access_key == "AKIDEXAMPLE").then(|| Credential {
            secret: Zeroizing::new(secret.to_owned()),
            session_token: token.map(|token| Zeroizing::new(token.to_owned())),
        })
    };
    let now = OffsetDateTime::from_unix_timestamp(unix).unwrap();
    let verifier = Verifier::new(Some("us-east-1".to_owned()), [service]);
    with_request(case, |request| verifier.verify(request, &lookup, now))
}

fn suite() -> Vec<Value> {
    serde_json::from_str(include_str!("data/aws_signing_test_suite.json")).unwrap()
}

fn botocore() -> Vec<Value> {
    serde_json::from_str(include_str!("data/botocore.json")).unwrap()
}

#[test]
fn aws_signing_test_suite_verifies_in_both_forms() {
    let cases = suite();
    assert_eq!(cases.len(), 31);
    for case in &cases {
        let token = case["token"].as_str();
        for form in ["header", "query"] {
            let result = verify(&case[form], SECRET, token, "service", SUITE_TIME);
            let name = format!("{} by {form}: {result:?}", case["name"]);
            if case["token_signed"] == true {
                let caller = result.expect(&name);
                assert_eq!(caller.access_key, "AKIDEXAMPLE", "{name}");
                assert_eq!(caller.region, "us-east-1", "{name}");
            } else {
                // A token that isn't signed could be exchanged for another; clients of EC2 always sign it.
                assert!(
                    matches!(
                        result,
                        Err(SigV4Error::Unsigned(_) | SigV4Error::WrongSignature { .. })
                    ),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn no_request_of_the_suite_verifies_with_another_secret() {
    for case in suite().iter().filter(|case| case["token_signed"] == true) {
        for form in ["header", "query"] {
            let result = verify(
                &case[form],
                "another",
                case["token"].as_str(),
                "service",
                SUITE_TIME,
            );
            assert!(
                matches!(result, Err(SigV4Error::WrongSignature { .. })),
                "{}",
                case["name"]
            );
        }
    }
}

#[test]
fn requests_signed_by_botocore_verify() {
    let cases = botocore();
    assert_eq!(cases.len(), 7);
    for case in &cases {
        let service = case["service"].as_str().unwrap();
        let result = verify(case, SECRET, case["token"].as_str(), service, BOTOCORE_TIME);
        let caller = result.unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
        assert_eq!(caller.service, service);
        assert_eq!(caller.signed_at.unix_timestamp(), BOTOCORE_TIME);
    }
}

#[test]
fn a_presigned_request_is_good_for_as_long_as_it_says() {
    let cases = suite();
    let case = cases.iter().find(|case| case["name"] == "get-vanilla").unwrap();
    let at = |form: &str, unix| verify(&case[form], SECRET, None, "service", unix);
    assert!(at("query", SUITE_TIME + 3600).is_ok());
    assert!(matches!(
        at("query", SUITE_TIME + 3601),
        Err(SigV4Error::Expired { .. })
    ));
    assert!(at("query", SUITE_TIME - 900).is_ok());
    assert!(matches!(
        at("query", SUITE_TIME - 901),
        Err(SigV4Error::FromTheFuture { .. })
    ));
    assert!(at("header", SUITE_TIME + 900).is_ok());
    assert!(matches!(
        at("header", SUITE_TIME + 901),
        Err(SigV4Error::Expired { .. })
    ));
    assert!(matches!(
        at("header", SUITE_TIME - 901),
        Err(SigV4Error::FromTheFuture { .. })
    ));
}

#[test]
fn a_call_with_many_members_is_read_whole() {
    let cases = botocore();
    let case = cases
        .iter()
        .find(|case| case["name"] == "create endpoint")
        .unwrap();
    let params = with_request(case, |request| Params::from_request(request, &Limits::default())).unwrap();
    assert_eq!(params.action().unwrap(), "CreateClientVpnEndpoint");
    params.check_version(API_VERSION).unwrap();
    let root = params.root();
    for (name, value) in [
        ("ClientCidrBlock", "10.0.0.0/22"),
        (
            "ServerCertificateArn",
            "arn:aws:acm:us-east-1:123456789012:certificate/1",
        ),
        ("TransportProtocol", "udp"),
        ("Description", ""),
        ("VpcId", "vpc-1"),
    ] {
        assert_eq!(root.text(name), Some(value));
    }
    let methods = root.groups("Authentication");
    assert_eq!(methods.len(), 2);
    assert_eq!(methods[0].required("Type").unwrap(), "certificate-authentication");
    let mutual = methods[0].group("MutualAuthentication").unwrap();
    assert_eq!(mutual.required("ClientRootCertificateChainArn").unwrap(), "arn:1");
    assert_eq!(methods[1].required("Type").unwrap(), "federated-authentication");
    let federated = methods[1].group("FederatedAuthentication").unwrap();
    assert_eq!(federated.required("SAMLProviderArn").unwrap(), "arn:2");
    let logs = root.group("ConnectionLogOptions").unwrap();
    assert_eq!(logs.boolean("Enabled").unwrap(), Some(false));
    assert_eq!(root.texts("DnsServers"), ["10.0.0.2", "10.0.0.3"]);
    assert_eq!(root.texts("SecurityGroupId"), ["sg-1"]);
    assert_eq!(root.integer("VpnPort", 443..=1194).unwrap(), Some(1194));
    assert_eq!(root.boolean("SplitTunnel").unwrap(), Some(true));
    assert_eq!(root.client_token().unwrap().unwrap().as_str(), "token-1");
    let tags = root.tag_specifications(50).unwrap();
    assert_eq!(tags[0].tags[0].value.as_deref(), Some("a b+c \u{2713}\nd"));
    params.finish().unwrap();
    let again = with_request(case, |request| Params::from_request(request, &Limits::default())).unwrap();
    assert_eq!(Fingerprint::of(&again).judge(Fingerprint::of(&params)), Ok(()));
}
