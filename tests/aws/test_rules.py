"""Authorization rules: who reaches what."""

from contextlib import contextmanager

import pytest

from expect import plain, refused
from lab import IN_A, IN_B, eventually
from manage import directory_option, settled

ANA = ("ana", "correct horse")  # of the group engineering
BEN = ("ben", "battery staple")  # of none
EVALUATION = "culvert:rule-evaluation"


def authorize(ec2, endpoint, network, group=None, **more):
    who = {"AccessGroupId": group} if group else {"AuthorizeAllGroups": True}
    answer = ec2.authorize_client_vpn_ingress(ClientVpnEndpointId=endpoint, TargetNetworkCidr=network, **who, **more)
    return plain(answer)


def revoke(ec2, endpoint, network, group=None):
    who = {"AccessGroupId": group} if group else {"RevokeAllGroups": True}
    return plain(ec2.revoke_client_vpn_ingress(ClientVpnEndpointId=endpoint, TargetNetworkCidr=network, **who))


def rules(ec2, endpoint, **filters):
    filters = [{"Name": name.replace("_", "-"), "Values": values} for name, values in filters.items()]
    answer = plain(ec2.describe_client_vpn_authorization_rules(ClientVpnEndpointId=endpoint, Filters=filters))
    found = answer.pop("AuthorizationRules")
    assert answer == {}
    return found


def described(endpoint, network, group=None, **more):
    return {
        "ClientVpnEndpointId": endpoint,
        "GroupId": group or "",
        "AccessAll": group is None,
        "DestinationCidr": network,
        "Status": {"Code": "active"},
        **more,
    }


def test_a_rule_comes_and_goes(ec2, associated):
    endpoint = associated(rules=[])
    assert rules(ec2, endpoint) == []
    made = authorize(ec2, endpoint, "10.20.1.0/24", Description="the lab & more", ClientToken="rule-1")
    assert made == {"Status": {"Code": "authorizing"}}
    authorize(ec2, endpoint, "10.20.1.0/24", "S-1-5-21-42")
    settled(ec2, endpoint)
    everybody = described(endpoint, "10.20.1.0/24", Description="the lab & more")
    group = described(endpoint, "10.20.1.0/24", "S-1-5-21-42")
    assert rules(ec2, endpoint) == [everybody, group]
    assert revoke(ec2, endpoint, "10.20.1.0/24") == {"Status": {"Code": "revoking"}}
    eventually("the one for the group stays", lambda: rules(ec2, endpoint) == [group])
    revoke(ec2, endpoint, "10.20.1.0/24", "S-1-5-21-42")
    eventually("none is left", lambda: rules(ec2, endpoint) == [])


def test_rules_can_be_made_before_there_is_a_target_network(ec2, endpoint):
    authorize(ec2, endpoint, "10.20.1.0/24")
    settled(ec2, endpoint)
    assert rules(ec2, endpoint) == [described(endpoint, "10.20.1.0/24")]


def test_filters_narrow_the_list(ec2, endpoint):
    authorize(ec2, endpoint, "10.20.1.0/24", Description="first")
    authorize(ec2, endpoint, "10.20.2.0/24", "engineering", Description="second")
    settled(ec2, endpoint)
    first = described(endpoint, "10.20.1.0/24", Description="first")
    second = described(endpoint, "10.20.2.0/24", "engineering", Description="second")
    assert rules(ec2, endpoint) == [first, second]
    assert rules(ec2, endpoint, description=["f*"]) == [first]
    assert rules(ec2, endpoint, destination_cidr=["10.20.2.0/24"]) == [second]
    assert rules(ec2, endpoint, group_id=["engineering"]) == [second]
    assert rules(ec2, endpoint, group_id=["engineering"], description=["first"]) == []
    with refused("InvalidParameterValue", "colour"):
        rules(ec2, endpoint, colour=["red"])


REFUSED = {
    "nobody": ({}, "MissingParameter"),
    "not-all": ({"AuthorizeAllGroups": False}, "MissingParameter"),
    "all-and-a-group": ({"AuthorizeAllGroups": True, "AccessGroupId": "engineering"}, "InvalidParameterValue"),
    "group-too-long": ({"AccessGroupId": "x" * 256}, "InvalidParameterValue"),
    "host-bits": ({"AuthorizeAllGroups": True, "TargetNetworkCidr": "10.20.1.1/24"}, "InvalidParameterValue"),
    "no-network": ({"AuthorizeAllGroups": True, "TargetNetworkCidr": "there"}, "InvalidParameterValue"),
    "ipv6": ({"AuthorizeAllGroups": True, "TargetNetworkCidr": "::/0"}, "InvalidParameterValue"),
    "description": ({"AuthorizeAllGroups": True, "Description": "x" * 256}, "InvalidParameterValue"),
}


@pytest.mark.parametrize("changes, code", REFUSED.values(), ids=REFUSED)
def test_a_rule_that_can_not_be_is_refused(ec2, endpoint, changes, code):
    request = {"ClientVpnEndpointId": endpoint, "TargetNetworkCidr": "10.20.1.0/24", **changes}
    with refused(code):
        ec2.authorize_client_vpn_ingress(**request)
    assert rules(ec2, endpoint) == []


def test_a_rule_is_made_once_and_revoked_once(ec2, endpoint):
    authorize(ec2, endpoint, "10.20.1.0/24")
    authorize(ec2, endpoint, "10.20.1.0/24", "engineering")
    for group in (None, "engineering"):
        with refused("InvalidClientVpnDuplicateAuthorizationRule", "10.20.1.0/24"):
            authorize(ec2, endpoint, "10.20.1.0/24", group)
    for network, group in [("10.20.2.0/24", None), ("10.20.1.0/24", "sales")]:
        with refused("InvalidClientVpnEndpointAuthorizationRuleNotFound", network):
            revoke(ec2, endpoint, network, group)
    with refused("MissingParameter"):
        ec2.revoke_client_vpn_ingress(ClientVpnEndpointId=endpoint, TargetNetworkCidr="10.20.1.0/24")


def test_there_are_no_more_rules_than_the_quota(ec2, endpoint):
    for number in range(200):
        authorize(ec2, endpoint, f"10.60.{number}.0/24")
    with refused("ClientVpnAuthorizationRuleLimitExceeded", "200"):
        authorize(ec2, endpoint, "10.60.200.0/24")


def test_what_no_rule_allows_is_denied(ec2, associated, connect, ana, web):
    endpoint = associated(rules=[])
    client = connect(endpoint, ana).connected()
    assert not client.fetches(IN_A, seconds=1)
    authorize(ec2, endpoint, "10.20.1.0/24")
    settled(ec2, endpoint)
    assert client.fetches(IN_A) == "hello from behind" and not client.fetches(IN_B, seconds=1)
    revoke(ec2, endpoint, "10.20.1.0/24")
    settled(ec2, endpoint)
    eventually("it is denied again", lambda: not client.fetches(IN_A, seconds=1))


def test_a_certificate_names_groups_of_its_client(ec2, associated, connect, authority, ana, web):
    endpoint = associated(rules=["10.20.0.0/16"])
    authorize(ec2, endpoint, "10.20.1.0/24", "engineering")
    settled(ec2, endpoint)
    engineer = authority.issue("engineer.test", subject="/OU=sales/OU=engineering")
    member = connect(endpoint, engineer).connected()
    other = connect(endpoint, ana, index=1).connected()
    assert member.fetches(IN_A) and member.fetches(IN_B)
    assert other.fetches(IN_B) and not other.fetches(IN_A, seconds=1)


def test_a_rule_for_a_group_admits_its_members_and_the_longest_prefix_decides(ec2, associated, connect, web):
    endpoint = associated(AuthenticationOptions=[directory_option()], rules=["10.20.0.0/16"])
    authorize(ec2, endpoint, "10.20.1.0/24", "engineering")
    settled(ec2, endpoint)
    ana = connect(endpoint, login=ANA).connected()
    ben = connect(endpoint, login=BEN, index=1).connected()
    assert ana.fetches(IN_A) and ana.fetches(IN_B)
    assert ben.fetches(IN_B), "the rule for all"
    assert not ben.fetches(IN_A, seconds=1), "the longer rule is for others"


@contextmanager
def limited_to(ec2, *services):
    """Has the SDK send `Culvert.Service.N` with new rules; AWS has no such member, so it does not know it."""

    def add(params, **_):
        params["body"].update((f"Culvert.Service.{at}", service) for at, service in enumerate(services, 1))

    event = "before-call.ec2.AuthorizeClientVpnIngress"
    ec2.meta.events.register(event, add)
    try:
        yield
    finally:
        ec2.meta.events.unregister(event, add)


def test_a_rule_may_be_limited_to_services(ec2, associated, connect, ana, web):
    endpoint = associated(rules=["10.20.0.0/16"])
    client = connect(endpoint, ana).connected()
    assert client.fetches(IN_A) and client.pings(IN_A)
    with limited_to(ec2, "443/tcp", "icmp"):
        authorize(ec2, endpoint, "10.20.1.0/24")
    settled(ec2, endpoint)
    assert client.pings(IN_A) and not client.fetches(IN_A, seconds=1)
    assert client.fetches(IN_B), "what the longer rule does not cover"
    assert rules(ec2, endpoint)[1] == described(endpoint, "10.20.1.0/24"), "the SDK reads it as any other"
    revoke(ec2, endpoint, "10.20.1.0/24")
    with limited_to(ec2, "80/tcp"):
        authorize(ec2, endpoint, "10.20.1.0/24")
    settled(ec2, endpoint)
    assert client.fetches(IN_A) and not client.pings(IN_A, seconds=1)


def test_services_that_can_not_be_are_refused(ec2, endpoint, caller):
    for services in (["https"], ["443/sctp"], ["0/tcp"], ["80/tcp", "9-8/udp"], [f"{port}/tcp" for port in range(1, 34)]):
        with limited_to(ec2, *services), refused("InvalidParameterValue", "Culvert.Service"):
            authorize(ec2, endpoint, "10.20.1.0/24")
    form = {"ClientVpnEndpointId": endpoint, "TargetNetworkCidr": "10.20.1.0/24", "AuthorizeAllGroups": "true"}
    answer = caller.call("AuthorizeClientVpnIngress", Culvert__Port="443", **form)
    assert answer.code() == "UnknownParameter"
    assert rules(ec2, endpoint) == []


def test_a_tag_makes_rules_additive(ec2, associated, connect, web):
    endpoint = associated(AuthenticationOptions=[directory_option()], rules=["10.20.0.0/16"])
    authorize(ec2, endpoint, "10.20.1.0/24", "engineering")
    settled(ec2, endpoint)
    ben = connect(endpoint, login=BEN).connected()
    assert not ben.fetches(IN_A, seconds=1), "the longer rule is for others"
    ec2.create_tags(Resources=[endpoint], Tags=[{"Key": EVALUATION, "Value": "additive"}])
    eventually("the rule for all counts", lambda: ben.fetches(IN_A, seconds=1))
    ec2.delete_tags(Resources=[endpoint], Tags=[{"Key": EVALUATION}])
    eventually("the longest prefix decides again", lambda: not ben.fetches(IN_A, seconds=1))


def test_an_endpoint_may_be_made_with_additive_rules(ec2, create):
    def tags(key, value):
        return [{"ResourceType": "client-vpn-endpoint", "Tags": [{"Key": key, "Value": value}]}]

    endpoint = create(TagSpecifications=tags(EVALUATION, "additive"))
    for key, value in [(EVALUATION, "both"), (EVALUATION, ""), ("culvert:rules", "additive")]:
        with refused("InvalidParameterValue", key):
            create(ClientCidrBlock="10.40.0.0/22", VpnPort=1194, TagSpecifications=tags(key, value))
        with refused("InvalidParameterValue", key):
            ec2.create_tags(Resources=[endpoint], Tags=[{"Key": key, "Value": value}])
    (shown,) = ec2.describe_client_vpn_endpoints()["ClientVpnEndpoints"]
    assert shown["Tags"] == [{"Key": EVALUATION, "Value": "additive"}]
