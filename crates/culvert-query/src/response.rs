//! Answers in the XML that SDKs parse. Names are fixed in the code; every value is escaped.
//!
//! ```text
//! EC2     <ActionResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>..</requestId> members
//!         <Response><Errors><Error><Code>..</Code><Message>..</Message></Error></Errors><RequestID>..</RequestID>
//! others  <ActionResponse xmlns=".."><ActionResult> members </ActionResult>
//!         <ResponseMetadata><RequestId>..</RequestId></ResponseMetadata>
//!         <ErrorResponse xmlns=".."><Error><Type>..</Type><Code>..</Code><Message>..</Message></Error><RequestId>..
//! ```
//!
//! Mind the letters: `requestId` in an answer of EC2, `RequestID` in its errors. Parsers look for exactly these.
//!
//! Source: Amazon EC2 API Reference, "Query requests"; the parsers of botocore, against which the tests run.

mod element;
mod timestamp;

pub use element::Element;
pub use timestamp::TimeFormat;

use crate::ApiError;

/// The `Content-Type` of every answer.
pub const CONTENT_TYPE: &str = "text/xml;charset=UTF-8";

/// The namespace of EC2's answers.
const EC2_NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// A service that speaks the Query protocol in the form that is not EC2's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryService {
    /// The namespace of its answers.
    pub namespace: &'static str,
}

impl QueryService {
    /// The Security Token Service, whose `GetCallerIdentity` tools call to test credentials.
    pub const STS: Self = Self {
        namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
    };
}

/// The answer of EC2 to `action`: its members are what `write` adds.
pub fn ec2(action: &'static str, request_id: &str, write: impl FnOnce(&mut Element<'_>)) -> Vec<u8> {
    element::document(&[action, "Response"].concat(), Some(EC2_NAMESPACE), |root| {
        root.text("requestId", request_id);
        write(root);
    })
}

/// The answer of EC2 to most calls that change something and have nothing to tell.
pub fn ec2_done(action: &'static str, request_id: &str) -> Vec<u8> {
    ec2(action, request_id, |root| root.boolean("return", true))
}

/// A refusal by EC2, to be sent with [`ApiError::status`].
pub fn ec2_error(error: &ApiError, request_id: &str) -> Vec<u8> {
    element::document("Response", None, |root| {
        root.structure("Errors", |errors| {
            errors.structure("Error", |one| code_and_message(one, error));
        });
        root.text("RequestID", request_id);
    })
}

/// The answer of another service to `action`: the members of its result are what `write` adds.
pub fn query(
    service: QueryService,
    action: &'static str,
    request_id: &str,
    write: impl FnOnce(&mut Element<'_>),
) -> Vec<u8> {
    element::document(&[action, "Response"].concat(), Some(service.namespace), |root| {
        root.structure(&[action, "Result"].concat(), write);
        root.structure("ResponseMetadata", |metadata| {
            metadata.text("RequestId", request_id)
        });
    })
}

/// A refusal by another service, to be sent with [`ApiError::status`].
pub fn query_error(service: QueryService, error: &ApiError, request_id: &str) -> Vec<u8> {
    let fault = if error.status() < 500 {
        "Sender"
    } else {
        "Receiver"
    };
    element::document("ErrorResponse", Some(service.namespace), |root| {
        root.structure("Error", |one| {
            one.text("Type", fault);
            code_and_message(one, error);
        });
        root.text("RequestId", request_id);
    })
}

fn code_and_message(one: &mut Element<'_>, error: &ApiError) {
    one.text("Code", error.code.as_str());
    one.text("Message", &error.message);
}

#[cfg(test)]
mod tests;
