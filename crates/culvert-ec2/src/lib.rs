//! The actions of the EC2 Query API that concern Client VPN endpoints and what they refer to: forms into operations of
//! the service layer, resources into XML. No sockets, no clock, no randomness.
//!
//! Source: Amazon EC2 API Reference, API version 2016-11-15.

#![forbid(unsafe_code)]

use std::sync::Arc;

use arc_swap::ArcSwap;
use culvert_query::params::Params;
use culvert_service::{Certificates, Environment, Registry, ServiceError, Tunnels};
use time::OffsetDateTime;

/// The EC2 service of one account in one region.
pub struct Ec2 {
    /// The endpoints.
    pub registry: Registry,
    /// The certificates they use.
    pub certificates: Certificates,
    /// Networks, security groups, directories and quotas, as of now: a reload replaces them.
    pub environment: Arc<ArcSwap<Environment>>,
    /// What runs.
    pub tunnels: Arc<dyn Tunnels>,
}

/// One verified request.
pub struct Call<'a> {
    /// Its form.
    pub params: &'a Params,
    /// The id its answer carries.
    pub request_id: &'a str,
    /// The time.
    pub now: OffsetDateTime,
    /// Fresh random bytes for ids and tokens.
    pub random: &'a dyn Fn() -> [u8; 16],
}

impl Ec2 {
    /// Carries out the action that a form asks for and returns the XML of its answer. Blocks while the store writes.
    ///
    /// # Errors
    /// What the action refuses, and what fails inside; [`ServiceError::to_api`] is what the caller may know of it.
    pub fn answer(&self, call: &Call<'_>) -> Result<Vec<u8>, ServiceError> {
        let _ = call;
        todo!()
    }
}
