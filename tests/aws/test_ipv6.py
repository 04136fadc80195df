"""IPv6: inside endpoints, outside, and both, with the stock client."""

import ipaddress

from expect import described, plain
from lab import BEYOND_6, CLIENTS_6, IN_A, IN_A_6, IN_B_6, SUBNET_A, VPC_6, eventually
from manage import settled

DUAL = {"TrafficIpAddressType": "dual-stack"}


def described_endpoint(ec2, endpoint):
    (item,) = plain(ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint]))["ClientVpnEndpoints"]
    return item


def connection(ec2, endpoint):
    (item,) = plain(ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint))["Connections"]
    return item


def test_a_dual_stack_endpoint_carries_both_families_by_its_rules(ec2, create, connect, ana, server_arn, client_arn):
    endpoint = create(**DUAL)
    wanted = described(endpoint, server_arn, client_arn, TrafficIpAddressType="dual-stack")
    assert described_endpoint(ec2, endpoint) == wanted
    ec2.associate_client_vpn_target_network(ClientVpnEndpointId=endpoint, SubnetId=SUBNET_A)
    routes = ec2.describe_client_vpn_routes(ClientVpnEndpointId=endpoint)["Routes"]
    assert [(route["DestinationCidr"], route["Origin"]) for route in routes] == [
        ("10.20.0.0/16", "associate"),
        (VPC_6, "associate"),
    ]
    for network in ["10.20.1.0/24", "2001:db8:20:1::/64"]:
        ec2.authorize_client_vpn_ingress(
            ClientVpnEndpointId=endpoint, TargetNetworkCidr=network, AuthorizeAllGroups=True
        )
    settled(ec2, endpoint)
    client = connect(endpoint, ana).connected()
    assert client.pings(IN_A) and client.pings(IN_A_6)
    assert not client.pings(IN_B_6, 1), "there is no rule for it"
    assert not client.pings(BEYOND_6, 1), "there is neither a rule nor a route"
    live = connection(ec2, endpoint)
    assert ipaddress.ip_address(live["ClientIpv6Address"]) in ipaddress.ip_network(CLIENTS_6)
    _, addresses = client.inside("ip", "-6", "-o", "addr", "show", "dev", "tun0")
    assert f"inet6 {live['ClientIpv6Address']}/64 " in addresses
    ec2.authorize_client_vpn_ingress(
        ClientVpnEndpointId=endpoint, TargetNetworkCidr="2001:db8:20:2::/64", AuthorizeAllGroups=True
    )
    eventually("the new rule counts", lambda: client.pings(IN_B_6, 1))
