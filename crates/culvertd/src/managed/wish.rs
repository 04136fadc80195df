//! From a stored endpoint to the configuration of a running one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::time::Duration;

use culvert_config::{
    Authentication, ClientCertificates, ConnectHandler, ConnectionLog, EgressRule, EndpointConfig,
    EndpointSpec, Environment, IpProtocol, PasswordCheck, Pem, Route, Subnet, TargetNetwork,
    TransportProtocols,
};
use culvert_policy::{Access, AuthorizationRule};
use culvert_service as service;
use culvert_service::{
    AssociationState, AuthenticationMethod, Certificate, CertificateArn, Crls, Endpoint, EndpointState,
    IpAddressType, RouteState, RouteTarget, RuleState, SecurityGroup, Stored,
};
use ipnetwork::IpNetwork;

/// Whether an endpoint runs: only while it has a target network that isn't on its way out.
pub(crate) fn runs(endpoint: &Endpoint) -> bool {
    endpoint.state != EndpointState::Deleting && associated(endpoint).next().is_some()
}

/// The ids of the subnets it is associated with, oldest first. One whose association failed is tried again.
fn associated(endpoint: &Endpoint) -> impl Iterator<Item = &str> {
    let mut associations = endpoint.associations.iter();
    std::iter::from_fn(move || {
        let staying =
            associations.find(|association| association.state != AssociationState::Disassociating)?;
        Some(staying.subnet_id.as_str())
    })
}

/// What stored endpoints refer to.
pub(crate) struct Surroundings<'a> {
    /// Networks, declared security groups and directories.
    pub(crate) environment: &'a Environment,
    /// The certificates that were imported.
    pub(crate) certificates: &'a [Certificate],
    /// The revocation lists that were imported.
    pub(crate) crls: &'a Crls,
    /// The security groups that are not declared.
    pub(crate) security_groups: &'a [SecurityGroup],
    /// All endpoints.
    pub(crate) endpoints: &'a [Stored],
}

/// Which endpoints do not listen on both transports although all are to, a sentence each.
pub(super) fn without_second_transport(environment: &Environment, endpoints: &[Stored]) -> Vec<String> {
    if !environment.account.both_transports {
        return Vec::new();
    }
    let all = || endpoints.iter().map(|stored| &stored.endpoint);
    let sentence = |endpoint: &Endpoint| {
        let holder = endpoint.second_transport(all()).err()?;
        Some(format!(
            "endpoint {} listens on one transport only, as {} has the other on port {}; give one of them another port",
            endpoint.id, holder.id, endpoint.vpn_port
        ))
    };
    all()
        .filter(|endpoint| runs(endpoint))
        .filter_map(sentence)
        .collect()
}

impl Surroundings<'_> {
    /// The configuration a stored endpoint stands for, on this device.
    ///
    /// # Errors
    /// Fails when it refers to what isn't there any more, or can't work; the text says what to do.
    pub(crate) fn config(&self, endpoint: &Endpoint, device: &str) -> Result<EndpointConfig, String> {
        let shown = self.certificate(&endpoint.server_certificate)?;
        let arn = endpoint.server_certificate.to_string();
        let key = shown.private_key.expose().to_owned();
        let mut spec = EndpointSpec::new(
            endpoint.id.as_str(),
            endpoint.client_cidr_block,
            Pem::held(arn.clone(), format!("{}\n{}", shown.certificate, shown.chain)),
            Pem::held(arn, key),
            self.authentication(endpoint)?,
        );
        spec.client_ipv6_cidr_block = endpoint.client_ipv6_cidr_block;
        spec.device = device.to_owned();
        self.outside(endpoint, &mut spec)?;
        sessions(endpoint, &mut spec);
        self.networks(endpoint, &mut spec)?;
        spec.egress = self.egress(endpoint)?;
        spec.connect_handler = self.connect_handler(endpoint)?;
        spec.connection_log = self.connection_log(endpoint)?;
        spec.validate().map_err(|problems| {
            let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
            texts.join("; ")
        })
    }

    fn outside(&self, endpoint: &Endpoint, spec: &mut EndpointSpec) -> Result<(), String> {
        spec.transport_protocol = match endpoint.transport {
            _ if self.environment.account.both_transports
                && endpoint
                    .second_transport(self.endpoints.iter().map(|stored| &stored.endpoint))
                    .is_ok() =>
            {
                TransportProtocols::UdpAndTcp
            }
            service::Transport::Udp => TransportProtocols::Udp,
            service::Transport::Tcp => TransportProtocols::Tcp,
        };
        spec.vpn_port = NonZeroU16::new(endpoint.vpn_port).ok_or("its port is 0; choose 443 or 1194")?;
        let families = endpoint.endpoint_ip_address_type;
        let over_v4 = endpoint.listen_address.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let all = [
            families.v4().then_some(IpAddr::V4(over_v4)),
            families.v6().then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        ];
        spec.listen_addresses = all.into_iter().flatten().collect();
        for server in &endpoint.dns_servers {
            if !spec.dns_servers.contains(server) {
                spec.dns_servers.push(*server);
            }
        }
        spec.split_tunnel = endpoint.split_tunnel;
        let text = endpoint.banner.text.as_ref().filter(|_| endpoint.banner.enabled);
        spec.banner = text.filter(|text| !text.trim().is_empty()).cloned();
        Ok(())
    }

    fn certificate(&self, arn: &CertificateArn) -> Result<&Certificate, String> {
        let mut certificates = self.certificates.iter();
        certificates
            .find(|certificate| certificate.arn == *arn)
            .ok_or_else(|| format!("there is no certificate {arn}; import it again or choose another one"))
    }

    fn authentication(&self, endpoint: &Endpoint) -> Result<Authentication, String> {
        let (mut certificates, mut password) = (None, None);
        for method in &endpoint.authentication {
            match method {
                AuthenticationMethod::Certificate { client_root } => {
                    certificates = Some(self.client_certificates(endpoint, client_root)?);
                }
                AuthenticationMethod::Directory { directory_id } => {
                    password = Some(self.directory(directory_id)?);
                }
            }
        }
        match (certificates, password) {
            (Some(certificates), None) => Ok(Authentication::Certificate(certificates)),
            (None, Some(password)) => Ok(Authentication::Password(password)),
            (Some(certificates), Some(password)) => {
                Ok(Authentication::CertificateAndPassword(certificates, password))
            }
            (None, None) => Err("it names no way to authenticate; make it anew with one".to_owned()),
        }
    }

    fn client_certificates(
        &self,
        endpoint: &Endpoint,
        root: &CertificateArn,
    ) -> Result<ClientCertificates, String> {
        let root = self.certificate(root)?;
        let crl = self.crls.of(endpoint).map_err(|error| error.to_string())?;
        Ok(ClientCertificates {
            ca: Pem::held(root.arn.to_string(), root.authority().to_owned()),
            crl: crl.map(|crl| Pem::held(format!("of {}", endpoint.id), crl.to_pem())),
            verify_x509_name: None,
            groups: self.environment.account.certificate_groups,
        })
    }

    fn directory(&self, id: &str) -> Result<PasswordCheck, String> {
        let mut directories = self.environment.directories.iter();
        let found = directories.find(|directory| directory.id == id);
        found
            .map(|directory| directory.check.clone())
            .ok_or_else(|| format!("there is no directory {id}; declare it with [[directory]] and reload"))
    }

    fn subnet(&self, id: &str) -> Result<&Subnet, String> {
        let mut subnets = self.environment.subnets.iter();
        subnets.find(|subnet| subnet.id == id).ok_or_else(|| {
            format!("there is no subnet {id}; declare it with [[subnet]] and reload, or disassociate it")
        })
    }

    fn networks(&self, endpoint: &Endpoint, spec: &mut EndpointSpec) -> Result<(), String> {
        let traffic = endpoint.traffic_ip_address_type;
        for id in associated(endpoint) {
            spec.target_networks
                .extend(target_networks(self.subnet(id)?, traffic));
        }
        let beside = self.environment.subnets.iter().filter(|subnet| {
            endpoint.vpc_id.as_ref() == Some(&subnet.vpc_id)
                && !associated(endpoint).any(|id| id == subnet.id)
        });
        // The routes to the VPC's blocks lead to its other subnets too, which may be behind other interfaces.
        spec.target_networks
            .extend(beside.flat_map(|subnet| target_networks(subnet, traffic)));
        for route in endpoint
            .routes
            .iter()
            .filter(|route| route.state != RouteState::Deleting)
        {
            match &route.target {
                // Over IPv4 only, as on AWS: packets between clients over IPv6 are dropped.
                RouteTarget::Local => spec.client_to_client = true,
                // A route ends with the association it leads through.
                RouteTarget::Subnet(id) if !associated(endpoint).any(|subnet| subnet == id) => {}
                RouteTarget::Subnet(id) => spec.routes.push(self.route(route.destination, id)?),
            }
        }
        let rules = endpoint
            .rules
            .iter()
            .filter(|rule| rule.state != RuleState::Revoking);
        spec.authorization_rules = rules.map(authorization_rule).collect();
        spec.rule_evaluation = endpoint.rule_evaluation();
        Ok(())
    }

    /// A route through the subnet with this id.
    fn route(&self, destination: IpNetwork, id: &str) -> Result<Route, String> {
        let subnet = self.subnet(id)?;
        let target_network = match destination {
            IpNetwork::V4(_) => subnet.cidr_block.into(),
            IpNetwork::V6(_) => {
                let block = subnet.ipv6_cidr_block.ok_or_else(|| {
                    format!("the subnet {id} has no IPv6 block for the route to {destination}; give it one and reload")
                })?;
                block.into()
            }
        };
        Ok(Route {
            destination_cidr: destination,
            target_network,
            description: None,
        })
    }

    fn connect_handler(&self, endpoint: &Endpoint) -> Result<Option<ConnectHandler>, String> {
        let Some(name) = endpoint.client_connect.handler() else {
            return Ok(None);
        };
        let mut handlers = self.environment.connect_handlers.iter();
        let found = handlers.find(|handler| handler.function == name).cloned();
        found.map(Some).ok_or_else(|| {
            format!("there is no connect handler {name}; declare it with [[connect_handler]] and reload")
        })
    }

    /// What a security group allows clients to begin.
    fn security_group(&self, id: &str) -> Result<Vec<EgressRule>, String> {
        let mut declared = self.environment.security_groups.iter();
        if let Some(group) = declared.find(|group| group.id == id) {
            return Ok(group.egress.clone());
        }
        let mut stored = self.security_groups.iter();
        let found = stored.find(|group| group.id == id);
        found.map(|group| group.egress().collect()).ok_or_else(|| {
            format!("there is no security group {id}; declare it with [[security_group]] and reload, or apply others")
        })
    }

    fn connection_log(&self, endpoint: &Endpoint) -> Result<Option<ConnectionLog>, String> {
        let service::ConnectionLog::On { group: name, stream } = &endpoint.connection_log else {
            return Ok(None);
        };
        let mut groups = self.environment.log_groups.iter();
        let found = groups.find(|group| group.name == *name);
        found.map(|group| Some(group.stream(stream))).ok_or_else(|| {
            format!("there is no log group {name}; declare it with [[log_group]] and reload, or switch the log off")
        })
    }

    /// What the endpoint's security groups allow together; `None` when that is everything.
    fn egress(&self, endpoint: &Endpoint) -> Result<Option<Vec<EgressRule>>, String> {
        let mut allowed: Vec<EgressRule> = Vec::new();
        for id in &endpoint.security_group_ids {
            for rule in self.security_group(id)? {
                if !allowed.contains(&rule) {
                    allowed.push(rule);
                }
            }
        }
        let everything = |v6: bool| {
            allowed.iter().any(|rule| {
                rule.protocol == IpProtocol::All
                    && rule.destination.is_ipv6() == v6
                    && rule.destination.prefix() == 0
            })
        };
        let traffic = endpoint.traffic_ip_address_type;
        let unlimited = (!traffic.v4() || everything(false)) && (!traffic.v6() || everything(true));
        let open = endpoint.security_group_ids.is_empty() || unlimited;
        Ok((!open).then_some(allowed))
    }
}

/// The subnet as a target network for each family that is carried.
fn target_networks(subnet: &Subnet, traffic: IpAddressType) -> impl Iterator<Item = TargetNetwork> {
    let of = |cidr: IpNetwork, nat| TargetNetwork {
        cidr,
        // The routes that came with the association are among the endpoint's.
        automatic_route: false,
        interface: subnet.interface.clone(),
        nat,
    };
    let v4 = traffic.v4().then(|| of(subnet.cidr_block.into(), subnet.nat));
    let v6 = subnet.ipv6_cidr_block.filter(|_| traffic.v6());
    v4.into_iter()
        .chain(v6.map(|block| of(block.into(), subnet.ipv6_nat)))
}

fn authorization_rule(rule: &service::AuthorizationRule) -> AuthorizationRule {
    AuthorizationRule {
        destination: rule.destination,
        access: match &rule.access {
            service::Access::AllUsers => Access::AllUsers,
            service::Access::Group(group) => Access::Group(group.clone()),
        },
        services: rule.services.clone(),
        description: None,
    }
}

fn sessions(endpoint: &Endpoint, spec: &mut EndpointSpec) {
    let timeout = Duration::from_secs(u64::from(endpoint.session_timeout_hours) * 3600);
    spec.session_timeout = Some(timeout);
    spec.disconnect_on_session_timeout = endpoint.disconnect_on_session_timeout;
    if let Some(token) = &mut spec.auth_token {
        token.lifetime = Some(timeout);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::managed::samples::{Sample, arn};
    use culvert_service::{Association, Direction, Origin, RuleEvaluation};

    #[test]
    fn an_endpoint_runs_while_it_has_a_target_network_that_stays() {
        let mut sample = Sample::new();
        assert!(runs(&sample.endpoint));
        sample.endpoint.associations[0].state = AssociationState::Failed("the port is taken".into());
        assert!(runs(&sample.endpoint), "it is tried again");
        sample.endpoint.associations[0].state = AssociationState::Disassociating;
        assert!(!runs(&sample.endpoint));
        sample.endpoint.associations[0].state = AssociationState::Associated;
        sample.endpoint.state = EndpointState::Deleting;
        assert!(!runs(&sample.endpoint));
    }

    #[test]
    fn what_is_stored_becomes_what_runs() {
        let mut sample = Sample::new();
        sample.endpoint.vpn_port = 1194;
        sample.endpoint.transport = service::Transport::Tcp;
        sample.endpoint.dns_servers = vec!["10.20.0.2".parse().unwrap(); 2];
        sample.endpoint.session_timeout_hours = 8;
        sample.endpoint.disconnect_on_session_timeout = true;
        sample.endpoint.banner = service::Banner {
            enabled: false,
            text: Some("hidden".into()),
        };
        let config = sample.config().unwrap();
        assert_eq!(config.name, sample.endpoint.id.as_str());
        assert_eq!((config.device.as_str(), config.vpn_port.get()), ("cvpn3", 1194));
        assert!(config.transport_protocol.tcp() && !config.transport_protocol.udp());
        assert_eq!(config.dns_servers.len(), 1);
        assert_eq!(config.session_timeout, Some(Duration::from_secs(8 * 3600)));
        assert!(config.disconnect_on_session_timeout);
        assert_eq!(config.banner, None);
        assert_eq!(config.egress, None, "the default group allows everything");
        let chain = config.server_certificate.read().unwrap();
        assert_eq!(chain.as_slice(), b"CERTIFICATE\nCHAIN");
        assert_eq!(config.server_private_key.to_string(), arn().to_string());
        let routes: Vec<String> = config.route_table().iter().map(ToString::to_string).collect();
        assert_eq!(routes, ["10.20.0.0/16"], "the subnet has no route of its own");
        let nat = config.nat_rules();
        let nat: Vec<(String, Option<&str>)> = nat
            .iter()
            .map(|rule| (rule.destination.to_string(), rule.interface.as_deref()))
            .collect();
        let wanted = [
            ("10.20.1.0/24".to_owned(), Some("eth1")),
            ("10.20.0.0/16".to_owned(), Some("eth1")),
            ("10.20.2.0/24".to_owned(), None),
        ];
        assert_eq!(
            nat, wanted,
            "the subnet, what lies behind it, and the other subnet of the VPC"
        );
    }

    #[test]
    fn what_is_on_its_way_out_is_gone_already_and_its_routes_with_it() {
        let mut sample = Sample::new();
        let gone = Association {
            subnet_id: "subnet-01234568".into(),
            state: AssociationState::Disassociating,
            ..sample.endpoint.associations[0].clone()
        };
        sample.endpoint.associations.push(gone);
        let mut route = sample.endpoint.routes[0].clone();
        route.target = RouteTarget::Subnet("subnet-01234568".into());
        sample.endpoint.routes.push(route.clone());
        route.target = RouteTarget::Subnet("subnet-01234567".into());
        route.destination = "192.168.9.0/24".parse().unwrap();
        route.state = RouteState::Deleting;
        sample.endpoint.routes.push(route);
        sample.endpoint.rules[0].state = RuleState::Revoking;
        let config = sample.config().unwrap();
        assert_eq!((config.target_networks.len(), config.routes.len()), (2, 1));
        assert!(config.authorization_rules.is_empty());
    }

    #[test]
    fn limits_of_rules_and_which_of_them_count_are_kept() {
        let mut sample = Sample::new();
        sample.endpoint.rules[0].services = vec!["443/tcp".parse().unwrap()];
        let config = sample.config().unwrap();
        assert_eq!(
            config.authorization_rules[0].services,
            sample.endpoint.rules[0].services
        );
        assert_eq!(config.rule_evaluation, RuleEvaluation::LongestPrefix);
        let tag = (service::RULE_EVALUATION_TAG.to_owned(), "additive".to_owned());
        sample.endpoint.tags.extend([tag]);
        assert_eq!(sample.config().unwrap().rule_evaluation, RuleEvaluation::Additive);
    }

    #[test]
    fn one_destination_may_be_reached_through_two_subnets() {
        let mut sample = Sample::new();
        let second = Association {
            subnet_id: "subnet-01234568".into(),
            ..sample.endpoint.associations[0].clone()
        };
        sample.endpoint.associations.push(second);
        let mut route = sample.endpoint.routes[0].clone();
        route.target = RouteTarget::Subnet("subnet-01234568".into());
        sample.endpoint.routes.push(route);
        let config = sample.config().unwrap();
        assert_eq!(config.routes.len(), 2);
        assert_eq!(config.route_table().len(), 1, "clients are told of it once");
    }

    #[test]
    fn a_local_route_lets_clients_reach_each_other_over_ipv4_only() {
        let mut sample = Sample::new();
        carry(&mut sample, IpAddressType::DualStack);
        let local = service::Route {
            destination: "10.8.0.0/22".parse().unwrap(),
            target: RouteTarget::Local,
            origin: Origin::AddRoute,
            ..sample.endpoint.routes[0].clone()
        };
        sample.endpoint.routes.push(local);
        let config = sample.config().unwrap();
        assert!(config.client_to_client && !config.client_to_client_ipv6);
        let forwarded: Vec<String> = config
            .forwarded_destinations()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            forwarded,
            ["10.20.0.0/16", "10.8.0.1/32", "2001:db8:8::1/128", "10.8.0.0/22"]
        );
    }

    /// Makes the sample endpoint carry these families, and gives IPv6 to its first subnet.
    fn carry(sample: &mut Sample, traffic: IpAddressType) {
        let endpoint = &mut sample.endpoint;
        endpoint.traffic_ip_address_type = traffic;
        if !traffic.v4() {
            endpoint.client_cidr_block = None;
            endpoint.routes.clear();
            endpoint.rules.clear();
        }
        endpoint.client_ipv6_cidr_block = "2001:db8:8::/64".parse().ok();
        sample.environment.vpcs[0].ipv6_cidr_blocks = vec!["2001:db8:20::/56".parse().unwrap()];
        sample.environment.subnets[0].ipv6_cidr_block = "2001:db8:20:1::/64".parse().ok();
    }

    #[test]
    fn ipv6_goes_through_the_subnets_that_have_it_and_is_translated_only_where_asked_for() {
        let mut sample = Sample::new();
        carry(&mut sample, IpAddressType::Ipv6);
        let everything = "::/0".parse().unwrap();
        sample.endpoint.routes.push(service::Route {
            destination: everything,
            target: RouteTarget::Subnet("subnet-01234567".into()),
            origin: Origin::AddRoute,
            description: None,
            created: sample.endpoint.created,
            state: RouteState::Active,
        });
        let config = sample.config().unwrap();
        assert_eq!((config.server_v4(), config.client_cidr_block), (None, None));
        assert_eq!(config.server_v6().unwrap().to_string(), "2001:db8:8::1");
        assert_eq!(config.route_table(), [everything]);
        let targets: Vec<String> = config
            .target_networks
            .iter()
            .map(|target| target.cidr.to_string())
            .collect();
        assert_eq!(
            targets,
            ["2001:db8:20:1::/64"],
            "neither IPv4 nor the subnet without IPv6"
        );
        assert_eq!(config.nat_rules(), []);
        sample.environment.subnets[0].ipv6_nat = true;
        let translated: Vec<String> = sample
            .config()
            .unwrap()
            .nat_rules()
            .iter()
            .map(|rule| rule.destination.to_string())
            .collect();
        assert_eq!(translated, ["2001:db8:20:1::/64", "::/0"]);
        sample.environment.subnets[0].ipv6_cidr_block = None;
        let error = sample.config().unwrap_err();
        assert!(
            error.contains("has no IPv6 block for the route to ::/0"),
            "{error}"
        );
    }

    #[test]
    fn groups_that_allow_everything_do_so_for_each_family_that_is_carried() {
        let mut sample = Sample::new();
        let v4 = EgressRule {
            destination: "0.0.0.0/0".parse().unwrap(),
            protocol: IpProtocol::All,
        };
        sample.environment.security_groups[1].egress = vec![v4];
        sample.endpoint.security_group_ids = vec!["sg-00000001".into()];
        assert_eq!(sample.config().unwrap().egress, None);
        carry(&mut sample, IpAddressType::DualStack);
        assert_eq!(
            sample.config().unwrap().egress,
            Some(vec![v4]),
            "nothing may be begun over IPv6"
        );
        sample.endpoint.security_group_ids = vec!["sg-00000000".into()];
        assert_eq!(sample.config().unwrap().egress, None);
    }

    #[test]
    fn an_endpoint_listens_on_the_families_it_is_reached_over() {
        let mut sample = Sample::new();
        for (families, wanted) in [
            (IpAddressType::Ipv4, &["0.0.0.0"][..]),
            (IpAddressType::Ipv6, &["::"]),
            (IpAddressType::DualStack, &["0.0.0.0", "::"]),
        ] {
            sample.endpoint.endpoint_ip_address_type = families;
            let config = sample.config().unwrap();
            let listens: Vec<String> = config.listen_addresses.iter().map(ToString::to_string).collect();
            assert_eq!(listens, wanted);
        }
    }

    #[test]
    fn a_directory_asks_for_passwords_beside_the_certificate() {
        let mut sample = Sample::new();
        sample
            .endpoint
            .authentication
            .push(AuthenticationMethod::Directory {
                directory_id: "d-0123456789".into(),
            });
        sample.revoke_by(*b"LIST");
        let config = sample.config().unwrap();
        assert!(matches!(
            config.authentication,
            Authentication::CertificateAndPassword(..)
        ));
        let certificates = config.authentication.certificates().unwrap();
        assert_eq!(certificates.ca.read().unwrap().as_slice(), b"CHAIN");
        assert_eq!(
            certificates.crl.as_ref().unwrap().read().unwrap().as_slice(),
            b"-----BEGIN X509 CRL-----\nTElTVA==\n-----END X509 CRL-----\n"
        );
        assert_eq!(
            config.auth_token.as_ref().unwrap().lifetime,
            config.session_timeout
        );
    }

    #[test]
    fn the_connect_handler_is_one_that_is_declared() {
        let mut sample = Sample::new();
        sample.endpoint.client_connect = service::ClientConnect::On {
            function: "arn:aws:lambda:us-east-1:000000000000:function:AWSClientVPN-posture:1".into(),
            applied: false,
        };
        let config = sample.config().unwrap();
        assert_eq!(
            config.connect_handler.as_ref().unwrap().function,
            "AWSClientVPN-posture"
        );
        sample.environment.connect_handlers.clear();
        let error = sample.config().unwrap_err();
        assert!(error.contains("[[connect_handler]]"), "{error}");
    }

    #[test]
    fn security_groups_add_up() {
        let mut sample = Sample::new();
        sample.endpoint.security_group_ids = vec!["sg-00000001".into(), "sg-00000002".into()];
        assert_eq!(sample.config().unwrap().egress.as_ref().unwrap().len(), 2);
        sample.endpoint.security_group_ids = vec!["sg-00000003".into()];
        assert_eq!(
            sample.config().unwrap().egress,
            Some(Vec::new()),
            "nothing may be begun"
        );
    }

    #[test]
    fn a_stored_security_group_counts_as_a_declared_one_does() {
        let mut sample = Sample::new();
        let mut group = SecurityGroup::from(&sample.environment.security_groups[1]);
        group.id = "sg-0000000a".into();
        sample.security_groups = vec![group];
        sample.endpoint.security_group_ids = vec!["sg-0000000a".into()];
        assert_eq!(sample.config().unwrap().egress.as_ref().unwrap().len(), 1);
        sample.security_groups[0].rules[0].direction = Direction::Ingress;
        assert_eq!(
            sample.config().unwrap().egress,
            Some(Vec::new()),
            "what may come in is no leave to go out"
        );
    }

    #[test]
    fn an_endpoint_listens_where_it_was_told_to_and_on_both_transports_if_all_do() {
        let mut sample = Sample::new();
        let config = sample.config().unwrap();
        assert!(config.listen_addresses.iter().all(IpAddr::is_unspecified));
        assert_eq!(config.transport_protocol, TransportProtocols::Udp);
        sample.endpoint.listen_address = "192.0.2.7".parse().ok();
        sample.environment.account.both_transports = true;
        let config = sample.config().unwrap();
        assert_eq!(config.listen_addresses, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(config.transport_protocol, TransportProtocols::UdpAndTcp);
    }

    #[test]
    fn what_is_missing_is_named_with_its_cure() {
        let broken = |change: fn(&mut Sample)| {
            let mut sample = Sample::new();
            change(&mut sample);
            sample.config().unwrap_err()
        };
        let error = broken(|sample| sample.endpoint.associations[0].subnet_id = "subnet-0badc0de".into());
        assert!(
            error.contains("subnet-0badc0de; declare it with [[subnet]]"),
            "{error}"
        );
        let error = broken(|sample| sample.certificates.clear());
        assert!(error.contains("import it again"), "{error}");
        let error = broken(|sample| sample.endpoint.security_group_ids.push("sg-0badc0de".into()));
        assert!(error.contains("[[security_group]]"), "{error}");
        let error = broken(|sample| {
            sample.endpoint.authentication = vec![AuthenticationMethod::Directory {
                directory_id: "d-0123456789".into(),
            }];
            sample.environment.directories.clear();
        });
        assert!(error.contains("[[directory]]"), "{error}");
        let error = broken(|sample| {
            sample.revoke_by(*b"LIST");
            sample.crls = Crls::default();
        });
        assert!(error.contains("import the revocation list again"), "{error}");
        let error = broken(|sample| sample.endpoint.client_cidr_block = "10.20.0.0/22".parse().ok());
        assert!(error.contains("overlaps the client CIDR"), "{error}");
    }
}
