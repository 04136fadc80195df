"""Changes are in effect for connected clients within a second of the answer, and the endpoint tells since when."""

import json
import re
import time
from datetime import datetime, timezone

import pytest

from lab import BEYOND, BIN, EVERYTHING, IN_A, IN_B, SUBNET_A, VPC, WEB_ONLY, WORK, eventually, run


def show(endpoint):
    """An endpoint as the command line shows it."""
    socket = WORK / "run" / "api.sock"
    return json.loads(run(BIN / "culvert", "endpoint", "show", endpoint, "--output", "json", "--api-socket", socket))


def applied(endpoint):
    """When it became what is stored; nothing while it isn't."""
    text = show(endpoint)["applied_at"]
    return text and datetime.fromisoformat(text)


def authorize(ec2, endpoint):
    ec2.authorize_client_vpn_ingress(
        ClientVpnEndpointId=endpoint, TargetNetworkCidr="10.20.2.0/24", AuthorizeAllGroups=True
    )


def revoke(ec2, endpoint):
    ec2.revoke_client_vpn_ingress(ClientVpnEndpointId=endpoint, TargetNetworkCidr="10.20.1.0/24", RevokeAllGroups=True)


def add_route(ec2, endpoint):
    ec2.create_client_vpn_route(
        ClientVpnEndpointId=endpoint, DestinationCidrBlock="10.30.0.0/24", TargetVpcSubnetId=SUBNET_A
    )


def apply_groups(*groups):
    return lambda ec2, endpoint: ec2.apply_security_groups_to_client_vpn_target_network(
        ClientVpnEndpointId=endpoint, VpcId=VPC, SecurityGroupIds=list(groups)
    )


# What is changed, and who then can or can't be reached, which was the other way round before.
CHANGES = {
    "rule": (authorize, IN_B, True),
    "revoked-rule": (revoke, IN_A, False),
    "route": (add_route, BEYOND, True),
    "group": (apply_groups(WEB_ONLY), IN_A, False),
}


def takes_effect(client, address, reachable):
    """Waits until an address is reachable, or is not any more, and returns how long that took."""
    start = time.monotonic()
    while client.inside("ping", "-q", "-c", "1", "-W", "0.2", address)[0] != reachable:
        assert time.monotonic() - start < 5, f"{address} is still {'un' if reachable else ''}reachable"
    took = time.monotonic() - start
    # One lost ping is no effect.
    assert client.pings(address, seconds=1) == reachable
    return took


def tells(endpoint, asked):
    """Waits until an endpoint tells that what was asked for at this time is in force."""
    return eventually(f"{endpoint} tells of it", lambda: (at := applied(endpoint)) and at >= asked, seconds=2)


def moment():
    """Now, as exact as times are told."""
    now = datetime.now(timezone.utc)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@pytest.mark.parametrize("change, address, reachable", CHANGES.values(), ids=CHANGES)
def test_a_change_is_in_effect_within_a_second(ec2, associated, connect, ana, change, address, reachable):
    endpoint = associated(rules=("10.20.1.0/24", "10.30.0.0/24"), VpcId=VPC, SecurityGroupIds=[EVERYTHING])
    client = connect(endpoint, ana).connected()
    eventually("the client is at work", lambda: client.pings(IN_A))
    assert client.pings(address, seconds=1) != reachable
    asked = moment()
    change(ec2, endpoint)
    assert takes_effect(client, address, reachable) < 1
    tells(endpoint, asked)
    assert asked <= applied(endpoint) <= datetime.now(timezone.utc)


EVERYWHERE = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]


@pytest.fixture
def closed_group(ec2):
    """A security group that allows nothing, which goes when the test ends. Ask for it before what uses it."""
    group = ec2.create_security_group(GroupName="closed", Description="Closed", VpcId=VPC)["GroupId"]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=EVERYWHERE)
    yield group
    ec2.delete_security_group(GroupId=group)


def test_the_rules_of_a_group_are_a_change_of_the_endpoint(ec2, closed_group, associated, connect, ana):
    endpoint = associated(VpcId=VPC, SecurityGroupIds=[closed_group])
    client = connect(endpoint, ana).connected()
    assert not client.pings(IN_A, seconds=1)
    asked = moment()
    ec2.authorize_security_group_egress(GroupId=closed_group, IpPermissions=EVERYWHERE)
    assert takes_effect(client, IN_A, True) < 1
    tells(endpoint, asked)


def test_the_time_is_that_of_the_last_change(ec2, create):
    endpoint = create()
    before = eventually("it is in force", lambda: applied(endpoint))
    time.sleep(0.3)
    assert applied(endpoint) == before, "it stays while nothing changes"
    asked = moment()
    ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, Description="other")
    tells(endpoint, asked)
    shown = run(BIN / "culvert", "endpoint", "show", endpoint, "--api-socket", WORK / "run" / "api.sock")
    assert re.search(rf"^applied at +{show(endpoint)['applied_at']}$", shown, re.M)
