"""Connect handlers: asked before a client is let in, with the questions and answers of AWS's Lambda functions."""

import json

import pytest

from expect import CONNECTION, plain, refused
from lab import ACCOUNT, DENIES_LATE, DOOR, IN_A, IN_B, REGION, WORK, eventually
from manage import directory_option, settled

GIVES_UP = ("connect-retry-max 1",)


def arn(name, region=REGION, account=ACCOUNT, qualifier=""):
    return f"arn:aws:lambda:{region}:{account}:function:{name}{qualifier}"


def handler(name=DOOR, **parts):
    return {"Enabled": True, "LambdaFunctionArn": arn(name, **parts)}


def options(ec2, endpoint):
    (item,) = ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint])["ClientVpnEndpoints"]
    return item["ClientConnectOptions"]


def connections(ec2, endpoint):
    return plain(ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint))["Connections"]


def questions():
    """What the door was asked, oldest first."""
    path = WORK / "door.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_handler_is_switched_on_and_off(ec2, associated):
    endpoint = associated(ClientConnectOptions=handler())
    on = {"Enabled": True, "LambdaFunctionArn": arn(DOOR), "Status": {"Code": "applied"}}
    eventually("it is applied", lambda: options(ec2, endpoint) == on)
    ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, ClientConnectOptions={"Enabled": False})
    off = {"Enabled": False, "Status": {"Code": "applied"}}
    eventually("it is off", lambda: options(ec2, endpoint) == off)
    with refused("MissingParameter", "LambdaFunctionArn"):
        ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, ClientConnectOptions={"Enabled": True})
    ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, ClientConnectOptions=handler())
    eventually("it is applied again", lambda: options(ec2, endpoint) == on)


@pytest.mark.parametrize(
    "function",
    [arn("AWSClientVPN-none"), arn("door"), arn(DOOR, region="eu-west-1"), arn(DOOR, account="210987654321"), "door"],
)
def test_a_handler_that_is_not_there_is_refused(ec2, create, request_for, function):
    with refused("InvalidParameterValue", "LambdaFunctionArn"):
        ec2.create_client_vpn_endpoint(
            **request_for(ClientConnectOptions={"Enabled": True, "LambdaFunctionArn": function})
        )


def test_a_handler_knows_who_comes_and_what_it_says_is_told(ec2, associated, connect):
    endpoint = associated(ClientConnectOptions=handler(), AuthenticationOptions=[directory_option()])
    before = len(questions())
    connect(endpoint, None, "push-peer-info", login=("ana", "correct horse")).connected()
    (connection,) = connections(ec2, endpoint)
    assert connection["PostureComplianceStatuses"] == ["compliant", "patched & signed"]
    (question,) = questions()[before:]
    version = question.pop("client-openvpn-version")
    assert version.startswith("2.")
    question.pop("platform-version")
    assert question == {
        "connection-id": connection["ConnectionId"],
        "endpoint-id": endpoint,
        "common-name": "",
        "username": "ana",
        "platform": "linux",
        "public-ip": "192.0.2.2",
        "groups": ["engineering"],
        "aws-client-version": "",
        "schema-version": "v3",
    }
    assert connection["ConnectionId"] == CONNECTION


def test_whom_the_handler_denies_is_told_why_and_stays_out(ec2, associated, connect, authority, ana):
    endpoint = associated(ClientConnectOptions=handler())
    denied = connect(endpoint, authority.issue("denied.test"), *GIVES_UP)
    assert "AUTH_FAILED,Your device is not known here" in denied.ended()
    assert connections(ec2, endpoint) == []
    connect(endpoint, ana, index=1).connected()
    assert [item["CommonName"] for item in connections(ec2, endpoint)] == ["ana.test"]


def test_a_handler_may_name_groups_of_a_client(ec2, associated, connect, authority, ana, web):
    endpoint = associated(rules=["10.20.0.0/16"], ClientConnectOptions=handler())
    ec2.authorize_client_vpn_ingress(
        ClientVpnEndpointId=endpoint, TargetNetworkCidr="10.20.1.0/24", AccessGroupId="engineering"
    )
    settled(ec2, endpoint)
    member = connect(endpoint, authority.issue("engineer.door.test")).connected()
    other = connect(endpoint, ana, index=1).connected()
    assert member.fetches(IN_A) and member.fetches(IN_B)
    assert other.fetches(IN_B) and not other.fetches(IN_A, seconds=1)


@pytest.mark.parametrize("name", ["broken.test", "silent.test"])
def test_a_handler_that_fails_lets_nobody_in(ec2, associated, connect, authority, name):
    """It answers nonsense, or not in time."""
    endpoint = associated(ClientConnectOptions=handler(DENIES_LATE if name == "silent.test" else DOOR))
    log = connect(endpoint, authority.issue(name), *GIVES_UP).ended()
    assert "AUTH_FAILED" in log and "Initialization Sequence Completed" not in log
    assert connections(ec2, endpoint) == []


def test_who_is_connected_is_not_asked_about(ec2, associated, connect, authority):
    endpoint = associated()
    client = connect(endpoint, authority.issue("denied.test")).connected()
    ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, ClientConnectOptions=handler())
    eventually("it is applied", lambda: options(ec2, endpoint).get("Status") == {"Code": "applied"})
    (connection,) = connections(ec2, endpoint)
    assert connection["Status"] == {"Code": "active"}
    client.stop()
    denied = connect(endpoint, authority.issue("denied.test"), *GIVES_UP)
    assert "AUTH_FAILED" in denied.ended()
