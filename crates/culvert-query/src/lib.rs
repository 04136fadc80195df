//! The wire side of the EC2 Query API: what a request says and proves, and what an answer looks like. No operations,
//! no sockets, no clock, no randomness: requests come in parsed, time and keys are arguments.
//!
//! In the order a request meets them:
//!
//! 1. [`sigv4::Verifier`] tells who sent it: AWS Signature Version 4, as a header or as a presigned address.
//! 2. [`params::Params`] reads the form: typed access to the flattened names (`Filter.1.Value.2`), and an error that
//!    names the parameter nobody asked for.
//! 3. [`idempotency`] recognises the repetition of a request that already took effect.
//! 4. [`page`] cuts long lists: tokens only this server can make, good for one question.
//! 5. [`response`] writes the answer, or the [`ApiError`], in the XML that SDKs parse.
//!
//! ```
//! use culvert_query::params::{Limits, Params};
//! use culvert_query::sigv4::{Credential, Credentials, Dialect, Verifier};
//! use culvert_query::{API_VERSION, ApiError, ErrorCode, Request, response};
//! use time::OffsetDateTime;
//!
//! /// Status and body of the answer.
//! fn answer(request: &Request<'_>, keys: &impl Credentials, now: OffsetDateTime, id: &str) -> (u16, Vec<u8>) {
//!     match delete(request, keys, now) {
//!         Ok(()) => (200, response::ec2_done("DeleteTags", id)),
//!         Err(error) => (error.status(), response::ec2_error(&error, id)),
//!     }
//! }
//!
//! fn delete(request: &Request<'_>, keys: &impl Credentials, now: OffsetDateTime) -> Result<(), ApiError> {
//!     Verifier::new(Some("us-east-1".to_owned()), ["ec2"])
//!         .verify(request, keys, now)
//!         .map_err(|error| error.to_api(Dialect::Ec2))?;
//!     let params = Params::from_request(request, &Limits::default())?;
//!     params.check_version(API_VERSION)?;
//!     let action = params.action()?;
//!     if action != "DeleteTags" {
//!         return Err(ApiError::new(ErrorCode::InvalidAction, format!("The action {action} is not known here")));
//!     }
//!     let resources = params.root().texts("ResourceId");
//!     let tags = params.root().tags(1000)?;
//!     let dry_run = params.root().boolean("DryRun")?;
//!     params.finish()?;
//!     if dry_run == Some(true) {
//!         return Err(ApiError::dry_run());
//!     }
//!     // Here the tags would be deleted.
//!     Ok(())
//! }
//!
//! let unsigned = Request {
//!     method: culvert_query::Method::Get,
//!     path: "/",
//!     query: "Action=DeleteTags&Version=2016-11-15",
//!     headers: &[("host", b"localhost")],
//!     body: &[],
//! };
//! let nobody = |_: &str| None::<Credential>;
//! let (status, body) = answer(&unsigned, &nobody, OffsetDateTime::UNIX_EPOCH, "request-1");
//! assert_eq!(status, 403);
//! assert!(String::from_utf8_lossy(&body).contains("<Code>MissingAuthenticationToken</Code>"));
//! ```
//!
//! Source: Amazon EC2 API Reference, "Query requests" and "Error codes", API version 2016-11-15; IAM User Guide,
//! "Create a signed AWS API request".

#![forbid(unsafe_code)]

mod encoding;
mod error;
pub mod idempotency;
pub mod page;
pub mod params;
mod request;
pub mod response;
pub mod sigv4;

pub use error::{ApiError, ErrorCode};
pub use request::{Method, Request};

/// The version of the EC2 API that is spoken here; every request names it.
pub const API_VERSION: &str = "2016-11-15";
