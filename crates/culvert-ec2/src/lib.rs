//! The actions of the EC2 Query API that concern Client VPN endpoints and what they refer to: forms into operations of
//! the service layer, resources into XML. No sockets, no clock, no randomness.
//!
//! ```text
//! dispatch   which action is meant, and which are known but not supported
//! actions/   one action each: reads its form, calls the service layer, writes its answer
//! task       what all actions do alike: DryRun, client tokens, changes of an endpoint
//! listing    what all describe calls do alike: filters and pages
//! form       values that forms carry as text
//! permission what rules of security groups allow, as forms say it
//! render/    resources as XML
//! ```
//!
//! Source: Amazon EC2 API Reference, API version 2016-11-15.

#![forbid(unsafe_code)]

mod actions;
mod call;
mod dispatch;
mod form;
mod listing;
mod permission;
mod render;
mod task;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use culvert_query::page::PageKey;
use culvert_service::{Certificates, Environment, Registry, SecurityGroups, ServiceError, Tunnels};

pub use call::Call;

/// The EC2 service of one account in one region.
pub struct Ec2 {
    /// The endpoints.
    pub registry: Registry,
    /// The certificates they use.
    pub certificates: Certificates,
    /// The security groups that are not declared.
    pub security_groups: SecurityGroups,
    /// Networks, declared security groups, directories and quotas, as of now: a reload replaces them.
    pub environment: Arc<ArcSwap<Environment>>,
    /// What runs.
    pub tunnels: Arc<dyn Tunnels>,
    /// Makes the tokens that continue a long list.
    pub page_key: PageKey,
}

impl fmt::Debug for Ec2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec2").finish_non_exhaustive()
    }
}

impl Ec2 {
    /// Carries out the action that a form asks for and returns the XML of its answer. Blocks while the store writes.
    ///
    /// # Errors
    /// What the action refuses, and what fails inside; [`ServiceError::to_api`] is what the caller may know of it.
    pub fn answer(&self, call: &Call<'_>) -> Result<Vec<u8>, ServiceError> {
        dispatch::answer(self, call)
    }
}
