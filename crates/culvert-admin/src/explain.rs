//! Why a client may reach a destination, or may not.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::message::KillTarget;
use crate::types::ClientInfo;

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainRequest {
    /// Only on this endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Which client; it must be one only.
    pub client: KillTarget,
    /// What it wants to reach.
    pub destination: IpAddr,
    /// With which protocol; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
}

/// What is spoken with a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// TCP to this port.
    Tcp(u16),
    /// UDP to this port.
    Udp(u16),
    /// ICMP.
    Icmp,
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is no service; write 443/tcp, 53/udp or icmp");
        if text == "icmp" {
            return Ok(Self::Icmp);
        }
        let (port, protocol) = text.split_once('/').ok_or_else(refused)?;
        let port = port.parse().map_err(|_| refused())?;
        match protocol {
            "tcp" => Ok(Self::Tcp(port)),
            "udp" => Ok(Self::Udp(port)),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(port) => write!(f, "{port}/tcp"),
            Self::Udp(port) => write!(f, "{port}/udp"),
            Self::Icmp => f.write_str("icmp"),
        }
    }
}

/// The explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The client.
    pub client: ClientInfo,
    /// Whether it may begin to talk with the destination.
    pub allowed: bool,
    /// What was looked at, in this order, up to what decided.
    pub steps: Vec<ExplainStep>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainStep {
    /// `route`, `rule` or `security groups`.
    pub what: String,
    /// Whether it lets the client pass.
    pub passes: bool,
    /// Why, for a person.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_written_as_they_are_read() {
        for text in ["443/tcp", "53/udp", "icmp"] {
            assert_eq!(text.parse::<Service>().unwrap().to_string(), text);
        }
        for text in ["", "tcp", "443", "443/sctp", "70000/tcp", "-1/udp", "/tcp"] {
            assert!(text.parse::<Service>().unwrap_err().contains("443/tcp"), "{text}");
        }
    }
}
