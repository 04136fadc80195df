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
