//! Client VPN endpoints as resources: what they are, what may be done to them, and where that is kept.
//!
//! The one layer through which endpoints are managed, whoever asks. It knows nothing of HTTP, of parameters on a wire or
//! of the tunnels that run; time and randomness are arguments, and only the store does I/O.
//!
//! - [`Endpoint`] with its operations ([`Endpoint::create`], [`Endpoint::associate`], ...): each checks everything before it
//!   changes anything, and states a wish.
//! - [`Registry`] keeps endpoints in a store: changes are serial, and what was acknowledged is there after a crash.
//! - [`Certificates`] keeps what endpoints and clients prove themselves with.
//! - [`SecurityGroups`] keeps the groups that are made at run time, beside those that the configuration declares.
//! - Whoever runs endpoints takes a [`Snapshot`], puts it in force, and calls [`Registry::settle`], which makes wishes
//!   facts. [`Tunnels`] is what it tells about connections.

#![forbid(unsafe_code)]

mod certificate;
mod certificates;
mod crl;
mod endpoint;
mod environment;
mod error;
mod id;
mod operations;
mod parts;
mod pem;
mod profile;
mod record;
mod registry;
mod repeat;
mod request;
mod retry;
mod security_group;
mod security_groups;
mod terminate;
mod tunnels;

pub use certificate::{Certificate, PrivateKeyPem};
pub use certificates::Certificates;
pub use crl::{Crl, Crls};
pub use culvert_policy::{RuleEvaluation, Service};
pub use endpoint::{
    AuthenticationMethod, Banner, ClientConnect, ConnectionLog, Endpoint, EndpointState, IpAddressType,
    Transport,
};
pub use environment::{
    Directory, EgressRule, Environment, IpProtocol, ListenAddress, PortRange, Quotas, Subnet, Vpc,
};
pub use error::{AcmError, AcmErrorCode, ServiceError};
pub use id::{
    AssociationId, CertificateArn, ConnectionId, EndpointId, MalformedId, SecurityGroupId,
    SecurityGroupRuleId,
};
pub use operations::{RULE_EVALUATION_TAG, Surroundings};
pub use parts::{
    Access, Association, AssociationState, AuthorizationRule, CrlState, Origin, Route, RouteState,
    RouteTarget, RuleState, StoredCrl,
};
pub use registry::{Registry, Snapshot, Stored};
pub use repeat::Once;
pub use request::{
    AuthenticationRequest, BannerChange, ConnectChange, CreateEndpoint, CreateRoute, EndpointSettings,
    ImportCertificate, LogChange, ModifyEndpoint, Repeat, RuleRequest, StreamNaming,
};
pub use security_group::{Direction, Permission, Revocation, SecurityGroup, SecurityGroupRule};
pub use security_groups::{CreateSecurityGroup, SecurityGroups};
pub use terminate::{TerminateWhat, terminate};
pub use tunnels::{Connection, ConnectionState, Termination, Tunnels, TunnelsError};
