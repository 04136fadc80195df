//! `culvert endpoint`: endpoints, from their creation to their end.

use std::net::IpAddr;

use clap::{Args, Subcommand};

use super::api::{Api, ApiArguments};
use super::certificate;
use super::create::Create;
use super::error::ManageError;
use super::filters::Filters;
use super::form::Form;
use super::model::{Changed, Done, Endpoint, Endpoints as Page};
use super::network;
use super::quickstart::Quickstart;
use super::settings::Settings;
use super::wait::{Progress, settled};
use super::{resolve, show};
use crate::output::{Output, table};

/// Commands on endpoints.
#[derive(Subcommand)]
#[command(
    after_help = "ENDPOINT is an id (cvpn-endpoint-...), the value of a tag Name, or a description that only one has."
)]
pub(crate) enum Endpoints {
    /// Make an endpoint from files with one command: certificates, network, authorization, profile
    Quickstart(Box<Quickstart>),
    /// Create an endpoint; clients can connect when a network is associated
    Create(Box<Create>),
    /// List the endpoints
    List {
        #[command(flatten)]
        filters: Filters,
        #[command(flatten)]
        api: ApiArguments,
    },
    /// Show everything about an endpoint
    Show {
        /// The endpoint
        endpoint: String,
        #[command(flatten)]
        api: ApiArguments,
    },
    /// Change settings of an endpoint; what is not given stays
    Modify(Box<Modify>),
    /// Delete an endpoint
    Delete {
        /// The endpoint
        endpoint: String,
        /// Take its networks away first; without this, an endpoint with networks is left alone
        #[arg(long)]
        disassociate: bool,
        /// Wait until it is gone
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        api: ApiArguments,
    },
}

/// Arguments of `culvert endpoint modify`.
#[derive(Args)]
pub(crate) struct Modify {
    /// The endpoint
    endpoint: String,
    /// Certificate the endpoint shows, by ARN, id or domain name; ends all sessions
    #[arg(long, value_name = "CERTIFICATE")]
    server_certificate: Option<String>,
    /// DNS server clients use, in place of those before; may be given twice
    #[arg(long = "dns-server", value_name = "ADDRESS")]
    dns_servers: Vec<IpAddr>,
    /// Give clients no DNS servers
    #[arg(long, conflicts_with = "dns_servers")]
    no_dns_servers: bool,
    /// Wait until a changed connect handler is in force
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    api: ApiArguments,
}

impl Endpoints {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        match self {
            Self::Quickstart(arguments) => arguments.run(output),
            Self::Create(arguments) => arguments.run(output),
            Self::List { filters, api } => {
                let form = filters.apply(Form::new());
                let all = api.open(output)?.list::<Page>(DESCRIBE, &form)?;
                show::list(output, "client_vpn_endpoints", "endpoints", &all, rows)
            }
            Self::Show { endpoint, api } => {
                let api = api.open(output)?;
                let found = one(&api, &resolve::endpoint(&api, endpoint)?)?;
                output.emit(&serde_json::json!(found), || details(&found))
            }
            Self::Modify(arguments) => arguments.run(output),
            Self::Delete {
                endpoint,
                disassociate,
                wait,
                api,
            } => {
                let api = api.open(output)?;
                let id = resolve::endpoint(&api, endpoint)?;
                if *disassociate {
                    network::disassociate_all(&api, output, &id)?;
                }
                let answer: Changed = api.call("DeleteClientVpnEndpoint", &Form::of(&id))?;
                if *wait {
                    gone(&api, output, &id)?;
                }
                show::going(output, &answer, &id, &answer.status, *wait)
            }
        }
    }
}

const DESCRIBE: &str = "DescribeClientVpnEndpoints";

/// The endpoint with this id.
pub(crate) fn one(api: &Api, id: &str) -> Result<Endpoint, ManageError> {
    let form = Form::new().with("ClientVpnEndpointId.1", id);
    let mut found = api.list::<Page>(DESCRIBE, &form)?;
    if found.len() == 1 {
        return Ok(found.remove(0));
    }
    Err(ManageError::Malformed {
        action: DESCRIBE.to_owned(),
        reason: format!("one endpoint was asked for, {} came", found.len()),
    })
}

fn gone(api: &Api, output: &Output, id: &str) -> Result<(), ManageError> {
    settled(output, id, || match one(api, id) {
        Ok(endpoint) => Ok(Progress::away(Some(&endpoint.status))),
        Err(error) if error.is_not_found() => Ok(Progress::Settled),
        Err(error) => Err(error),
    })
}

impl Modify {
    fn run(&self, output: &Output) -> anyhow::Result<()> {
        let api = self.api.open(output)?;
        let id = resolve::endpoint(&api, &self.endpoint)?;
        let mut form = Form::of(&id);
        if let Some(name) = &self.server_certificate {
            form.add("ServerCertificateArn", certificate::arn(&api, name)?);
        }
        if self.no_dns_servers || !self.dns_servers.is_empty() {
            form.add("DnsServers.Enabled", !self.no_dns_servers);
            form.add_list("DnsServers.CustomDnsServers", &self.dns_servers);
        }
        let vpc = one(&api, &id)?.vpc_id;
        self.settings.add_to(&mut form, &api, vpc.as_deref())?;
        let done: Done = api.call("ModifyClientVpnEndpoint", &form)?;
        if let Some((key, value)) = self.settings.tag() {
            let form = Form::new().with("ResourceId.1", &id);
            let form = form.with("Tag.1.Key", key).with("Tag.1.Value", value);
            api.call::<Done>("CreateTags", &form)?;
        }
        if self.wait && self.settings.tell_handler() {
            settled(output, &format!("the connect handler of {id}"), || {
                let options = one(&api, &id)?.client_connect_options;
                let status = options.map(|options| options.status);
                Ok(status.map_or(Progress::Settled, |status| {
                    Progress::toward("applied", &[], &status)
                }))
            })?;
        }
        show::done(output, &done, || format!("modified {id}"))
    }
}

fn rows(all: &[Endpoint]) -> String {
    let row = |one: &Endpoint| {
        vec![
            one.client_vpn_endpoint_id.clone(),
            show::cell(one.name().or(one.description.as_deref())),
            show::state(&one.status),
            show::cell(one.client_cidr_block.as_deref()),
            format!("{}/{}", one.transport_protocol, one.vpn_port),
            one.associated_target_networks.len().to_string(),
            one.dns_name.clone(),
        ]
    };
    table(
        &[
            "ENDPOINT",
            "NAME",
            "STATUS",
            "CLIENTS",
            "TRANSPORT",
            ">NETWORKS",
            "DNS NAME",
        ],
        all.iter().map(row),
    )
}

/// Everything about an endpoint, a line each.
pub(super) fn details(one: &Endpoint) -> String {
    let some = |texts: Vec<String>| Some(texts.join(", ")).filter(|text| !text.is_empty());
    let flag = |on: bool| Some(if on { "yes" } else { "no" }.to_owned());
    let networks = one.associated_target_networks.iter();
    let log = one
        .connection_log_options
        .as_ref()
        .map(|log| match (&log.cloudwatch_log_group, log.enabled) {
            (Some(group), true) => format!(
                "{group} / {}",
                log.cloudwatch_log_stream.as_deref().unwrap_or("-")
            ),
            _ => "no".to_owned(),
        });
    let handler = one
        .client_connect_options
        .as_ref()
        .map(|options| match &options.lambda_function_arn {
            Some(arn) if options.enabled => format!("{arn} ({})", options.status),
            _ => "no".to_owned(),
        });
    let banner = one.client_login_banner_options.as_ref();
    let banner = banner
        .filter(|banner| banner.enabled)
        .and_then(|banner| banner.banner_text.clone());
    show::facts(&[
        ("endpoint", Some(one.client_vpn_endpoint_id.clone())),
        ("description", one.description.clone()),
        ("status", Some(show::state(&one.status))),
        ("created", one.creation_time.clone()),
        (
            "applied at",
            Some(one.applied_at.clone().unwrap_or_else(|| "not yet".to_owned())),
        ),
        ("dns name", Some(one.dns_name.clone())),
        ("clients", one.client_cidr_block.clone()),
        ("address types outside", one.endpoint_ip_address_type.clone()),
        ("address types inside", one.traffic_ip_address_type.clone()),
        (
            "transport",
            Some(format!("{}, port {}", one.transport_protocol, one.vpn_port)),
        ),
        (
            "authentication",
            some(
                one.authentication_options
                    .iter()
                    .map(|way| way.to_string())
                    .collect(),
            ),
        ),
        ("server certificate", Some(one.server_certificate_arn.clone())),
        (
            "networks",
            some(networks.map(|network| network.network_id.clone()).collect()),
        ),
        ("vpc", one.vpc_id.clone()),
        ("security groups", some(one.security_group_ids.clone())),
        ("dns servers", some(one.dns_servers.clone())),
        ("split tunnel", flag(one.split_tunnel)),
        (
            "session timeout",
            one.session_timeout_hours.map(|hours| format!("{hours} hours")),
        ),
        (
            "disconnect on session timeout",
            one.disconnect_on_session_timeout.and_then(flag),
        ),
        ("connection log", log),
        ("connect handler", handler),
        ("banner", banner),
        (
            "route enforcement",
            one.client_route_enforcement_options
                .as_ref()
                .and_then(|options| flag(options.enforced)),
        ),
        ("self-service portal", one.self_service_portal_url.clone()),
        (
            "tags",
            some(
                one.tags
                    .iter()
                    .map(|tag| format!("{}={}", tag.key, tag.value))
                    .collect(),
            ),
        ),
    ])
}
