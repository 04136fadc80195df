//! An endpoint and its surroundings, for tests.

use std::sync::OnceLock;

use culvert_query::{ApiError, ErrorCode};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use time::OffsetDateTime;

use crate::certificate::Certificate;
use crate::endpoint::{
    AuthenticationMethod, Banner, ClientConnect, ConnectionLog, Endpoint, EndpointState, IpAddressType,
    Transport,
};
use crate::environment::{Environment, Quotas, Subnet, Vpc};
use crate::id::{AssociationId, CertificateArn, EndpointId};
use crate::request::{AuthenticationRequest, CreateEndpoint, EndpointSettings, LogChange};
use crate::security_group::SecurityGroup;

pub(crate) const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

pub(crate) fn id(number: u8) -> AssociationId {
    AssociationId::from_random([number; 9])
}

/// The code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(refused: Result<T, ApiError>) -> ErrorCode {
    let error = refused.unwrap_err();
    assert!(error.message.len() > 20, "{error:?} tells nothing");
    error.code
}

pub(crate) fn environment() -> Environment {
    let vpc = |id: &str, blocks: &[&str]| Vpc {
        id: id.into(),
        cidr_blocks: blocks.iter().map(|block| block.parse().unwrap()).collect(),
        ipv6_cidr_blocks: Vec::new(),
    };
    let subnet = |id: &str, vpc: &str, cidr: &str, zone: &str| Subnet {
        id: id.into(),
        vpc_id: vpc.into(),
        cidr_block: cidr.parse().unwrap(),
        ipv6_cidr_block: None,
        availability_zone: zone.into(),
        availability_zone_id: zone.into(),
        interface: None,
        nat: true,
        owner_id: None,
    };
    let group = |id: &str, vpc: &str, name: &str| {
        SecurityGroup::from(&culvert_config::SecurityGroup {
            id: id.into(),
            vpc_id: vpc.into(),
            name: name.into(),
            description: String::new(),
            egress: Vec::new(),
        })
    };
    let mut foreign = subnet("subnet-000000f0", "vpc-00000001", "10.20.9.0/24", "us-east-1f");
    foreign.owner_id = Some("999999999999".into());
    Environment {
        account_id: "123456789012".into(),
        region: "us-east-1".into(),
        host: None,
        listen: Vec::new(),
        both_transports: false,
        ipv6_host: None,
        client_ipv6_range: culvert_config::UNIQUE_LOCAL,
        vpcs: vec![
            vpc("vpc-00000001", &["10.20.0.0/16", "10.21.0.0/16"]),
            vpc("vpc-00000002", &["10.30.0.0/16"]),
        ],
        subnets: vec![
            subnet("subnet-0000000a", "vpc-00000001", "10.20.1.0/24", "us-east-1a"),
            subnet("subnet-0000000b", "vpc-00000001", "10.20.2.0/24", "us-east-1b"),
            subnet("subnet-0000000c", "vpc-00000001", "10.20.3.0/24", "us-east-1a"),
            subnet("subnet-0000000d", "vpc-00000001", "10.20.4.0/28", "us-east-1d"),
            subnet("subnet-0000000e", "vpc-00000002", "10.30.1.0/24", "us-east-1e"),
            foreign,
        ],
        security_groups: vec![
            group("sg-00000001", "vpc-00000001", "default"),
            group("sg-00000002", "vpc-00000001", "web"),
            group("sg-00000003", "vpc-00000002", "default"),
        ],
        directories: Vec::new(),
        connect_handlers: Vec::new(),
        log_groups: Vec::new(),
        quotas: Quotas::default(),
    }
}

/// The one certificate there is.
pub(crate) fn root_arn() -> CertificateArn {
    CertificateArn::from_random("us-east-1", "123456789012", [7; 16])
}

/// What is imported under it: the authority `Root` with `Middle` below it, and a server's certificate from there.
struct Chain {
    server: String,
    middle: String,
    root: String,
}

fn chain() -> &'static Chain {
    static CHAIN: OnceLock<Chain> = OnceLock::new();
    CHAIN.get_or_init(|| {
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            (params, KeyPair::generate().unwrap())
        };
        let (params, key) = authority("Root");
        let root = CertifiedIssuer::self_signed(params, key).unwrap();
        let (params, key) = authority("Middle");
        let middle = CertifiedIssuer::signed_by(params, key, &root).unwrap();
        let server = CertificateParams::new(vec!["server".to_owned()]).unwrap();
        let server = server.signed_by(&KeyPair::generate().unwrap(), &middle).unwrap();
        Chain {
            server: server.pem(),
            middle: middle.pem(),
            root: root.pem(),
        }
    })
}

/// The certificate of a server with its whole chain.
pub(crate) fn certificate() -> Certificate {
    Certificate {
        arn: root_arn(),
        certificate: chain().server.clone(),
        private_key: "KEY".to_owned().into(),
        chain: format!("{}{}", chain().middle, chain().root),
        created: NOW,
        imported: NOW,
        tags: Default::default(),
    }
}

/// The certificate of the authority in the middle, with its root.
pub(crate) fn intermediate() -> Certificate {
    Certificate {
        certificate: chain().middle.clone(),
        chain: chain().root.clone(),
        ..certificate()
    }
}

/// A certificate that nobody vouches for but itself.
pub(crate) fn self_signed() -> Certificate {
    let params = CertificateParams::new(vec!["alone".to_owned()]).unwrap();
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    Certificate {
        certificate: made.pem(),
        chain: String::new(),
        ..certificate()
    }
}

/// A request for an endpoint, with no more than must be.
pub(crate) fn create_request() -> CreateEndpoint {
    CreateEndpoint {
        endpoint_ip_address_type: None,
        traffic_ip_address_type: None,
        client_cidr_block: "10.8.0.0/22".parse().ok(),
        server_certificate_arn: root_arn().to_string(),
        authentication: vec![AuthenticationRequest {
            kind: "certificate-authentication".into(),
            client_root_certificate_chain_arn: Some(root_arn().to_string()),
            ..AuthenticationRequest::default()
        }],
        dns_servers: Vec::new(),
        transport: None,
        settings: EndpointSettings {
            connection_log: LogChange {
                enabled: Some(false),
                ..LogChange::default()
            },
            ..EndpointSettings::default()
        },
        tags: Default::default(),
    }
}

/// An endpoint as it is right after its creation.
pub(crate) fn endpoint() -> Endpoint {
    let arn = root_arn();
    Endpoint {
        id: EndpointId::from_random([1; 9]),
        created: NOW,
        state: EndpointState::PendingAssociate,
        applied: None,
        description: None,
        endpoint_ip_address_type: IpAddressType::Ipv4,
        traffic_ip_address_type: IpAddressType::Ipv4,
        client_cidr_block: "10.8.0.0/22".parse().ok(),
        client_ipv6_cidr_block: None,
        server_certificate: arn.clone(),
        authentication: vec![AuthenticationMethod::Certificate { client_root: arn }],
        connection_log: ConnectionLog::Off,
        dns_servers: Vec::new(),
        transport: Transport::Udp,
        vpn_port: 443,
        listen_address: None,
        split_tunnel: false,
        vpc_id: None,
        security_group_ids: Vec::new(),
        self_service_portal: false,
        client_connect: ClientConnect::Off,
        session_timeout_hours: 24,
        banner: Banner::default(),
        route_enforcement: false,
        disconnect_on_session_timeout: true,
        tags: Default::default(),
        associations: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        crl: None,
    }
}

/// The same, carrying these families.
pub(crate) fn carrying(traffic: IpAddressType) -> Endpoint {
    Endpoint {
        traffic_ip_address_type: traffic,
        client_cidr_block: endpoint().client_cidr_block.filter(|_| traffic.v4()),
        client_ipv6_cidr_block: "2001:db8:8::/64".parse().ok().filter(|_| traffic.v6()),
        ..endpoint()
    }
}

/// The environment, where the first subnet and its VPC have IPv6.
pub(crate) fn environment_with_ipv6() -> Environment {
    let mut environment = environment();
    environment.vpcs[0].ipv6_cidr_blocks = vec!["2001:db8:20::/56".parse().unwrap()];
    environment.subnets[0].ipv6_cidr_block = "2001:db8:20:1::/64".parse().ok();
    environment
}

/// The same, associated with its first subnet.
pub(crate) fn associated() -> Endpoint {
    let mut endpoint = endpoint();
    endpoint
        .associate(&environment(), "subnet-0000000a", id(1), NOW)
        .unwrap();
    endpoint
}
