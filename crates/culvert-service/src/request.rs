//! What callers ask for. Values are syntactically right; whether they make sense is judged by the service.

use std::collections::BTreeMap;
use std::net::IpAddr;

use culvert_policy::Service;
use culvert_query::idempotency::{ClientToken, Fingerprint};
use ipnetwork::{IpNetwork, Ipv4Network};
use time::OffsetDateTime;

use crate::certificate::PrivateKeyPem;
use crate::endpoint::{IpAddressType, Transport};
use crate::id::CertificateArn;
use crate::parts::Access;

/// A request that may be the repetition of one that took effect already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The client's token.
    pub token: ClientToken,
    /// What is asked for.
    pub fingerprint: Fingerprint,
}

/// An endpoint that is wished for. `None` is what the caller left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateEndpoint {
    /// The families of addresses it is reached over.
    pub endpoint_ip_address_type: Option<IpAddressType>,
    /// The families of addresses it carries.
    pub traffic_ip_address_type: Option<IpAddressType>,
    /// Where clients' IPv4 addresses come from.
    pub client_cidr_block: Option<Ipv4Network>,
    /// ARN of the server certificate, as it was given.
    pub server_certificate_arn: String,
    /// Authentication methods in the order given.
    pub authentication: Vec<AuthenticationRequest>,
    /// Resolvers.
    pub dns_servers: Vec<IpAddr>,
    /// Transport.
    pub transport: Option<Transport>,
    /// What may be modified later.
    pub settings: EndpointSettings,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// One `Authentication.N` of a request, with whatever sub-structures it came with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthenticationRequest {
    /// `certificate-authentication`, `directory-service-authentication` or `federated-authentication`.
    pub kind: String,
    /// `ActiveDirectory.DirectoryId`.
    pub directory_id: Option<String>,
    /// `MutualAuthentication.ClientRootCertificateChainArn`.
    pub client_root_certificate_chain_arn: Option<String>,
    /// `FederatedAuthentication.SAMLProviderArn`.
    pub saml_provider_arn: Option<String>,
    /// `FederatedAuthentication.SelfServiceSAMLProviderArn`.
    pub self_service_saml_provider_arn: Option<String>,
}

/// Changes of an endpoint. `None` leaves a setting as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModifyEndpoint {
    /// ARN of the server certificate.
    pub server_certificate_arn: Option<String>,
    /// Resolvers: `Some` of an empty list removes them.
    pub dns_servers: Option<Vec<IpAddr>>,
    /// The rest.
    pub settings: EndpointSettings,
}

/// Settings that are given in the same way when an endpoint is made and when it is modified. `None` is what the caller
/// left out: the default, or what it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSettings {
    /// Connection log.
    pub connection_log: LogChange,
    /// Port.
    pub vpn_port: Option<i64>,
    /// Text for people; empty: none.
    pub description: Option<String>,
    /// Split tunnel.
    pub split_tunnel: Option<bool>,
    /// VPC.
    pub vpc_id: Option<String>,
    /// Security groups; empty: not given, so the VPC's default group if a VPC is.
    pub security_group_ids: Vec<String>,
    /// Self-service portal.
    pub self_service_portal: Option<bool>,
    /// Connect handler.
    pub client_connect: ConnectChange,
    /// Longest session.
    pub session_timeout_hours: Option<i64>,
    /// Banner.
    pub banner: BannerChange,
    /// Client route enforcement.
    pub route_enforcement: Option<bool>,
    /// What a session timeout means.
    pub disconnect_on_session_timeout: Option<bool>,
}

/// `ConnectionLogOptions`, as far as given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogChange {
    /// `Enabled`.
    pub enabled: Option<bool>,
    /// `CloudwatchLogGroup`.
    pub group: Option<String>,
    /// `CloudwatchLogStream`.
    pub stream: Option<String>,
    /// What the name of a stream is made of where none is given.
    pub naming: StreamNaming,
}

/// What the name of a stream is made of where none is given, besides the endpoint's id and the region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamNaming {
    /// The day.
    pub now: OffsetDateTime,
    /// Random bytes.
    pub random: [u8; 12],
}

impl Default for StreamNaming {
    fn default() -> Self {
        Self {
            now: OffsetDateTime::UNIX_EPOCH,
            random: [0; 12],
        }
    }
}

/// `ClientConnectOptions`, as far as given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectChange {
    /// `Enabled`.
    pub enabled: Option<bool>,
    /// `LambdaFunctionArn`.
    pub function: Option<String>,
}

/// `ClientLoginBannerOptions`, as far as given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BannerChange {
    /// `Enabled`.
    pub enabled: Option<bool>,
    /// `BannerText`.
    pub text: Option<String>,
}

/// A route that is wished for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRoute {
    /// The destination.
    pub destination: IpNetwork,
    /// `TargetVpcSubnetId`: a subnet, or `local`.
    pub target: Option<String>,
    /// Text for people.
    pub description: Option<String>,
}

/// An authorization rule that is wished for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRequest {
    /// The network.
    pub destination: IpNetwork,
    /// Who may reach it.
    pub access: Access,
    /// What it is limited to; empty: everything.
    pub services: Vec<Service>,
    /// Text for people.
    pub description: Option<String>,
}

/// A certificate to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportCertificate {
    /// The one to be replaced; `None`: a new one.
    pub arn: Option<CertificateArn>,
    /// The certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub private_key: PrivateKeyPem,
    /// What issued it, PEM.
    pub chain: String,
    /// Tags, only for a new one.
    pub tags: BTreeMap<String, String>,
}
