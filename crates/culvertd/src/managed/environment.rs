//! What the configuration says about an endpoint's surroundings, in the words of the service layer.

use culvert_config::{Environment, IpProtocol};
use culvert_service as service;

/// Translates the surroundings. How directories judge logins is the daemon's business and left out.
pub(crate) fn environment(config: &Environment) -> service::Environment {
    service::Environment {
        account_id: config.account.id.clone(),
        region: config.account.region.clone(),
        host: config.account.host.clone(),
        vpcs: config.vpcs.iter().map(vpc).collect(),
        subnets: config.subnets.iter().map(subnet).collect(),
        security_groups: config.security_groups.iter().map(security_group).collect(),
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

fn vpc(vpc: &culvert_config::Vpc) -> service::Vpc {
    service::Vpc {
        id: vpc.id.clone(),
        cidr_blocks: vpc.cidr_blocks.clone(),
        ipv6_cidr_blocks: vpc.ipv6_cidr_blocks.clone(),
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

fn security_group(group: &culvert_config::SecurityGroup) -> service::SecurityGroup {
    let ports = |range: culvert_config::PortRange| service::PortRange {
        first: range.first,
        last: range.last,
    };
    let egress = group.egress.iter().map(|rule| service::EgressRule {
        destination: rule.destination,
        protocol: match rule.protocol {
            IpProtocol::All => service::IpProtocol::All,
            IpProtocol::Tcp(range) => service::IpProtocol::Tcp(ports(range)),
            IpProtocol::Udp(range) => service::IpProtocol::Udp(ports(range)),
            IpProtocol::Icmp => service::IpProtocol::Icmp,
        },
    });
    service::SecurityGroup {
        id: group.id.clone(),
        vpc_id: group.vpc_id.clone(),
        name: group.name.clone(),
        description: group.description.clone(),
        egress: egress.collect(),
    }
}
