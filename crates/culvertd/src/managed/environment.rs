//! What the configuration says about an endpoint's surroundings, in the words of the service layer.

use culvert_config::Environment;
use culvert_service as service;

/// Translates the surroundings. How directories judge logins is the daemon's business and left out.
pub(crate) fn environment(config: &Environment) -> service::Environment {
    service::Environment {
        account_id: config.account.id.clone(),
        region: config.account.region.clone(),
        host: config.account.host.clone(),
        vpcs: config.vpcs.clone(),
        subnets: config.subnets.iter().map(subnet).collect(),
        security_groups: config.security_groups.clone(),
        directories: config
            .directories
            .iter()
            .map(|directory| service::Directory {
                id: directory.id.clone(),
            })
            .collect(),
        quotas: service::Quotas::default(),
    }
}

fn subnet(subnet: &culvert_config::Subnet) -> service::Subnet {
    service::Subnet {
        id: subnet.id.clone(),
        vpc_id: subnet.vpc_id.clone(),
        cidr_block: subnet.cidr_block,
        ipv6_cidr_block: subnet.ipv6_cidr_block,
        availability_zone: subnet.availability_zone.clone(),
        availability_zone_id: subnet.availability_zone_id.clone(),
        interface: subnet.interface.clone(),
        nat: subnet.nat,
        owner_id: None,
    }
}
