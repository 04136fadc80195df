//! A signer of requests, written from the specification and independent of the verifier.

use std::fmt::Write as _;

use ring::{digest, hmac};
use time::{Duration, OffsetDateTime};

use crate::client::Request;
use crate::lab::REGION;

/// Signs requests; everything can be made wrong.
#[derive(Clone)]
pub(crate) struct Signer {
    id: String,
    secret: String,
    pub(crate) service: &'static str,
    pub(crate) region: &'static str,
    pub(crate) skew: Duration,
}

impl Signer {
    pub(crate) fn new(id: &str, secret: &str, service: &'static str) -> Self {
        Self {
            id: id.into(),
            secret: secret.into(),
            service,
            region: REGION,
            skew: Duration::ZERO,
        }
    }

    /// A signed form.
    pub(crate) fn form(&self, body: &str) -> Request {
        let request = Request::post(body).header("content-type", "application/x-www-form-urlencoded");
        self.sign(request)
    }

    /// A signed call of the JSON protocol.
    pub(crate) fn json(&self, action: &str, body: &serde_json::Value) -> Request {
        let request = Request::post(&body.to_string())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", &format!("CertificateManager.{action}"));
        self.sign(request)
    }

    /// Signs all header fields.
    pub(crate) fn sign(&self, request: Request) -> Request {
        let now = OffsetDateTime::now_utc() + self.skew;
        let (date, (hour, minute, second)) = (now.date(), now.to_hms());
        let day = format!("{:04}{:02}{:02}", date.year(), u8::from(date.month()), date.day());
        let stamp = format!("{day}T{hour:02}{minute:02}{second:02}Z");
        let request = request.header("x-amz-date", &stamp);
        let mut fields: Vec<(String, String)> = request.headers.clone();
        fields.sort();
        let names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
        let names = names.join(";");
        let lines: String = fields
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let canonical = format!(
            "{}\n{path}\n{query}\n{lines}\n{names}\n{}",
            request.method,
            sha256(&request.body)
        );
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}",
            sha256(canonical.as_bytes())
        );
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in scope.split('/') {
            key = mac(&key, part.as_bytes());
        }
        let signature = hex(&mac(&key, to_sign.as_bytes()));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.id
        );
        request.header("authorization", &authorization)
    }
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, data).as_ref().to_vec()
}

fn sha256(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
