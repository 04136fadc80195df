//! What boto3 and the AWS CLI make of our answers. Skipped where Python has no botocore; the unit tests remain.

// Helpers of tests: a panic is how they fail, and a skipped comparison has to be seen.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::print_stderr)]

use std::path::Path;
use std::process::{Command, Stdio};

use culvert_query::response::{QueryService, TimeFormat, ec2, ec2_done, ec2_error, query, query_error};
use culvert_query::{ApiError, ErrorCode};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// Service, operation, status and answer.
type Answer = (&'static str, &'static str, u16, Vec<u8>);

/// The answers as botocore parses them; `None` without botocore.
fn parsed<const N: usize>(answers: [Answer; N]) -> Option<[Value; N]> {
    let found = Command::new("python3")
        .args(["-c", "import botocore"])
        .stderr(Stdio::null())
        .status();
    if !found.is_ok_and(|status| status.success()) {
        eprintln!("skipped: python3 has no botocore");
        return None;
    }
    let answers = answers.map(|(service, operation, status, answer)| {
        json!([service, operation, status, String::from_utf8(answer).unwrap()])
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parse_answers.py");
    let mut python = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    serde_json::to_writer(python.stdin.take().unwrap(), &answers[..]).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let parsed: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    Some(parsed.try_into().unwrap())
}

#[test]
fn a_description_of_endpoints() {
    let created = OffsetDateTime::from_unix_timestamp(1_767_225_600).unwrap();
    let answer = ec2("DescribeClientVpnEndpoints", "id-1", |root| {
        root.list(
            "clientVpnEndpoint",
            ["cvpn-endpoint-1", "cvpn-endpoint-2"],
            |item, id| {
                item.text("clientVpnEndpointId", id);
                item.text("description", "a < b & \"c\"\n\u{2713}");
                item.structure("status", |status| status.text("code", "available"));
                item.time("creationTime", created, TimeFormat::Seconds);
                item.text_list("dnsServer", ["10.0.0.2", "10.0.0.3"]);
                item.boolean("splitTunnel", true);
                item.integer("vpnPort", 443);
                item.list("tagSet", [("Name", "branch")], |tag, (key, value)| {
                    tag.text("key", key);
                    tag.text("value", value);
                });
            },
        );
        root.optional_text("nextToken", Some("more"));
    });
    let Some([parsed]) = parsed([("ec2", "DescribeClientVpnEndpoints", 200, answer)]) else {
        return;
    };
    let endpoint = |id| {
        json!({
            "ClientVpnEndpointId": id,
            "Description": "a < b & \"c\"\n\u{2713}",
            "Status": {"Code": "available"},
            "CreationTime": "2026-01-01T00:00:00",
            "DnsServers": ["10.0.0.2", "10.0.0.3"],
            "SplitTunnel": true,
            "VpnPort": 443,
            "Tags": [{"Key": "Name", "Value": "branch"}],
        })
    };
    assert_eq!(
        parsed["ClientVpnEndpoints"],
        json!([endpoint("cvpn-endpoint-1"), endpoint("cvpn-endpoint-2")])
    );
    assert_eq!(parsed["NextToken"], "more");
    assert_eq!(parsed["ResponseMetadata"]["RequestId"], "id-1");
}

#[test]
fn an_empty_list_is_there_and_lines_of_a_revocation_list_survive() {
    let empty = ec2("DescribeClientVpnEndpoints", "id", |root| {
        root.text_list("clientVpnEndpoint", [""; 0])
    });
    let pem = "-----BEGIN X509 CRL-----\r\nMII=\r\n-----END X509 CRL-----\n";
    let crl = ec2("ExportClientVpnClientCertificateRevocationList", "id", |root| {
        root.text("certificateRevocationList", pem);
    });
    let Some([list, crl, done]) = parsed([
        ("ec2", "DescribeClientVpnEndpoints", 200, empty),
        ("ec2", "ExportClientVpnClientCertificateRevocationList", 200, crl),
        (
            "ec2",
            "ModifyClientVpnEndpoint",
            200,
            ec2_done("ModifyClientVpnEndpoint", "id"),
        ),
    ]) else {
        return;
    };
    assert_eq!(list["ClientVpnEndpoints"], json!([]));
    assert_eq!(list.get("NextToken"), None);
    assert_eq!(crl["CertificateRevocationList"], pem);
    assert_eq!(done["Return"], true);
}

#[test]
fn refusals_are_understood() {
    // The form is the same for all codes.
    let codes = [ErrorCode::DryRunOperation, ErrorCode::EndpointIdNotFound];
    let Some(answers) = parsed(codes.map(|code| {
        let error = ApiError::new(code, "because of <this> & that");
        (
            "ec2",
            "DeleteClientVpnEndpoint",
            error.status(),
            ec2_error(&error, "id-2"),
        )
    })) else {
        return;
    };
    for (code, parsed) in codes.into_iter().zip(answers) {
        assert_eq!(parsed["Error"]["Code"], code.as_str());
        assert_eq!(parsed["Error"]["Message"], "because of <this> & that");
        assert_eq!(parsed["ResponseMetadata"]["RequestId"], "id-2");
    }
}

#[test]
fn another_service_of_the_query_protocol() {
    let answer = query(QueryService::STS, "GetCallerIdentity", "id-3", |result| {
        result.text("Account", "123456789012");
    });
    let error = ApiError::new(ErrorCode::InvalidClientTokenId, "no");
    let refusal = query_error(QueryService::STS, &error, "id-4");
    let Some([identity, refusal]) = parsed([
        ("sts", "GetCallerIdentity", 200, answer),
        ("sts", "GetCallerIdentity", error.status(), refusal),
    ]) else {
        return;
    };
    assert_eq!(identity["Account"], "123456789012");
    assert_eq!(identity["ResponseMetadata"]["RequestId"], "id-3");
    assert_eq!(refusal["Error"]["Code"], "InvalidClientTokenId");
    assert_eq!(refusal["Error"]["Type"], "Sender");
    assert_eq!(refusal["ResponseMetadata"]["RequestId"], "id-4");
}
