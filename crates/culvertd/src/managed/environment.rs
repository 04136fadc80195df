//! What the configuration says about an endpoint's surroundings, in the words of the service layer.

use culvert_config::Environment;
use culvert_service as service;

/// Translates the surroundings. How directories judge logins is the daemon's business and left out.
pub(crate) fn environment(config: &Environment) -> service::Environment {
    service::Environment {
        account_id: config.account.id.clone(),
        region: config.account.region.clone(),
        host: config.account.host.clone(),
        listen: config.account.listen.clone(),
        both_transports: config.account.both_transports,
        ipv6_host: config.account.ipv6_host.clone(),
        client_ipv6_range: config.account.client_ipv6_range,
        vpcs: config.vpcs.clone(),
        subnets: config.subnets.iter().map(subnet).collect(),
        security_groups: config.security_groups.iter().map(Into::into).collect(),
        directories: config
            .directories
            .iter()
            .map(|directory| service::Directory {
                id: directory.id.clone(),
            })
            .collect(),
        connect_handlers: config
            .connect_handlers
            .iter()
            .map(|handler| handler.function.clone())
            .collect(),
        log_groups: config.log_groups.iter().map(|group| group.name.clone()).collect(),
        quotas: config.quotas,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_those_of_the_configuration() {
        let text = "[api]\n[quotas]\nendpoints = 7\n";
        let config = culvert_config::Config::from_str(text, "culvert.toml").unwrap();
        let made = environment(&config.environment);
        assert_eq!(made.quotas.endpoints, 7);
        assert_eq!(made.quotas, config.environment.quotas);
    }
}
