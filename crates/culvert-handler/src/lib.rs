//! Client connect handlers: programs or web services of the operator's that are asked before a client is let in, in the
//! words in which AWS asks a Lambda function. No sessions, no endpoints.
//!
//! ```text
//! Question  {"connection-id": "cvpn-connection-0a1b...", "endpoint-id": ..., "common-name": ..., "username": ...,
//!            "platform": "linux", "platform-version": ..., "public-ip": "198.51.100.23",
//!            "client-openvpn-version": "2.6.14", "groups": [...], "aws-client-version": ..., "schema-version": "v3"}
//! Answer    {"allow": false, "error-msg-on-denied-connection": "Update your device.",
//!            "posture-compliance-statuses": ["outdated"], "schema-version": "v3"}
//! ```
//!
//! A program reads the question from its standard input and writes the answer to its standard output. A web service
//! gets the question by POST and answers 200, as the `Invoke` call of AWS Lambda does. Whoever doesn't answer, or not
//! in this form, is taken to refuse: [`Reason`] tells why.
//!
//! Source: AWS Client VPN Administrator Guide, "Client connect handler"; AWS Lambda API Reference, "Invoke".

#![forbid(unsafe_code)]

mod answer;
mod handler;
mod program;
mod question;
mod reason;
mod web;

pub use answer::{Answer, MAX_GROUPS, MAX_STATUSES, MAX_TEXT, Malformed};
pub use handler::{Admission, Handler, HandlerError, HandlerOptions, Target};
pub use question::{GroupsForm, Question, SchemaVersion};
pub use reason::{DEFAULT_MESSAGE, Reason, Refusal};
