//! What may be done to an endpoint, as plain changes of an [`Endpoint`]: no store, no clock. Each operation checks
//! everything before it changes anything, so an endpoint that is refused a change is as it was.
//!
//! An operation states a wish, with a state that says so (`associating`, `creating`, ...). Whoever runs endpoints makes
//! it come true and then calls [`Endpoint::settle`].

mod addresses;
mod associate;
mod authorize;
mod connect;
mod connection_log;
mod create;
mod crl;
mod listen;
mod modify;
mod route;
mod security_groups;
mod settings;
mod settle;
pub(crate) mod tags;

#[cfg(test)]
pub(crate) mod samples;

use culvert_query::{ApiError, ErrorCode};
use ipnetwork::IpNetwork;

use crate::endpoint::{Endpoint, EndpointState, IpAddressType};

pub use settings::Surroundings;
pub use tags::RULE_EVALUATION_TAG;

/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 255;

fn invalid(parameter: &str, reason: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::InvalidParameterValue, format!("{parameter}: {reason}"))
}

fn missing(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::MissingParameter, message)
}

fn check_description(description: Option<&str>) -> Result<(), ApiError> {
    match description {
        Some(text) if text.chars().count() > MAX_DESCRIPTION => {
            let reason = format!("it has more than {MAX_DESCRIPTION} characters; shorten it");
            Err(invalid("Description", reason))
        }
        _ => Ok(()),
    }
}

/// Checks a network that clients are to reach through an endpoint that carries these families.
fn check_destination(parameter: &str, network: IpNetwork, traffic: IpAddressType) -> Result<(), ApiError> {
    if network.ip() != network.network() {
        let right = IpNetwork::new(network.network(), network.prefix()).unwrap_or(network);
        return Err(invalid(
            parameter,
            format!("{network} is not the address of a network; use {right}"),
        ));
    }
    if !traffic.has(network) {
        return Err(invalid(parameter, out_of_reach(traffic, network)));
    }
    Ok(())
}

/// Why an address or network can't be reached through an endpoint that carries these families.
fn out_of_reach(traffic: IpAddressType, what: impl std::fmt::Display) -> String {
    let carried = if traffic.v4() { "IPv4" } else { "IPv6" };
    format!("the endpoint carries {carried} only, so {what} can't be reached through it")
}

impl Endpoint {
    /// Refuses changes of an endpoint that is being deleted.
    fn check_alive(&self) -> Result<(), ApiError> {
        match self.state {
            EndpointState::Deleting => Err(ApiError::new(
                ErrorCode::IncorrectState,
                format!(
                    "The Client VPN endpoint {} is being deleted and can't be changed",
                    self.id
                ),
            )),
            EndpointState::PendingAssociate | EndpointState::Available => Ok(()),
        }
    }
}
