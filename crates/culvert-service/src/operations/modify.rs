//! Changing and deleting an endpoint.

use culvert_query::{ApiError, ErrorCode};

use super::settings::{self, Surroundings};
use super::{check_description, invalid, security_groups};
use crate::endpoint::{Endpoint, EndpointState};
use crate::request::ModifyEndpoint;

impl Endpoint {
    /// Changes what is given and leaves the rest as it is.
    ///
    /// # Errors
    /// As for creating one, and `IncorrectState`. Nothing has changed then.
    pub fn modify(
        &mut self,
        change: &ModifyEndpoint,
        surroundings: Surroundings<'_>,
    ) -> Result<(), ApiError> {
        self.check_alive()?;
        settings::check_supported(&change.settings)?;
        let mut after = self.clone();
        after.change_settings(change, surroundings)?;
        after.change_placement(change, surroundings)?;
        *self = after;
        Ok(())
    }

    /// Begins to delete the endpoint: nobody can connect any more. Repeating it is harmless until it is done.
    ///
    /// # Errors
    /// `DependencyViolation` while it is associated with a target network.
    pub fn delete(&mut self) -> Result<(), ApiError> {
        if let Some(association) = self.associations.first() {
            let message = format!(
                "The Client VPN endpoint {} is associated with {}: disassociate its target networks first",
                self.id, association.subnet_id
            );
            return Err(ApiError::new(ErrorCode::DependencyViolation, message));
        }
        self.state = EndpointState::Deleting;
        Ok(())
    }

    fn change_settings(
        &mut self,
        change: &ModifyEndpoint,
        surroundings: Surroundings<'_>,
    ) -> Result<(), ApiError> {
        if let Some(arn) = &change.server_certificate_arn {
            self.server_certificate = surroundings.server_certificate(arn)?;
        }
        if let Some(servers) = &change.dns_servers {
            self.dns_servers = settings::dns_servers(servers, self.traffic_ip_address_type)?;
        }
        if let Some(port) = change.settings.vpn_port {
            self.vpn_port = settings::vpn_port(port)?;
            surroundings.check_port_free(self)?;
        }
        if let Some(description) = &change.settings.description {
            check_description(Some(description))?;
            self.description = Some(description.clone()).filter(|text| !text.is_empty());
        }
        if let Some(hours) = change.settings.session_timeout_hours {
            self.session_timeout_hours = settings::session_timeout_hours(hours)?;
        }
        self.banner = settings::banner(&self.banner, &change.settings.banner)?;
        self.client_connect = self
            .client_connect
            .changed(&change.settings.client_connect, surroundings.environment)?;
        self.connection_log = self.connection_log.changed(
            &change.settings.connection_log,
            &self.id,
            surroundings.environment,
        )?;
        self.split_tunnel = change.settings.split_tunnel.unwrap_or(self.split_tunnel);
        self.disconnect_on_session_timeout = change
            .settings
            .disconnect_on_session_timeout
            .unwrap_or(self.disconnect_on_session_timeout);
        Ok(())
    }

    fn change_placement(
        &mut self,
        change: &ModifyEndpoint,
        surroundings: Surroundings<'_>,
    ) -> Result<(), ApiError> {
        let groups = &change.settings.security_group_ids;
        let Some(id) = &change.settings.vpc_id else {
            if groups.is_empty() {
                return Ok(());
            }
            return Err(invalid(
                "SecurityGroupId",
                "security groups cannot be modified without specifying VpcId",
            ));
        };
        surroundings.vpc(id)?;
        if let Some(other) = self
            .associations
            .iter()
            .find(|association| association.vpc_id != *id)
        {
            let reason = format!(
                "the endpoint is associated with {} of the VPC {}; disassociate it first",
                other.subnet_id, other.vpc_id
            );
            return Err(invalid("VpcId", reason));
        }
        let environment = surroundings.environment;
        self.security_group_ids = if groups.is_empty() {
            let default = environment.default_security_group(id);
            default.map(|group| group.id.clone()).into_iter().collect()
        } else {
            security_groups::checked_groups(environment, id, groups)?
        };
        self.vpc_id = Some(id.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{associated, certificate, code, endpoint, environment, id, intermediate};
    use super::*;
    use crate::certificate::Certificate;
    use crate::request::{BannerChange, EndpointSettings};

    fn modify(endpoint: &mut Endpoint, change: &ModifyEndpoint) -> Result<(), ApiError> {
        let environment = environment();
        let others = [endpoint.clone()];
        let surroundings = Surroundings {
            environment: &environment,
            certificates: &[certificate()],
            endpoints: &others,
        };
        endpoint.modify(change, surroundings)
    }

    fn changed(settings: EndpointSettings) -> ModifyEndpoint {
        ModifyEndpoint {
            settings,
            ..ModifyEndpoint::default()
        }
    }

    #[test]
    fn only_what_is_given_changes() {
        let mut endpoint = associated();
        let before = endpoint.clone();
        modify(&mut endpoint, &ModifyEndpoint::default()).unwrap();
        assert_eq!(endpoint, before);
        let change = ModifyEndpoint {
            dns_servers: Some(vec!["10.20.0.2".parse().unwrap()]),
            ..changed(EndpointSettings {
                description: Some("office".into()),
                split_tunnel: Some(true),
                vpn_port: Some(1194),
                session_timeout_hours: Some(8),
                ..EndpointSettings::default()
            })
        };
        modify(&mut endpoint, &change).unwrap();
        let wanted = Endpoint {
            description: Some("office".into()),
            dns_servers: vec!["10.20.0.2".parse().unwrap()],
            split_tunnel: true,
            vpn_port: 1194,
            session_timeout_hours: 8,
            ..before
        };
        assert_eq!(endpoint, wanted);
        let clearing = ModifyEndpoint {
            dns_servers: Some(Vec::new()),
            ..changed(EndpointSettings {
                description: Some(String::new()),
                ..EndpointSettings::default()
            })
        };
        modify(&mut endpoint, &clearing).unwrap();
        assert_eq!((endpoint.description, endpoint.dns_servers), (None, Vec::new()));
    }

    #[test]
    fn a_banner_keeps_its_text_while_it_is_off() {
        let mut endpoint = endpoint();
        let change = |enabled, text: Option<&str>| {
            changed(EndpointSettings {
                banner: BannerChange {
                    enabled: Some(enabled),
                    text: text.map(str::to_owned),
                },
                ..EndpointSettings::default()
            })
        };
        assert_eq!(
            code(modify(&mut endpoint, &change(true, None))),
            ErrorCode::MissingParameter
        );
        modify(&mut endpoint, &change(true, Some("Welcome"))).unwrap();
        modify(&mut endpoint, &change(false, None)).unwrap();
        modify(&mut endpoint, &change(true, None)).unwrap();
        assert_eq!(endpoint.banner.text.as_deref(), Some("Welcome"));
    }

    #[test]
    fn a_change_that_is_refused_in_part_is_refused_as_a_whole() {
        let mut endpoint = associated();
        let before = endpoint.clone();
        let change = |vpc: Option<&str>, groups: &[&str]| {
            changed(EndpointSettings {
                split_tunnel: Some(true),
                vpc_id: vpc.map(str::to_owned),
                security_group_ids: groups.iter().map(|id| (*id).to_owned()).collect(),
                ..EndpointSettings::default()
            })
        };
        for (change, wanted) in [
            (change(None, &["sg-00000002"]), ErrorCode::InvalidParameterValue),
            (
                change(Some("vpc-00000002"), &[]),
                ErrorCode::InvalidParameterValue,
            ),
            (change(Some("vpc-00000099"), &[]), ErrorCode::InvalidVpcIdNotFound),
            (
                change(Some("vpc-00000001"), &["sg-00000003"]),
                ErrorCode::InvalidGroupNotFound,
            ),
        ] {
            assert_eq!(code(modify(&mut endpoint, &change)), wanted);
        }
        assert_eq!(endpoint, before);
        modify(&mut endpoint, &change(Some("vpc-00000001"), &["sg-00000002"])).unwrap();
        assert_eq!(endpoint.security_group_ids, ["sg-00000002"]);
    }

    #[test]
    fn a_certificate_that_clients_cannot_trust_is_not_shown() {
        let mut endpoint = endpoint();
        let cut = Certificate {
            chain: String::new(),
            ..intermediate()
        };
        let environment = environment();
        let change = ModifyEndpoint {
            server_certificate_arn: Some(cut.arn.to_string()),
            ..ModifyEndpoint::default()
        };
        let with = |certificate| [certificate];
        let mut modify = |certificates: &[Certificate]| {
            let surroundings = Surroundings {
                environment: &environment,
                certificates,
                endpoints: &[],
            };
            endpoint.modify(&change, surroundings)
        };
        assert_eq!(code(modify(&with(cut))), ErrorCode::InvalidParameterValue);
        modify(&with(intermediate())).unwrap();
    }

    #[test]
    fn an_endpoint_is_deleted_only_without_target_networks() {
        let mut endpoint = associated();
        assert_eq!(code(endpoint.delete()), ErrorCode::DependencyViolation);
        endpoint.disassociate(id(1).as_str()).unwrap();
        assert_eq!(
            code(endpoint.delete()),
            ErrorCode::DependencyViolation,
            "it is still on its way out"
        );
        endpoint.settle(Ok(()), super::super::samples::NOW);
        endpoint.delete().unwrap();
        endpoint.delete().unwrap();
        assert_eq!(endpoint.state, EndpointState::Deleting);
        assert_eq!(
            code(modify(&mut endpoint, &ModifyEndpoint::default())),
            ErrorCode::IncorrectState
        );
    }
}
