//! AWS Certificate Manager: certificates are imported, looked at and deleted; none is issued here.
//!
//! ```text
//! X-Amz-Target: CertificateManager.ImportCertificate      Content-Type: application/x-amz-json-1.1
//! {"Certificate": "<base64>", "PrivateKey": "<base64>", "CertificateChain": "<base64>"}
//! ```
//!
//! Source: AWS Certificate Manager API Reference, API version 2015-12-08; JSON protocol 1.1 as botocore speaks it.

mod facts;
mod import;
mod input;
mod list;
mod refusal;
mod show;
mod tags;

use culvert_query::{Method, Request};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::answer::Answer;
use crate::api::{Api, log_failure};
use crate::audit::Audit;
pub(crate) use refusal::Refusal;

/// The `Content-Type` of answers.
pub(crate) const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
/// What the header that names the action begins with.
const TARGET_PREFIX: &str = "CertificateManager.";

/// One call.
struct Call<'a> {
    api: &'a Api,
    body: &'a [u8],
    now: OffsetDateTime,
}

/// Carries out the action that a request asks for.
pub(crate) fn answer(api: &Api, request: &Request<'_>, now: OffsetDateTime, audit: &mut Audit) -> Answer {
    let body = request.body;
    let answered = action(request).and_then(|action| {
        audit.action(action);
        Call { api, body, now }.carry_out(action)
    });
    match answered {
        Ok(Value::Null) => Answer::done(CONTENT_TYPE, Vec::new()),
        Ok(value) => Answer::done(CONTENT_TYPE, value.to_string().into_bytes()),
        Err(refusal) => {
            if let Refusal::Failed(error) = &refusal {
                log_failure(error, &audit.request_id);
            }
            refusal.to_answer()
        }
    }
}

/// The action a request names.
fn action<'a>(request: &Request<'a>) -> Result<&'a str, Refusal> {
    let mut targets = request.header_values("x-amz-target");
    let (Some(target), None) = (targets.next(), targets.next()) else {
        return Err(Refusal::new(
            "UnknownOperationException",
            "The header X-Amz-Target must name the action, once, as in CertificateManager.ListCertificates",
        ));
    };
    if request.method != Method::Post {
        let message = "Actions of this service are called with POST";
        return Err(Refusal::new("UnknownOperationException", message));
    }
    let json = |sent: &[u8]| {
        let media = sent.split(|&byte| byte == b';').next().unwrap_or_default();
        media.trim_ascii().eq_ignore_ascii_case(CONTENT_TYPE.as_bytes())
    };
    if !request.header_values("content-type").next().is_some_and(json) {
        let message = format!("The body must be JSON: set Content-Type to {CONTENT_TYPE}");
        return Err(Refusal::new("SerializationException", message));
    }
    std::str::from_utf8(target)
        .ok()
        .and_then(|target| target.strip_prefix(TARGET_PREFIX))
        .ok_or_else(|| {
            let message = format!("X-Amz-Target must begin with {TARGET_PREFIX}");
            Refusal::new("UnknownOperationException", message)
        })
}

impl Call<'_> {
    fn carry_out(&self, action: &str) -> Result<Value, Refusal> {
        match action {
            "ImportCertificate" => self.import(),
            "DescribeCertificate" => self.describe(),
            "ListCertificates" => self.list(),
            "GetCertificate" => self.get(),
            "DeleteCertificate" => self.delete(),
            "ListTagsForCertificate" => self.list_tags(),
            "AddTagsToCertificate" => self.add_tags(),
            "RemoveTagsFromCertificate" => self.remove_tags(),
            "ExportCertificate"
            | "GetAccountConfiguration"
            | "PutAccountConfiguration"
            | "RenewCertificate"
            | "RequestCertificate"
            | "ResendValidationEmail"
            | "RevokeCertificate"
            | "UpdateCertificateOptions" => Err(Refusal::new(
                "UnsupportedOperationException",
                format!(
                    "{action} is not available here: certificates are imported and deleted, none is issued or renewed"
                ),
            )),
            _ => Err(Refusal::new(
                "UnknownOperationException",
                "The action in X-Amz-Target is not one of this service",
            )),
        }
    }

    fn get(&self) -> Result<Value, Refusal> {
        let found = self.api.ec2.certificates.get(&self.named()?)?;
        let mut answer = json!({ "Certificate": found.certificate });
        if !found.chain.is_empty() {
            answer["CertificateChain"] = found.chain.into();
        }
        Ok(answer)
    }

    fn delete(&self) -> Result<Value, Refusal> {
        self.api.ec2.certificates.delete(&self.named()?)?;
        Ok(Value::Null)
    }

    /// The ARN in the request of an action that takes nothing else.
    fn named(&self) -> Result<String, Refusal> {
        let named: input::Named = input::read(self.body)?;
        Ok(named.certificate_arn)
    }
}
