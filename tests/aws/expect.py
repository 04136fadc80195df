"""What answers are compared with: whole dictionaries, in which ids and times are patterns."""

import re
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError

from lab import ACCOUNT, REGION, SERVER, SUBNET_A


class Like:
    """Equal to every text the pattern matches as a whole."""

    def __init__(self, pattern):
        self.pattern = re.compile(pattern, re.DOTALL)

    def __eq__(self, other):
        return isinstance(other, str) and self.pattern.fullmatch(other) is not None

    def __repr__(self):
        return f"<like {self.pattern.pattern}>"


UUID = Like(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ENDPOINT = Like(r"cvpn-endpoint-[0-9a-f]{17}")
ASSOCIATION = Like(r"cvpn-assoc-[0-9a-f]{17}")
CONNECTION = Like(r"cvpn-connection-[0-9a-f]{17}")
CERTIFICATE = Like(rf"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/[0-9a-f-]{{36}}")
# Endpoints tell times in one form, connections in another; both mean UTC.
TIME = Like(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d")
CONNECTION_TIME = Like(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d")
COUNT = Like(r"\d+")


def plain(answer):
    """An answer without what boto3 adds, which must be as of a request that succeeded."""
    metadata = answer.pop("ResponseMetadata")
    assert metadata["HTTPStatusCode"] == 200
    assert metadata["RequestId"] == UUID
    assert metadata["RetryAttempts"] == 0
    return answer


@contextmanager
def refused(code, *words, status=None):
    """What is done inside is refused with this code, and the message holds the words."""
    with pytest.raises(ClientError) as caught:
        yield
    response = caught.value.response
    assert response["Error"]["Code"] == code, response["Error"]
    for word in words:
        assert word in response["Error"]["Message"]
    if status is not None:
        assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["ResponseMetadata"]["RequestId"] == UUID


def described(endpoint_id, server_arn, client_arn, **differences):
    """An endpoint as it is described right after it was made with nothing but what must be given; `None` takes a member
    out."""
    item = {
        "ClientVpnEndpointId": endpoint_id,
        "Status": {"Code": "pending-associate"},
        "CreationTime": TIME,
        "DnsName": SERVER,
        "ClientCidrBlock": "10.8.0.0/22",
        "DnsServers": [],
        "SplitTunnel": False,
        "VpnProtocol": "openvpn",
        "TransportProtocol": "udp",
        "VpnPort": 443,
        "AssociatedTargetNetworks": [],
        "ServerCertificateArn": server_arn,
        "AuthenticationOptions": [
            {
                "Type": "certificate-authentication",
                "MutualAuthentication": {"ClientRootCertificateChain": client_arn},
            }
        ],
        "ConnectionLogOptions": {"Enabled": False},
        "Tags": [],
        "SecurityGroupIds": [],
        "ClientConnectOptions": {"Enabled": False, "Status": {"Code": "applied"}},
        "SessionTimeoutHours": 24,
        "ClientLoginBannerOptions": {"Enabled": False},
        "ClientRouteEnforcementOptions": {"Enforced": False},
        "DisconnectOnSessionTimeout": True,
        "EndpointIpAddressType": "ipv4",
        "TrafficIpAddressType": "ipv4",
    }
    item.update(differences)
    return {name: value for name, value in item.items() if value is not None}


def automatic_route(endpoint_id, subnet=SUBNET_A, destination="10.20.0.0/16", status="active"):
    """The route that comes with an association."""
    return {
        "ClientVpnEndpointId": endpoint_id,
        "DestinationCidr": destination,
        "TargetSubnet": subnet,
        "Type": "Nat",
        "Origin": "associate",
        "Status": {"Code": status},
        "Description": "Default Route",
    }
