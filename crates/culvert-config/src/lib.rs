//! The configuration file `culvert.toml`: read once, checked whole, every problem named with its line,
//! column and cure.
//!
//! [`Config`] holds what concerns the daemon and one [`EndpointConfig`] for each `[[endpoint]]`. The latter
//! does not depend on the file: whoever manages endpoints some other way fills an [`EndpointSpec`] and calls
//! [`EndpointSpec::validate`].
//!
//! Secrets of a file are named by path only and not read while it is checked.

#![forbid(unsafe_code)]

mod config;
mod endpoint;
mod environment;
mod error;
mod packets;
mod push;
mod read;

pub use config::{Config, DEFAULT_PATH, Log, LogFormat};
pub use culvert_connection_log::Rotation;
pub use endpoint::{
    AuthToken, Authentication, CertificateGroups, CertificatePolicy, ClientCertificates, Combine,
    ConnectHandler, ConnectionLog, ControlChannel, DEFAULT_VPN_PORT, DataCipher, Digest, EndpointConfig,
    EndpointSpec, ExternalCommand, FUNCTION_PREFIX, HandlerTarget, Keepalive, KeyDirection, LogGroup,
    LogSink, MAX_BANNER, MAX_DNS_SERVERS, MAX_DOMAINS, MAX_SERVICES, Mssfix, NatRule, PasswordCheck, Pem,
    RULE_EVALUATIONS, Route, StaticClient, StaticKeyWrap, TargetNetwork, TlsAuth, TlsCryptV2, TlsVersion,
    TransportProtocols, VerifyX509Name, overlap,
};
pub use environment::{
    Account, Api, ApiCertificate, Directory, EgressRule, Environment, IpProtocol, ListenAddress, PortRange,
    Quotas, Resets, SecurityGroup, Subnet, UNIQUE_LOCAL, Vpc,
};
pub use error::{ConfigError, FieldProblem, Problem, Report};
pub use packets::{DEFAULT_MODERATION, MAX_MODERATION, MIN_MODERATION, Offload};
