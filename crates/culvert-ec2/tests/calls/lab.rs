//! A service with a store on disk, an environment, a certificate and tunnels that exist in name only.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;
use culvert_ec2::{Call, Ec2};
use culvert_query::page::PageKey;
use culvert_query::params::{Limits, Params};
use culvert_query::{ApiError, ErrorCode, Method, Request};
use culvert_service::{
    Certificates, Connection, ConnectionId, ConnectionState, Directory, EgressRule, EndpointId, Environment,
    ImportCertificate, IpProtocol, PortRange, PrivateKeyPem, Quotas, Registry, SecurityGroup, SecurityGroups,
    ServiceError, Subnet, Termination, Tunnels, TunnelsError, Vpc,
};
use culvert_store::{EmbeddedStore, Options};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// 2027-01-15T08:00:00Z.
pub(crate) const NOW: OffsetDateTime = match OffsetDateTime::from_unix_timestamp(1_800_000_000) {
    Ok(now) => now,
    Err(_) => OffsetDateTime::UNIX_EPOCH,
};

/// Connections that somebody wrote down.
#[derive(Default)]
pub(crate) struct FakeTunnels {
    pub(crate) connections: Mutex<Vec<Connection>>,
    pub(crate) broken: Mutex<bool>,
}

impl FakeTunnels {
    fn check(&self) -> Result<(), TunnelsError> {
        match *self.broken.lock().unwrap() {
            true => Err(TunnelsError("it is gone".into())),
            false => Ok(()),
        }
    }
}

impl Tunnels for FakeTunnels {
    fn connections(&self, endpoint: &EndpointId) -> Result<Vec<Connection>, TunnelsError> {
        self.check()?;
        let mut connections = self.connections.lock().unwrap().clone();
        connections.retain(|connection| connection.endpoint == *endpoint);
        Ok(connections)
    }

    fn terminate(
        &self,
        endpoint: &EndpointId,
        ids: &[ConnectionId],
    ) -> Result<Vec<Termination>, TunnelsError> {
        self.check()?;
        let mut connections = self.connections.lock().unwrap();
        let meant = connections
            .iter_mut()
            .filter(|connection| connection.endpoint == *endpoint && ids.contains(&connection.id));
        Ok(meant
            .map(|connection| Termination {
                id: connection.id.clone(),
                previous: std::mem::replace(&mut connection.state, ConnectionState::Terminating),
                current: connection.state,
            })
            .collect())
    }
}

/// The service with what it needs.
pub(crate) struct Lab {
    _folder: TempDir,
    pub(crate) ec2: Ec2,
    pub(crate) tunnels: Arc<FakeTunnels>,
    pub(crate) authority: CertifiedIssuer<'static, KeyPair>,
    /// ARN of the one certificate.
    pub(crate) arn: String,
    pub(crate) now: Cell<OffsetDateTime>,
    /// The byte that the next random bytes repeat.
    random: Cell<u8>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let store = Arc::new(EmbeddedStore::open(&path, Options::default(), Instant::now).unwrap());
        let certificates = Certificates::new(store.clone());
        let environment = environment();
        let authority = authority();
        let import = server(&authority);
        let arn = certificates
            .import(&import, &environment, [0xee; 16], NOW)
            .unwrap();
        let tunnels = Arc::new(FakeTunnels::default());
        Self {
            _folder: folder,
            ec2: Ec2 {
                security_groups: SecurityGroups::new(store.clone()),
                registry: Registry::new(store),
                certificates,
                environment: Arc::new(ArcSwap::from_pointee(environment)),
                tunnels: tunnels.clone(),
                page_key: PageKey::new(&[1; 32]),
            },
            tunnels,
            authority,
            arn: arn.to_string(),
            now: Cell::new(NOW),
            random: Cell::new(0),
        }
    }

    /// The answer to a form, or why there is none.
    pub(crate) fn call(&self, form: &str) -> Result<String, ServiceError> {
        let body = format!("{form}&Version=2016-11-15");
        self.send(&body)
    }

    /// The same, for a form that names its version itself.
    pub(crate) fn send(&self, form: &str) -> Result<String, ServiceError> {
        let request = Request {
            method: Method::Post,
            path: "/",
            query: "",
            headers: &[],
            body: form.as_bytes(),
        };
        let params = Params::from_request(&request, &Limits::default())?;
        let random = || {
            self.random.set(self.random.get().wrapping_add(1));
            [self.random.get(); 16]
        };
        let answer = self.ec2.answer(&Call {
            params: &params,
            request_id: "request-1",
            now: self.now.get(),
            random: &random,
        })?;
        Ok(String::from_utf8(answer).unwrap())
    }

    /// The members of an answer, behind `requestId`.
    pub(crate) fn members(&self, form: &str) -> String {
        let answer = self.call(form).unwrap_or_else(|error| panic!("{form}: {error}"));
        let action = form.split(['=', '&']).nth(1).unwrap();
        let head = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
             <requestId>request-1</requestId>"
        );
        let inner = answer.strip_prefix(&head).unwrap_or_else(|| panic!("{answer}"));
        let inner = inner.strip_suffix(&format!("</{action}Response>"));
        inner.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// What a refused caller is told.
    pub(crate) fn refusal(&self, form: &str) -> ApiError {
        match self.call(form) {
            Ok(answer) => panic!("{form} was not refused: {answer}"),
            Err(error) => error.to_api(),
        }
    }

    /// The code of a refusal.
    pub(crate) fn code(&self, form: &str) -> ErrorCode {
        let refusal = self.refusal(form);
        assert!(refusal.message.len() > 15, "{refusal} tells nothing");
        refusal.code
    }

    /// Puts everything in force.
    pub(crate) fn settle(&self) {
        self.settle_with(Ok(()));
    }

    pub(crate) fn settle_with(&self, outcome: Result<(), &str>) {
        let registry = &self.ec2.registry;
        for stored in registry.snapshot().unwrap().endpoints {
            let id = &stored.endpoint.id;
            registry
                .settle(id, stored.revision, outcome, false, self.now.get())
                .unwrap();
        }
    }

    /// A form that creates an endpoint with no more than must be.
    pub(crate) fn create_form(&self) -> String {
        let arn = &self.arn;
        format!(
            "Action=CreateClientVpnEndpoint&ClientCidrBlock=10.8.0.0/22&ServerCertificateArn={arn}\
             &Authentication.1.Type=certificate-authentication\
             &Authentication.1.MutualAuthentication.ClientRootCertificateChainArn={arn}\
             &ConnectionLogOptions.Enabled=false"
        )
    }

    /// An endpoint; its id.
    pub(crate) fn endpoint(&self) -> String {
        let answer = self.members(&self.create_form());
        text(&answer, "clientVpnEndpointId")
    }

    /// An endpoint with a target network in force; its id.
    pub(crate) fn associated(&self) -> String {
        let id = self.endpoint();
        self.members(&format!(
            "Action=AssociateClientVpnTargetNetwork&ClientVpnEndpointId={id}&SubnetId=subnet-0000000a"
        ));
        self.settle();
        id
    }
}

/// The id that the `n`th random bytes make.
pub(crate) fn id(prefix: &str, n: u8) -> String {
    let digits = format!("{n:02x}").repeat(9);
    format!("{prefix}{}", &digits[..17])
}

/// The content of the first element of this name.
pub(crate) fn text(xml: &str, name: &str) -> String {
    texts(xml, name)
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("no {name} in {xml}"))
}

/// The contents of all elements of this name.
pub(crate) fn texts(xml: &str, name: &str) -> Vec<String> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(&start).skip(1);
    parts
        .map(|part| part.split(&end).next().unwrap().to_owned())
        .collect()
}

/// A value as forms carry it.
pub(crate) fn encoded(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (NOW - Duration::days(9), NOW + Duration::days(9));
    params
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params("Authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn server(authority: &CertifiedIssuer<'static, KeyPair>) -> ImportCertificate {
    let key = KeyPair::generate().unwrap();
    let certificate = params("vpn.example.com").signed_by(&key, authority).unwrap();
    ImportCertificate {
        arn: None,
        certificate: certificate.pem(),
        private_key: PrivateKeyPem::new(Zeroizing::new(key.serialize_pem())),
        chain: authority.pem(),
        tags: Default::default(),
    }
}

fn environment() -> Environment {
    let vpc = |id: &str, blocks: &[&str]| Vpc {
        id: id.into(),
        cidr_blocks: blocks.iter().map(|block| block.parse().unwrap()).collect(),
        ipv6_cidr_blocks: Vec::new(),
    };
    let subnet = |id: &str, vpc: &str, cidr: &str, letter: &str, number: u8| Subnet {
        id: id.into(),
        vpc_id: vpc.into(),
        cidr_block: cidr.parse().unwrap(),
        ipv6_cidr_block: None,
        availability_zone: format!("us-east-1{letter}"),
        availability_zone_id: format!("use1-az{number}"),
        interface: None,
        nat: true,
        owner_id: None,
    };
    let group = |id: &str, vpc: &str, name: &str, egress: Vec<EgressRule>| {
        SecurityGroup::from(&culvert_config::SecurityGroup {
            id: id.into(),
            vpc_id: vpc.into(),
            name: name.into(),
            description: format!("the group {name}"),
            egress,
        })
    };
    let rule = |destination: &str, protocol| EgressRule {
        destination: destination.parse().unwrap(),
        protocol,
    };
    let https = PortRange {
        first: 443,
        last: 444,
    };
    let mut foreign = subnet("subnet-000000f0", "vpc-00000001", "10.20.9.0/24", "f", 6);
    foreign.owner_id = Some("999999999999".into());
    let (one, two) = ("vpc-00000001", "vpc-00000002");
    let mut first = vpc(one, &["10.20.0.0/16", "10.21.0.0/16"]);
    first.ipv6_cidr_blocks.push("fd00:20::/56".parse().unwrap());
    let mut dual = subnet("subnet-0000000b", one, "10.20.2.0/24", "b", 2);
    dual.ipv6_cidr_block = "fd00:20::/64".parse().ok();
    Environment {
        account_id: "123456789012".into(),
        region: "us-east-1".into(),
        host: None,
        listen: Vec::new(),
        both_transports: false,
        ipv6_host: None,
        client_ipv6_range: "fd00::/8".parse().unwrap(),
        vpcs: vec![first, vpc(two, &["10.30.0.0/16"])],
        subnets: vec![
            subnet("subnet-0000000a", one, "10.20.1.0/24", "a", 1),
            dual,
            subnet("subnet-0000000c", one, "10.20.3.0/24", "a", 1),
            subnet("subnet-0000000d", one, "10.20.4.0/28", "d", 4),
            subnet("subnet-0000000e", two, "10.30.1.0/24", "e", 5),
            foreign,
        ],
        security_groups: vec![
            group(
                "sg-00000001",
                one,
                "default",
                vec![rule("0.0.0.0/0", IpProtocol::All)],
            ),
            group(
                "sg-00000002",
                one,
                "web",
                vec![
                    rule("10.20.0.0/16", IpProtocol::Tcp(https)),
                    rule("fd00::/8", IpProtocol::Udp(https)),
                    rule("fd00::/8", IpProtocol::Icmp),
                ],
            ),
            group("sg-00000003", two, "default", Vec::new()),
        ],
        directories: vec![Directory {
            id: "d-0123456789".into(),
        }],
        connect_handlers: vec!["AWSClientVPN-posture".into()],
        log_groups: vec!["/vpn/office".into()],
        quotas: Quotas::default(),
    }
}
