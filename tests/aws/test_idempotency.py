"""Client tokens: what is asked for twice happens once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from expect import plain, refused
from lab import SUBNET_A, SUBNET_B
from manage import client_for, settled


def endpoints(ec2):
    return [item["ClientVpnEndpointId"] for item in ec2.describe_client_vpn_endpoints()["ClientVpnEndpoints"]]


def test_an_endpoint_is_created_once(ec2, create, request_for):
    request = request_for(ClientToken="once", Description="office")
    first = plain(ec2.create_client_vpn_endpoint(**request))
    assert plain(ec2.create_client_vpn_endpoint(**request)) == first
    assert endpoints(ec2) == [first["ClientVpnEndpointId"]]
    with refused("IdempotentParameterMismatch"):
        ec2.create_client_vpn_endpoint(**request_for(ClientToken="once", Description="branch"))
    assert endpoints(ec2) == [first["ClientVpnEndpointId"]]


def test_an_answer_is_kept_over_a_restart(ec2, daemon, create, request_for):
    request = request_for(ClientToken="kept")
    first = plain(ec2.create_client_vpn_endpoint(**request))
    daemon.restart()
    assert plain(ec2.create_client_vpn_endpoint(**request)) == first


def test_a_dry_run_uses_no_token_up(ec2, create, request_for):
    with refused("DryRunOperation"):
        ec2.create_client_vpn_endpoint(**request_for(ClientToken="dry"), DryRun=True)
    plain(ec2.create_client_vpn_endpoint(**request_for(ClientToken="dry", Description="real")))


def test_a_refused_request_uses_no_token_up(ec2, create, request_for):
    with refused("InvalidParameterValue"):
        ec2.create_client_vpn_endpoint(**request_for(ClientToken="refused", VpnPort=80))
    plain(ec2.create_client_vpn_endpoint(**request_for(ClientToken="refused")))


def test_tokens_of_different_actions_have_nothing_to_do_with_each_other(ec2, create):
    endpoint = create(ClientToken="shared")
    request = {"ClientVpnEndpointId": endpoint, "TargetNetworkCidr": "10.20.1.0/24", "AuthorizeAllGroups": True}
    plain(ec2.authorize_client_vpn_ingress(**request, ClientToken="shared"))


REPEATABLE = {
    "associate": (
        "associate_client_vpn_target_network",
        {"SubnetId": SUBNET_B},
        {"SubnetId": SUBNET_A},
    ),
    "authorize": (
        "authorize_client_vpn_ingress",
        {"TargetNetworkCidr": "10.20.2.0/24", "AuthorizeAllGroups": True},
        {"TargetNetworkCidr": "10.20.3.0/24", "AuthorizeAllGroups": True},
    ),
    "route": (
        "create_client_vpn_route",
        {"DestinationCidrBlock": "10.30.0.0/24", "TargetVpcSubnetId": SUBNET_A},
        {"DestinationCidrBlock": "10.31.0.0/24", "TargetVpcSubnetId": SUBNET_A},
    ),
}


@pytest.mark.parametrize("operation, request_, other", REPEATABLE.values(), ids=REPEATABLE)
def test_a_repeated_change_gets_its_first_answer(ec2, associated, operation, request_, other):
    endpoint = associated()
    call = getattr(ec2, operation)
    token = {"ClientVpnEndpointId": endpoint, "ClientToken": f"{endpoint}-{operation}"[:64]}
    first = plain(call(**request_, **token))
    settled(ec2, endpoint)
    assert plain(call(**request_, **token)) == first, "the first answer, though it is done by now"
    with refused("IdempotentParameterMismatch"):
        call(**other, **token)


def test_many_at_once_are_one(daemon, ec2, create, request_for):
    request = request_for(ClientToken="at-once")
    clients = [client_for("ec2", daemon) for _ in range(8)]
    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(
            pool.map(lambda client: client.create_client_vpn_endpoint(**request)["ClientVpnEndpointId"], clients)
        )
    assert endpoints(ec2) == [answers[0]] and set(answers) == {answers[0]}


def test_many_changes_at_once_all_happen(daemon, ec2, endpoint):
    clients = [client_for("ec2", daemon) for _ in range(8)]

    def authorize(number):
        clients[number % 8].authorize_client_vpn_ingress(
            ClientVpnEndpointId=endpoint, TargetNetworkCidr=f"10.60.{number}.0/24", AuthorizeAllGroups=True
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(authorize, range(40)))
    rules = ec2.describe_client_vpn_authorization_rules(ClientVpnEndpointId=endpoint)["AuthorizationRules"]
    assert {rule["DestinationCidr"] for rule in rules} == {f"10.60.{number}.0/24" for number in range(40)}


def test_a_token_has_at_most_64_characters_of_ascii(ec2, create, request_for):
    for token in ("x" * 65, "ü"):
        with refused("InvalidClientToken"):
            ec2.create_client_vpn_endpoint(**request_for(ClientToken=token))
