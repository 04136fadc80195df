"""VPCs, subnets, zones, security groups and interfaces, by which tools find what endpoints can be associated with."""

from expect import ASSOCIATION, plain, refused
from lab import (
    ACCOUNT,
    ELSEWHERE,
    EVERYTHING,
    MORE,
    OTHER_VPC,
    REGION,
    SECOND_IN_A,
    SMALL,
    SUBNET_A,
    SUBNET_B,
    VPC,
    VPC_6,
    WEB_ONLY,
)


def where(**filters):
    return {"Filters": [{"Name": name.replace("__", ".").replace("_", "-"), "Values": values} for name, values in filters.items()]}


def ipv6(*blocks):
    return [{"Ipv6CidrBlock": block, "Ipv6CidrBlockState": {"State": "associated"}} for block in blocks]


def vpc(vpc_id, *blocks, v6=()):
    return {
        "OwnerId": ACCOUNT,
        "InstanceTenancy": "default",
        "Ipv6CidrBlockAssociationSet": ipv6(*v6),
        "CidrBlockAssociationSet": [
            {"CidrBlock": block, "CidrBlockState": {"State": "associated"}} for block in blocks
        ],
        "IsDefault": False,
        "Tags": [],
        "VpcId": vpc_id,
        "State": "available",
        "CidrBlock": blocks[0],
    }


def subnet(subnet_id, vpc_id, block, zone, addresses, *v6):
    return {
        "AvailabilityZoneId": f"use1-az{'abc'.index(zone) + 1}",
        "OwnerId": ACCOUNT,
        "AssignIpv6AddressOnCreation": False,
        "Ipv6CidrBlockAssociationSet": ipv6(*v6),
        "Tags": [],
        "SubnetArn": f"arn:aws:ec2:{REGION}:{ACCOUNT}:subnet/{subnet_id}",
        "Ipv6Native": False,
        "SubnetId": subnet_id,
        "State": "available",
        "VpcId": vpc_id,
        "CidrBlock": block,
        "AvailableIpAddressCount": addresses,
        "AvailabilityZone": f"{REGION}{zone}",
        "DefaultForAz": False,
        "MapPublicIpOnLaunch": False,
    }


def test_vpcs_are_those_of_the_configuration(ec2, aws):
    first, second = vpc(VPC, "10.20.0.0/16", v6=[VPC_6]), vpc(OTHER_VPC, "10.40.0.0/16", "10.50.0.0/16")
    assert plain(ec2.describe_vpcs()) == {"Vpcs": [first, second]}
    assert plain(ec2.describe_vpcs(VpcIds=[OTHER_VPC])) == {"Vpcs": [second]}
    assert plain(ec2.describe_vpcs(**where(cidr=["10.20.*"]))) == {"Vpcs": [first]}
    by_v6 = where(ipv6_cidr_block_association__ipv6_cidr_block=[VPC_6])
    assert plain(ec2.describe_vpcs(**by_v6)) == {"Vpcs": [first]}
    assert aws("ec2", "describe-vpcs", "--vpc-ids", VPC) == {"Vpcs": [first]}
    with refused("InvalidVpcID.NotFound", "vpc-0badc0de"):
        ec2.describe_vpcs(VpcIds=["vpc-0badc0de"])


def test_subnets_are_those_of_the_configuration(ec2, aws):
    subnets = [
        subnet(SUBNET_A, VPC, "10.20.1.0/24", "a", 251, "2001:db8:20:1::/64"),
        subnet(SUBNET_B, VPC, "10.20.2.0/24", "b", 251, "2001:db8:20:2::/64"),
        subnet(SECOND_IN_A, VPC, "10.20.3.0/24", "a", 251),
        subnet(SMALL, VPC, "10.20.4.0/28", "c", 11),
        subnet(ELSEWHERE, OTHER_VPC, "10.40.1.0/24", "b", 251),
    ]
    assert plain(ec2.describe_subnets()) == {"Subnets": subnets}
    assert plain(ec2.describe_subnets(**where(vpc_id=[OTHER_VPC]))) == {"Subnets": subnets[4:]}
    assert plain(ec2.describe_subnets(**where(availability_zone=["us-east-1a"]))) == {"Subnets": subnets[:3:2]}
    assert aws("ec2", "describe-subnets", "--subnet-ids", SUBNET_B) == {"Subnets": subnets[1:2]}
    with refused("InvalidSubnetID.NotFound", "subnet-0badc0de"):
        ec2.describe_subnets(SubnetIds=["subnet-0badc0de"])


def test_zones_are_those_of_the_subnets(ec2):
    zones = [
        {
            "OptInStatus": "opt-in-not-required",
            "RegionName": REGION,
            "ZoneName": f"{REGION}{letter}",
            "ZoneId": f"use1-az{number}",
            "GroupName": REGION,
            "NetworkBorderGroup": REGION,
            "ZoneType": "availability-zone",
            "State": "available",
        }
        for number, letter in enumerate("abc", 1)
    ]
    assert plain(ec2.describe_availability_zones()) == {"AvailabilityZones": zones}
    assert plain(ec2.describe_availability_zones(**where(zone_id=["use1-az2"]))) == {"AvailabilityZones": zones[1:2]}


def group(group_id, name, description, *egress, vpc_id=VPC):
    return {
        "GroupId": group_id,
        "IpPermissionsEgress": list(egress),
        "Tags": [],
        "VpcId": vpc_id,
        "SecurityGroupArn": f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/{group_id}",
        "OwnerId": ACCOUNT,
        "GroupName": name,
        "Description": description,
        "IpPermissions": [],
    }


def test_security_groups_are_those_of_the_configuration(ec2):
    nothing_else = {"UserIdGroupPairs": [], "Ipv6Ranges": [], "PrefixListIds": []}
    everything = {
        "IpProtocol": "-1",
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
        **nothing_else,
        "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
    }
    web = {
        "IpProtocol": "tcp",
        "FromPort": 80,
        "ToPort": 80,
        "IpRanges": [{"CidrIp": "10.20.0.0/16"}],
        **nothing_else,
    }
    default, web_only = group(EVERYTHING, "default", "Everything", everything), group(WEB_ONLY, "web-only", "", web)
    assert plain(ec2.describe_security_groups(GroupIds=[EVERYTHING, WEB_ONLY])) == {
        "SecurityGroups": [default, web_only]
    }
    found = plain(ec2.describe_security_groups(**where(vpc_id=[VPC])))["SecurityGroups"]
    assert {item["GroupId"] for item in found} == {EVERYTHING, WEB_ONLY, *MORE}
    # A VPC for which none is declared has a default group that allows everything.
    (other,) = plain(ec2.describe_security_groups(**where(vpc_id=[OTHER_VPC])))["SecurityGroups"]
    assert (other["GroupName"], other["IpPermissionsEgress"][0]["IpProtocol"]) == ("default", "-1")
    with refused("InvalidGroup.NotFound", "sg-0badc0de"):
        ec2.describe_security_groups(GroupIds=["sg-0badc0de"])


def test_each_association_has_an_interface(ec2, associated):
    assert plain(ec2.describe_network_interfaces()) == {"NetworkInterfaces": []}
    endpoint = associated()
    (network,) = ec2.describe_client_vpn_target_networks(ClientVpnEndpointId=endpoint)["ClientVpnTargetNetworks"]
    assert network["AssociationId"] == ASSOCIATION
    interface = {
        "AvailabilityZone": "us-east-1a",
        "Description": f"ClientVPN Endpoint resource: {endpoint}",
        "Groups": [{"GroupId": EVERYTHING, "GroupName": "default"}],
        "InterfaceType": "interface",
        "NetworkInterfaceId": network["AssociationId"].replace("cvpn-assoc-", "eni-"),
        "OwnerId": ACCOUNT,
        "RequesterManaged": True,
        "SourceDestCheck": False,
        "Status": "in-use",
        "SubnetId": SUBNET_A,
        "TagSet": [],
        "VpcId": VPC,
    }
    assert plain(ec2.describe_network_interfaces()) == {"NetworkInterfaces": [interface]}
    assert plain(ec2.describe_network_interfaces(**where(subnet_id=[SUBNET_B]))) == {"NetworkInterfaces": []}


def test_networks_can_not_be_made_or_changed(ec2):
    """They are the operator's, in the configuration file."""
    for call, parameters in [
        (ec2.create_vpc, {"CidrBlock": "10.60.0.0/16"}),
        (ec2.create_subnet, {"VpcId": VPC, "CidrBlock": "10.20.9.0/24"}),
        (ec2.run_instances, {"MinCount": 1, "MaxCount": 1}),
    ]:
        with refused("InvalidAction"):
            call(**parameters)
