//! From wish to fact: what is stored becomes final once it is in force.

use time::OffsetDateTime;

use crate::endpoint::{ClientConnect, Endpoint, EndpointState};
use crate::parts::{AssociationState, CrlState, RouteState, RuleState};

impl Endpoint {
    /// Notes that the running endpoint has become what is stored here, or why it could not. Call it only for exactly what
    /// was put in force.
    ///
    /// What was on its way out is gone then, what was on its way in is there or has failed; what failed before is tried
    /// each time and may be there now. Returns false when the endpoint itself is gone.
    pub fn settle(&mut self, outcome: Result<(), &str>, now: OffsetDateTime) -> bool {
        match outcome {
            Ok(()) => self.settle_in_force(now),
            Err(reason) => self.settle_failed(reason),
        }
        !(outcome.is_ok() && self.state == EndpointState::Deleting)
    }

    fn settle_in_force(&mut self, now: OffsetDateTime) {
        self.applied = Some(now);
        self.associations
            .retain(|association| association.state != AssociationState::Disassociating);
        self.routes.retain(|route| route.state != RouteState::Deleting);
        self.rules.retain(|rule| rule.state != RuleState::Revoking);
        for association in &mut self.associations {
            association.state = AssociationState::Associated;
        }
        for route in &mut self.routes {
            route.state = RouteState::Active;
        }
        for rule in &mut self.rules {
            rule.state = RuleState::Active;
        }
        if let Some(crl) = &mut self.crl {
            crl.state = CrlState::Active;
        }
        if let ClientConnect::On { applied, .. } = &mut self.client_connect {
            *applied = true;
        }
        if self.state != EndpointState::Deleting {
            self.state = if self.associations.is_empty() {
                EndpointState::PendingAssociate
            } else {
                EndpointState::Available
            };
        }
    }

    fn settle_failed(&mut self, reason: &str) {
        self.applied = None;
        for association in &mut self.associations {
            if matches!(
                association.state,
                AssociationState::Associating | AssociationState::Failed(_)
            ) {
                association.state = AssociationState::Failed(reason.to_owned());
            }
        }
        for route in &mut self.routes {
            if matches!(route.state, RouteState::Creating | RouteState::Failed(_)) {
                route.state = RouteState::Failed(reason.to_owned());
            }
        }
        for rule in &mut self.rules {
            if matches!(rule.state, RuleState::Authorizing | RuleState::Failed(_)) {
                rule.state = RuleState::Failed(reason.to_owned());
            }
        }
        if let Some(crl) = &mut self.crl
            && matches!(crl.state, CrlState::Pending(_))
        {
            crl.state = CrlState::Pending(Some(reason.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{NOW, associated, endpoint, environment, id};
    use super::*;
    use crate::environment::Quotas;
    use crate::parts::{Access, RouteTarget};
    use crate::request::{CreateRoute, RuleRequest};

    #[test]
    fn an_endpoint_is_available_while_a_target_network_is_in_force() {
        let mut endpoint = endpoint();
        endpoint
            .associate(&environment(), "subnet-0000000a", id(1), NOW)
            .unwrap();
        assert_eq!(endpoint.state, EndpointState::PendingAssociate);
        assert!(endpoint.settle(Err("the port is taken"), NOW));
        assert_eq!(endpoint.state, EndpointState::PendingAssociate);
        let failed = AssociationState::Failed("the port is taken".into());
        assert_eq!(endpoint.associations[0].state, failed);
        assert!(endpoint.settle(Ok(()), NOW));
        assert_eq!(
            (endpoint.state, endpoint.applied),
            (EndpointState::Available, Some(NOW))
        );
        assert_eq!(endpoint.associations[0].state, AssociationState::Associated);
        endpoint.disassociate(id(1).as_str()).unwrap();
        assert!(endpoint.settle(Ok(()), NOW));
        assert_eq!(endpoint.state, EndpointState::PendingAssociate);
        assert!(endpoint.associations.is_empty() && endpoint.routes.is_empty());
        endpoint.state = EndpointState::Deleting;
        assert!(endpoint.settle(Err("busy"), NOW), "it can't be stopped yet");
        assert!(!endpoint.settle(Ok(()), NOW), "it is gone");
    }

    #[test]
    fn what_was_in_force_stays_so_when_a_later_change_fails() {
        let mut endpoint = associated();
        endpoint.settle(Ok(()), NOW);
        let rule = RuleRequest {
            destination: "10.20.0.0/16".parse().unwrap(),
            access: Access::AllUsers,
            services: Vec::new(),
            description: None,
        };
        endpoint.authorize(&rule, &Quotas::default(), NOW).unwrap();
        endpoint.settle(Err("nft failed"), NOW);
        assert_eq!(endpoint.rules[0].state, RuleState::Failed("nft failed".into()));
        assert_eq!(endpoint.associations[0].state, AssociationState::Associated);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Associate(usize),
        Disassociate(usize),
        Route(usize, usize),
        DeleteRoute(usize, usize),
        Authorize(usize, bool),
        Revoke(usize, bool),
        Settle(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0usize..5).prop_map(Step::Associate),
            (0usize..4).prop_map(Step::Disassociate),
            (0usize..4, 0usize..3).prop_map(|(a, b)| Step::Route(a, b)),
            (0usize..4, 0usize..3).prop_map(|(a, b)| Step::DeleteRoute(a, b)),
            (0usize..4, any::<bool>()).prop_map(|(a, b)| Step::Authorize(a, b)),
            (0usize..4, any::<bool>()).prop_map(|(a, b)| Step::Revoke(a, b)),
            any::<bool>().prop_map(Step::Settle),
        ]
    }

    const SUBNETS: [&str; 5] = [
        "subnet-0000000a",
        "subnet-0000000b",
        "subnet-0000000c",
        "subnet-0000000d",
        "subnet-0000000e",
    ];
    const NETWORKS: [&str; 4] = ["0.0.0.0/0", "10.20.0.0/16", "10.8.0.0/22", "192.168.0.0/16"];
    const TARGETS: [&str; 3] = ["subnet-0000000a", "subnet-0000000b", "local"];

    /// Carries out a step; that it may be refused is part of the game.
    fn take(endpoint: &mut Endpoint, number: u8, step: &Step) {
        let access = |group: bool| {
            if group {
                Access::Group("g".into())
            } else {
                Access::AllUsers
            }
        };
        match *step {
            Step::Associate(which) => {
                drop(endpoint.associate(&environment(), SUBNETS[which], id(number), NOW));
            }
            Step::Disassociate(which) => {
                let known = endpoint
                    .associations
                    .get(which)
                    .map(|association| association.id.clone());
                drop(known.map(|id| endpoint.disassociate(id.as_str())));
            }
            Step::Route(network, target) => {
                let request = CreateRoute {
                    destination: NETWORKS[network].parse().unwrap(),
                    target: Some(TARGETS[target].into()),
                    description: None,
                };
                drop(endpoint.create_route(&request, &Quotas::default(), NOW));
            }
            Step::DeleteRoute(network, target) => {
                drop(endpoint.delete_route(NETWORKS[network].parse().unwrap(), Some(TARGETS[target])));
            }
            Step::Authorize(network, group) => {
                let request = RuleRequest {
                    destination: NETWORKS[network].parse().unwrap(),
                    access: access(group),
                    services: Vec::new(),
                    description: None,
                };
                drop(endpoint.authorize(&request, &Quotas::default(), NOW));
            }
            Step::Revoke(network, group) => {
                drop(endpoint.revoke(NETWORKS[network].parse().unwrap(), &access(group)));
            }
            Step::Settle(good) => {
                endpoint.settle(if good { Ok(()) } else { Err("no") }, NOW);
            }
        }
    }

    fn check(endpoint: &Endpoint) -> Result<(), TestCaseError> {
        for (index, route) in endpoint.routes.iter().enumerate() {
            let twin =
                |other: &crate::Route| other.destination == route.destination && other.target == route.target;
            prop_assert!(
                !endpoint.routes[..index].iter().any(twin),
                "one route per identity"
            );
            if let RouteTarget::Subnet(id) = &route.target {
                let owner = endpoint
                    .associations
                    .iter()
                    .find(|association| association.subnet_id == *id);
                prop_assert!(owner.is_some(), "no route without its association");
            }
        }
        for (index, rule) in endpoint.rules.iter().enumerate() {
            let twin = |other: &crate::AuthorizationRule| {
                other.destination == rule.destination && other.access == rule.access
            };
            prop_assert!(!endpoint.rules[..index].iter().any(twin), "one rule per identity");
        }
        let zones: Vec<String> = endpoint
            .associations
            .iter()
            .map(|association| {
                environment()
                    .subnet(&association.subnet_id)
                    .unwrap()
                    .availability_zone
                    .clone()
            })
            .collect();
        let distinct: std::collections::BTreeSet<&String> = zones.iter().collect();
        prop_assert_eq!(distinct.len(), zones.len(), "one subnet per zone");
        Ok(())
    }

    proptest! {
        #[test]
        fn no_sequence_of_operations_breaks_an_endpoint(steps in proptest::collection::vec(step(), 0..40)) {
            let mut endpoint = endpoint();
            for (number, step) in steps.iter().enumerate() {
                take(&mut endpoint, number as u8, step);
                check(&endpoint)?;
            }
            endpoint.settle(Ok(()), NOW);
            let available = endpoint.state == EndpointState::Available;
            prop_assert_eq!(available, !endpoint.associations.is_empty());
            prop_assert!(endpoint.routes.iter().all(|route| route.state == RouteState::Active));
            prop_assert!(endpoint.rules.iter().all(|rule| rule.state == RuleState::Active));
        }
    }
}
