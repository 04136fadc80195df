//! Routes that somebody adds.

use culvert_config::overlap;
use culvert_query::{ApiError, ErrorCode};
use ipnetwork::IpNetwork;
use time::OffsetDateTime;

use super::{check_description, check_destination, invalid, missing};
use crate::endpoint::Endpoint;
use crate::environment::Quotas;
use crate::parts::{Origin, Route, RouteState, RouteTarget};
use crate::request::CreateRoute;

/// What stands for the endpoint itself as a target.
const LOCAL: &str = "local";

impl Endpoint {
    /// Adds a route.
    ///
    /// # Errors
    /// `IncorrectState`, `InvalidClientVpnActiveAssociationNotFound`, `MissingParameter` without a target,
    /// `InvalidClientVpnSubnetId.NotFound` for a subnet that isn't associated, `InvalidParameterValue` for a destination
    /// that can't be routed so, `InvalidClientVpnDuplicateRoute` and `ClientVpnRouteLimitExceeded`.
    pub fn create_route(
        &mut self,
        request: &CreateRoute,
        quotas: &Quotas,
        now: OffsetDateTime,
    ) -> Result<Route, ApiError> {
        self.check_alive()?;
        let target = self.target(request.target.as_deref())?;
        self.check_route(request.destination, &target)?;
        check_description(request.description.as_deref())?;
        let wanted = |route: &&Route| route.state != RouteState::Deleting && route.target == target;
        if self
            .routes
            .iter()
            .filter(wanted)
            .any(|route| route.destination == request.destination)
        {
            let message = format!(
                "There is a route to {} through {} already",
                request.destination,
                shown(&target)
            );
            return Err(ApiError::new(ErrorCode::DuplicateRoute, message));
        }
        if self.routes.iter().filter(wanted).count() >= quotas.routes_per_association {
            let message = format!(
                "There are {} routes through {} already, the most there may be; delete one first",
                quotas.routes_per_association,
                shown(&target)
            );
            return Err(ApiError::new(ErrorCode::RouteLimitExceeded, message));
        }
        let route = Route {
            destination: request.destination,
            target,
            origin: Origin::AddRoute,
            description: request.description.clone(),
            created: now,
            state: RouteState::Creating,
        };
        self.put_route(route.clone());
        Ok(route)
    }

    /// Begins to delete a route that somebody added. The target may be left out where only one route leads to the
    /// destination. Repeating it is harmless until it is done.
    ///
    /// # Errors
    /// `InvalidClientVpnRouteNotFound`, `MissingParameter` where several routes lead there, `InvalidParameterValue` for
    /// a route that came with an association.
    pub fn delete_route(&mut self, destination: IpNetwork, target: Option<&str>) -> Result<Route, ApiError> {
        let mut found = self.routes.iter_mut().filter(|route| {
            route.destination == destination && target.is_none_or(|target| shown(&route.target) == target)
        });
        let Some(route) = found.next() else {
            let through = target
                .map(|target| format!(" through {target}"))
                .unwrap_or_default();
            let message = format!(
                "The Client VPN endpoint {} has no route to {destination}{through}",
                self.id
            );
            return Err(ApiError::new(ErrorCode::RouteNotFound, message));
        };
        if found.next().is_some() {
            return Err(missing(format!(
                "Several routes lead to {destination}: say which with TargetVpcSubnetId"
            )));
        }
        if route.origin == Origin::Associate {
            let reason = format!(
                "the route to {destination} came with the association of {} and goes with it",
                shown(&route.target)
            );
            return Err(invalid("DestinationCidrBlock", reason));
        }
        route.state = RouteState::Deleting;
        Ok(route.clone())
    }

    /// Puts a route in, in place of one of the same identity that is on its way out.
    pub(super) fn put_route(&mut self, route: Route) {
        let same = |other: &Route| other.destination == route.destination && other.target == route.target;
        self.routes.retain(|other| !same(other));
        self.routes.push(route);
    }

    fn target(&self, target: Option<&str>) -> Result<RouteTarget, ApiError> {
        if self.staying().next().is_none() {
            let message = format!(
                "The Client VPN endpoint {} has no target network: associate a subnet before adding routes",
                self.id
            );
            return Err(ApiError::new(ErrorCode::ActiveAssociationNotFound, message));
        }
        match target {
            None => Err(missing(
                "You must specify TargetVpcSubnetId: an associated subnet, or local",
            )),
            Some(LOCAL) => Ok(RouteTarget::Local),
            Some(id) if self.staying().any(|association| association.subnet_id == id) => {
                Ok(RouteTarget::Subnet(id.to_owned()))
            }
            Some(id) => Err(ApiError::new(
                ErrorCode::SubnetIdNotFound,
                format!(
                    "The Client VPN endpoint {} is not associated with {id:?}",
                    self.id
                ),
            )),
        }
    }

    fn check_route(&self, destination: IpNetwork, target: &RouteTarget) -> Result<(), ApiError> {
        const PARAMETER: &str = "DestinationCidrBlock";
        check_destination(PARAMETER, destination, self.traffic_ip_address_type)?;
        let refuse = |reason| Err(invalid(PARAMETER, reason));
        match target {
            RouteTarget::Local => match self.client_cidr_block {
                Some(clients) if destination == IpNetwork::V4(clients) => Ok(()),
                Some(clients) => refuse(format!(
                    "{destination} is not the client CIDR {clients}; local reaches that, as a whole, and IPv4 only"
                )),
                None => {
                    refuse("clients reach each other over IPv4 only, which the endpoint doesn't carry".into())
                }
            },
            // A default route covers the client CIDR too, but every system prefers the longer prefix.
            RouteTarget::Subnet(_) if destination.prefix() == 0 => Ok(()),
            RouteTarget::Subnet(_) => match self
                .client_blocks()
                .find(|clients| overlap(destination, *clients))
            {
                Some(clients) => refuse(format!(
                    "{destination} overlaps the client CIDR {clients}; clients are reached through local, over IPv4"
                )),
                None => Ok(()),
            },
        }
    }
}

/// A target as callers write it.
fn shown(target: &RouteTarget) -> &str {
    match target {
        RouteTarget::Subnet(id) => id,
        RouteTarget::Local => LOCAL,
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{
        NOW, associated, carrying, code, endpoint, environment, environment_with_ipv6, id,
    };
    use super::*;
    use crate::endpoint::IpAddressType;

    fn request(destination: &str, target: Option<&str>) -> CreateRoute {
        CreateRoute {
            destination: destination.parse().unwrap(),
            target: target.map(str::to_owned),
            description: None,
        }
    }

    const A: Option<&str> = Some("subnet-0000000a");

    #[test]
    fn each_reason_against_a_route_has_its_code() {
        let quotas = Quotas::default();
        let refused = endpoint().create_route(&request("0.0.0.0/0", A), &quotas, NOW);
        assert_eq!(code(refused), ErrorCode::ActiveAssociationNotFound);
        let mut endpoint = associated();
        let before = endpoint.clone();
        for (destination, target, wanted) in [
            ("0.0.0.0/0", None, ErrorCode::MissingParameter),
            ("0.0.0.0/0", Some("subnet-0000000b"), ErrorCode::SubnetIdNotFound),
            ("192.168.0.1/24", A, ErrorCode::InvalidParameterValue),
            ("fd00::/8", A, ErrorCode::InvalidParameterValue),
            ("10.8.1.0/24", A, ErrorCode::InvalidParameterValue),
            ("10.0.0.0/8", A, ErrorCode::InvalidParameterValue),
            ("10.9.0.0/22", Some("local"), ErrorCode::InvalidParameterValue),
            ("10.8.1.0/24", Some("local"), ErrorCode::InvalidParameterValue),
            ("0.0.0.0/0", Some("local"), ErrorCode::InvalidParameterValue),
            ("10.20.0.0/16", A, ErrorCode::DuplicateRoute),
        ] {
            let refused = endpoint.create_route(&request(destination, target), &quotas, NOW);
            assert_eq!(code(refused), wanted, "{destination} {target:?}");
        }
        assert_eq!(endpoint, before, "a refusal changes nothing");
        let few = Quotas {
            routes_per_association: 3,
            ..quotas
        };
        endpoint
            .create_route(&request("0.0.0.0/0", A), &few, NOW)
            .unwrap();
        let refused = endpoint.create_route(&request("192.168.0.0/24", A), &few, NOW);
        assert_eq!(code(refused), ErrorCode::RouteLimitExceeded);
        endpoint
            .create_route(&request("10.8.0.0/22", Some("local")), &few, NOW)
            .unwrap();
    }

    #[test]
    fn a_destination_is_of_a_family_that_is_carried_and_no_clients() {
        let create = |traffic, destination, target| {
            let mut endpoint = carrying(traffic);
            endpoint
                .associate(&environment_with_ipv6(), "subnet-0000000a", id(1), NOW)
                .unwrap();
            endpoint.create_route(&request(destination, target), &Quotas::default(), NOW)
        };
        let local = Some("local");
        for (traffic, destination, target) in [
            (IpAddressType::DualStack, "::/0", A),
            (IpAddressType::DualStack, "2001:db8:30::/64", A),
            (IpAddressType::DualStack, "0.0.0.0/0", A),
            (IpAddressType::DualStack, "10.8.0.0/22", local),
            (IpAddressType::Ipv6, "::/0", A),
        ] {
            create(traffic, destination, target).unwrap();
        }
        for (traffic, destination, target) in [
            (IpAddressType::Ipv4, "::/0", A),
            (IpAddressType::Ipv6, "0.0.0.0/0", A),
            (IpAddressType::DualStack, "2001:db8:8::/48", A),
            (IpAddressType::DualStack, "2001:db8:30::1/64", A),
            (IpAddressType::DualStack, "2001:db8:8::/64", local),
            (IpAddressType::Ipv6, "2001:db8:8::/64", local),
        ] {
            let refused = create(traffic, destination, target);
            assert_eq!(
                code(refused),
                ErrorCode::InvalidParameterValue,
                "{traffic:?} {destination}"
            );
        }
    }

    #[test]
    fn only_added_routes_can_be_deleted() {
        let mut endpoint = associated();
        endpoint
            .associate(&environment(), "subnet-0000000b", id(2), NOW)
            .unwrap();
        let all: IpNetwork = "0.0.0.0/0".parse().unwrap();
        for subnet in ["subnet-0000000a", "subnet-0000000b"] {
            endpoint
                .create_route(&request("0.0.0.0/0", Some(subnet)), &Quotas::default(), NOW)
                .unwrap();
        }
        assert_eq!(
            code(endpoint.delete_route(all, None)),
            ErrorCode::MissingParameter
        );
        assert_eq!(
            code(endpoint.delete_route(all, Some("local"))),
            ErrorCode::RouteNotFound
        );
        let automatic = "10.20.0.0/16".parse().unwrap();
        assert_eq!(
            code(endpoint.delete_route(automatic, A)),
            ErrorCode::InvalidParameterValue
        );
        assert_eq!(endpoint.delete_route(all, A).unwrap().state, RouteState::Deleting);
        let again = endpoint
            .create_route(&request("0.0.0.0/0", A), &Quotas::default(), NOW)
            .unwrap();
        assert_eq!(
            again.state,
            RouteState::Creating,
            "made anew before the old one was gone"
        );
        assert_eq!(
            endpoint
                .routes
                .iter()
                .filter(|route| route.destination == all)
                .count(),
            2
        );
    }
}
