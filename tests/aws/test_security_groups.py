"""Security groups: applied, described, enforced."""

import pytest

from expect import plain, refused
from lab import EVERYTHING, IN_A, MORE, OTHER_VPC, VPC, WEB_ONLY, eventually
from manage import settled


def apply(ec2, endpoint, *groups, vpc=VPC):
    answer = ec2.apply_security_groups_to_client_vpn_target_network(
        ClientVpnEndpointId=endpoint, VpcId=vpc, SecurityGroupIds=list(groups)
    )
    return plain(answer)


def applied(ec2, endpoint):
    (network,) = ec2.describe_client_vpn_target_networks(ClientVpnEndpointId=endpoint)["ClientVpnTargetNetworks"]
    (item,) = ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint])["ClientVpnEndpoints"]
    assert network["SecurityGroups"] == item["SecurityGroupIds"]
    return item["SecurityGroupIds"]


def test_applying_groups_replaces_those_before(ec2, associated):
    endpoint = associated()
    assert applied(ec2, endpoint) == [EVERYTHING]
    assert apply(ec2, endpoint, WEB_ONLY, MORE[0]) == {"SecurityGroupIds": [WEB_ONLY, MORE[0]]}
    assert applied(ec2, endpoint) == [WEB_ONLY, MORE[0]]
    assert apply(ec2, endpoint, *MORE) == {"SecurityGroupIds": MORE}
    assert applied(ec2, endpoint) == MORE


REFUSED = {
    "none": ([], VPC, "MissingParameter"),
    "six": ([WEB_ONLY, *MORE], VPC, "InvalidParameterValue"),
    "unknown": (["sg-0badc0de"], VPC, "InvalidGroup.NotFound"),
    "another-vpc": ([WEB_ONLY], OTHER_VPC, "InvalidParameterValue"),
}


@pytest.mark.parametrize("groups, vpc, code", REFUSED.values(), ids=REFUSED)
def test_groups_that_can_not_be_are_refused(ec2, associated, groups, vpc, code):
    endpoint = associated()
    with refused(code):
        apply(ec2, endpoint, *groups, vpc=vpc)
    assert applied(ec2, endpoint) == [EVERYTHING]


def test_an_endpoint_without_a_vpc_has_no_groups(ec2, endpoint):
    with refused("InvalidParameterValue", "VpcId"):
        apply(ec2, endpoint, WEB_ONLY)


def test_groups_hold_for_the_traffic_of_connected_clients(ec2, associated, connect, ana, web):
    endpoint = associated()
    client = connect(endpoint, ana).connected()
    assert client.pings(IN_A) and client.fetches(IN_A)
    apply(ec2, endpoint, WEB_ONLY)
    settled(ec2, endpoint)
    eventually("pings are dropped", lambda: not client.pings(IN_A, seconds=1))
    assert client.fetches(IN_A) == "hello from behind", "the web stays open, and so does the connection"
    apply(ec2, endpoint, WEB_ONLY, MORE[0])
    settled(ec2, endpoint)
    eventually("groups add up", lambda: client.pings(IN_A, seconds=1))
