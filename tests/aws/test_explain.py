"""`culvert explain` says what packets meet."""

import json

from lab import BEYOND, BIN, IN_A, IN_B, VPC, WEB_ONLY, WORK, eventually, run


def explained(client, destination, *more):
    said = run(BIN / "culvert", "explain", client, destination, "--json", "--config", WORK / "culvert.toml", *more)
    answer = json.loads(said)
    return answer["allowed"], answer["steps"][-1]


def test_an_explanation_agrees_with_what_packets_meet(ec2, associated, connect, ana, web):
    endpoint = associated(rules=("10.20.1.0/24",), VpcId=VPC, SecurityGroupIds=[WEB_ONLY])
    client = connect(endpoint, ana).connected()
    (connection,) = ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint)["Connections"]
    for name in (connection["ConnectionId"], "ana.test", connection["ClientIp"]):
        allowed, last = explained(name, IN_A, "--service", "80/tcp")
        assert allowed and last["what"] == "security groups"
    assert client.fetches(IN_A)
    allowed, last = explained("ana.test", IN_A, "--service", "icmp")
    assert not allowed and last["what"] == "security groups" and not client.pings(IN_A)
    allowed, last = explained("ana.test", IN_B)
    assert not allowed and last["what"] == "rule" and not client.fetches(IN_B)
    allowed, last = explained("ana.test", BEYOND)
    assert not allowed and last["what"] == "route" and not client.fetches(BEYOND)


def test_a_limited_rule_is_explained_by_its_services(caller, associated, connect, ana, web):
    endpoint = associated(rules=("10.20.2.0/24",))
    form = {"ClientVpnEndpointId": endpoint, "TargetNetworkCidr": "10.20.1.0/24", "AuthorizeAllGroups": "true"}
    caller.call("AuthorizeClientVpnIngress", Culvert__Service__1="80/tcp", **form).root()
    client = connect(endpoint, ana).connected()
    eventually("the rule is in force", lambda: client.fetches(IN_A, seconds=1))
    allowed, last = explained("ana.test", IN_A, "--service", "80/tcp")
    assert allowed and last["what"] == "security groups"
    for service in ("icmp", "80/udp", "81/tcp"):
        allowed, last = explained("ana.test", IN_A, "--service", service)
        assert not allowed and last["what"] == "rule" and f"allow 80/tcp, but not {service}" in last["why"]
    assert not client.pings(IN_A, seconds=1)
