"""Target networks: associating, describing, disassociating."""

import pytest

from expect import ASSOCIATION, automatic_route, plain, refused
from lab import ELSEWHERE, EVERYTHING, OTHER_VPC, SECOND_IN_A, SMALL, SUBNET_A, SUBNET_B, VPC, WEB_ONLY, eventually
from manage import settled


def associate(ec2, endpoint, subnet=SUBNET_A, **more):
    return plain(ec2.associate_client_vpn_target_network(ClientVpnEndpointId=endpoint, SubnetId=subnet, **more))


def networks(ec2, endpoint, **more):
    answer = plain(ec2.describe_client_vpn_target_networks(ClientVpnEndpointId=endpoint, **more))
    found = answer.pop("ClientVpnTargetNetworks")
    assert answer == {}
    return found


def status(ec2, endpoint):
    (item,) = ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint])["ClientVpnEndpoints"]
    return item["Status"]["Code"]


def described(endpoint, association, subnet, zone, groups=(EVERYTHING,)):
    return {
        "AssociationId": association,
        "VpcId": VPC,
        "TargetNetworkId": subnet,
        "ClientVpnEndpointId": endpoint,
        "Status": {"Code": "associated"},
        "SecurityGroups": list(groups),
        "AvailabilityZones": [zone],
        "AvailabilityZoneIds": [{"us-east-1a": "use1-az1", "us-east-1b": "use1-az2"}[zone]],
    }


def test_the_first_association_makes_an_endpoint_available(ec2, endpoint):
    made = associate(ec2, endpoint, ClientToken="first")
    assert made == {"AssociationId": ASSOCIATION, "Status": {"Code": "associating"}}
    eventually("it is available", lambda: status(ec2, endpoint) == "available")
    assert networks(ec2, endpoint) == [described(endpoint, made["AssociationId"], SUBNET_A, "us-east-1a")]
    (item,) = ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint])["ClientVpnEndpoints"]
    assert item["AssociatedTargetNetworks"] == [{"NetworkId": SUBNET_A, "NetworkType": "vpc"}]
    assert (item["VpcId"], item["SecurityGroupIds"]) == (VPC, [EVERYTHING])
    routes = plain(ec2.describe_client_vpn_routes(ClientVpnEndpointId=endpoint))
    assert routes == {"Routes": [automatic_route(endpoint)]}


def test_a_second_zone_joins_and_leaves_with_its_route(ec2, associated):
    endpoint = associated()
    (first,) = networks(ec2, endpoint)
    second = associate(ec2, endpoint, SUBNET_B)["AssociationId"]
    settled(ec2, endpoint)
    assert networks(ec2, endpoint) == [
        described(endpoint, first["AssociationId"], SUBNET_A, "us-east-1a"),
        described(endpoint, second, SUBNET_B, "us-east-1b"),
    ]
    routes = ec2.describe_client_vpn_routes(ClientVpnEndpointId=endpoint)["Routes"]
    assert routes == [automatic_route(endpoint), automatic_route(endpoint, SUBNET_B)]
    answer = plain(
        ec2.disassociate_client_vpn_target_network(ClientVpnEndpointId=endpoint, AssociationId=first["AssociationId"])
    )
    assert answer == {"AssociationId": first["AssociationId"], "Status": {"Code": "disassociating"}}
    eventually("it is gone", lambda: len(networks(ec2, endpoint)) == 1)
    assert networks(ec2, endpoint) == [described(endpoint, second, SUBNET_B, "us-east-1b")]
    assert ec2.describe_client_vpn_routes(ClientVpnEndpointId=endpoint)["Routes"] == [
        automatic_route(endpoint, SUBNET_B)
    ]
    assert status(ec2, endpoint) == "available"


def test_without_the_last_target_network_nobody_connects(ec2, associated, connect, ana):
    endpoint = associated()
    client = connect(endpoint, ana, "connect-retry-max 1", "hand-window 5").connected()
    (network,) = networks(ec2, endpoint)
    ec2.disassociate_client_vpn_target_network(ClientVpnEndpointId=endpoint, AssociationId=network["AssociationId"])
    eventually("it waits for a target network", lambda: status(ec2, endpoint) == "pending-associate")
    assert networks(ec2, endpoint) == []
    connections = ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint)["Connections"]
    assert [item["Status"]["Code"] for item in connections] == ["terminated"]
    client.stop()
    late = connect(endpoint, ana, "connect-retry-max 1", "hand-window 5")
    assert "Initialization Sequence Completed" not in late.ended()


def test_each_association_of_a_vpc_with_two_blocks_brings_two_routes(ec2, endpoint):
    associate(ec2, endpoint, ELSEWHERE)
    settled(ec2, endpoint)
    routes = ec2.describe_client_vpn_routes(ClientVpnEndpointId=endpoint)["Routes"]
    assert routes == [
        automatic_route(endpoint, ELSEWHERE, "10.40.0.0/16"),
        automatic_route(endpoint, ELSEWHERE, "10.50.0.0/16"),
    ]


def test_groups_chosen_before_stay(ec2, create):
    endpoint = create(VpcId=VPC, SecurityGroupIds=[WEB_ONLY])
    association = associate(ec2, endpoint)["AssociationId"]
    settled(ec2, endpoint)
    assert networks(ec2, endpoint) == [described(endpoint, association, SUBNET_A, "us-east-1a", [WEB_ONLY])]


def test_target_networks_are_found_by_id_and_filter(ec2, associated):
    endpoint = associated()
    associate(ec2, endpoint, SUBNET_B)
    settled(ec2, endpoint)
    first, second = networks(ec2, endpoint)

    def found(name, *values):
        return networks(ec2, endpoint, Filters=[{"Name": name, "Values": list(values)}])

    assert networks(ec2, endpoint, AssociationIds=[second["AssociationId"]]) == [second]
    assert found("association-id", first["AssociationId"]) == [first]
    assert found("target-network-id", SUBNET_B, "subnet-none") == [second]
    assert found("vpc-id", VPC) == [first, second]
    assert found("vpc-id", OTHER_VPC) == []
    with refused("InvalidClientVpnAssociationIdNotFound"):
        networks(ec2, endpoint, AssociationIds=["cvpn-assoc-00000000000000000"])
    with refused("InvalidParameterValue", "subnet-id"):
        found("subnet-id", SUBNET_A)


REFUSED = {
    "malformed": ("subnet-XYZ", "InvalidSubnetID.Malformed"),
    "unknown": ("subnet-0badc0de", "InvalidClientVpnSubnetId.NotFound"),
    "again": (SUBNET_A, "InvalidClientVpnDuplicateAssociationException"),
    "same-zone": (SECOND_IN_A, "InvalidClientVpnSubnetId.DuplicateAz"),
    "too-small": (SMALL, "InvalidParameterValue"),
    "of-another-vpc": (ELSEWHERE, "InvalidParameterValue"),
}


@pytest.mark.parametrize("subnet, code", REFUSED.values(), ids=REFUSED)
def test_a_subnet_that_does_not_fit_is_refused(ec2, associated, subnet, code):
    endpoint = associated()
    before = networks(ec2, endpoint)
    with refused(code):
        associate(ec2, endpoint, subnet)
    assert networks(ec2, endpoint) == before


def test_a_target_network_may_not_overlap_the_clients(ec2, create):
    endpoint = create(ClientCidrBlock="10.20.0.0/18")
    with refused("InvalidClientVpnSubnetId.OverlappingCidr", "10.20.0.0/18"):
        associate(ec2, endpoint)


def test_the_vpc_of_an_associated_endpoint_stays(ec2, associated):
    endpoint = associated()
    with refused("InvalidParameterValue", SUBNET_A):
        ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, VpcId=OTHER_VPC)


def test_a_subnet_must_be_named_and_zones_are_for_transit_gateways(ec2, endpoint):
    with refused("MissingParameter", "SubnetId"):
        ec2.associate_client_vpn_target_network(ClientVpnEndpointId=endpoint)
    for zone in ({"AvailabilityZone": "us-east-1a"}, {"AvailabilityZoneId": "use1-az1"}):
        with refused("UnsupportedOperation", *zone):
            ec2.associate_client_vpn_target_network(ClientVpnEndpointId=endpoint, **zone)


def test_an_unknown_association_can_not_end(ec2, endpoint):
    with refused("InvalidClientVpnAssociationIdNotFound", "cvpn-assoc-00000000000000000"):
        ec2.disassociate_client_vpn_target_network(
            ClientVpnEndpointId=endpoint, AssociationId="cvpn-assoc-00000000000000000"
        )
