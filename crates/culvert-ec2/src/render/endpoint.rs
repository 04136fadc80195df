//! An endpoint as XML.

use culvert_query::response::{Element, TimeFormat};
use culvert_service::{
    AuthenticationMethod, ClientConnect, ConnectionLog, Endpoint, Environment, IpAddressType, Transport,
};

use super::states::{endpoint_state, status};

/// The name an endpoint is reached by.
pub(crate) fn dns_name(environment: &Environment, endpoint: &Endpoint) -> String {
    let hosts = endpoint.hosts(environment);
    let first = hosts.into_iter().next();
    first.unwrap_or_else(|| environment.dns_name(&endpoint.id))
}

/// What an endpoint speaks outside.
pub(crate) const fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    }
}

/// Families of addresses.
const fn ip_address_type(families: IpAddressType) -> &'static str {
    match families {
        IpAddressType::Ipv4 => "ipv4",
        IpAddressType::Ipv6 => "ipv6",
        IpAddressType::DualStack => "dual-stack",
    }
}

/// The members of an endpoint.
pub(crate) fn endpoint(item: &mut Element<'_>, endpoint: &Endpoint, environment: &Environment) {
    item.text("clientVpnEndpointId", endpoint.id.as_str());
    item.optional_text("description", endpoint.description.as_deref());
    status(item, endpoint_state(endpoint.state));
    item.time("creationTime", endpoint.created, TimeFormat::Seconds);
    reached_by(item, endpoint, environment);
    network(item, endpoint);
    item.text("serverCertificateArn", &endpoint.server_certificate.to_string());
    item.list("authenticationOptions", &endpoint.authentication, authentication);
    connection_log(item, &endpoint.connection_log);
    item.list("tagSet", &endpoint.tags, |tag, (key, value)| {
        tag.text("key", key);
        tag.text("value", value);
    });
    item.text_list("securityGroupIdSet", &endpoint.security_group_ids);
    item.optional_text("vpcId", endpoint.vpc_id.as_deref());
    client_connect(item, &endpoint.client_connect);
    item.integer("sessionTimeoutHours", endpoint.session_timeout_hours);
    item.structure("clientLoginBannerOptions", |banner| {
        banner.boolean("enabled", endpoint.banner.enabled);
        banner.optional_text("bannerText", endpoint.banner.text.as_deref());
    });
    item.structure("clientRouteEnforcementOptions", |options| {
        options.boolean("enforced", endpoint.route_enforcement);
    });
    item.boolean(
        "disconnectOnSessionTimeout",
        endpoint.disconnect_on_session_timeout,
    );
    // No member of AWS's: SDKs leave it out, `culvert endpoint` shows it.
    if let Some(applied) = endpoint.applied {
        item.time("appliedAt", applied, TimeFormat::Millis);
    }
    item.text(
        "endpointIpAddressType",
        ip_address_type(endpoint.endpoint_ip_address_type),
    );
    item.text(
        "trafficIpAddressType",
        ip_address_type(endpoint.traffic_ip_address_type),
    );
}

/// `dnsName`: any label before a name of the endpoint's own leads to it.
fn reached_by(item: &mut Element<'_>, endpoint: &Endpoint, environment: &Environment) {
    let name = dns_name(environment, endpoint);
    let has_own_name = endpoint.hosts(environment).is_empty();
    let label = if has_own_name { "*." } else { "" };
    item.text("dnsName", &[label, &name].concat());
}

fn network(item: &mut Element<'_>, endpoint: &Endpoint) {
    let clients = endpoint.client_cidr_block.as_ref().map(ToString::to_string);
    item.optional_text("clientCidrBlock", clients.as_deref());
    let servers = endpoint.dns_servers.iter().map(ToString::to_string);
    item.text_list("dnsServer", servers);
    item.boolean("splitTunnel", endpoint.split_tunnel);
    item.text("vpnProtocol", "openvpn");
    item.text("transportProtocol", transport(endpoint.transport));
    item.integer("vpnPort", endpoint.vpn_port);
    item.list(
        "associatedTargetNetwork",
        &endpoint.associations,
        |network, association| {
            network.text("networkId", &association.subnet_id);
            network.text("networkType", "vpc");
        },
    );
}

fn authentication(item: &mut Element<'_>, method: &AuthenticationMethod) {
    match method {
        AuthenticationMethod::Certificate { client_root } => {
            item.text("type", "certificate-authentication");
            item.structure("mutualAuthentication", |mutual| {
                mutual.text("clientRootCertificateChain", &client_root.to_string());
            });
        }
        AuthenticationMethod::Directory { directory_id } => {
            item.text("type", "directory-service-authentication");
            item.structure("activeDirectory", |directory| {
                directory.text("directoryId", directory_id);
            });
        }
    }
}

/// The children keep capital initials: the API's model has it so.
fn connection_log(item: &mut Element<'_>, log: &ConnectionLog) {
    item.structure("connectionLogOptions", |options| match log {
        ConnectionLog::Off => options.boolean("Enabled", false),
        ConnectionLog::On { group, stream } => {
            options.boolean("Enabled", true);
            options.text("CloudwatchLogGroup", group);
            options.text("CloudwatchLogStream", stream);
        }
    });
}

/// With a status always: whoever changed the handler waits until that is `applied`.
fn client_connect(item: &mut Element<'_>, connect: &ClientConnect) {
    item.structure("clientConnectOptions", |options| {
        let applied = match connect {
            ClientConnect::Off => {
                options.boolean("enabled", false);
                true
            }
            ClientConnect::On { function, applied } => {
                options.boolean("enabled", true);
                options.text("lambdaFunctionArn", function);
                *applied
            }
        };
        options.structure("status", |status| {
            status.text("code", if applied { "applied" } else { "applying" });
        });
    });
}
