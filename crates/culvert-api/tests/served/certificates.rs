//! The certificates of ACM, call by call.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::client::Response;
use crate::lab::{ACCOUNT, Lab, Pki, REGION, Served, pki};

struct Bench {
    lab: Lab,
    served: Served,
}

impl Bench {
    fn new() -> Self {
        let lab = Lab::new();
        let served = lab.serve();
        Self { lab, served }
    }

    async fn call(&self, action: &str, input: Value) -> Response {
        let request = self.lab.signer("acm").json(action, &input);
        request.send(&self.served.address).await
    }

    async fn ok(&self, action: &str, input: Value) -> Value {
        let answer = self.call(action, input).await;
        assert_eq!(answer.status, 200, "{action}: {answer:?}");
        if answer.body.is_empty() {
            Value::Null
        } else {
            answer.json()
        }
    }

    /// The code of a refusal, and its message.
    async fn refused(&self, action: &str, input: Value) -> (String, String) {
        let answer = self.call(action, input).await;
        assert_eq!(answer.status, 400, "{action}: {answer:?}");
        let body = answer.json();
        (
            body["__type"].as_str().unwrap().to_owned(),
            body["message"].as_str().unwrap().to_owned(),
        )
    }

    async fn import(&self, pki: &Pki) -> String {
        let answer = self.ok("ImportCertificate", input(pki)).await;
        answer["CertificateArn"].as_str().unwrap().to_owned()
    }
}

fn input(pki: &Pki) -> Value {
    json!({
        "Certificate": BASE64.encode(pki.certificate.as_bytes()),
        "PrivateKey": BASE64.encode(pki.key.as_bytes()),
        "CertificateChain": BASE64.encode(pki.chain.as_bytes()),
        "Tags": [{ "Key": "Name", "Value": "server" }],
    })
}

#[tokio::test]
async fn a_certificate_is_imported_described_fetched_and_deleted() {
    let bench = Bench::new();
    let pki = pki("vpn.example.com");
    let arn = bench.import(&pki).await;
    assert!(
        arn.starts_with(&format!("arn:aws:acm:{REGION}:{ACCOUNT}:certificate/")),
        "{arn}"
    );
    let named = json!({ "CertificateArn": arn });

    let detail = bench.ok("DescribeCertificate", named.clone()).await["Certificate"].clone();
    for (member, value) in [
        ("CertificateArn", json!(arn)),
        ("DomainName", json!("vpn.example.com")),
        ("SubjectAlternativeNames", json!(["vpn.example.com"])),
        ("Issuer", json!("CN=Test authority")),
        ("Status", json!("ISSUED")),
        ("Type", json!("IMPORTED")),
        ("KeyAlgorithm", json!("EC_prime256v1")),
        ("SignatureAlgorithm", json!("SHA256WITHECDSA")),
        ("InUseBy", json!([])),
        (
            "ExtendedKeyUsages",
            json!([{ "Name": "TLS_WEB_SERVER_AUTHENTICATION", "OID": "1.3.6.1.5.5.7.3.1" }]),
        ),
    ] {
        assert_eq!(detail[member], value, "{member} of {detail}");
    }
    assert!(detail["NotBefore"].as_i64().unwrap() < detail["NotAfter"].as_i64().unwrap());
    assert!(detail["Serial"].as_str().unwrap().contains(':'), "{detail}");

    let fetched = bench.ok("GetCertificate", named.clone()).await;
    let text = |pem: &str| pem.replace("\r\n", "\n");
    assert_eq!(fetched["Certificate"].as_str().unwrap(), text(&pki.certificate));
    assert_eq!(fetched["CertificateChain"].as_str().unwrap(), text(&pki.chain));
    assert!(!fetched.to_string().contains("PRIVATE"), "{fetched}");
    let tags = bench.ok("ListTagsForCertificate", named.clone()).await;
    assert_eq!(tags, json!({ "Tags": [{ "Key": "Name", "Value": "server" }] }));

    assert_eq!(bench.ok("DeleteCertificate", named.clone()).await, Value::Null);
    let (code, _) = bench.refused("DescribeCertificate", named).await;
    assert_eq!(code, "ResourceNotFoundException");
}

#[tokio::test]
async fn a_certificate_is_imported_again_under_its_name() {
    let bench = Bench::new();
    let arn = bench.import(&pki("one.example")).await;
    let mut again = input(&pki("two.example"));
    again["CertificateArn"] = json!(arn);
    let (code, message) = bench.refused("ImportCertificate", again.clone()).await;
    assert_eq!(code, "InvalidParameterException");
    assert!(message.contains("leave Tags out"), "{message}");
    again.as_object_mut().unwrap().remove("Tags");
    let answer = bench.ok("ImportCertificate", again.clone()).await;
    assert_eq!(answer["CertificateArn"], json!(arn));
    let detail = bench
        .ok("DescribeCertificate", json!({ "CertificateArn": arn }))
        .await;
    assert_eq!(detail["Certificate"]["DomainName"], "two.example");
    again["CertificateArn"] = json!("arn:aws:acm:elsewhere");
    assert_eq!(
        bench.refused("ImportCertificate", again).await.0,
        "InvalidArnException"
    );
}

#[tokio::test]
async fn lists_are_filtered_ordered_and_cut_into_pages() {
    let bench = Bench::new();
    let mut arns = Vec::new();
    for number in 0..5 {
        arns.push(bench.import(&pki(&format!("{number}.example"))).await);
    }
    let listed = async |input: Value| -> (Vec<String>, Option<String>) {
        let answer = bench.ok("ListCertificates", input).await;
        let list = answer["CertificateSummaryList"].as_array().unwrap();
        let arns = list
            .iter()
            .map(|item| item["CertificateArn"].as_str().unwrap().to_owned());
        (arns.collect(), answer["NextToken"].as_str().map(str::to_owned))
    };
    assert_eq!(listed(json!({})).await, (arns.clone(), None));
    let reversed: Vec<String> = arns.iter().rev().cloned().collect();
    let descending = json!({ "SortBy": "CREATED_AT", "SortOrder": "DESCENDING", "MaxItems": 2 });
    let (first, token) = listed(descending.clone()).await;
    assert_eq!(first, reversed[..2]);
    let mut next = descending;
    next["NextToken"] = json!(token.unwrap());
    // The page goes on behind a certificate that is gone.
    bench
        .ok("DeleteCertificate", json!({ "CertificateArn": reversed[1] }))
        .await;
    let (second, token) = listed(next.clone()).await;
    assert_eq!(second, reversed[2..4]);
    next["NextToken"] = json!(token.unwrap());
    assert_eq!(listed(next.clone()).await, (vec![reversed[4].clone()], None));
    next["SortOrder"] = json!("ASCENDING");
    assert_eq!(
        bench.refused("ListCertificates", next).await.0,
        "ValidationException"
    );

    for (input, count) in [
        (json!({ "CertificateStatuses": ["ISSUED"] }), 4),
        (json!({ "CertificateStatuses": ["EXPIRED", "FAILED"] }), 0),
        (
            json!({ "Includes": { "keyTypes": ["EC_prime256v1", "RSA_2048"] } }),
            4,
        ),
        (json!({ "Includes": { "keyTypes": ["RSA_2048"] } }), 0),
        (
            json!({ "Includes": { "extendedKeyUsage": ["TLS_WEB_SERVER_AUTHENTICATION"] } }),
            4,
        ),
        (json!({ "Includes": { "extendedKeyUsage": ["CODE_SIGNING"] } }), 0),
        (json!({ "Includes": { "keyUsage": ["CRL_SIGNING"] } }), 0),
    ] {
        assert_eq!(listed(input.clone()).await.0.len(), count, "{input}");
    }
}

#[tokio::test]
async fn what_cannot_be_carried_out_is_refused_with_its_cause() {
    let bench = Bench::new();
    let mut wrong_key = input(&pki("a.example"));
    wrong_key["PrivateKey"] = json!(BASE64.encode(pki("b.example").key.as_bytes()));
    let mut unknown = input(&pki("a.example"));
    unknown["KeyPassword"] = json!("x");
    let mut no_base64 = input(&pki("a.example"));
    no_base64["PrivateKey"] = json!("-----BEGIN PRIVATE KEY-----");
    let cases = [
        (
            "ImportCertificate",
            wrong_key,
            "ValidationException",
            "not the key of Certificate",
        ),
        (
            "ImportCertificate",
            unknown,
            "ValidationException",
            "unknown field `KeyPassword`",
        ),
        (
            "ImportCertificate",
            no_base64,
            "ValidationException",
            "a blob is not base64",
        ),
        (
            "ImportCertificate",
            json!({}),
            "ValidationException",
            "missing field `Certificate`",
        ),
        (
            "DescribeCertificate",
            json!({ "CertificateArn": "x" }),
            "InvalidArnException",
            "arn:aws:acm:REGION",
        ),
        (
            "DescribeCertificate",
            json!([]),
            "ValidationException",
            "not valid",
        ),
        (
            "ListCertificates",
            json!({ "MaxItems": 0 }),
            "ValidationException",
            "1 to 1000",
        ),
        (
            "ListCertificates",
            json!({ "SortBy": "CREATED_AT" }),
            "ValidationException",
            "come together",
        ),
        (
            "ListCertificates",
            json!({ "NextToken": "x" }),
            "ValidationException",
            "pagination token",
        ),
        (
            "ListCertificates",
            json!({ "Includes": { "exportOption": "ENABLED" } }),
            "ValidationException",
            "exportOption",
        ),
        (
            "RequestCertificate",
            json!({}),
            "UnsupportedOperationException",
            "not available here",
        ),
        (
            "Nothing",
            json!({}),
            "UnknownOperationException",
            "not one of this service",
        ),
    ];
    for (action, input, code, part) in cases {
        let (found, message) = bench.refused(action, input).await;
        assert_eq!(found, code, "{action}: {message}");
        assert!(message.contains(part), "{action}: {message}");
        assert!(!message.contains("PRIVATE KEY"), "{message}");
    }
}

#[tokio::test]
async fn only_posted_json_with_one_target_is_read() {
    let bench = Bench::new();
    let send = async |request| {
        let signed = bench.lab.signer("acm").sign(request);
        signed.send(&bench.served.address).await.json()["__type"].clone()
    };
    use crate::client::Request;
    let json = |request: Request| request.header("content-type", "application/x-amz-json-1.1");
    let list = "CertificateManager.ListCertificates";
    assert_eq!(send(json(Request::post("{}"))).await, "UnknownOperationException");
    let get = json(Request::new("GET", "/")).header("x-amz-target", list);
    assert_eq!(send(get).await, "UnknownOperationException");
    let form = Request::post("{}")
        .header("content-type", "text/plain")
        .header("x-amz-target", list);
    assert_eq!(send(form).await, "SerializationException");
    let broken = json(Request::post("{")).header("x-amz-target", list);
    assert_eq!(send(broken).await, "SerializationException");
    let other = json(Request::post("{}")).header("x-amz-target", "DynamoDB_20120810.ListTables");
    assert_eq!(send(other).await, "UnknownOperationException");
}

#[tokio::test]
async fn tags_are_added_changed_and_removed() {
    let bench = Bench::new();
    let arn = bench.import(&pki("a.example")).await;
    let with = |tags: Value| json!({ "CertificateArn": arn, "Tags": tags });
    let tags = async || {
        bench
            .ok("ListTagsForCertificate", json!({ "CertificateArn": arn }))
            .await["Tags"]
            .clone()
    };
    let added = with(json!([{ "Key": "Name", "Value": "other" }, { "Key": "Team" }]));
    assert_eq!(bench.ok("AddTagsToCertificate", added).await, Value::Null);
    let (name, team) = (
        json!({ "Key": "Name", "Value": "other" }),
        json!({ "Key": "Team", "Value": "" }),
    );
    assert_eq!(tags().await, json!([name, team]));
    let removed = with(json!([{ "Key": "Name", "Value": "server" }, { "Key": "Team" }, { "Key": "No" }]));
    bench.ok("RemoveTagsFromCertificate", removed).await;
    assert_eq!(tags().await, json!([name]), "one with another value stays");
    let many: Vec<Value> = (0..50)
        .map(|number| json!({ "Key": number.to_string() }))
        .collect();
    let (code, _) = bench.refused("AddTagsToCertificate", with(json!(many))).await;
    assert_eq!(code, "TooManyTagsException");
    let (code, _) = bench
        .refused("AddTagsToCertificate", with(json!([{ "Key": "aws:x" }])))
        .await;
    assert_eq!(code, "InvalidTagException");
    assert_eq!(tags().await, json!([name]));
}

#[tokio::test]
async fn an_endpoint_keeps_its_certificate_and_is_named_as_its_user() {
    let bench = Bench::new();
    let arn = bench.import(&pki("vpn.example.com")).await;
    let form = format!(
        "Action=CreateClientVpnEndpoint&Version=2016-11-15&ClientCidrBlock=10.99.0.0%2F22&ServerCertificateArn={arn}\
         &Authentication.1.Type=certificate-authentication\
         &Authentication.1.MutualAuthentication.ClientRootCertificateChainArn={arn}&ConnectionLogOptions.Enabled=false"
    );
    let answer = bench
        .lab
        .signer("ec2")
        .form(&form)
        .send(&bench.served.address)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let (_, rest) = answer.body.split_once("<clientVpnEndpointId>").unwrap();
    let id = rest.split('<').next().unwrap();
    let user = format!("arn:aws:ec2:{REGION}:{ACCOUNT}:client-vpn-endpoint/{id}");
    let named = json!({ "CertificateArn": arn });
    let detail = bench.ok("DescribeCertificate", named.clone()).await;
    assert_eq!(detail["Certificate"]["InUseBy"], json!([user]));
    let list = bench.ok("ListCertificates", json!({})).await;
    assert_eq!(list["CertificateSummaryList"][0]["InUse"], json!(true));
    let (code, message) = bench.refused("DeleteCertificate", named).await;
    assert_eq!(code, "ResourceInUseException");
    assert!(message.contains(id), "{message}");
}
