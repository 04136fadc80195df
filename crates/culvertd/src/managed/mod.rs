//! Endpoints that are managed at run time: what the store and the configuration say about them, made into what runs.
#![allow(
    dead_code,
    reason = "complete and tested, but the API that fills the store is not served yet"
)]

mod environment;
mod resets;
#[cfg(test)]
mod samples;
mod wish;
