"""Which changes end connections: none that can be made without by default, those of AWS with `resets = "strict"`."""

import time

import pytest

from lab import EVERYTHING, IN_A, LOG_GROUP, SUBNET_A, VPC, WEB_ONLY, eventually
from manage import import_leaf, settled


@pytest.fixture(scope="module", params=["strict", "live"])
def resets(daemon, request):
    """The daemon with AWS's resets, and with its own."""
    daemon.restart(resets=request.param)
    yield request.param
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
    "log": (modify(ConnectionLogOptions={"Enabled": True, "CloudwatchLogGroup": LOG_GROUP}), False, False),
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
def test_which_changes_end_connections(resets, ec2, connected, request, change, split, ends):
    endpoint, client, connection = connected(split)
    change(ec2, endpoint)
    settled(ec2, endpoint)
    # Nobody stays connected to a port that is closed.
    if ends and (resets == "strict" or "port" in request.node.callspec.id):
        eventually("the connection ends", lambda: connection not in active(ec2, endpoint))
    else:
        assert client.pings(IN_A) and active(ec2, endpoint) == [connection]


def stays_if_live(resets, ec2, endpoint, client, connection):
    if resets == "strict":
        eventually("the connection ends", lambda: connection not in active(ec2, endpoint))
    else:
        time.sleep(2)
        assert client.pings(IN_A) and active(ec2, endpoint) == [connection]


def test_whether_a_new_certificate_ends_connections(resets, ec2, acm, authority, connected):
    endpoint, client, connection = connected(False)
    other = import_leaf(acm, authority.issue("server.test", "server"), authority.certificate)
    modify(ServerCertificateArn=other)(ec2, endpoint)
    stays_if_live(resets, ec2, endpoint, client, connection)


def test_whether_a_revocation_list_without_the_client_ends_connections(resets, ec2, authority, connected):
    endpoint, client, connection = connected(False)
    ec2.import_client_vpn_client_certificate_revocation_list(
        ClientVpnEndpointId=endpoint, CertificateRevocationList=authority.crl([])
    )
    stays_if_live(resets, ec2, endpoint, client, connection)
