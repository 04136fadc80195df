"""Long lists come in pages."""

import pytest

from expect import plain, refused
from lab import SUBNET_A, SUBNET_B
from manage import settled

NETWORKS = [f"10.60.{number}.0/24" for number in range(12)]

# What is listed, under which key, and which member tells items apart.
LISTS = {
    "routes": ("describe_client_vpn_routes", "Routes", "DestinationCidr"),
    "rules": ("describe_client_vpn_authorization_rules", "AuthorizationRules", "DestinationCidr"),
}


@pytest.fixture
def endpoint(ec2, associated):
    """An endpoint with 12 added routes and 12 rules."""
    endpoint = associated(rules=NETWORKS)
    for network in NETWORKS:
        ec2.create_client_vpn_route(
            ClientVpnEndpointId=endpoint, DestinationCidrBlock=network, TargetVpcSubnetId=SUBNET_A
        )
    settled(ec2, endpoint)
    return endpoint


ADDED = [{"Name": "destination-cidr", "Values": ["10.60.*"]}]


@pytest.mark.parametrize("operation, key, member", LISTS.values(), ids=LISTS)
def test_pages_follow_each_other(ec2, endpoint, operation, key, member):
    sizes, found, token = [], [], {}
    while True:
        page = plain(getattr(ec2, operation)(ClientVpnEndpointId=endpoint, Filters=ADDED, MaxResults=5, **token))
        sizes.append(len(page[key]))
        found += [item[member] for item in page[key]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert (sizes, found) == ([5, 5, 2], NETWORKS)
    pages = ec2.get_paginator(operation).paginate(
        ClientVpnEndpointId=endpoint, Filters=ADDED, PaginationConfig={"PageSize": 6}
    )
    assert [[item[member] for item in page[key]] for page in pages] == [NETWORKS[:6], NETWORKS[6:]]


def test_the_command_line_puts_pages_together(aws, endpoint):
    arguments = ("--client-vpn-endpoint-id", endpoint, "--page-size", "5")
    rules = aws("ec2", "describe-client-vpn-authorization-rules", *arguments)["AuthorizationRules"]
    assert [rule["DestinationCidr"] for rule in rules] == NETWORKS
    first = aws("ec2", "describe-client-vpn-authorization-rules", *arguments, "--max-items", "7")
    assert [rule["DestinationCidr"] for rule in first["AuthorizationRules"]] == NETWORKS[:7]
    rest = aws("ec2", "describe-client-vpn-authorization-rules", *arguments, "--starting-token", first["NextToken"])
    assert [rule["DestinationCidr"] for rule in rest["AuthorizationRules"]] == NETWORKS[7:]


def test_tags_come_in_pages(ec2, endpoint):
    tags = [{"Key": f"k{number}", "Value": str(number)} for number in range(8)]
    ec2.create_tags(Resources=[endpoint], Tags=tags)
    first = plain(ec2.describe_tags(MaxResults=5))
    rest = plain(ec2.describe_tags(MaxResults=5, NextToken=first["NextToken"]))
    assert [tag["Key"] for tag in first["Tags"] + rest["Tags"]] == [tag["Key"] for tag in tags]
    assert len(first["Tags"]) == 5 and "NextToken" not in rest


def test_an_item_that_goes_meanwhile_is_no_obstacle(ec2, endpoint):
    first = ec2.describe_client_vpn_routes(ClientVpnEndpointId=endpoint, Filters=ADDED, MaxResults=5)
    last = first["Routes"][-1]["DestinationCidr"]
    for network in (last, NETWORKS[6]):
        ec2.delete_client_vpn_route(
            ClientVpnEndpointId=endpoint, DestinationCidrBlock=network, TargetVpcSubnetId=SUBNET_A
        )
    settled(ec2, endpoint)
    rest = ec2.describe_client_vpn_routes(
        ClientVpnEndpointId=endpoint, Filters=ADDED, MaxResults=10, NextToken=first["NextToken"]
    )
    assert [route["DestinationCidr"] for route in rest["Routes"]] == [NETWORKS[5], *NETWORKS[7:]]


def test_a_token_is_good_for_its_question_only(ec2, endpoint, create):
    other = create(ClientCidrBlock="10.12.0.0/22", VpnPort=1194)
    page = ec2.describe_client_vpn_routes(ClientVpnEndpointId=endpoint, Filters=ADDED, MaxResults=5)
    good = {"ClientVpnEndpointId": endpoint, "Filters": ADDED, "MaxResults": 5, "NextToken": page["NextToken"]}
    turned = page["NextToken"][:-1] + ("A" if page["NextToken"][-1] != "A" else "B")
    for change in [
        {"ClientVpnEndpointId": other},
        {"Filters": [{"Name": "destination-cidr", "Values": ["10.60.1*"]}]},
        {"Filters": []},
        {"NextToken": turned},
        {"NextToken": "next"},
    ]:
        with refused("InvalidPaginationToken"):
            ec2.describe_client_vpn_routes(**{**good, **change})
    with refused("InvalidPaginationToken"):
        ec2.describe_client_vpn_authorization_rules(**good)
    assert ec2.describe_client_vpn_routes(**good)["Routes"], "it is still good for its own"


def test_a_token_outlives_a_restart(ec2, daemon, endpoint):
    question = {"ClientVpnEndpointId": endpoint, "Filters": ADDED, "MaxResults": 10}
    page = ec2.describe_client_vpn_routes(**question)
    daemon.restart()
    rest = ec2.describe_client_vpn_routes(**question, NextToken=page["NextToken"])
    assert [route["DestinationCidr"] for route in rest["Routes"]] == NETWORKS[10:]


PAGED = [
    "DescribeClientVpnAuthorizationRules",
    "DescribeClientVpnConnections",
    "DescribeClientVpnEndpoints",
    "DescribeClientVpnRoutes",
    "DescribeClientVpnTargetNetworks",
    "DescribeTags",
]


def test_a_page_has_5_to_1000_items(caller, endpoint):
    for action in PAGED:
        own = {} if action in ("DescribeClientVpnEndpoints", "DescribeTags") else {"ClientVpnEndpointId": endpoint}
        for size in ("4", "1001", "-1", "many"):
            answer = caller.call(action, MaxResults=size, **own)
            assert answer.code() == "InvalidParameterValue", (action, size)
        assert caller.call(action, NextToken="next", **own).code() == "InvalidPaginationToken", action
        caller.call(action, MaxResults="1000", **own).root()


def test_short_lists_are_one_page(ec2, endpoint):
    ec2.associate_client_vpn_target_network(ClientVpnEndpointId=endpoint, SubnetId=SUBNET_B)
    networks = plain(ec2.describe_client_vpn_target_networks(ClientVpnEndpointId=endpoint, MaxResults=5))
    assert len(networks.pop("ClientVpnTargetNetworks")) == 2 and networks == {}
    endpoints = plain(ec2.describe_client_vpn_endpoints(MaxResults=5))
    assert len(endpoints.pop("ClientVpnEndpoints")) == 1 and endpoints == {}
    with refused("InvalidPaginationToken"):
        ec2.describe_client_vpn_target_networks(ClientVpnEndpointId=endpoint, NextToken="next")
    with refused("InvalidPaginationToken"):
        ec2.describe_client_vpn_endpoints(NextToken="next")
