//! One good request, and all that can be wrong with it.

// Helpers of tests: a panic is how they fail.
#![allow(clippy::unwrap_in_result)]

use proptest::prelude::*;

use super::*;
use crate::{ErrorCode, Method};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const BODY: &[u8] = b"Action=DescribeClientVpnEndpoints&Version=2016-11-15";
/// As computed by botocore, and once more by hand.
const SIGNATURE: &str = "b6bc726fb3a4fbb9a41f590aa7989d9a2f3f1508adde678bf11386fa647e9e94";
const CREDENTIAL: &str = "AKIDEXAMPLE/20260101/us-east-1/ec2/aws4_request";
/// 2026-01-01T00:00:00Z.
const SIGNED_AT: i64 = 1_767_225_600;

/// A request as the AWS CLI sends it, to be spoilt.
#[derive(Clone)]
struct Sample {
    path: String,
    query: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
    now: i64,
    secret: &'static str,
    token: Option<&'static str>,
}

impl Sample {
    fn new() -> Self {
        Self {
            path: "/".to_owned(),
            query: String::new(),
            headers: vec![
                ("Host", b"127.0.0.1:8080".to_vec()),
                (
                    "Content-Type",
                    b"application/x-www-form-urlencoded; charset=utf-8".to_vec(),
                ),
                ("X-Amz-Date", b"20260101T000000Z".to_vec()),
                ("User-Agent", b"Botocore".to_vec()),
                (
                    "Authorization",
                    authorization(CREDENTIAL, "content-type;host;x-amz-date", SIGNATURE),
                ),
            ],
            body: BODY.to_vec(),
            now: SIGNED_AT,
            secret: SECRET,
            token: None,
        }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut sample = Self::new();
        change(&mut sample);
        sample
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        let field = self.headers.iter_mut().find(|(found, _)| *found == name);
        field.unwrap().1 = value.to_vec();
    }

    fn remove(&mut self, name: &str) {
        self.headers.retain(|(found, _)| *found != name);
    }

    fn add(&mut self, name: &'static str, value: &[u8]) {
        self.headers.push((name, value.to_vec()));
    }

    fn verify_as(&self, verifier: &Verifier) -> Result<Caller, SigV4Error> {
        let headers: Vec<(&str, &[u8])> = self.headers.iter().map(|(n, v)| (*n, &**v)).collect();
        let request = Request {
            method: Method::Post,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            body: &self.body,
        };
        let lookup = |access_key: &str| {
            (access_key == KEY).then(|| Credential {
                secret: Zeroizing::new(self.secret.to_owned()),
                session_token: self.token.map(|token| Zeroizing::new(token.to_owned())),
            })
        };
        verifier.verify(
            &request,
            &lookup,
            OffsetDateTime::from_unix_timestamp(self.now).unwrap(),
        )
    }

    fn verify(&self) -> Result<Caller, SigV4Error> {
        self.verify_as(&Verifier::new(Some("us-east-1".to_owned()), ["ec2"]))
    }

    fn code(&self) -> ErrorCode {
        self.verify().unwrap_err().to_api(Dialect::Ec2).code
    }
}

fn authorization(credential: &str, signed_headers: &str, signature: &str) -> Vec<u8> {
    format!("{ALGORITHM} Credential={credential}, SignedHeaders={signed_headers}, Signature={signature}")
        .into_bytes()
}

#[test]
fn what_is_signed_here_is_what_botocore_signs() {
    let headers: [(&str, &[u8]); 3] = [
        ("Host", b"127.0.0.1:8080"),
        (
            "Content-Type",
            b"application/x-www-form-urlencoded; charset=utf-8",
        ),
        ("X-Amz-Date", b"20260101T000000Z"),
    ];
    let request = Request {
        method: Method::Post,
        path: "/",
        query: "",
        headers: &headers,
        body: BODY,
    };
    let signer = Signer::new(KEY, Zeroizing::new(SECRET.to_owned()), "us-east-1", "ec2");
    let date = Signer::date(OffsetDateTime::from_unix_timestamp(SIGNED_AT).unwrap());
    assert_eq!(date, "20260101T000000Z");
    let wanted = authorization(CREDENTIAL, "content-type;host;x-amz-date", SIGNATURE);
    assert_eq!(signer.authorization(&request, &date).into_bytes(), wanted);
    assert!(!format!("{signer:?}").contains(SECRET));
}

#[test]
fn a_request_of_the_aws_cli_verifies() {
    let caller = Sample::new().verify().unwrap();
    assert_eq!(caller.access_key, KEY);
    assert_eq!((&*caller.region, &*caller.service), ("us-east-1", "ec2"));
    assert!(
        Sample::new()
            .verify_as(&Verifier::new(None, ["sts", "ec2"]))
            .is_ok()
    );
}

#[test]
fn the_order_and_spacing_of_the_authorization_header_do_not_matter() {
    let header = format!(
        "{ALGORITHM} Signature={SIGNATURE},SignedHeaders=content-type;host;x-amz-date,  Credential={CREDENTIAL}"
    );
    assert!(
        Sample::with(|s| s.set("Authorization", header.as_bytes()))
            .verify()
            .is_ok()
    );
}

#[test]
fn whatever_is_changed_on_the_way_breaks_the_signature() {
    let spoilt = [
        Sample::with(|s| s.body[0] = b'a'),
        Sample::with(|s| s.body.clear()),
        Sample::with(|s| s.path = "/x".to_owned()),
        Sample::with(|s| s.query = "DryRun=true".to_owned()),
        Sample::with(|s| s.set("Host", b"127.0.0.1:8081")),
        Sample::with(|s| s.set("Content-Type", b"text/plain")),
        Sample::with(|s| s.add("Content-Type", b"text/plain")),
        Sample::with(|s| s.set("X-Amz-Date", b"20260101T000001Z")),
        Sample::with(|s| s.secret = "another"),
        Sample::with(|s| {
            let digits = SIGNATURE.replacen('b', "c", 1);
            s.set(
                "Authorization",
                &authorization(CREDENTIAL, "content-type;host;x-amz-date", &digits),
            );
        }),
    ];
    for (number, sample) in spoilt.iter().enumerate() {
        let result = sample.verify();
        assert!(
            matches!(result, Err(SigV4Error::WrongSignature { .. })),
            "{number}: {result:?}"
        );
        assert_eq!(sample.code(), ErrorCode::AuthFailure);
    }
}

#[test]
fn what_is_not_signed_may_change() {
    let sample = Sample::with(|s| {
        s.set("User-Agent", b"curl");
        s.add("Via", b"proxy");
    });
    assert!(sample.verify().is_ok());
}

#[test]
fn clocks_may_differ_by_a_quarter_of_an_hour() {
    for (offset, good) in [(900, true), (-900, true), (901, false), (-901, false)] {
        let sample = Sample::with(|s| s.now += offset);
        match good {
            true => assert!(sample.verify().is_ok(), "{offset}"),
            false => assert_eq!(sample.code(), ErrorCode::RequestExpired, "{offset}"),
        }
    }
}

#[test]
fn an_unsigned_request_is_told_so() {
    let sample = Sample::with(|s| s.remove("Authorization"));
    assert_eq!(sample.verify(), Err(SigV4Error::NotSigned));
    assert_eq!(sample.code(), ErrorCode::MissingAuthenticationToken);
}

#[test]
fn headers_that_must_be_signed() {
    let unsigned = |name: &str| Err(SigV4Error::Unsigned(name.to_owned()));
    let listing = |signed: &str| {
        Sample::with(|s| s.set("Authorization", &authorization(CREDENTIAL, signed, SIGNATURE)))
    };
    assert_eq!(listing("content-type;x-amz-date").verify(), unsigned("host"));
    assert_eq!(listing("content-type;host").verify(), unsigned("x-amz-date"));
    assert_eq!(
        listing("content-type;host").code(),
        ErrorCode::IncompleteSignature
    );
    assert_eq!(
        Sample::with(|s| s.remove("X-Amz-Date")).verify(),
        unsigned("x-amz-date")
    );
    for name in ["X-Amz-Target", "X-Amz-Security-Token", "X-Amz-Content-Sha256"] {
        let result = Sample::with(|s| s.add(name, b"x")).verify();
        assert_eq!(result, unsigned(&name.to_ascii_lowercase()));
    }
    let missing = Sample::with(|s| s.remove("Content-Type"));
    assert_eq!(
        missing.verify(),
        Err(SigV4Error::NotSent("content-type".to_owned()))
    );
    let no_host = Sample::with(|s| s.remove("Host"));
    assert_eq!(no_host.verify(), Err(SigV4Error::NotSent("host".to_owned())));
}

#[test]
fn what_would_be_ambiguous_twice_is_refused() {
    let fields = [
        ("Host", "host"),
        ("X-Amz-Date", "X-Amz-Date"),
        ("Authorization", "Authorization"),
    ];
    for (name, shown) in fields {
        let result = Sample::with(|s| s.add(name, b"other")).verify();
        assert_eq!(result, Err(SigV4Error::Duplicate(shown)));
    }
    let both = Sample::with(|s| s.query = "X-Amz-Signature=00".to_owned());
    assert_eq!(both.verify(), Err(SigV4Error::SignedTwice));
    let twice = Sample::with(|s| {
        s.remove("Authorization");
        s.query = "X-Amz-Date=1&X%2DAmz-Date=2".to_owned();
    });
    assert_eq!(twice.verify(), Err(SigV4Error::Duplicate("X-Amz-Date")));
}

#[test]
fn the_scope_must_be_ours() {
    let scoped = |credential: &str| {
        Sample::with(|s| {
            let header = authorization(credential, "content-type;host;x-amz-date", SIGNATURE);
            s.set("Authorization", &header);
        })
    };
    let wrong = [
        "AKIDEXAMPLE/20260102/us-east-1/ec2/aws4_request",
        "AKIDEXAMPLE/20260101/eu-west-1/ec2/aws4_request",
        "AKIDEXAMPLE/20260101/us-east-1/s3/aws4_request",
        "AKIDOTHER/20260101/us-east-1/ec2/aws4_request",
    ];
    for credential in wrong {
        assert_eq!(scoped(credential).code(), ErrorCode::AuthFailure, "{credential}");
    }
    let region = scoped(wrong[1]).verify().unwrap_err().to_api(Dialect::Ec2);
    assert!(
        region.message.contains("'eu-west-1'") && region.message.contains("'us-east-1'"),
        "{region}"
    );
    let malformed = [
        "AKIDEXAMPLE",
        "/20260101/us-east-1/ec2/aws4_request",
        "AKIDEXAMPLE/20260101//ec2/aws4_request",
        "AKIDEXAMPLE/20260101/us-east-1/ec2/aws4",
        "A/K/20260101/us-east-1/ec2/aws4_request",
    ];
    for credential in malformed {
        assert_eq!(
            scoped(credential).code(),
            ErrorCode::IncompleteSignature,
            "{credential}"
        );
    }
}

#[test]
fn session_tokens_come_with_temporary_credentials_only() {
    assert_eq!(
        Sample::with(|s| s.token = Some("token")).verify(),
        Err(SigV4Error::MissingSessionToken)
    );
    let sent = |stored: Option<&'static str>| {
        Sample::with(|s| {
            s.token = stored;
            s.add("X-Amz-Security-Token", b"token");
            let signed = "content-type;host;x-amz-date;x-amz-security-token";
            s.set("Authorization", &authorization(CREDENTIAL, signed, SIGNATURE));
        })
    };
    assert_eq!(sent(None).verify(), Err(SigV4Error::UnexpectedSessionToken));
    assert_eq!(sent(Some("other")).verify(), Err(SigV4Error::WrongSessionToken));
    assert!(matches!(
        sent(Some("token")).verify(),
        Err(SigV4Error::WrongSignature { .. })
    ));
}

#[test]
fn a_declared_hash_must_be_that_of_the_body() {
    for hash in [
        "UNSIGNED-PAYLOAD",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ] {
        let sample = Sample::with(|s| {
            s.add("X-Amz-Content-Sha256", hash.as_bytes());
            let signed = "content-type;host;x-amz-content-sha256;x-amz-date";
            s.set("Authorization", &authorization(CREDENTIAL, signed, SIGNATURE));
        });
        assert_eq!(sample.verify(), Err(SigV4Error::BodyHash));
    }
}

#[test]
fn an_empty_secret_opens_nothing() {
    let sample = Sample::with(|s| s.secret = "");
    assert_eq!(sample.verify(), Err(SigV4Error::UnknownAccessKey(KEY.to_owned())));
}

#[test]
fn strangers_do_not_learn_which_access_keys_exist() {
    let unknown = SigV4Error::UnknownAccessKey(KEY.to_owned());
    let wrong = SigV4Error::WrongSignature {
        canonical_hash: String::new(),
    };
    assert_eq!(unknown.to_api(Dialect::Ec2), wrong.to_api(Dialect::Ec2));
    assert_eq!(
        unknown.to_api(Dialect::Query).code,
        ErrorCode::InvalidClientTokenId
    );
    assert_eq!(
        wrong.to_api(Dialect::Query).code,
        ErrorCode::SignatureDoesNotMatch
    );
    assert_eq!(wrong.to_api(Dialect::Ec2).status(), 401);
}

#[test]
fn malformed_headers_are_refused_as_incomplete() {
    let bad: [&[u8]; 8] = [
        b"",
        b"Basic dXNlcjpwYXNz",
        b"AWS4-HMAC-SHA256",
        b"AWS4-HMAC-SHA256 Credential",
        b"AWS4-HMAC-SHA256 Credential=a, Credential=b",
        b"AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c, More=d",
        b"AWS4-ECDSA-P256-SHA256 Credential=a, SignedHeaders=b, Signature=c",
        b"AWS4-HMAC-SHA256 Credential=\xff",
    ];
    for header in bad {
        assert_eq!(
            Sample::with(|s| s.set("Authorization", header)).code(),
            ErrorCode::IncompleteSignature
        );
    }
    let short = authorization(CREDENTIAL, "content-type;host;x-amz-date", &SIGNATURE[..62]);
    assert_eq!(
        Sample::with(|s| s.set("Authorization", &short)).code(),
        ErrorCode::IncompleteSignature
    );
}

proptest! {
    #[test]
    fn hostile_requests_are_refused_without_panic(
        path in "\\PC{0,20}",
        query in prop_oneof!["\\PC{0,40}", "(X-Amz-[A-Z][a-z]{3,9}=[a-zA-Z0-9%/]{0,9}&){0,7}"],
        authorization in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            "AWS4-HMAC-SHA256 (Credential=[a-z/0-9]{0,20}|SignedHeaders=[a-z;]{0,9}|Signature=[0-9a-f]{0,64}|,| ){0,9}"
                .prop_map(String::into_bytes),
        ],
        date in prop_oneof![prop::collection::vec(any::<u8>(), 0..20), "[0-9]{8}T[0-9]{6}Z".prop_map(String::into_bytes)],
        body in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let sample = Sample::with(|s| {
            s.path = path;
            s.query = query;
            s.set("Authorization", &authorization);
            s.set("X-Amz-Date", &date);
            s.body = body;
        });
        prop_assert!(sample.verify().is_err());
        let presigned = Sample { headers: Vec::new(), ..sample };
        prop_assert!(presigned.verify().is_err());
    }

    #[test]
    fn any_changed_byte_of_the_body_is_noticed(at in 0..BODY.len(), flip in 1..=u8::MAX) {
        let sample = Sample::with(|s| s.body[at] ^= flip);
        prop_assert!(sample.verify().is_err());
    }
}
