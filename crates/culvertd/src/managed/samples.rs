//! A stored endpoint and its surroundings, for tests.

use culvert_config::{Config, EndpointConfig, Environment};
use culvert_service::{
    Access, Association, AssociationId, AssociationState, AuthenticationMethod, AuthorizationRule, Banner,
    Certificate, CertificateArn, ClientConnect, ConnectionLog, Crl, CrlState, Crls, Endpoint, EndpointId,
    EndpointState, IpAddressType, Origin, PrivateKeyPem, Route, RouteState, RouteTarget, RuleState,
    SecurityGroup, StoredCrl, Transport,
};
use time::OffsetDateTime;

use super::wish::Surroundings;

const ENVIRONMENT: &str = r#"
[api]
[[vpc]]
id = "vpc-01234567"
cidr_blocks = ["10.20.0.0/16"]
[[subnet]]
id = "subnet-01234567"
vpc_id = "vpc-01234567"
cidr_block = "10.20.1.0/24"
interface = "eth1"
[[subnet]]
id = "subnet-01234568"
vpc_id = "vpc-01234567"
cidr_block = "10.20.2.0/24"
availability_zone = "us-east-1b"
[[security_group]]
id = "sg-00000000"
vpc_id = "vpc-01234567"
name = "default"
[[security_group]]
id = "sg-00000001"
vpc_id = "vpc-01234567"
name = "web"
egress = [{ protocol = "tcp", from_port = 443, to_port = 443, cidr = "0.0.0.0/0" }]
[[security_group]]
id = "sg-00000002"
vpc_id = "vpc-01234567"
name = "ping"
egress = [{ protocol = "icmp", cidr = "0.0.0.0/0" }, { protocol = "tcp", from_port = 443, to_port = 443, cidr = "0.0.0.0/0" }]
[[security_group]]
id = "sg-00000003"
vpc_id = "vpc-01234567"
name = "none"
egress = []
[[connect_handler]]
function = "AWSClientVPN-posture"
command = ["/bin/true"]
[[directory]]
id = "d-0123456789"
users_file = "/etc/culvert/users"
"#;

/// The ARN of the one certificate.
pub(crate) fn arn() -> CertificateArn {
    CertificateArn::from_random("us-east-1", "000000000000", [7; 16])
}

pub(crate) struct Sample {
    pub(crate) endpoint: Endpoint,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) crls: Crls,
    pub(crate) environment: Environment,
    pub(crate) security_groups: Vec<SecurityGroup>,
}

impl Sample {
    /// An endpoint with one target network and one rule. Its directory is declared but not asked.
    pub(crate) fn new() -> Self {
        Self {
            endpoint: endpoint([1; 9]),
            certificates: vec![certificate()],
            crls: Crls::default(),
            environment: Config::from_str(ENVIRONMENT, "culvert.toml").unwrap().environment,
            security_groups: Vec::new(),
        }
    }

    pub(crate) fn config(&self) -> Result<EndpointConfig, String> {
        let surroundings = Surroundings {
            environment: &self.environment,
            certificates: &self.certificates,
            crls: &self.crls,
            security_groups: &self.security_groups,
            endpoints: &[],
        };
        surroundings.config(&self.endpoint, "cvpn3")
    }

    /// Gives the endpoint a revocation list.
    pub(crate) fn revoke_by(&mut self, der: [u8; 4]) {
        let crl = Crl::from_der(der);
        self.endpoint.crl = Some(StoredCrl {
            digest: crl.digest(),
            number: None,
            state: CrlState::Pending(None),
        });
        self.crls = Crls::from_iter([(self.endpoint.id.clone(), crl)]);
    }
}

/// The configuration of the sample endpoint after a change.
pub(crate) fn sample_config(change: impl FnOnce(&mut Endpoint)) -> EndpointConfig {
    let mut sample = Sample::new();
    change(&mut sample.endpoint);
    sample.config().unwrap()
}

fn certificate() -> Certificate {
    Certificate {
        arn: arn(),
        certificate: "CERTIFICATE".into(),
        private_key: PrivateKeyPem::new("KEY".to_owned().into()),
        chain: "CHAIN".into(),
        created: OffsetDateTime::UNIX_EPOCH,
        imported: OffsetDateTime::UNIX_EPOCH,
        tags: Default::default(),
    }
}

pub(crate) fn endpoint(random: [u8; 9]) -> Endpoint {
    let created = OffsetDateTime::UNIX_EPOCH;
    let network = "10.20.0.0/16".parse().unwrap();
    Endpoint {
        id: EndpointId::from_random(random),
        created,
        state: EndpointState::Available,
        applied: None,
        description: None,
        endpoint_ip_address_type: IpAddressType::Ipv4,
        traffic_ip_address_type: IpAddressType::Ipv4,
        client_cidr_block: "10.8.0.0/22".parse().ok(),
        client_ipv6_cidr_block: None,
        server_certificate: arn(),
        authentication: vec![AuthenticationMethod::Certificate { client_root: arn() }],
        connection_log: ConnectionLog::Off,
        dns_servers: Vec::new(),
        transport: Transport::Udp,
        vpn_port: 443,
        listen_address: None,
        split_tunnel: false,
        vpc_id: Some("vpc-01234567".into()),
        security_group_ids: vec!["sg-00000000".into()],
        self_service_portal: false,
        client_connect: ClientConnect::Off,
        session_timeout_hours: 24,
        banner: Banner::default(),
        route_enforcement: false,
        disconnect_on_session_timeout: false,
        tags: Default::default(),
        associations: vec![Association {
            id: AssociationId::from_random(random),
            subnet_id: "subnet-01234567".into(),
            vpc_id: "vpc-01234567".into(),
            created,
            state: AssociationState::Associated,
        }],
        routes: vec![Route {
            destination: network,
            target: RouteTarget::Subnet("subnet-01234567".into()),
            origin: Origin::Associate,
            description: None,
            created,
            state: RouteState::Active,
        }],
        rules: vec![AuthorizationRule {
            destination: network,
            access: Access::AllUsers,
            services: Vec::new(),
            description: None,
            created,
            state: RuleState::Active,
        }],
        crl: None,
    }
}
