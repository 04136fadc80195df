//! Settings of an endpoint, each judged on its own, for creating and modifying alike.

use std::net::IpAddr;

use culvert_config::MAX_BANNER;
use culvert_query::{ApiError, ErrorCode};

use super::{invalid, missing, out_of_reach};
use crate::certificate::Certificate;
use crate::endpoint::{Banner, Endpoint, IpAddressType};
use crate::environment::{Environment, Vpc};
use crate::id::CertificateArn;
use crate::request::{BannerChange, EndpointSettings};

/// Most resolvers.
const MAX_DNS_SERVERS: usize = 2;
/// Ports there may be.
const VPN_PORTS: [u16; 2] = [443, 1194];
/// Sessions there may be, in hours.
const SESSION_TIMEOUTS: [u8; 4] = [8, 10, 12, 24];

/// What an endpoint refers to, and what it shares this machine with.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Networks, groups, directories and quotas.
    pub environment: &'a Environment,
    /// The certificates that were imported.
    pub certificates: &'a [Certificate],
    /// All endpoints, the one in question among them once it is there.
    pub endpoints: &'a [Endpoint],
}

impl Surroundings<'_> {
    /// The certificate with this ARN, if it was imported here.
    pub(super) fn certificate(&self, parameter: &str, arn: &str) -> Result<&Certificate, ApiError> {
        let environment = self.environment;
        let arn: CertificateArn = arn.parse().map_err(|error| invalid(parameter, error))?;
        if arn.region() != environment.region || arn.account() != environment.account_id {
            let reason = format!(
                "{arn} is not of the account {} in {}; import the certificate there",
                environment.account_id, environment.region
            );
            return Err(invalid(parameter, reason));
        }
        let mut certificates = self.certificates.iter();
        certificates
            .find(|certificate| certificate.arn == arn)
            .ok_or_else(|| {
                invalid(
                    parameter,
                    format!("there is no certificate {arn}; import it first"),
                )
            })
    }

    /// The ARN of the certificate that an endpoint is to show, if clients can trust it.
    pub(super) fn server_certificate(&self, arn: &str) -> Result<CertificateArn, ApiError> {
        const PARAMETER: &str = "ServerCertificateArn";
        let certificate = self.certificate(PARAMETER, arn)?;
        let refuse = |reason| invalid(PARAMETER, format!("{arn} can't be shown to clients: {reason}"));
        certificate.check_root().map_err(refuse)?;
        Ok(certificate.arn.clone())
    }

    pub(super) fn vpc(&self, id: &str) -> Result<&Vpc, ApiError> {
        self.environment.vpc(id).ok_or_else(|| {
            ApiError::new(
                ErrorCode::InvalidVpcIdNotFound,
                format!("The VPC {id:?} does not exist"),
            )
        })
    }
}

pub(super) fn dns_servers(servers: &[IpAddr], traffic: IpAddressType) -> Result<Vec<IpAddr>, ApiError> {
    if servers.len() > MAX_DNS_SERVERS {
        return Err(invalid(
            "DnsServers",
            format!("at most {MAX_DNS_SERVERS} servers are possible"),
        ));
    }
    if let Some(server) = servers.iter().find(|server| !traffic.has((**server).into())) {
        return Err(invalid("DnsServers", out_of_reach(traffic, server)));
    }
    Ok(servers.to_vec())
}

pub(super) fn vpn_port(port: i64) -> Result<u16, ApiError> {
    let mut ports = VPN_PORTS.into_iter();
    ports
        .find(|allowed| i64::from(*allowed) == port)
        .ok_or_else(|| invalid("VpnPort", format!("{port} is not possible; use 443 or 1194")))
}

pub(super) fn session_timeout_hours(hours: i64) -> Result<u8, ApiError> {
    let mut timeouts = SESSION_TIMEOUTS.into_iter();
    timeouts
        .find(|allowed| i64::from(*allowed) == hours)
        .ok_or_else(|| {
            invalid(
                "SessionTimeoutHours",
                format!("{hours} is not possible; use 8, 10, 12 or 24"),
            )
        })
}

/// The banner after a change.
pub(super) fn banner(before: &Banner, change: &BannerChange) -> Result<Banner, ApiError> {
    let after = Banner {
        enabled: change.enabled.unwrap_or(before.enabled),
        text: change.text.clone().or_else(|| before.text.clone()),
    };
    let text = after.text.as_deref().unwrap_or_default();
    if text.chars().count() > MAX_BANNER {
        let reason = format!("the text has more than {MAX_BANNER} characters; shorten it");
        return Err(invalid("ClientLoginBannerOptions.BannerText", reason));
    }
    if after.enabled && text.trim().is_empty() {
        return Err(missing(
            "You must specify ClientLoginBannerOptions.BannerText to enable the banner",
        ));
    }
    Ok(after)
}

/// Refuses what isn't served yet.
pub(super) fn check_supported(settings: &EndpointSettings) -> Result<(), ApiError> {
    let wanted = [
        (
            "SelfServicePortal",
            settings.self_service_portal == Some(true),
            "disabled",
        ),
        (
            "ClientRouteEnforcementOptions.Enforced",
            settings.route_enforcement == Some(true),
            "false",
        ),
    ];
    match wanted.into_iter().find(|(_, wanted, _)| *wanted) {
        Some((parameter, _, instead)) => Err(ApiError::new(
            ErrorCode::UnsupportedOperation,
            format!("{parameter} is not supported yet: set it to {instead}, or leave it out"),
        )),
        None => Ok(()),
    }
}
