//! Associating an endpoint with target networks.

use culvert_config::overlap;
use culvert_query::{ApiError, ErrorCode};
use ipnetwork::IpNetwork;
use time::OffsetDateTime;

use super::invalid;
use crate::endpoint::Endpoint;
use crate::environment::{Environment, Subnet, Vpc};
use crate::id::{AssociationId, is_resource_id};
use crate::parts::{Association, AssociationState, Origin, Route, RouteState, RouteTarget};

/// The smallest subnet an endpoint may be associated with: /27.
const LONGEST_PREFIX: u8 = 27;
/// What an automatic route is described as.
const AUTOMATIC: &str = "Default Route";

impl Endpoint {
    /// Associates the endpoint with a subnet. Each block of the subnet's VPC, of the families that the endpoint carries,
    /// becomes a route through it; with the first subnet the VPC is fixed, and its default security group applies unless
    /// others do already.
    ///
    /// # Errors
    /// `IncorrectState`, `InvalidSubnetID.Malformed`, `InvalidClientVpnSubnetId.NotFound`, `.DifferentAccount`,
    /// `.DuplicateAz` and `.OverlappingCidr`, `InvalidClientVpnDuplicateAssociationException`, and
    /// `InvalidParameterValue` for a subnet of another VPC, one that is too small, or one without IPv6 if that is carried.
    pub fn associate(
        &mut self,
        environment: &Environment,
        subnet_id: &str,
        id: AssociationId,
        now: OffsetDateTime,
    ) -> Result<Association, ApiError> {
        self.check_alive()?;
        let subnet = find_subnet(environment, subnet_id)?;
        let vpc = self.check_vpc(environment, subnet)?;
        self.check_subnet(environment, subnet, vpc)?;
        let association = Association {
            id,
            subnet_id: subnet.id.clone(),
            vpc_id: vpc.id.clone(),
            created: now,
            state: AssociationState::Associating,
        };
        self.vpc_id = Some(vpc.id.clone());
        if self.security_group_ids.is_empty() {
            let default = environment.default_security_group(&vpc.id);
            self.security_group_ids
                .extend(default.map(|group| group.id.clone()));
        }
        self.associations.push(association.clone());
        let traffic = self.traffic_ip_address_type;
        for destination in blocks_of(vpc).filter(|block| traffic.has(*block)) {
            self.put_route(Route {
                destination,
                target: RouteTarget::Subnet(subnet.id.clone()),
                origin: Origin::Associate,
                description: Some(AUTOMATIC.to_owned()),
                created: now,
                state: RouteState::Creating,
            });
        }
        Ok(association)
    }

    /// Begins to end an association, and with it the routes through its subnet. Repeating it is harmless.
    ///
    /// # Errors
    /// `InvalidClientVpnAssociationIdNotFound`.
    pub fn disassociate(&mut self, association_id: &str) -> Result<Association, ApiError> {
        let mut associations = self.associations.iter_mut();
        let found = associations.find(|association| association.id.as_str() == association_id);
        let association = found.ok_or_else(|| {
            ApiError::new(
                ErrorCode::AssociationIdNotFound,
                format!(
                    "The Client VPN endpoint {} has no association {association_id}",
                    self.id
                ),
            )
        })?;
        association.state = AssociationState::Disassociating;
        let association = association.clone();
        let through = RouteTarget::Subnet(association.subnet_id.clone());
        for route in self.routes.iter_mut().filter(|route| route.target == through) {
            route.state = RouteState::Deleting;
        }
        Ok(association)
    }

    /// The associations that aren't on their way out.
    pub(super) fn staying(&self) -> impl Iterator<Item = &Association> {
        let staying = |association: &&Association| association.state != AssociationState::Disassociating;
        self.associations.iter().filter(staying)
    }

    /// The subnet's VPC, if it can be that of the endpoint.
    fn check_vpc<'e>(&self, environment: &'e Environment, subnet: &Subnet) -> Result<&'e Vpc, ApiError> {
        if let Some(fixed) = self.vpc_id.as_ref().filter(|fixed| **fixed != subnet.vpc_id) {
            let reason = format!(
                "the subnet {} is in the VPC {}, but the endpoint belongs to {fixed}; choose a subnet of that",
                subnet.id, subnet.vpc_id
            );
            return Err(invalid("SubnetId", reason));
        }
        environment.vpc(&subnet.vpc_id).ok_or_else(|| {
            let message = format!(
                "The VPC {} of the subnet {} does not exist",
                subnet.vpc_id, subnet.id
            );
            ApiError::new(ErrorCode::InvalidVpcIdNotFound, message)
        })
    }

    fn check_subnet(&self, environment: &Environment, subnet: &Subnet, vpc: &Vpc) -> Result<(), ApiError> {
        if self.associations.iter().any(|other| other.subnet_id == subnet.id) {
            let message = format!(
                "The Client VPN endpoint {} is associated with {} already",
                self.id, subnet.id
            );
            return Err(ApiError::new(ErrorCode::DuplicateAssociation, message));
        }
        let zone_of = |other: &Association| environment.subnet(&other.subnet_id);
        let same_zone = |other: &&Association| {
            zone_of(other).is_some_and(|other| other.availability_zone == subnet.availability_zone)
        };
        if let Some(other) = self.associations.iter().find(same_zone) {
            let message = format!(
                "The Client VPN endpoint {} has a subnet in the zone {} already: {}",
                self.id, subnet.availability_zone, other.subnet_id
            );
            return Err(ApiError::new(ErrorCode::SubnetIdDuplicateAz, message));
        }
        if subnet.cidr_block.prefix() > LONGEST_PREFIX {
            let reason = format!(
                "{} is too small; a subnet must be /{LONGEST_PREFIX} or larger",
                subnet.cidr_block
            );
            return Err(invalid("SubnetId", reason));
        }
        self.check_overlap(vpc)?;
        if self.traffic_ip_address_type.v6() && subnet.ipv6_cidr_block.is_none() {
            let reason = format!(
                "the endpoint carries IPv6, but the subnet {} has no IPv6 block; choose another, or give it one",
                subnet.id
            );
            return Err(invalid("SubnetId", reason));
        }
        Ok(())
    }

    /// Refuses a VPC that shares addresses with clients. Its subnets are parts of it.
    fn check_overlap(&self, vpc: &Vpc) -> Result<(), ApiError> {
        for clients in self.client_blocks() {
            if let Some(block) = blocks_of(vpc).find(|block| overlap(*block, clients)) {
                let message = format!(
                    "The network {block} overlaps the client CIDR {clients} of {}",
                    self.id
                );
                return Err(ApiError::new(ErrorCode::SubnetIdOverlappingCidr, message));
            }
        }
        Ok(())
    }
}

/// All blocks of a VPC.
fn blocks_of(vpc: &Vpc) -> impl Iterator<Item = IpNetwork> {
    let v4 = vpc.cidr_blocks.iter().map(|block| IpNetwork::V4(*block));
    v4.chain(vpc.ipv6_cidr_blocks.iter().map(|block| IpNetwork::V6(*block)))
}

fn find_subnet<'e>(environment: &'e Environment, id: &str) -> Result<&'e Subnet, ApiError> {
    if !is_resource_id(id, "subnet-") {
        let message = format!("Invalid id {id:?}: a subnet's is subnet- and 8 or 17 hex digits");
        return Err(ApiError::new(ErrorCode::InvalidSubnetIdMalformed, message));
    }
    let subnet = environment.subnet(id).ok_or_else(|| {
        ApiError::new(
            ErrorCode::SubnetIdNotFound,
            format!("The subnet {id} does not exist"),
        )
    })?;
    match &subnet.owner_id {
        Some(owner) if *owner != environment.account_id => Err(ApiError::new(
            ErrorCode::SubnetIdDifferentAccount,
            format!("The subnet {id} belongs to the account {owner}"),
        )),
        _ => Ok(subnet),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{
        NOW, associated, carrying, code, endpoint, environment, environment_with_ipv6, id,
    };
    use super::*;
    use crate::endpoint::IpAddressType;

    #[test]
    fn the_first_subnet_brings_vpc_security_group_and_routes() {
        let mut endpoint = endpoint();
        let made = endpoint
            .associate(&environment(), "subnet-0000000a", id(1), NOW)
            .unwrap();
        assert_eq!(
            (made.state, made.vpc_id.as_str()),
            (AssociationState::Associating, "vpc-00000001")
        );
        assert_eq!(endpoint.vpc_id.as_deref(), Some("vpc-00000001"));
        assert_eq!(endpoint.security_group_ids, ["sg-00000001"]);
        let routes: Vec<String> = endpoint
            .routes
            .iter()
            .map(|route| route.destination.to_string())
            .collect();
        assert_eq!(routes, ["10.20.0.0/16", "10.21.0.0/16"]);
        assert!(
            endpoint
                .routes
                .iter()
                .all(|route| route.origin == Origin::Associate
                    && route.description.as_deref() == Some("Default Route"))
        );
    }

    #[test]
    fn each_reason_against_a_subnet_has_its_code() {
        let environment = environment();
        let mut endpoint = associated();
        let before = endpoint.clone();
        for (subnet, wanted) in [
            ("subnet-XYZ", ErrorCode::InvalidSubnetIdMalformed),
            ("subnet-00000099", ErrorCode::SubnetIdNotFound),
            ("subnet-000000f0", ErrorCode::SubnetIdDifferentAccount),
            ("subnet-0000000e", ErrorCode::InvalidParameterValue), // of another VPC
            ("subnet-0000000a", ErrorCode::DuplicateAssociation),
            ("subnet-0000000c", ErrorCode::SubnetIdDuplicateAz),
            ("subnet-0000000d", ErrorCode::InvalidParameterValue), // a /28
        ] {
            assert_eq!(
                code(endpoint.associate(&environment, subnet, id(2), NOW)),
                wanted,
                "{subnet}"
            );
        }
        assert_eq!(endpoint, before, "a refusal changes nothing");
        let mut overlapping = super::super::samples::endpoint();
        overlapping.client_cidr_block = "10.21.0.0/22".parse().ok();
        let refused = overlapping.associate(&environment, "subnet-0000000a", id(2), NOW);
        assert_eq!(code(refused), ErrorCode::SubnetIdOverlappingCidr);
        endpoint.state = crate::EndpointState::Deleting;
        assert_eq!(
            code(endpoint.associate(&environment, "subnet-0000000b", id(2), NOW)),
            ErrorCode::IncorrectState
        );
    }

    #[test]
    fn the_blocks_of_the_carried_families_become_routes() {
        for (traffic, wanted) in [
            (IpAddressType::Ipv4, &["10.20.0.0/16", "10.21.0.0/16"][..]),
            (IpAddressType::Ipv6, &["2001:db8:20::/56"]),
            (
                IpAddressType::DualStack,
                &["10.20.0.0/16", "10.21.0.0/16", "2001:db8:20::/56"],
            ),
        ] {
            let mut endpoint = carrying(traffic);
            let environment = environment_with_ipv6();
            endpoint
                .associate(&environment, "subnet-0000000a", id(1), NOW)
                .unwrap();
            let routes = endpoint.routes.iter().map(|route| route.destination.to_string());
            assert_eq!(routes.collect::<Vec<_>>(), wanted);
            let other = endpoint.associate(&environment, "subnet-0000000b", id(2), NOW);
            match traffic {
                IpAddressType::Ipv4 => drop(other.unwrap()),
                _ => assert_eq!(code(other), ErrorCode::InvalidParameterValue, "it has no IPv6"),
            }
        }
    }

    #[test]
    fn a_vpc_that_has_the_clients_ipv6_addresses_is_refused() {
        let mut environment = environment_with_ipv6();
        environment.vpcs[0]
            .ipv6_cidr_blocks
            .push("2001:db8:8::/56".parse().unwrap());
        let mut endpoint = carrying(IpAddressType::DualStack);
        let refused = endpoint.associate(&environment, "subnet-0000000a", id(1), NOW);
        assert_eq!(code(refused), ErrorCode::SubnetIdOverlappingCidr);
    }

    #[test]
    fn with_the_association_its_routes_go() {
        let mut endpoint = associated();
        endpoint
            .associate(&environment(), "subnet-0000000b", id(2), NOW)
            .unwrap();
        let gone = endpoint.disassociate(id(1).as_str()).unwrap();
        assert_eq!(gone.state, AssociationState::Disassociating);
        assert_eq!(
            endpoint.disassociate(id(1).as_str()).unwrap(),
            gone,
            "repeating it is harmless"
        );
        for route in &endpoint.routes {
            let through_a = route.target == RouteTarget::Subnet("subnet-0000000a".into());
            assert_eq!(route.state == RouteState::Deleting, through_a);
        }
        assert_eq!(
            code(endpoint.disassociate("cvpn-assoc-1")),
            ErrorCode::AssociationIdNotFound
        );
    }
}
