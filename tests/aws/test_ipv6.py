"""IPv6: inside endpoints, outside, and both, with the stock client."""

import ipaddress
import json
import subprocess
from itertools import product

import pytest

from expect import described, plain, refused
from lab import (
    BEYOND_6,
    BIN,
    CLIENTS_6,
    HOST,
    IN_A,
    IN_A_6,
    IN_B_6,
    SECOND_IN_A,
    SERVER,
    SERVER_6,
    SUBNET_A,
    VPC,
    VPC_6,
    WEB_ONLY,
    WORK,
    eventually,
    run,
)
from manage import settled

DUAL = {"TrafficIpAddressType": "dual-stack"}
IPV6 = {"ClientCidrBlock": None, "TrafficIpAddressType": "ipv6"}
BEHIND_A, BEHIND_B = "2001:db8:20:1::/64", "2001:db8:20:2::/64"
FAMILIES = ["ipv4", "ipv6", "dual-stack"]


def authorize(ec2, endpoint, *networks):
    for network in networks:
        ec2.authorize_client_vpn_ingress(
            ClientVpnEndpointId=endpoint, TargetNetworkCidr=network, AuthorizeAllGroups=True
        )
    settled(ec2, endpoint)


def profile(ec2, endpoint):
    return ec2.export_client_vpn_client_configuration(ClientVpnEndpointId=endpoint)["ClientConfiguration"]


def lines(text, *words):
    return [line for line in text.splitlines() if line.split(" ")[0] in words]


def drops(endpoint, reason):
    """How many packets the endpoint dropped for this reason."""
    status = json.loads(run(BIN / "culvert", "status", "--json", "--config", WORK / "culvert.toml"))
    (found,) = (item for item in status["endpoints"] if item["name"] == endpoint)
    return found["drops"].get(f"data.{reason}", 0)


def host_pings(address, seconds=1):
    """Whether the host behind reaches an address."""
    command = ["ip", "netns", "exec", HOST, "ping", "-q", "-c", "1", "-W", str(seconds), address]
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def described_endpoint(ec2, endpoint):
    (item,) = plain(ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint]))["ClientVpnEndpoints"]
    return item


def connection(ec2, endpoint):
    (item,) = plain(ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint))["Connections"]
    return item


@pytest.mark.parametrize("outside, inside", list(product(FAMILIES, FAMILIES)))
def test_every_pair_of_families_can_be_had(ec2, create, server_arn, client_arn, outside, inside):
    client_cidr = None if inside == "ipv6" else "10.8.0.0/22"
    families = {"EndpointIpAddressType": outside, "TrafficIpAddressType": inside}
    endpoint = create(ClientCidrBlock=client_cidr, **families)
    name = SERVER_6 if outside == "ipv6" else SERVER
    wanted = described(
        endpoint, server_arn, client_arn, ClientCidrBlock=client_cidr, DnsName=name, **families
    )
    assert described_endpoint(ec2, endpoint) == wanted
    told = lines(profile(ec2, endpoint), "proto", "remote")
    over_v4, over_v6 = f"remote {SERVER} 443", f"remote {SERVER_6} 443"
    assert told == {
        "ipv4": ["proto udp", over_v4],
        "ipv6": ["proto udp6", over_v6],
        "dual-stack": ["proto udp", over_v4, over_v6],
    }[outside]


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


def test_an_endpoint_of_ipv6_alone_gives_clients_no_ipv4(ec2, associated, connect, ana):
    endpoint = associated(rules=[BEHIND_A], DnsServers=["2001:db8:20:1::53"], **IPV6)
    routes = ec2.describe_client_vpn_routes(ClientVpnEndpointId=endpoint)["Routes"]
    assert [route["DestinationCidr"] for route in routes] == [VPC_6]
    client = connect(endpoint, ana).connected()
    assert client.pings(IN_A_6) and not client.pings(IN_B_6, 1)
    live = connection(ec2, endpoint)
    assert "ClientIp" not in live
    _, addresses = client.inside("ip", "-o", "addr", "show", "dev", "tun0")
    assert f"inet6 {live['ClientIpv6Address']}/64 " in addresses and "inet " not in addresses
    assert "dhcp-option DNS6 2001:db8:20:1::53" in client.log() and ",ifconfig " not in client.log()
    filters = [{"Name": "client-ipv6-address", "Values": [live["ClientIpv6Address"]]}]
    found = ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint, Filters=filters)["Connections"]
    assert [item["ConnectionId"] for item in found] == [live["ConnectionId"]]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("outside, inside", [("ipv6", DUAL), ("ipv6", IPV6), ("ipv6", {}), ("dual-stack", DUAL)])
def test_an_endpoint_is_reached_over_ipv6(ec2, associated, connect, ana, transport, outside, inside):
    endpoint = associated(rules=[], EndpointIpAddressType=outside, TransportProtocol=transport, **inside)
    over = "v6" if outside == "ipv6" else "v4"
    wanted = [address for address, kind in [(IN_A, IPV6), (IN_A_6, {})] if inside != kind]
    authorize(ec2, endpoint, *(f"{address}/{32 if '.' in address else 128}" for address in wanted))
    client = connect(endpoint, ana).connected()
    assert all(client.pings(address) for address in wanted)
    family = "AF_INET6" if over == "v6" else "AF_INET"
    assert f"Peer Connection Initiated with [{family}]" in client.log()
    if outside == "dual-stack":
        # Its profile names both addresses, the one of IPv4 first.
        text = profile(ec2, endpoint).replace(f"remote {SERVER} 443\n", "")
        other = connect(endpoint, ana, index=1, profile=text).connected()
        assert "Peer Connection Initiated with [AF_INET6]" in other.log() and other.pings(IN_A_6)


def test_an_endpoint_of_ipv4_is_not_there_over_ipv6(ec2, associated, connect, ana):
    endpoint = associated(TransportProtocol="tcp")
    text = profile(ec2, endpoint).replace(SERVER, SERVER_6)
    client = connect(endpoint, ana, "connect-retry-max 1", "server-poll-timeout 3", profile=text)
    assert "Initialization Sequence Completed" not in client.ended()


def test_routes_of_both_families_are_pushed_with_a_split_tunnel(ec2, associated, connect, ana):
    endpoint = associated(rules=["::/0"], SplitTunnel=True, **DUAL)
    ec2.create_client_vpn_route(
        ClientVpnEndpointId=endpoint, DestinationCidrBlock="2001:db8:30::/64", TargetVpcSubnetId=SUBNET_A
    )
    settled(ec2, endpoint)
    client = connect(endpoint, ana).connected()
    assert "route 10.20.0.0 255.255.0.0" in client.log()
    assert f"route-ipv6 {VPC_6}" in client.log() and "route-ipv6 2001:db8:30::/64" in client.log()
    assert client.pings(BEYOND_6), "packets leave with the client's own address"


def test_nobody_speaks_for_another_ipv6_address(ec2, associated, connect, ana):
    endpoint = associated(rules=[BEHIND_A], **IPV6)
    client = connect(endpoint, ana).connected()
    own = connection(ec2, endpoint)["ClientIpv6Address"]
    assert client.pings(IN_A_6) and drops(endpoint, "source_address") == 0
    for forged in [str(ipaddress.ip_address(own) + 1), "2001:db8:20:1::77"]:
        before = drops(endpoint, "source_address")
        client.inside("ip", "addr", "add", f"{forged}/128", "dev", "tun0", "nodad")
        answered, _ = client.inside("ping", "-q", "-c", "3", "-i", "0.2", "-W", "1", "-I", forged, IN_A_6)
        assert not answered
        eventually("each is counted", lambda: drops(endpoint, "source_address") >= before + 3)
    answered, _ = client.inside("ping", "-q", "-c", "1", "-W", "3", "-I", own, IN_A_6)
    assert answered


def test_rules_hold_in_the_return_direction_too(ec2, associated, connect, ana):
    endpoint = associated(rules=[f"{IN_B_6}/128"], **IPV6)
    connect(endpoint, ana).connected()
    own = connection(ec2, endpoint)["ClientIpv6Address"]
    assert not host_pings(own) and drops(endpoint, "not_authorized_reverse") > 0
    authorize(ec2, endpoint, BEHIND_A)
    eventually("the host reaches the client", lambda: host_pings(own))


def test_clients_do_not_reach_each_other_over_ipv6(ec2, associated, connect, ana, authority):
    """As on AWS, where a route to `local` is one of IPv4."""
    endpoint = associated(rules=["0.0.0.0/0", "::/0"], **DUAL)
    for destination, target in [("10.8.0.0/22", "local"), ("::/0", SUBNET_A)]:
        ec2.create_client_vpn_route(
            ClientVpnEndpointId=endpoint, DestinationCidrBlock=destination, TargetVpcSubnetId=target
        )
    settled(ec2, endpoint)
    connect(endpoint, ana).connected()
    other = connect(endpoint, authority.issue("ben.test"), index=1).connected()
    listed = ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint)["Connections"]
    (first,) = (item for item in listed if item["CommonName"] == "ana.test")
    assert other.pings(first["ClientIp"]) and other.pings(IN_A_6)
    before = drops(endpoint, "client_to_client")
    assert not other.pings(first["ClientIpv6Address"], 1)
    assert drops(endpoint, "client_to_client") > before


def test_only_a_subnet_that_asks_for_it_has_ipv6_translated(ec2, associated, connect, ana):
    endpoint = associated(rules=[BEHIND_A, BEHIND_B], **IPV6)
    client = connect(endpoint, ana).connected()
    assert client.pings(IN_A_6) and client.pings(IN_B_6)
    way_back = [CLIENTS_6, "via", "2001:db8:20:1::1"]
    run("ip", "-n", HOST, "route", "del", *way_back)
    try:
        assert client.pings(IN_B_6) and not client.pings(IN_A_6, 1)
    finally:
        run("ip", "-n", HOST, "route", "add", *way_back)
    assert client.pings(IN_A_6)


def test_what_does_not_fit_the_families_is_refused(ec2, create, associated):
    dual = create(**DUAL)
    with refused("InvalidParameterValue", SECOND_IN_A, "no IPv6"):
        ec2.associate_client_vpn_target_network(ClientVpnEndpointId=dual, SubnetId=SECOND_IN_A)
    ipv6 = associated(rules=[], VpnPort=1194, **IPV6)
    with refused("InvalidParameterValue", "IPv6 only"):
        ec2.authorize_client_vpn_ingress(
            ClientVpnEndpointId=ipv6, TargetNetworkCidr="10.20.0.0/16", AuthorizeAllGroups=True
        )
    for destination, target in [("0.0.0.0/0", SUBNET_A), (CLIENTS_6, SUBNET_A), (CLIENTS_6, "local")]:
        with refused("InvalidParameterValue", "DestinationCidrBlock"):
            ec2.create_client_vpn_route(
                ClientVpnEndpointId=ipv6, DestinationCidrBlock=destination, TargetVpcSubnetId=target
            )
    with refused("InvalidParameterValue", "DnsServers"):
        ec2.modify_client_vpn_endpoint(
            ClientVpnEndpointId=ipv6, DnsServers={"Enabled": True, "CustomDnsServers": ["10.20.0.2"]}
        )


def test_security_groups_hold_for_ipv6(ec2, associated, connect, ana):
    endpoint = associated(rules=[BEHIND_A], **IPV6)
    client = connect(endpoint, ana).connected()
    assert client.pings(IN_A_6)
    group = ec2.create_security_group(GroupName="ipv6", Description="IPv6", VpcId=VPC)["GroupId"]
    # A new one allows everything over IPv4 and nothing over IPv6.
    for applied in [[WEB_ONLY], [group]]:
        ec2.apply_security_groups_to_client_vpn_target_network(
            ClientVpnEndpointId=endpoint, VpcId=VPC, SecurityGroupIds=applied
        )
        settled(ec2, endpoint)
        eventually("pings are dropped", lambda: not client.pings(IN_A_6, 1))
    pings = {"IpProtocol": "icmpv6", "FromPort": 128, "ToPort": 0, "Ipv6Ranges": [{"CidrIpv6": BEHIND_A}]}
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[pings])
    eventually("pings pass again", lambda: client.pings(IN_A_6, 1))
    (found,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert [item for item in found["IpPermissionsEgress"] if item["IpProtocol"] == "icmpv6"] == [
        {**pings, "UserIdGroupPairs": [], "IpRanges": [], "PrefixListIds": []}
    ]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[pings])
    eventually("pings are dropped again", lambda: not client.pings(IN_A_6, 1))
    ec2.apply_security_groups_to_client_vpn_target_network(
        ClientVpnEndpointId=endpoint, VpcId=VPC, SecurityGroupIds=[WEB_ONLY]
    )
    settled(ec2, endpoint)
    ec2.delete_security_group(GroupId=group)
