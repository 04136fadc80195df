//! The wire side of the EC2 Query API: what a request says and proves, and what an answer looks like. No operations,
//! no sockets, no clock, no randomness: requests come in parsed, time and keys are arguments.
//!
//! [`sigv4::Verifier`] tells who sent a request: AWS Signature Version 4, as a header or as a presigned address.
//!
//! Source: Amazon EC2 API Reference, "Query requests" and "Error codes", API version 2016-11-15; IAM User Guide,
//! "Create a signed AWS API request".

#![forbid(unsafe_code)]

mod encoding;
mod error;
mod request;
pub mod sigv4;

pub use error::{ApiError, ErrorCode};
pub use request::{Method, Request};

/// The version of the EC2 API that is spoken here; every request names it.
pub const API_VERSION: &str = "2016-11-15";
