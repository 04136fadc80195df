"""Routes: created, described, deleted, and what clients get of them."""

import pytest

from expect import automatic_route, plain, refused
from lab import BEYOND, IN_A, SUBNET_A, SUBNET_B, eventually
from manage import settled


def add(ec2, endpoint, destination, target=SUBNET_A, **more):
    answer = ec2.create_client_vpn_route(
        ClientVpnEndpointId=endpoint, DestinationCidrBlock=destination, TargetVpcSubnetId=target, **more
    )
    return plain(answer)


def remove(ec2, endpoint, destination, **more):
    answer = ec2.delete_client_vpn_route(ClientVpnEndpointId=endpoint, DestinationCidrBlock=destination, **more)
    return plain(answer)


def routes(ec2, endpoint, **filters):
    filters = [{"Name": name.replace("_", "-"), "Values": values} for name, values in filters.items()]
    answer = plain(ec2.describe_client_vpn_routes(ClientVpnEndpointId=endpoint, Filters=filters))
    found = answer.pop("Routes")
    assert answer == {}
    return found


def added(endpoint, destination, target=SUBNET_A, kind="Nat", **more):
    return {
        "ClientVpnEndpointId": endpoint,
        "DestinationCidr": destination,
        "TargetSubnet": target,
        "Type": kind,
        "Origin": "add-route",
        "Status": {"Code": "active"},
        **more,
    }


def test_a_route_comes_and_goes(ec2, associated):
    endpoint = associated()
    made = add(ec2, endpoint, "10.30.0.0/24", Description="lab <3>", ClientToken="route-1")
    assert made == {"Status": {"Code": "creating"}}
    settled(ec2, endpoint)
    assert routes(ec2, endpoint) == [
        automatic_route(endpoint),
        added(endpoint, "10.30.0.0/24", Description="lab <3>"),
    ]
    assert remove(ec2, endpoint, "10.30.0.0/24", TargetVpcSubnetId=SUBNET_A) == {"Status": {"Code": "deleting"}}
    eventually("it is gone", lambda: routes(ec2, endpoint) == [automatic_route(endpoint)])


def test_a_destination_may_be_reached_through_each_subnet(ec2, associated):
    endpoint = associated()
    ec2.associate_client_vpn_target_network(ClientVpnEndpointId=endpoint, SubnetId=SUBNET_B)
    add(ec2, endpoint, "10.30.0.0/24")
    add(ec2, endpoint, "10.30.0.0/24", SUBNET_B)
    settled(ec2, endpoint)
    assert routes(ec2, endpoint, origin=["add-route"]) == [
        added(endpoint, "10.30.0.0/24"),
        added(endpoint, "10.30.0.0/24", SUBNET_B),
    ]
    with refused("MissingParameter", "TargetVpcSubnetId"):
        remove(ec2, endpoint, "10.30.0.0/24")
    remove(ec2, endpoint, "10.30.0.0/24", TargetVpcSubnetId=SUBNET_A)
    eventually(
        "the other one stays",
        lambda: routes(ec2, endpoint, origin=["add-route"]) == [added(endpoint, "10.30.0.0/24", SUBNET_B)],
    )


def test_filters_narrow_the_list(ec2, associated):
    endpoint = associated()
    ec2.associate_client_vpn_target_network(ClientVpnEndpointId=endpoint, SubnetId=SUBNET_B)
    add(ec2, endpoint, "10.30.0.0/24")
    settled(ec2, endpoint)
    a, b, lab = automatic_route(endpoint), automatic_route(endpoint, SUBNET_B), added(endpoint, "10.30.0.0/24")
    assert routes(ec2, endpoint) == [a, b, lab]
    assert routes(ec2, endpoint, destination_cidr=["10.20.0.0/16"]) == [a, b]
    assert routes(ec2, endpoint, origin=["associate"]) == [a, b]
    assert routes(ec2, endpoint, target_subnet=[SUBNET_B]) == [b]
    assert routes(ec2, endpoint, target_subnet=[SUBNET_A], origin=["add-route"]) == [lab]
    with refused("InvalidParameterValue", "colour"):
        routes(ec2, endpoint, colour=["red"])


REFUSED = {
    "automatic-again": ("10.20.0.0/16", SUBNET_A, "InvalidClientVpnDuplicateRoute"),
    "through-what-is-not-associated": ("10.30.0.0/24", SUBNET_B, "InvalidClientVpnSubnetId.NotFound"),
    "host-bits": ("10.30.0.1/24", SUBNET_A, "InvalidParameterValue"),
    "no-network": ("there", SUBNET_A, "InvalidParameterValue"),
    "of-the-clients": ("10.8.0.0/22", SUBNET_A, "InvalidParameterValue"),
    "local-elsewhere": ("10.30.0.0/24", "local", "InvalidParameterValue"),
    "ipv6": ("fd00::/64", SUBNET_A, "InvalidParameterValue"),
}


@pytest.mark.parametrize("destination, target, code", REFUSED.values(), ids=REFUSED)
def test_a_route_that_can_not_be_is_refused(ec2, associated, destination, target, code):
    endpoint = associated()
    with refused(code):
        add(ec2, endpoint, destination, target)
    assert routes(ec2, endpoint) == [automatic_route(endpoint)]


def test_a_route_needs_a_target_and_an_association(ec2, associated, endpoint):
    with refused("InvalidClientVpnActiveAssociationNotFound", endpoint):
        add(ec2, endpoint, "10.30.0.0/24")
    ec2.associate_client_vpn_target_network(ClientVpnEndpointId=endpoint, SubnetId=SUBNET_A)
    with refused("MissingParameter", "TargetVpcSubnetId"):
        ec2.create_client_vpn_route(ClientVpnEndpointId=endpoint, DestinationCidrBlock="10.30.0.0/24")


def test_only_added_routes_can_be_deleted(ec2, associated):
    endpoint = associated()
    with refused("InvalidParameterValue", "association"):
        remove(ec2, endpoint, "10.20.0.0/16", TargetVpcSubnetId=SUBNET_A)
    with refused("InvalidClientVpnRouteNotFound", "10.30.0.0/24"):
        remove(ec2, endpoint, "10.30.0.0/24", TargetVpcSubnetId=SUBNET_A)


def test_there_are_no_more_routes_than_the_quota(ec2, associated):
    endpoint = associated()
    for number in range(99):
        add(ec2, endpoint, f"10.60.{number}.0/24")
    with refused("ClientVpnRouteLimitExceeded", "100"):
        add(ec2, endpoint, "10.60.99.0/24")
    settled(ec2, endpoint)
    assert len(routes(ec2, endpoint)) == 100


def test_a_client_of_a_split_tunnel_sends_only_its_routes_into_it(ec2, associated, connect, ana, web):
    endpoint = associated(SplitTunnel=True, rules=["0.0.0.0/0"])
    before = connect(endpoint, ana).connected()
    _, table = before.inside("ip", "route")
    assert "10.20.0.0/16 " in table and "default via 192.0.2.1" in table and "0.0.0.0/1" not in table
    assert before.fetches(IN_A) and not before.fetches(BEYOND, seconds=1)
    before.stop()
    add(ec2, endpoint, "10.30.0.0/24")
    settled(ec2, endpoint)
    after = connect(endpoint, ana).connected()
    assert "10.30.0.0/24 " in after.inside("ip", "route")[1]
    assert after.fetches(BEYOND) == "hello from behind"


def test_a_full_tunnel_takes_everything_and_forwards_what_has_a_route(ec2, associated, connect, ana, web):
    endpoint = associated(rules=["0.0.0.0/0"])
    client = connect(endpoint, ana).connected()
    assert "0.0.0.0/1 via" in client.inside("ip", "route")[1]
    assert client.fetches(IN_A) and not client.fetches(BEYOND, seconds=1)
    add(ec2, endpoint, "10.30.0.0/24")
    settled(ec2, endpoint)
    assert client.fetches(BEYOND) == "hello from behind", "the client needs no new connection"


def test_clients_reach_each_other_by_a_local_route(ec2, associated, connect, ana, authority):
    endpoint = associated(rules=["10.8.0.0/22"], SplitTunnel=True)
    add(ec2, endpoint, "10.8.0.0/22", "local", Description="clients")
    settled(ec2, endpoint)
    assert routes(ec2, endpoint, origin=["add-route"]) == [
        added(endpoint, "10.8.0.0/22", "local", "Local", Description="clients")
    ]
    first = connect(endpoint, ana).connected()
    second = connect(endpoint, authority.issue("ben.test"), index=1).connected()
    connections = ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint)["Connections"]
    address = {item["CommonName"]: item["ClientIp"] for item in connections}
    assert first.pings(address["ben.test"]) and second.pings(address["ana.test"])
    remove(ec2, endpoint, "10.8.0.0/22", TargetVpcSubnetId="local")
    settled(ec2, endpoint)
    eventually("they no longer do", lambda: not first.pings(address["ben.test"], seconds=1))
