"""Which changes end connections: none that can be made without by default, those of AWS with `resets = "strict"`."""

import pytest

from lab import EVERYTHING, IN_A, SUBNET_A, VPC, WEB_ONLY, eventually
from manage import import_leaf, settled


@pytest.fixture(scope="module")
def strict(daemon):
    """The daemon with AWS's resets."""
    daemon.restart(resets="strict")
    yield
    daemon.restart()


def modify(**change):
    return lambda ec2, endpoint: ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, **change)


def add_route(ec2, endpoint):
    ec2.create_client_vpn_route(
        ClientVpnEndpointId=endpoint, DestinationCidrBlock="10.30.0.0/24", TargetVpcSubnetId=SUBNET_A
    )


def add_rule(ec2, endpoint):
    ec2.authorize_client_vpn_ingress(
        ClientVpnEndpointId=endpoint, TargetNetworkCidr="10.20.2.0/24", AuthorizeAllGroups=True
    )


# What is changed, whether the tunnel is split, and whether that ends connections on AWS.
CHANGES = {
    "description": (modify(Description="other"), False, False),
    "dns": (modify(DnsServers={"Enabled": True, "CustomDnsServers": ["10.20.0.2"]}), False, True),
    "split-tunnel": (modify(SplitTunnel=True), False, True),
    "full-tunnel": (modify(SplitTunnel=False), True, True),
    "route-of-a-split-tunnel": (add_route, True, True),
    "route-of-a-full-tunnel": (add_route, False, False),
    "rule": (add_rule, False, True),
    "port": (modify(VpnPort=1194), False, True),
    "groups": (modify(VpcId=VPC, SecurityGroupIds=[EVERYTHING, WEB_ONLY]), False, False),
    "timeout": (modify(SessionTimeoutHours=12), False, False),
    "banner": (modify(ClientLoginBannerOptions={"Enabled": True, "BannerText": "Hello"}), False, False),
    "handler": (modify(ClientConnectOptions={"Enabled": False}), False, False),
    "log": (modify(ConnectionLogOptions={"Enabled": False}), False, False),
    "portal": (modify(SelfServicePortal="disabled"), False, False),
}


def active(ec2, endpoint):
    found = ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint)["Connections"]
    return [item["ConnectionId"] for item in found if item["Status"]["Code"] == "active"]


@pytest.fixture
def connected(ec2, associated, connect, ana):
    """An endpoint with a client, and the connection's id."""

    def make(split):
        endpoint = associated(SplitTunnel=split)
        client = connect(endpoint, ana, "connect-retry 30").connected()
        (connection,) = active(ec2, endpoint)
        return endpoint, client, connection

    return make


@pytest.mark.parametrize("change, split, ends", CHANGES.values(), ids=CHANGES)
def test_with_strict_resets_the_documented_changes_end_connections(strict, ec2, connected, change, split, ends):
    endpoint, client, connection = connected(split)
    change(ec2, endpoint)
    settled(ec2, endpoint)
    if ends:
        eventually("the connection ends", lambda: connection not in active(ec2, endpoint))
    else:
        assert client.pings(IN_A) and active(ec2, endpoint) == [connection]


def test_with_strict_resets_a_new_certificate_ends_connections(strict, ec2, acm, authority, connected):
    endpoint, _, connection = connected(False)
    other = import_leaf(acm, authority.issue("server.test", "server"), authority.certificate)
    modify(ServerCertificateArn=other)(ec2, endpoint)
    eventually("the connection ends", lambda: connection not in active(ec2, endpoint))


def test_with_strict_resets_a_revocation_list_ends_connections(strict, ec2, authority, connected):
    endpoint, _, connection = connected(False)
    ec2.import_client_vpn_client_certificate_revocation_list(
        ClientVpnEndpointId=endpoint, CertificateRevocationList=authority.crl([])
    )
    eventually("the connection ends", lambda: connection not in active(ec2, endpoint))


@pytest.mark.parametrize("change, split", [(change, split) for change, split, _ in CHANGES.values()], ids=CHANGES)
def test_by_default_connections_live_on(daemon, ec2, connected, request, change, split):
    if request.node.callspec.id == "port":
        pytest.skip("nobody stays connected to a port that is closed")
    endpoint, client, connection = connected(split)
    change(ec2, endpoint)
    settled(ec2, endpoint)
    assert client.pings(IN_A) and active(ec2, endpoint) == [connection]
