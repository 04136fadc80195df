//! Who is let in.

use time::Duration;

use crate::client::Request;
use crate::lab::{ACCOUNT, Lab};
use crate::signer::Signer;

const WHO: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const LIST: &str = "Action=DescribeClientVpnEndpoints&Version=2016-11-15";

#[tokio::test]
async fn a_signed_caller_learns_who_it_is() {
    let lab = Lab::new();
    let served = lab.serve();
    let answer = lab.signer("sts").form(WHO).send(&served.address).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer.body.contains(&format!("<Account>{ACCOUNT}</Account>")),
        "{answer:?}"
    );
    let arn = format!("<Arn>arn:aws:iam::{ACCOUNT}:user/{}</Arn>", lab.key.id());
    assert!(answer.body.contains(&arn), "{answer:?}");
    let id = answer.field("x-amzn-requestid");
    assert_eq!(id.len(), 36);
    assert!(
        answer.body.contains(&format!("<RequestId>{id}</RequestId>")),
        "{answer:?}"
    );
    assert_eq!(answer.field("content-type"), "text/xml;charset=utf-8");
}

#[tokio::test]
async fn the_query_string_of_a_get_is_read_and_signed() {
    let lab = Lab::new();
    let served = lab.serve();
    let request = Request::new("GET", &format!("/?{WHO}"));
    let signed = lab.signer("sts").sign(request);
    let answer = signed.send(&served.address).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut changed = signed;
    changed.target = changed.target.replace("GetCallerIdentity", "GetSessionToken");
    let answer = changed.send(&served.address).await;
    answer.is_refused(403, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn an_unsigned_request_is_refused_before_its_body_is_read() {
    let lab = Lab::new();
    let served = lab.serve();
    Request::post(LIST)
        .send(&served.address)
        .await
        .is_refused(403, "MissingAuthenticationToken");
    // The body never comes, the answer does.
    let mut bytes = Request::post("").bytes();
    let end = bytes.len() - "0\r\n\r\n".len();
    bytes.truncate(end);
    bytes.extend_from_slice(b"1000\r\n\r\n");
    let stream = tokio::net::TcpStream::connect(&served.address).await.unwrap();
    let answer = crate::client::exchange(stream, &bytes).await;
    answer.is_refused(403, "MissingAuthenticationToken");
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_key_look_the_same_to_ec2s_callers() {
    let lab = Lab::new();
    let served = lab.serve();
    let wrong = Signer::new(lab.key.id(), "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "ec2");
    let unknown = Signer::new("AKIAEXAMPLEEXAMPLE22", lab.key.expose_secret(), "ec2");
    let mut bodies = Vec::new();
    for signer in [wrong, unknown] {
        let answer = signer.form(LIST).send(&served.address).await;
        answer.is_refused(401, "AuthFailure");
        bodies.push(answer.body.replace(answer.field("x-amzn-requestid"), ""));
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn a_changed_body_is_noticed() {
    let lab = Lab::new();
    let served = lab.serve();
    let mut request = lab.signer("ec2").form(LIST);
    *request.body.last_mut().unwrap() ^= 1;
    request.send(&served.address).await.is_refused(401, "AuthFailure");
}

#[tokio::test]
async fn skewed_clocks_other_regions_and_other_services_are_told_so() {
    let lab = Lab::new();
    let served = lab.serve();
    let with = |change: fn(&mut Signer)| {
        let mut signer = lab.signer("ec2");
        change(&mut signer);
        signer.form(LIST)
    };
    let late = with(|signer| signer.skew = Duration::minutes(-16))
        .send(&served.address)
        .await;
    late.is_refused(400, "RequestExpired");
    assert!(late.body.contains("clock"), "{late:?}");
    let early = with(|signer| signer.skew = Duration::minutes(16))
        .send(&served.address)
        .await;
    early.is_refused(400, "RequestExpired");
    let region = with(|signer| signer.region = "eu-west-1")
        .send(&served.address)
        .await;
    region.is_refused(401, "AuthFailure");
    assert!(region.body.contains("us-east-1"), "{region:?}");
    let service = with(|signer| signer.service = "s3").send(&served.address).await;
    service.is_refused(401, "AuthFailure");
}

#[tokio::test]
async fn each_service_refuses_in_its_own_words() {
    let lab = Lab::new();
    let served = lab.serve();
    let wrong = |service| Signer::new("AKIAEXAMPLEEXAMPLE22", "wrong", service);
    let sts = wrong("sts").form(WHO).send(&served.address).await;
    sts.is_refused(403, "InvalidClientTokenId");
    assert!(sts.body.contains("<ErrorResponse"), "{sts:?}");
    let acm = wrong("acm").json("ListCertificates", &serde_json::json!({}));
    let acm = acm.send(&served.address).await;
    assert_eq!(
        (acm.status, acm.field("content-type")),
        (400, "application/x-amz-json-1.1")
    );
    assert_eq!(acm.json()["__type"], "UnrecognizedClientException");
    let unsigned = Request::post("{}").header("x-amz-target", "CertificateManager.ListCertificates");
    let unsigned = unsigned.send(&served.address).await;
    assert_eq!(unsigned.json()["__type"], "MissingAuthenticationTokenException");
}

#[tokio::test]
async fn actions_and_versions_that_are_not_there_are_refused() {
    let lab = Lab::new();
    let served = lab.serve();
    for (form, code) in [
        ("Action=AssumeRole&Version=2011-06-15", "InvalidAction"),
        ("Action=GetCallerIdentity&Version=2016-11-15", "NoSuchVersion"),
        (
            "Action=GetCallerIdentity&Version=2011-06-15&Extra=1",
            "UnknownParameter",
        ),
        ("Version=2011-06-15", "MissingAction"),
        ("Action=a&Action=b", "MalformedQueryString"),
    ] {
        let answer = lab.signer("sts").form(form).send(&served.address).await;
        answer.is_refused(400, code);
    }
}

#[tokio::test]
async fn only_the_root_path_and_two_methods_are_served() {
    let lab = Lab::new();
    let served = lab.serve();
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "get"] {
        let answer = Request::new(method, "/").send(&served.address).await;
        assert_eq!(
            (answer.status, answer.field("allow")),
            (405, "get, post"),
            "{method}: {answer:?}"
        );
        assert_eq!(answer.field("x-amzn-requestid").len(), 36);
    }
    for path in ["/favicon.ico", "//", "/..", "/%2f"] {
        let request = lab.signer("sts").sign(Request::new("GET", path));
        let answer = request.send(&served.address).await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn ec2_lists_endpoints_and_refuses_what_it_does_not_know() {
    let lab = Lab::new();
    let served = lab.serve();
    let answer = lab.signer("ec2").form(LIST).send(&served.address).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let id = answer.field("x-amzn-requestid");
    assert!(
        answer.body.contains(&format!("<requestId>{id}</requestId>")),
        "{answer:?}"
    );
    let answer = lab.signer("ec2").form("Action=Nothing&Version=2016-11-15");
    answer
        .send(&served.address)
        .await
        .is_refused(400, "InvalidAction");
    let dry = format!("{LIST}&DryRun=true");
    let answer = lab.signer("ec2").form(&dry).send(&served.address).await;
    answer.is_refused(412, "DryRunOperation");
}
