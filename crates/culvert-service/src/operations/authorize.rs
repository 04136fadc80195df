//! Authorization rules.

use culvert_config::MAX_SERVICES;
use culvert_policy::Service;
use culvert_query::{ApiError, ErrorCode};
use ipnetwork::IpNetwork;
use time::OffsetDateTime;

use super::{check_description, check_destination, invalid};
use crate::endpoint::Endpoint;
use crate::environment::Quotas;
use crate::parts::{Access, AuthorizationRule, RuleState};
use crate::request::RuleRequest;

/// Longest group id, in characters.
const MAX_GROUP: usize = 255;

impl Endpoint {
    /// Adds an authorization rule.
    ///
    /// # Errors
    /// `IncorrectState`, `InvalidParameterValue` for a network, group or services that can't be, and
    /// `InvalidClientVpnDuplicateAuthorizationRule` and `ClientVpnAuthorizationRuleLimitExceeded`.
    pub fn authorize(
        &mut self,
        request: &RuleRequest,
        quotas: &Quotas,
        now: OffsetDateTime,
    ) -> Result<AuthorizationRule, ApiError> {
        self.check_alive()?;
        check_destination(
            "TargetNetworkCidr",
            request.destination,
            self.traffic_ip_address_type,
        )?;
        check_access(&request.access)?;
        check_services(&request.services)?;
        check_description(request.description.as_deref())?;
        let same = |rule: &AuthorizationRule| {
            rule.destination == request.destination && rule.access == request.access
        };
        let wanted = |rule: &&AuthorizationRule| rule.state != RuleState::Revoking;
        if self.rules.iter().filter(wanted).any(same) {
            let message = format!(
                "There is a rule for {} and {} already",
                request.destination,
                shown(&request.access)
            );
            return Err(ApiError::new(ErrorCode::DuplicateAuthorizationRule, message));
        }
        if self.rules.iter().filter(wanted).count() >= quotas.authorization_rules {
            let message = format!(
                "The Client VPN endpoint {} has {} authorization rules, the most there may be; revoke one first",
                self.id, quotas.authorization_rules
            );
            return Err(ApiError::new(ErrorCode::AuthorizationRuleLimitExceeded, message));
        }
        let rule = AuthorizationRule {
            destination: request.destination,
            access: request.access.clone(),
            services: request.services.clone(),
            description: request.description.clone(),
            created: now,
            state: RuleState::Authorizing,
        };
        // One that is on its way out gives way to its successor.
        self.rules.retain(|other| !same(other));
        self.rules.push(rule.clone());
        Ok(rule)
    }

    /// Begins to revoke a rule. Repeating it is harmless until it is done.
    ///
    /// # Errors
    /// `InvalidClientVpnEndpointAuthorizationRuleNotFound`.
    pub fn revoke(&mut self, destination: IpNetwork, access: &Access) -> Result<AuthorizationRule, ApiError> {
        let mut rules = self.rules.iter_mut();
        let found = rules.find(|rule| rule.destination == destination && rule.access == *access);
        let rule = found.ok_or_else(|| {
            let message = format!(
                "The Client VPN endpoint {} has no rule for {destination} and {}",
                self.id,
                shown(access)
            );
            ApiError::new(ErrorCode::AuthorizationRuleNotFound, message)
        })?;
        rule.state = RuleState::Revoking;
        Ok(rule.clone())
    }
}

fn check_access(access: &Access) -> Result<(), ApiError> {
    match access {
        Access::Group(group) if !(1..=MAX_GROUP).contains(&group.chars().count()) => Err(invalid(
            "AccessGroupId",
            format!("a group id has 1 to {MAX_GROUP} characters"),
        )),
        Access::Group(_) | Access::AllUsers => Ok(()),
    }
}

fn check_services(services: &[Service]) -> Result<(), ApiError> {
    if services.len() > MAX_SERVICES {
        let reason = format!("a rule is limited to at most {MAX_SERVICES} services; a range of ports is one");
        return Err(invalid("Culvert.Service", reason));
    }
    Ok(())
}

fn shown(access: &Access) -> String {
    match access {
        Access::AllUsers => "all users".to_owned(),
        Access::Group(group) => format!("the group {group:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{NOW, carrying, code, endpoint};
    use super::*;
    use crate::endpoint::IpAddressType;

    fn request(destination: &str, group: Option<&str>) -> RuleRequest {
        RuleRequest {
            destination: destination.parse().unwrap(),
            access: group.map_or(Access::AllUsers, |group| Access::Group(group.into())),
            services: Vec::new(),
            description: Some("a rule".into()),
        }
    }

    #[test]
    fn network_and_group_together_are_a_rules_identity() {
        let mut endpoint = endpoint();
        let quotas = Quotas::default();
        for group in [None, Some("ops"), Some("dev")] {
            endpoint
                .authorize(&request("10.20.0.0/16", group), &quotas, NOW)
                .unwrap();
            let again = endpoint.authorize(&request("10.20.0.0/16", group), &quotas, NOW);
            assert_eq!(code(again), ErrorCode::DuplicateAuthorizationRule);
        }
        let network = "10.20.0.0/16".parse().unwrap();
        assert_eq!(
            endpoint.revoke(network, &Access::AllUsers).unwrap().state,
            RuleState::Revoking
        );
        assert_eq!(
            endpoint
                .rules
                .iter()
                .filter(|rule| rule.state == RuleState::Authorizing)
                .count(),
            2
        );
        let unknown = endpoint.revoke(network, &Access::Group("other".into()));
        assert_eq!(code(unknown), ErrorCode::AuthorizationRuleNotFound);
        endpoint
            .authorize(&request("10.20.0.0/16", None), &quotas, NOW)
            .unwrap();
        assert_eq!(endpoint.rules.len(), 3, "made anew before the old one was gone");
    }

    #[test]
    fn a_rule_is_of_a_family_that_is_carried_and_both_share_the_quota() {
        let two = Quotas {
            authorization_rules: 2,
            ..Quotas::default()
        };
        let mut dual = carrying(IpAddressType::DualStack);
        dual.authorize(&request("::/0", None), &two, NOW).unwrap();
        dual.authorize(&request("0.0.0.0/0", None), &two, NOW).unwrap();
        let full = dual.authorize(&request("2001:db8::/32", None), &two, NOW);
        assert_eq!(code(full), ErrorCode::AuthorizationRuleLimitExceeded);
        let mut ipv6 = carrying(IpAddressType::Ipv6);
        ipv6.authorize(&request("2001:db8::/32", None), &two, NOW)
            .unwrap();
        let message = ipv6
            .authorize(&request("10.0.0.0/8", None), &two, NOW)
            .unwrap_err()
            .message;
        assert!(message.contains("carries IPv6 only"), "{message}");
    }

    #[test]
    fn each_reason_against_a_rule_has_its_code() {
        let mut endpoint = endpoint();
        let one = Quotas {
            authorization_rules: 1,
            ..Quotas::default()
        };
        let long = "g".repeat(256);
        for (destination, group) in [
            ("10.20.0.1/16", None),
            ("fd00::/8", None),
            ("10.0.0.0/8", Some("")),
            ("10.0.0.0/8", Some(&*long)),
        ] {
            let refused = endpoint.authorize(&request(destination, group), &one, NOW);
            assert_eq!(
                code(refused),
                ErrorCode::InvalidParameterValue,
                "{destination} {group:?}"
            );
        }
        endpoint
            .authorize(&request("10.0.0.0/8", None), &one, NOW)
            .unwrap();
        let refused = endpoint.authorize(&request("11.0.0.0/8", None), &one, NOW);
        assert_eq!(code(refused), ErrorCode::AuthorizationRuleLimitExceeded);
    }

    #[test]
    fn services_narrow_a_rule_and_are_no_part_of_its_identity() {
        let mut endpoint = endpoint();
        let quotas = Quotas::default();
        let limited = |services: &[&str]| RuleRequest {
            services: services.iter().map(|service| service.parse().unwrap()).collect(),
            ..request("10.20.0.0/16", None)
        };
        let made = endpoint
            .authorize(&limited(&["443/tcp", "icmp"]), &quotas, NOW)
            .unwrap();
        let stored = serde_json::to_value(&made).unwrap();
        assert_eq!(stored["services"], serde_json::json!(["443/tcp", "icmp"]));
        assert_eq!(
            serde_json::from_value::<AuthorizationRule>(stored.clone()).unwrap(),
            made
        );
        let mut older = stored.clone();
        older.as_object_mut().unwrap().remove("services");
        assert!(
            serde_json::from_value::<AuthorizationRule>(older)
                .unwrap()
                .services
                .is_empty()
        );
        let mut damaged = stored;
        damaged["services"] = serde_json::json!(["443/sctp"]);
        assert!(
            serde_json::from_value::<AuthorizationRule>(damaged).is_err(),
            "nothing is widened"
        );
        for services in [&[][..], &["22/tcp"]] {
            let again = endpoint.authorize(&limited(services), &quotas, NOW);
            assert_eq!(code(again), ErrorCode::DuplicateAuthorizationRule);
        }
        let many: Vec<String> = (1..34).map(|port| format!("{port}/tcp")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let refused = endpoint.authorize(&limited(&many), &quotas, NOW);
        assert_eq!(code(refused), ErrorCode::InvalidParameterValue);
        endpoint
            .revoke("10.20.0.0/16".parse().unwrap(), &Access::AllUsers)
            .unwrap();
    }
}
