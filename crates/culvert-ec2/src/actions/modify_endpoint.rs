//! `ModifyClientVpnEndpoint`. What can't be changed after creation is no parameter of this action.

use std::net::IpAddr;

use culvert_query::params::Group;
use culvert_query::{ApiError, ErrorCode};
use culvert_service::{ModifyEndpoint, ServiceError, Surroundings};

use super::settings;
use crate::form::{addresses, filled};
use crate::task::Task;

/// Changes what is given.
pub(crate) fn modify(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let id = task.endpoint_id()?;
    let mut change = read(&task.form)?;
    task.call.name_stream(&mut change.settings.connection_log);
    task.ready()?;
    task.ec2
        .registry
        .change(task.once(None), id, |endpoint, endpoints| {
            // Read each time: only then they are as of the moment the endpoint is changed.
            let certificates = task.ec2.certificates.list()?;
            let environment = task.surroundings()?;
            let surroundings = Surroundings {
                environment: &environment,
                certificates: &certificates,
                endpoints,
            };
            endpoint.modify(&change, surroundings).map_err(ServiceError::from)
        })?;
    task.done()
}

fn read(form: &Group<'_>) -> Result<ModifyEndpoint, ApiError> {
    Ok(ModifyEndpoint {
        server_certificate_arn: filled(form, "ServerCertificateArn"),
        dns_servers: dns_servers(form)?,
        settings: settings::read(form)?,
    })
}

/// `DnsServers`, here a structure: a switch, and the servers if it is on.
fn dns_servers(form: &Group<'_>) -> Result<Option<Vec<IpAddr>>, ApiError> {
    const MEMBER: &str = "CustomDnsServers";
    let Some(options) = form.group("DnsServers") else {
        return Ok(None);
    };
    let servers = addresses(&options, MEMBER)?;
    match options.boolean("Enabled")? {
        Some(true) if servers.is_empty() => Err(options.missing(MEMBER).into()),
        Some(true) => Ok(Some(servers)),
        Some(false) if servers.is_empty() => Ok(Some(servers)),
        // Whatever else there is, `finish` names it.
        None if servers.is_empty() => Ok(None),
        Some(false) | None => {
            let message = format!(
                "{} goes only with {}=true",
                options.full_name(MEMBER),
                options.full_name("Enabled")
            );
            Err(ApiError::new(ErrorCode::InvalidParameterCombination, message))
        }
    }
}
