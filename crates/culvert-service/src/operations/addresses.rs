//! Where the addresses of an endpoint's clients come from: the client CIDR for IPv4, and for IPv6 a /64 that the endpoint
//! is given, as on AWS. It is one of those in the range that the configuration declares; which follows from the endpoint's
//! id.

use std::net::{IpAddr, Ipv6Addr};

use culvert_config::overlap;
use culvert_query::{ApiError, ErrorCode};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use ring::digest::{SHA256, digest};

use super::settings::Surroundings;
use super::{invalid, missing};
use crate::endpoint::{Endpoint, IpAddressType};
use crate::id::EndpointId;
use crate::request::CreateEndpoint;

/// Prefixes of client CIDRs there may be, from the largest network to the smallest.
const CLIENT_PREFIXES: std::ops::RangeInclusive<u8> = 12..=22;
/// The prefix of what an endpoint is given.
const GIVEN_PREFIX: u8 = 64;
/// How many prefixes are tried before the range is called full.
const TRIES: u16 = 256;

/// Refuses families over which the one host of all endpoints can't be reached: that would be an endpoint without clients.
pub(super) fn check_hosts(endpoint: &Endpoint, surroundings: Surroundings<'_>) -> Result<(), ApiError> {
    let families = endpoint.endpoint_ip_address_type;
    let hosts = endpoint.hosts(surroundings.environment);
    let other_family = |host: &&String| {
        host.parse()
            .is_ok_and(|address: IpAddr| !families.has(address.into()))
    };
    match hosts.iter().find(other_family) {
        Some(host) => {
            let (family, key) = if families.v6() {
                ("IPv6", "ipv6_host")
            } else {
                ("IPv4", "host")
            };
            let reason = format!(
                "clients reach this machine by {host}, which is no {family} address; declare one as {key} in [account]"
            );
            Err(invalid("EndpointIpAddressType", reason))
        }
        None => Ok(()),
    }
}

/// The client CIDR, if IPv4 is carried.
pub(super) fn client_cidr(
    request: &CreateEndpoint,
    traffic: IpAddressType,
    surroundings: Surroundings<'_>,
) -> Result<Option<Ipv4Network>, ApiError> {
    const PARAMETER: &str = "ClientCidrBlock";
    let block = match request.client_cidr_block {
        Some(block) if traffic.v4() => block,
        Some(_) => {
            return Err(ApiError::new(
                ErrorCode::InvalidParameterCombination,
                "ClientCidrBlock means nothing with TrafficIpAddressType=ipv6: leave it out, or carry dual-stack",
            ));
        }
        None if traffic.v4() => return Err(missing("You must specify ClientCidrBlock")),
        None => return Ok(None),
    };
    if block.ip() != block.network() {
        let reason = format!(
            "{block} is not the address of a network; use {}/{}",
            block.network(),
            block.prefix()
        );
        return Err(invalid(PARAMETER, reason));
    }
    if !CLIENT_PREFIXES.contains(&block.prefix()) {
        return Err(invalid(
            PARAMETER,
            format!("{block} must be between /12 and /22 in size"),
        ));
    }
    check_free(PARAMETER, block, request, surroundings)?;
    Ok(Some(block))
}

/// Refuses a client CIDR that shares addresses with that of another endpoint, or with the VPC.
fn check_free(
    parameter: &str,
    block: Ipv4Network,
    request: &CreateEndpoint,
    surroundings: Surroundings<'_>,
) -> Result<(), ApiError> {
    let clash = |other: &Ipv4Network| overlap(IpNetwork::V4(*other), IpNetwork::V4(block));
    let taken = surroundings.endpoints.iter().find_map(|other| {
        let taken = other.client_cidr_block.filter(clash)?;
        Some((taken, &other.id))
    });
    if let Some((taken, id)) = taken {
        let reason = format!("{block} overlaps the client CIDR {taken} of {id}");
        return Err(invalid(parameter, reason));
    }
    if let Some(id) = &request.settings.vpc_id
        && let Some(vpc) = surroundings.vpc(id)?.cidr_blocks.iter().find(|vpc| clash(vpc))
    {
        return Err(invalid(
            parameter,
            format!("{block} overlaps {vpc} of the VPC {id}"),
        ));
    }
    Ok(())
}

/// The IPv6 prefix an endpoint with this id is given, if IPv6 is carried: one that no other endpoint and no VPC has.
pub(super) fn client_ipv6_cidr(
    id: &EndpointId,
    traffic: IpAddressType,
    surroundings: Surroundings<'_>,
) -> Result<Option<Ipv6Network>, ApiError> {
    if !traffic.v6() {
        return Ok(None);
    }
    let environment = surroundings.environment;
    let range = environment.client_ipv6_range;
    let given = surroundings
        .endpoints
        .iter()
        .filter_map(|other| other.client_ipv6_cidr_block);
    let vpcs = environment.vpcs.iter().flat_map(|vpc| &vpc.ipv6_cidr_blocks);
    let taken: Vec<IpNetwork> = given.chain(vpcs.copied()).map(IpNetwork::V6).collect();
    let mut candidates = (0..TRIES).filter_map(|attempt| candidate(range, id, attempt));
    let free = candidates.find(|block| !taken.iter().any(|other| overlap(*other, IpNetwork::V6(*block))));
    free.map(Some).ok_or_else(|| {
        let reason = format!(
            "no /{GIVEN_PREFIX} of {range} is left for clients; declare a larger client_ipv6_range in [account]"
        );
        invalid("TrafficIpAddressType", reason)
    })
}

/// A prefix of the range that follows from the id; each attempt leads to another one.
fn candidate(range: Ipv6Network, id: &EndpointId, attempt: u16) -> Option<Ipv6Network> {
    let hash = digest(&SHA256, format!("culvert client IPv6 {id} {attempt}").as_bytes());
    let number = hash
        .as_ref()
        .first_chunk()
        .map(|bytes| u64::from_be_bytes(*bytes))?;
    // The range decides the first bits of the prefix, the hash the others.
    let own = u64::MAX.checked_shr(range.prefix().into()).unwrap_or(0);
    let prefix = range.network().to_bits() | u128::from(number & own) << GIVEN_PREFIX;
    Ipv6Network::new(Ipv6Addr::from_bits(prefix), GIVEN_PREFIX).ok()
}

#[cfg(test)]
mod tests {
    use super::super::samples::{code, endpoint, environment};
    use super::*;
    use crate::environment::Environment;

    fn given(environment: &Environment, endpoints: &[Endpoint], id: u8) -> Result<Ipv6Network, ApiError> {
        let surroundings = Surroundings {
            environment,
            certificates: &[],
            endpoints,
        };
        let id = EndpointId::from_random([id; 9]);
        client_ipv6_cidr(&id, IpAddressType::DualStack, surroundings).map(Option::unwrap)
    }

    #[test]
    fn each_endpoint_is_given_a_prefix_of_its_own_in_the_range() {
        let environment = environment();
        let one = given(&environment, &[], 1).unwrap();
        assert_eq!(
            one,
            given(&environment, &[], 1).unwrap(),
            "it follows from the id"
        );
        assert_ne!(one, given(&environment, &[], 2).unwrap());
        assert_eq!((one.prefix(), one.ip()), (64, one.network()));
        assert_eq!(one.ip().octets()[0], 0xfd);
        let surroundings = Surroundings {
            environment: &environment,
            certificates: &[],
            endpoints: &[],
        };
        let id = EndpointId::from_random([1; 9]);
        assert_eq!(client_ipv6_cidr(&id, IpAddressType::Ipv4, surroundings), Ok(None));
    }

    #[test]
    fn a_small_range_is_used_up_to_its_end_and_then_refused() {
        let mut environment = environment();
        environment.client_ipv6_range = "2001:db8:0:4::/62".parse().unwrap();
        environment.vpcs[0].ipv6_cidr_blocks = vec!["2001:db8:0:5::/64".parse().unwrap()];
        let mut endpoints = Vec::new();
        for id in 1..=3 {
            let block = given(&environment, &endpoints, id).unwrap();
            assert!(block.is_subnet_of(environment.client_ipv6_range), "{block}");
            endpoints.push(Endpoint {
                client_ipv6_cidr_block: Some(block),
                ..endpoint()
            });
        }
        let mut blocks: Vec<String> = endpoints
            .iter()
            .map(|endpoint| endpoint.client_ipv6_cidr_block.unwrap().to_string())
            .collect();
        blocks.sort();
        assert_eq!(
            blocks,
            ["2001:db8:0:4::/64", "2001:db8:0:6::/64", "2001:db8:0:7::/64"]
        );
        let refused = given(&environment, &endpoints, 4);
        assert_eq!(code(refused), ErrorCode::InvalidParameterValue);
        environment.client_ipv6_range = "2001:db8::/64".parse().unwrap();
        assert_eq!(
            given(&environment, &[], 1).unwrap(),
            environment.client_ipv6_range
        );
    }
}
