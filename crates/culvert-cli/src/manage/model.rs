//! What the API answers with, as far as commands show it. Read by the API's names, written as JSON by the SDKs' in
//! lower_snake_case. Members an older or newer daemon leaves out are absent, ones it adds are ignored.
//!
//! Source: Amazon EC2 API Reference, API version 2016-11-15.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::xml::items;

/// Declares types that are read from the API's names and written in lower_snake_case.
macro_rules! members {
    ($($(#[$about:meta])* $name:ident { $($(#[$member:meta])* $field:ident: $kind:ty,)* })*) => { $(
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all(deserialize = "camelCase", serialize = "snake_case"))]
        pub(crate) struct $name { $($(#[$member])* pub(crate) $field: $kind,)* }
    )* };
}

/// Declares answers that hold a part of a list.
macro_rules! pages {
    ($($name:ident: $list:literal of $item:ty;)*) => { $(
        #[derive(Deserialize)]
        pub(crate) struct $name {
            #[serde(rename = $list, default = "Vec::new", deserialize_with = "items")]
            found: Vec<$item>,
            #[serde(rename = "nextToken", default)]
            next: Option<String>,
        }

        impl Page for $name {
            type Item = $item;

            fn split(self) -> (Vec<$item>, Option<String>) {
                (self.found, self.next)
            }
        }
    )* };
}

/// An answer that holds a part of a list.
pub(crate) trait Page: DeserializeOwned {
    type Item;

    /// The items, and the token that asks for those behind them.
    fn split(self) -> (Vec<Self::Item>, Option<String>);
}

pages! {
    Endpoints: "clientVpnEndpoint" of Endpoint;
    Networks: "clientVpnTargetNetworks" of Network;
    Routes: "routes" of Route;
    Rules: "authorizationRule" of Rule;
    Connections: "connections" of Connection;
    SecurityGroups: "securityGroupInfo" of SecurityGroup;
    Subnets: "subnetSet" of Subnet;
    Vpcs: "vpcSet" of Vpc;
}

members! {
    /// Where something is in its life.
    Status {
        code: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    }
    Tag {
        key: String,
        #[serde(default)]
        value: String,
    }
    Endpoint {
        client_vpn_endpoint_id: String,
        #[serde(default)]
        description: Option<String>,
        status: Status,
        #[serde(default)]
        creation_time: Option<String>,
        #[serde(default)]
        applied_at: Option<String>,
        dns_name: String,
        #[serde(default)]
        client_cidr_block: Option<String>,
        #[serde(rename(deserialize = "dnsServer"), default, deserialize_with = "items")]
        dns_servers: Vec<String>,
        #[serde(default)]
        split_tunnel: bool,
        transport_protocol: String,
        vpn_port: u16,
        #[serde(rename(deserialize = "associatedTargetNetwork"), default, deserialize_with = "items")]
        associated_target_networks: Vec<TargetNetwork>,
        server_certificate_arn: String,
        #[serde(default, deserialize_with = "items")]
        authentication_options: Vec<Authentication>,
        #[serde(default)]
        connection_log_options: Option<LogOptions>,
        #[serde(rename(deserialize = "tagSet"), default, deserialize_with = "items")]
        tags: Vec<Tag>,
        #[serde(rename(deserialize = "securityGroupIdSet"), default, deserialize_with = "items")]
        security_group_ids: Vec<String>,
        #[serde(default)]
        vpc_id: Option<String>,
        #[serde(default)]
        self_service_portal_url: Option<String>,
        #[serde(default)]
        client_connect_options: Option<ConnectOptions>,
        #[serde(default)]
        session_timeout_hours: Option<u32>,
        #[serde(default)]
        disconnect_on_session_timeout: Option<bool>,
        #[serde(default)]
        client_login_banner_options: Option<BannerOptions>,
        #[serde(default)]
        client_route_enforcement_options: Option<RouteEnforcement>,
        #[serde(default)]
        endpoint_ip_address_type: Option<String>,
        #[serde(default)]
        traffic_ip_address_type: Option<String>,
    }
    TargetNetwork {
        network_id: String,
        network_type: String,
    }
    Authentication {
        r#type: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        active_directory: Option<ActiveDirectory>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mutual_authentication: Option<MutualAuthentication>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        federated_authentication: Option<FederatedAuthentication>,
    }
    ActiveDirectory {
        directory_id: String,
    }
    MutualAuthentication {
        client_root_certificate_chain: String,
    }
    FederatedAuthentication {
        saml_provider_arn: String,
        #[serde(default)]
        self_service_saml_provider_arn: Option<String>,
    }
    ConnectOptions {
        enabled: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lambda_function_arn: Option<String>,
        status: Status,
    }
    BannerOptions {
        enabled: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        banner_text: Option<String>,
    }
    RouteEnforcement {
        enforced: bool,
    }
    /// An association with a target network.
    Network {
        association_id: String,
        client_vpn_endpoint_id: String,
        target_network_id: String,
        vpc_id: String,
        status: Status,
        #[serde(default, deserialize_with = "items")]
        security_groups: Vec<String>,
    }
    Route {
        client_vpn_endpoint_id: String,
        destination_cidr: String,
        target_subnet: String,
        #[serde(default)]
        r#type: Option<String>,
        origin: String,
        status: Status,
        #[serde(default)]
        description: Option<String>,
    }
    /// An authorization rule.
    Rule {
        client_vpn_endpoint_id: String,
        destination_cidr: String,
        access_all: bool,
        #[serde(default)]
        group_id: String,
        /// What it is limited to; none: everything.
        #[serde(rename(deserialize = "culvertServiceSet"), default, deserialize_with = "items")]
        services: Vec<String>,
        status: Status,
        #[serde(default)]
        description: Option<String>,
    }
    Connection {
        client_vpn_endpoint_id: String,
        connection_id: String,
        #[serde(default)]
        username: Option<String>,
        #[serde(default)]
        common_name: Option<String>,
        #[serde(default)]
        client_ip: Option<String>,
        #[serde(default)]
        client_ipv6_address: Option<String>,
        connection_established_time: String,
        #[serde(default)]
        connection_end_time: Option<String>,
        ingress_bytes: u64,
        egress_bytes: u64,
        ingress_packets: u64,
        egress_packets: u64,
        status: Status,
    }
    Termination {
        connection_id: String,
        previous_status: Status,
        current_status: Status,
    }
    SecurityGroup {
        group_id: String,
        group_name: String,
        #[serde(rename(deserialize = "groupDescription"))]
        description: String,
        vpc_id: String,
        #[serde(default, deserialize_with = "items")]
        ip_permissions_egress: Vec<Permission>,
        #[serde(default, deserialize_with = "items")]
        ip_permissions: Vec<Permission>,
        #[serde(rename(deserialize = "tagSet"), default, deserialize_with = "items")]
        tags: Vec<Tag>,
    }
    /// What a security group lets through.
    Permission {
        ip_protocol: String,
        #[serde(default)]
        from_port: Option<i32>,
        #[serde(default)]
        to_port: Option<i32>,
        #[serde(default, deserialize_with = "items")]
        ip_ranges: Vec<Range>,
        #[serde(default, deserialize_with = "items")]
        ipv6_ranges: Vec<Ipv6Range>,
    }
    Range {
        cidr_ip: String,
    }
    Ipv6Range {
        cidr_ipv6: String,
    }
    Subnet {
        subnet_id: String,
        vpc_id: String,
    }
    Vpc {
        vpc_id: String,
        #[serde(default, deserialize_with = "items")]
        cidr_block_association_set: Vec<VpcBlock>,
    }
    VpcBlock {
        cidr_block: String,
    }
    /// The answer to the creation of an endpoint.
    Created {
        client_vpn_endpoint_id: String,
        status: Status,
        dns_name: String,
    }
    /// The answer about an association.
    Associated {
        association_id: String,
        status: Status,
    }
    /// The answer of actions that tell nothing but a state.
    Changed {
        status: Status,
    }
    Terminated {
        client_vpn_endpoint_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        username: Option<String>,
        #[serde(default, deserialize_with = "items")]
        connection_statuses: Vec<Termination>,
    }
    Applied {
        #[serde(default, deserialize_with = "items")]
        security_group_ids: Vec<String>,
    }
    RevocationList {
        #[serde(default)]
        certificate_revocation_list: String,
        #[serde(default)]
        status: Option<Status>,
    }
    Configuration {
        client_configuration: String,
    }
    /// The answer of actions that tell nothing.
    Done {
        r#return: bool,
    }
}

/// How connections are logged. The API capitalizes these members.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase", serialize = "snake_case"))]
pub(crate) struct LogOptions {
    pub(crate) enabled: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cloudwatch_log_group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cloudwatch_log_stream: Option<String>,
}

impl Endpoint {
    /// The value of its tag `Name`.
    pub(crate) fn name(&self) -> Option<&str> {
        let tag = self.tags.iter().find(|tag| tag.key == "Name");
        tag.map(|tag| tag.value.as_str())
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.message.as_deref() {
            Some(message) if !message.is_empty() => write!(f, "{}: {message}", self.code),
            _ => f.write_str(&self.code),
        }
    }
}

impl std::fmt::Display for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mutual = self.mutual_authentication.as_ref();
        let what = mutual.map(|mutual| &mutual.client_root_certificate_chain);
        let directory = self.active_directory.as_ref();
        let what = what.or_else(|| directory.map(|directory| &directory.directory_id));
        let federated = self.federated_authentication.as_ref();
        match what.or_else(|| federated.map(|federated| &federated.saml_provider_arn)) {
            Some(what) => write!(f, "{} ({what})", self.r#type),
            None => f.write_str(&self.r#type),
        }
    }
}
