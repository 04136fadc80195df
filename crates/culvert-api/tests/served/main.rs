//! The API on real sockets, called with HTTP written by hand, by hyper and by botocore.

// Helpers of tests: a panic is how they fail, and a skipped comparison has to be seen.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::print_stderr)]

mod audit;
mod botocore;
mod certificates;
mod client;
mod encrypted;
mod keys;
mod lab;
mod limits;
mod local;
mod signatures;
mod signer;
