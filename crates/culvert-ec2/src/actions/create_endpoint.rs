//! `CreateClientVpnEndpoint`.

use culvert_query::ApiError;
use culvert_query::params::{Group, ParamError};
use culvert_service::{
    AuthenticationRequest, CreateEndpoint, Endpoint, EndpointId, IpAddressType, ServiceError, Surroundings,
    Transport,
};
use ipnetwork::{IpNetwork, Ipv4Network};

use super::settings;
use super::tags::specified;
use crate::form::{addresses, filled, optional_network};
use crate::render::{self, status};
use crate::task::Task;

/// What endpoints are called where tags are given.
pub(super) const RESOURCE_TYPE: &str = "client-vpn-endpoint";
/// Families of addresses.
const FAMILIES: &[(&str, IpAddressType)] = &[
    ("ipv4", IpAddressType::Ipv4),
    ("ipv6", IpAddressType::Ipv6),
    ("dual-stack", IpAddressType::DualStack),
];

/// Creates an endpoint.
pub(crate) fn create(task: &Task<'_>) -> Result<Vec<u8>, ServiceError> {
    let mut request = read(&task.form)?;
    task.call.name_stream(&mut request.settings.connection_log);
    let repeat = task.repeat()?;
    task.ready()?;
    let id = EndpointId::from_random(task.call.id_bytes());
    let endpoint = task.ec2.registry.add(task.once(repeat.as_ref()), |endpoints| {
        // Read each time: only then they are as of the moment the endpoint is added.
        let certificates = task.ec2.certificates.list()?;
        let environment = task.surroundings()?;
        let surroundings = Surroundings {
            environment: &environment,
            certificates: &certificates,
            endpoints,
        };
        Endpoint::create(&request, surroundings, id.clone(), task.call.now).map_err(ServiceError::from)
    })?;
    task.answer(|root| {
        root.text("clientVpnEndpointId", endpoint.id.as_str());
        status(root, render::endpoint_state(endpoint.state));
        root.text("dnsName", &render::dns_name(&task.environment, &endpoint));
    })
}

fn read(form: &Group<'_>) -> Result<CreateEndpoint, ApiError> {
    if form.group("ConnectionLogOptions").is_none() {
        return Err(form.missing("ConnectionLogOptions").into());
    }
    Ok(CreateEndpoint {
        endpoint_ip_address_type: form.choice("EndpointIpAddressType", FAMILIES)?,
        traffic_ip_address_type: form.choice("TrafficIpAddressType", FAMILIES)?,
        client_cidr_block: client_cidr_block(form)?,
        server_certificate_arn: form.required("ServerCertificateArn")?.to_owned(),
        authentication: authentication(form)?,
        dns_servers: addresses(form, "DnsServers")?,
        transport: form.choice(
            "TransportProtocol",
            &[("udp", Transport::Udp), ("tcp", Transport::Tcp)],
        )?,
        settings: settings::read(form)?,
        tags: specified(form, RESOURCE_TYPE)?,
    })
}

fn client_cidr_block(form: &Group<'_>) -> Result<Option<Ipv4Network>, ParamError> {
    const MEMBER: &str = "ClientCidrBlock";
    match optional_network(form, MEMBER)? {
        None => Ok(None),
        Some(IpNetwork::V4(block)) => Ok(Some(block)),
        Some(IpNetwork::V6(_)) => Err(form.invalid(MEMBER, "It must be an IPv4 network")),
    }
}

fn authentication(form: &Group<'_>) -> Result<Vec<AuthenticationRequest>, ParamError> {
    let methods = form.groups("Authentication");
    if methods.is_empty() {
        return Err(form.missing("Authentication"));
    }
    methods.iter().map(method).collect()
}

fn method(form: &Group<'_>) -> Result<AuthenticationRequest, ParamError> {
    let within = |structure: &str, member: &str| {
        let structure = form.group(structure)?;
        filled(&structure, member)
    };
    Ok(AuthenticationRequest {
        kind: form.required("Type")?.to_owned(),
        directory_id: within("ActiveDirectory", "DirectoryId"),
        client_root_certificate_chain_arn: within("MutualAuthentication", "ClientRootCertificateChainArn"),
        saml_provider_arn: within("FederatedAuthentication", "SAMLProviderArn"),
        self_service_saml_provider_arn: within("FederatedAuthentication", "SelfServiceSAMLProviderArn"),
    })
}
