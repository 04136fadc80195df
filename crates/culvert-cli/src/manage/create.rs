//! `culvert endpoint create`.

use std::net::IpAddr;

use clap::{Args, ValueEnum};

use super::api::{Api, ApiArguments};
use super::form::Form;
use super::model::Created;
use super::settings::Settings;
use super::{certificate, show};
use crate::output::Output;

/// Arguments of `culvert endpoint create`.
#[derive(Args)]
pub(crate) struct Create {
    /// IPv4 addresses for clients, /12 to /22; needed unless they get only IPv6; can't be changed later
    #[arg(long, value_name = "NETWORK")]
    client_cidr: Option<String>,
    /// Families of addresses that clients reach the endpoint over; can't be changed later
    #[arg(long, value_enum, value_name = "FAMILIES")]
    endpoint_ip_address_type: Option<IpAddressType>,
    /// Families of addresses that clients use inside; can't be changed later
    #[arg(long, value_enum, value_name = "FAMILIES")]
    traffic_ip_address_type: Option<IpAddressType>,
    /// Certificate the endpoint shows, by ARN, id or domain name
    #[arg(long, value_name = "CERTIFICATE")]
    server_certificate: String,
    /// Let in clients with a certificate of the authority that this certificate came with, by ARN, id or domain name
    #[arg(long, value_name = "CERTIFICATE")]
    client_root: Option<String>,
    /// Let in users of this directory, with user name and password
    #[arg(long, value_name = "ID")]
    directory: Option<String>,
    /// Let in users this SAML provider vouches for
    #[arg(long, value_name = "ARN")]
    saml_provider: Option<String>,
    /// SAML provider of the page where users get their profile
    #[arg(long, value_name = "ARN", requires = "saml_provider")]
    self_service_saml_provider: Option<String>,
    /// How clients connect; can't be changed later
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// DNS server clients use; may be given twice
    #[arg(long = "dns-server", value_name = "ADDRESS")]
    dns_servers: Vec<IpAddr>,
    /// Name of the endpoint, as its tag Name
    #[arg(long)]
    name: Option<String>,
    /// Further tag; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    api: ApiArguments,
}

/// How clients connect.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Transport {
    /// UDP: faster
    #[default]
    Udp,
    /// TCP: gets through where UDP does not
    Tcp,
}

impl Transport {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// Families of addresses.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum IpAddressType {
    /// IPv4
    Ipv4,
    /// IPv6
    Ipv6,
    /// Both
    DualStack,
}

impl IpAddressType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::DualStack => "dual-stack",
        }
    }
}

/// Reads a tag.
pub(crate) fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a tag is KEY=VALUE".to_owned()),
    }
}

impl Create {
    pub(crate) fn run(&self, output: &Output) -> anyhow::Result<()> {
        let api = self.api.open(output)?;
        let mut form = Form::new();
        form.add_some("ClientCidrBlock", self.client_cidr.as_deref());
        let outside = self.endpoint_ip_address_type.map(IpAddressType::name);
        form.add_some("EndpointIpAddressType", outside);
        let inside = self.traffic_ip_address_type.map(IpAddressType::name);
        form.add_some("TrafficIpAddressType", inside);
        form.add(
            "ServerCertificateArn",
            certificate::arn(&api, &self.server_certificate)?,
        );
        self.add_authentication(&mut form, &api)?;
        form.add("TransportProtocol", self.transport.name());
        form.add_list("DnsServers", &self.dns_servers);
        self.settings.add_to(&mut form, &api, None)?;
        if !self.settings.tell_log() {
            // The API wants to be told.
            form.add("ConnectionLogOptions.Enabled", false);
        }
        let name = self.name.iter().map(|name| ("Name", name.as_str()));
        let tags = self
            .tags
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        add_tags(&mut form, name.chain(tags).chain(self.settings.tag()));
        let created: Created = api.call("CreateClientVpnEndpoint", &form)?;
        show::done(output, &created, || {
            format!("created {} ({})", created.client_vpn_endpoint_id, created.status)
        })
    }

    fn add_authentication(&self, form: &mut Form, api: &Api) -> anyhow::Result<()> {
        let mut methods = 1u32..;
        let mut method = |form: &mut Form, kind: &str, member: &str, value: &str| {
            let at = methods.next().unwrap_or_default();
            form.add(&format!("Authentication.{at}.Type"), kind);
            form.add(&format!("Authentication.{at}.{member}"), value);
            at
        };
        if let Some(root) = &self.client_root {
            let arn = certificate::arn(api, root)?;
            let member = "MutualAuthentication.ClientRootCertificateChainArn";
            method(form, "certificate-authentication", member, &arn);
        }
        if let Some(id) = &self.directory {
            method(
                form,
                "directory-service-authentication",
                "ActiveDirectory.DirectoryId",
                id,
            );
        }
        if let Some(arn) = &self.saml_provider {
            let at = method(
                form,
                "federated-authentication",
                "FederatedAuthentication.SAMLProviderArn",
                arn,
            );
            let member = format!("Authentication.{at}.FederatedAuthentication.SelfServiceSAMLProviderArn");
            form.add_some(&member, self.self_service_saml_provider.as_deref());
        }
        anyhow::ensure!(
            methods.next() != Some(1),
            "say who may connect: --client-root for client certificates, --directory for passwords, or both"
        );
        Ok(())
    }
}

/// Adds the tags of a new endpoint.
pub(crate) fn add_tags<'a>(form: &mut Form, tags: impl Iterator<Item = (&'a str, &'a str)>) {
    for (at, (key, value)) in (1u32..).zip(tags) {
        if at == 1 {
            form.add("TagSpecification.1.ResourceType", "client-vpn-endpoint");
        }
        form.add(&format!("TagSpecification.1.Tag.{at}.Key"), key);
        form.add(&format!("TagSpecification.1.Tag.{at}.Value"), value);
    }
}
