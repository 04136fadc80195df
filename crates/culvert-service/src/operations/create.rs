//! Making an endpoint.

use culvert_query::{ApiError, ErrorCode};
use time::OffsetDateTime;

use super::settings::{self, Surroundings};
use super::{addresses, check_description, invalid, missing, security_groups, tags};
use crate::endpoint::{AuthenticationMethod, Banner, ClientConnect, ConnectionLog, Endpoint, EndpointState};
use crate::id::EndpointId;
use crate::request::{AuthenticationRequest, CreateEndpoint};

/// The longest session unless another is wished for, in hours.
const DEFAULT_TIMEOUT: i64 = 24;
/// The port unless another is wished for.
const DEFAULT_PORT: i64 = 443;

impl Endpoint {
    /// The endpoint that is asked for, with the defaults for what was left out. Nobody can connect to it before it is
    /// associated with a target network.
    ///
    /// # Errors
    /// `ClientVpnEndpointLimitExceeded`, `MissingParameter`, `InvalidParameterValue`, `InvalidVpcID.NotFound`,
    /// `InvalidGroup.NotFound`, `TagLimitExceeded`, and `UnsupportedOperation` for what isn't served yet.
    pub fn create(
        request: &CreateEndpoint,
        surroundings: Surroundings<'_>,
        id: EndpointId,
        now: OffsetDateTime,
    ) -> Result<Self, ApiError> {
        check_quota(surroundings)?;
        check_log(request)?;
        settings::check_supported(&request.settings)?;
        check_description(request.settings.description.as_deref())?;
        tags::check_settings(&request.tags)?;
        let connection_log =
            ConnectionLog::Off.changed(&request.settings.connection_log, &id, surroundings.environment)?;
        let (vpc_id, security_group_ids) = placement(request, surroundings)?;
        let outside = request.endpoint_ip_address_type.unwrap_or_default();
        let traffic = request.traffic_ip_address_type.unwrap_or_default();
        let client_ipv6_cidr_block = addresses::client_ipv6_cidr(&id, traffic, surroundings)?;
        let mut endpoint = Self {
            id,
            created: now,
            state: EndpointState::PendingAssociate,
            applied: None,
            description: request
                .settings
                .description
                .clone()
                .filter(|text| !text.is_empty()),
            endpoint_ip_address_type: outside,
            traffic_ip_address_type: traffic,
            client_cidr_block: addresses::client_cidr(request, traffic, surroundings)?,
            client_ipv6_cidr_block,
            server_certificate: surroundings.server_certificate(&request.server_certificate_arn)?,
            authentication: authentication(&request.authentication, surroundings)?,
            connection_log,
            dns_servers: settings::dns_servers(&request.dns_servers, traffic)?,
            transport: request.transport.unwrap_or_default(),
            vpn_port: settings::vpn_port(request.settings.vpn_port.unwrap_or(DEFAULT_PORT))?,
            listen_address: None,
            split_tunnel: request.settings.split_tunnel.unwrap_or(false),
            vpc_id,
            security_group_ids,
            self_service_portal: false,
            client_connect: ClientConnect::Off
                .changed(&request.settings.client_connect, surroundings.environment)?,
            session_timeout_hours: settings::session_timeout_hours(
                request.settings.session_timeout_hours.unwrap_or(DEFAULT_TIMEOUT),
            )?,
            banner: settings::banner(&Banner::default(), &request.settings.banner)?,
            route_enforcement: false,
            disconnect_on_session_timeout: request.settings.disconnect_on_session_timeout.unwrap_or(true),
            tags: tags::checked(request.tags.clone())?,
            associations: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            crl: None,
        };
        endpoint.listen_address = surroundings.listen_address(&endpoint)?;
        addresses::check_hosts(&endpoint, surroundings)?;
        Ok(endpoint)
    }
}

fn check_quota(surroundings: Surroundings<'_>) -> Result<(), ApiError> {
    let most = surroundings.environment.quotas.endpoints;
    if surroundings.endpoints.len() >= most {
        let message =
            format!("There are {most} Client VPN endpoints, the most there may be; delete one first");
        return Err(ApiError::new(ErrorCode::EndpointLimitExceeded, message));
    }
    Ok(())
}

fn check_log(request: &CreateEndpoint) -> Result<(), ApiError> {
    match request.settings.connection_log.enabled {
        Some(_) => Ok(()),
        None => Err(missing(
            "You must specify ConnectionLogOptions.Enabled, be it false",
        )),
    }
}

/// VPC and security groups.
fn placement(
    request: &CreateEndpoint,
    surroundings: Surroundings<'_>,
) -> Result<(Option<String>, Vec<String>), ApiError> {
    let Some(id) = &request.settings.vpc_id else {
        if request.settings.security_group_ids.is_empty() {
            return Ok((None, Vec::new()));
        }
        return Err(invalid(
            "SecurityGroupId",
            "security groups cannot be specified without a VPC ID",
        ));
    };
    surroundings.vpc(id)?;
    let environment = surroundings.environment;
    let groups = if request.settings.security_group_ids.is_empty() {
        let default = environment.default_security_group(id);
        default.map(|group| group.id.clone()).into_iter().collect()
    } else {
        security_groups::checked_groups(environment, id, &request.settings.security_group_ids)?
    };
    Ok((Some(id.clone()), groups))
}

fn authentication(
    requests: &[AuthenticationRequest],
    surroundings: Surroundings<'_>,
) -> Result<Vec<AuthenticationMethod>, ApiError> {
    if requests.is_empty() {
        return Err(missing("You must specify at least one Authentication"));
    }
    let methods = requests
        .iter()
        .enumerate()
        .map(|(index, request)| method(index + 1, request, surroundings))
        .collect::<Result<Vec<_>, _>>()?;
    let certificates = methods.iter().filter(|method| is_certificate(method)).count();
    if certificates > 1 || methods.len() - certificates > 1 {
        let reason = "at most one certificate-authentication and one user-based method are possible";
        return Err(invalid("Authentication", reason));
    }
    Ok(methods)
}

fn is_certificate(method: &AuthenticationMethod) -> bool {
    matches!(method, AuthenticationMethod::Certificate { .. })
}

/// One method; `number` counts from 1, as in the request.
fn method(
    number: usize,
    request: &AuthenticationRequest,
    surroundings: Surroundings<'_>,
) -> Result<AuthenticationMethod, ApiError> {
    let parameter = |member: &str| format!("Authentication.{number}.{member}");
    let must = |member: &str, kind: &str| {
        let name = parameter(member);
        missing(format!("You must specify {name} with {kind}"))
    };
    check_foreign_members(number, request)?;
    match request.kind.as_str() {
        kind @ "certificate-authentication" => {
            let member = "MutualAuthentication.ClientRootCertificateChainArn";
            let arn = request.client_root_certificate_chain_arn.as_deref();
            let arn = arn.ok_or_else(|| must(member, kind))?;
            let client_root = surroundings.certificate(&parameter(member), arn)?;
            if !client_root.has_authority() {
                let reason =
                    format!("{arn} came without what issued it; import it again with its CertificateChain");
                return Err(invalid(&parameter(member), reason));
            }
            Ok(AuthenticationMethod::Certificate {
                client_root: client_root.arn.clone(),
            })
        }
        kind @ "directory-service-authentication" => {
            let member = "ActiveDirectory.DirectoryId";
            let id = request
                .directory_id
                .as_deref()
                .ok_or_else(|| must(member, kind))?;
            if surroundings.environment.directory(id).is_none() {
                return Err(invalid(
                    &parameter(member),
                    format!("there is no directory {id:?}; declare it first"),
                ));
            }
            Ok(AuthenticationMethod::Directory {
                directory_id: id.to_owned(),
            })
        }
        "federated-authentication" => Err(ApiError::new(
            ErrorCode::UnsupportedOperation,
            "federated-authentication is not supported yet: use a certificate, a directory, or both",
        )),
        other => Err(invalid(
            &parameter("Type"),
            format!(
                "{other:?} is not possible; use certificate-authentication or directory-service-authentication"
            ),
        )),
    }
}

/// Refuses what belongs to another type of authentication than the one named.
fn check_foreign_members(number: usize, request: &AuthenticationRequest) -> Result<(), ApiError> {
    let members = [
        (
            "directory-service-authentication",
            "ActiveDirectory",
            request.directory_id.is_some(),
        ),
        (
            "certificate-authentication",
            "MutualAuthentication",
            request.client_root_certificate_chain_arn.is_some(),
        ),
        (
            "federated-authentication",
            "FederatedAuthentication",
            request.saml_provider_arn.is_some() || request.self_service_saml_provider_arn.is_some(),
        ),
    ];
    match members
        .into_iter()
        .find(|(kind, _, given)| *given && *kind != request.kind)
    {
        Some((kind, member, _)) => {
            let parameter = format!("Authentication.{number}.{member}");
            Err(invalid(
                &parameter,
                format!("it belongs to {kind}, but the type is {}", request.kind),
            ))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{
        NOW, certificate, code, create_request, endpoint, environment, intermediate, self_signed,
    };
    use super::*;
    use crate::certificate::Certificate;
    use crate::endpoint::IpAddressType;
    use crate::environment::Directory;
    use crate::id::CertificateArn;

    fn create(change: impl FnOnce(&mut CreateEndpoint)) -> Result<Endpoint, ApiError> {
        let mut request = create_request();
        change(&mut request);
        create_with(&request, &[certificate()])
    }

    fn create_with(request: &CreateEndpoint, certificates: &[Certificate]) -> Result<Endpoint, ApiError> {
        let mut environment = environment();
        environment.directories.push(Directory {
            id: "d-0123456789".into(),
        });
        let surroundings = Surroundings {
            environment: &environment,
            certificates,
            endpoints: &[],
        };
        Endpoint::create(request, surroundings, EndpointId::from_random([2; 9]), NOW)
    }

    #[test]
    fn what_is_left_out_gets_its_default() {
        let made = create(|_| {}).unwrap();
        assert_eq!(
            (made.state, made.vpn_port, made.session_timeout_hours),
            (EndpointState::PendingAssociate, 443, 24)
        );
        assert!(!made.split_tunnel && made.disconnect_on_session_timeout && !made.banner.enabled);
        assert_eq!((made.vpc_id, made.security_group_ids), (None, Vec::new()));
    }

    #[test]
    fn every_pair_of_families_is_possible_and_decides_what_clients_get() {
        let all = [IpAddressType::Ipv4, IpAddressType::Ipv6, IpAddressType::DualStack];
        for (outside, traffic) in all.iter().flat_map(|one| all.map(|other| (*one, other))) {
            let made = create(|request| {
                request.endpoint_ip_address_type = Some(outside);
                request.traffic_ip_address_type = Some(traffic);
                request.client_cidr_block = request.client_cidr_block.filter(|_| traffic.v4());
            });
            let made = made.unwrap();
            assert_eq!(
                (made.endpoint_ip_address_type, made.traffic_ip_address_type),
                (outside, traffic)
            );
            assert_eq!(made.client_cidr_block.is_some(), traffic.v4());
            assert_eq!(made.client_ipv6_cidr_block.is_some(), traffic.v6());
        }
        let given = create(|request| request.traffic_ip_address_type = Some(IpAddressType::Ipv6));
        assert_eq!(code(given), ErrorCode::InvalidParameterCombination);
        let left_out = create(|request| {
            request.traffic_ip_address_type = Some(IpAddressType::DualStack);
            request.client_cidr_block = None;
        });
        assert_eq!(code(left_out), ErrorCode::MissingParameter);
    }

    #[test]
    fn an_endpoint_needs_a_host_of_the_family_it_is_reached_over() {
        let make = |outside, host: Option<&str>, ipv6_host: Option<&str>| {
            let mut environment = environment();
            environment.host = host.map(str::to_owned);
            environment.ipv6_host = ipv6_host.map(str::to_owned);
            let request = CreateEndpoint {
                endpoint_ip_address_type: Some(outside),
                ..create_request()
            };
            let surroundings = Surroundings {
                environment: &environment,
                certificates: &[certificate()],
                endpoints: &[],
            };
            Endpoint::create(&request, surroundings, EndpointId::from_random([2; 9]), NOW)
        };
        let (v4, v6) = (Some("192.0.2.1"), Some("2001:db8::1"));
        for (outside, host, ipv6_host) in [
            (IpAddressType::Ipv6, None, None),
            (IpAddressType::Ipv6, v4, v6),
            (IpAddressType::Ipv6, v6, None),
            (IpAddressType::Ipv6, Some("vpn.example.com"), None),
            (IpAddressType::DualStack, v4, None),
            (IpAddressType::Ipv4, v4, None),
        ] {
            make(outside, host, ipv6_host).unwrap();
        }
        for (outside, host) in [(IpAddressType::Ipv6, v4), (IpAddressType::Ipv4, v6)] {
            assert_eq!(code(make(outside, host, None)), ErrorCode::InvalidParameterValue);
        }
    }

    #[test]
    fn endpoints_of_different_families_outside_share_a_port() {
        let other = |outside| Endpoint {
            client_cidr_block: "10.12.0.0/22".parse().ok(),
            endpoint_ip_address_type: outside,
            ..endpoint()
        };
        let beside = |outside| {
            let environment = environment();
            let surroundings = Surroundings {
                environment: &environment,
                certificates: &[certificate()],
                endpoints: &[other(outside)],
            };
            Endpoint::create(
                &create_request(),
                surroundings,
                EndpointId::from_random([2; 9]),
                NOW,
            )
        };
        beside(IpAddressType::Ipv6).unwrap();
        let taken = beside(IpAddressType::DualStack);
        assert_eq!(code(taken), ErrorCode::InvalidParameterValue);
    }

    #[test]
    fn a_client_root_must_bring_its_authority() {
        let mut alone = self_signed();
        alone.arn = CertificateArn::from_random("us-east-1", "123456789012", [8; 16]);
        let mut request = create_request();
        request.authentication[0].client_root_certificate_chain_arn = Some(alone.arn.to_string());
        let message = create_with(&request, &[certificate(), alone])
            .unwrap_err()
            .message;
        assert!(
            message.contains("import it again with its CertificateChain"),
            "{message}"
        );
    }

    #[test]
    fn a_server_certificate_must_lead_up_to_its_root() {
        let mut cut = certificate();
        (cut.certificate, cut.chain) = (intermediate().certificate, String::new());
        let refused = create_with(&create_request(), &[cut]).unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidParameterValue);
        assert!(
            refused.message.contains("ends at CN=Middle, issued by CN=Root,"),
            "{}",
            refused.message
        );
        create_with(&create_request(), &[intermediate()]).unwrap();
        let mut by_password = create_request();
        by_password.authentication = vec![AuthenticationRequest {
            kind: "directory-service-authentication".into(),
            directory_id: Some("d-0123456789".into()),
            ..AuthenticationRequest::default()
        }];
        create_with(&by_password, &[self_signed()]).unwrap();
    }

    #[test]
    fn a_vpc_brings_its_default_security_group() {
        let made = create(|request| request.settings.vpc_id = Some("vpc-00000001".into())).unwrap();
        assert_eq!(made.security_group_ids, ["sg-00000001"]);
    }

    #[test]
    fn each_parameter_is_judged() {
        type Change = fn(&mut CreateEndpoint);
        let cases: [(Change, ErrorCode); 24] = [
            (|r| r.client_cidr_block = None, ErrorCode::MissingParameter),
            (
                |r| r.client_cidr_block = "10.8.0.1/22".parse().ok(),
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| r.client_cidr_block = "10.8.0.0/23".parse().ok(),
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| r.client_cidr_block = "10.0.0.0/11".parse().ok(),
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| {
                    (r.client_cidr_block, r.settings.vpc_id) =
                        ("10.21.0.0/20".parse().ok(), Some("vpc-00000001".into()))
                },
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| r.server_certificate_arn = "arn".into(),
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| r.server_certificate_arn.replace_range(12..21, "eu-west-1"),
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| r.server_certificate_arn = r.server_certificate_arn.replace("0707", "0708"),
                ErrorCode::InvalidParameterValue,
            ),
            (|r| r.authentication.clear(), ErrorCode::MissingParameter),
            (
                |r| r.authentication.push(r.authentication[0].clone()),
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| r.authentication[0].client_root_certificate_chain_arn = None,
                ErrorCode::MissingParameter,
            ),
            (
                |r| r.authentication[0].directory_id = Some("d-0123456789".into()),
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| r.authentication[0].kind = "none".into(),
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| r.settings.connection_log.enabled = None,
                ErrorCode::MissingParameter,
            ),
            (
                |r| r.settings.connection_log.enabled = Some(true),
                ErrorCode::MissingParameter,
            ),
            (
                |r| r.settings.client_connect.enabled = Some(true),
                ErrorCode::MissingParameter,
            ),
            (
                |r| r.dns_servers = vec!["9.9.9.9".parse().unwrap(); 3],
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| r.settings.vpn_port = Some(80),
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| r.settings.session_timeout_hours = Some(9),
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| r.settings.banner.enabled = Some(true),
                ErrorCode::MissingParameter,
            ),
            (
                |r| r.settings.banner.text = Some("é".repeat(1401)),
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| r.settings.security_group_ids = vec!["sg-00000001".into()],
                ErrorCode::InvalidParameterValue,
            ),
            (
                |r| r.settings.vpc_id = Some("vpc-00000099".into()),
                ErrorCode::InvalidVpcIdNotFound,
            ),
            (
                |r| r.settings.description = Some("d".repeat(256)),
                ErrorCode::InvalidParameterValue,
            ),
        ];
        for (number, (change, wanted)) in cases.into_iter().enumerate() {
            assert_eq!(code(create(change)), wanted, "case {number}");
        }
        assert!(
            create(|request| request.settings.banner.text = Some("é".repeat(1400))).is_ok(),
            "characters, not bytes"
        );
    }

    #[test]
    fn a_directory_goes_with_a_certificate_but_federation_is_not_there_yet() {
        let directory = |id: &str| AuthenticationRequest {
            kind: "directory-service-authentication".into(),
            directory_id: Some(id.into()),
            ..AuthenticationRequest::default()
        };
        let made = create(|request| request.authentication.insert(0, directory("d-0123456789"))).unwrap();
        assert_eq!(made.authentication.len(), 2);
        assert!(
            !is_certificate(&made.authentication[0]),
            "the order given is kept"
        );
        let unknown = create(|request| request.authentication = vec![directory("d-9999999999")]);
        assert_eq!(code(unknown), ErrorCode::InvalidParameterValue);
        let federated = AuthenticationRequest {
            kind: "federated-authentication".into(),
            ..AuthenticationRequest::default()
        };
        let refused = create(|request| request.authentication = vec![federated]);
        assert_eq!(code(refused), ErrorCode::UnsupportedOperation);
    }

    #[test]
    fn endpoints_of_one_machine_share_neither_addresses_nor_a_port() {
        let environment = environment();
        let others = [endpoint()];
        let mut request = create_request();
        let create = |request: &CreateEndpoint| {
            let surroundings = Surroundings {
                environment: &environment,
                certificates: &[certificate()],
                endpoints: &others,
            };
            Endpoint::create(request, surroundings, EndpointId::from_random([2; 9]), NOW)
        };
        assert_eq!(
            code(create(&request)),
            ErrorCode::InvalidParameterValue,
            "the same addresses"
        );
        request.client_cidr_block = "10.12.0.0/22".parse().ok();
        let refused = create(&request).unwrap_err();
        assert!(
            refused.message.contains("UDP port 443 already"),
            "{}",
            refused.message
        );
        request.settings.vpn_port = Some(1194);
        create(&request).unwrap();
        let full: Vec<Endpoint> = vec![endpoint(); 5];
        let surroundings = Surroundings {
            environment: &environment,
            certificates: &[certificate()],
            endpoints: &full,
        };
        let refused = Endpoint::create(&request, surroundings, EndpointId::from_random([2; 9]), NOW);
        assert_eq!(code(refused), ErrorCode::EndpointLimitExceeded);
    }
}
