//! The actions as callers meet them: a form goes in, and the whole answer is looked at.

// Helpers of tests: a panic is how they fail, and a skipped comparison has to be seen.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::print_stderr)]

mod all_actions;
mod botocore;
mod connections;
mod create_endpoint;
mod hostile;
mod lab;
mod modify_endpoint;
mod network_interfaces;
mod networks;
mod pages;
mod repetitions;
mod revocation_list;
mod routes;
mod rules;
mod security_groups;
mod tags;
mod target_networks;
