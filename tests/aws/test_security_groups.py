"""Security groups: made, filled, applied, described, enforced."""

import pytest

from expect import Like, plain, refused
from lab import ACCOUNT, EVERYTHING, IN_A, MORE, OTHER_VPC, REGION, VPC, WEB_ONLY, eventually
from manage import settled


def apply(ec2, endpoint, *groups, vpc=VPC):
    answer = ec2.apply_security_groups_to_client_vpn_target_network(
        ClientVpnEndpointId=endpoint, VpcId=vpc, SecurityGroupIds=list(groups)
    )
    return plain(answer)


def applied(ec2, endpoint):
    (network,) = ec2.describe_client_vpn_target_networks(ClientVpnEndpointId=endpoint)["ClientVpnTargetNetworks"]
    (item,) = ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint])["ClientVpnEndpoints"]
    assert network["SecurityGroups"] == item["SecurityGroupIds"]
    return item["SecurityGroupIds"]


def test_applying_groups_replaces_those_before(ec2, associated):
    endpoint = associated()
    assert applied(ec2, endpoint) == [EVERYTHING]
    assert apply(ec2, endpoint, WEB_ONLY, MORE[0]) == {"SecurityGroupIds": [WEB_ONLY, MORE[0]]}
    assert applied(ec2, endpoint) == [WEB_ONLY, MORE[0]]
    assert apply(ec2, endpoint, *MORE) == {"SecurityGroupIds": MORE}
    assert applied(ec2, endpoint) == MORE


REFUSED = {
    "none": ([], VPC, "MissingParameter"),
    "six": ([WEB_ONLY, *MORE], VPC, "InvalidParameterValue"),
    "unknown": (["sg-0badc0de"], VPC, "InvalidGroup.NotFound"),
    "another-vpc": ([WEB_ONLY], OTHER_VPC, "InvalidParameterValue"),
}


@pytest.mark.parametrize("groups, vpc, code", REFUSED.values(), ids=REFUSED)
def test_groups_that_can_not_be_are_refused(ec2, associated, groups, vpc, code):
    endpoint = associated()
    with refused(code):
        apply(ec2, endpoint, *groups, vpc=vpc)
    assert applied(ec2, endpoint) == [EVERYTHING]


def test_an_endpoint_without_a_vpc_has_no_groups(ec2, endpoint):
    with refused("InvalidParameterValue", "VpcId"):
        apply(ec2, endpoint, WEB_ONLY)


def test_groups_hold_for_the_traffic_of_connected_clients(ec2, associated, connect, ana, web):
    endpoint = associated()
    client = connect(endpoint, ana).connected()
    assert client.pings(IN_A) and client.fetches(IN_A)
    apply(ec2, endpoint, WEB_ONLY)
    settled(ec2, endpoint)
    eventually("pings are dropped", lambda: not client.pings(IN_A, seconds=1))
    assert client.fetches(IN_A) == "hello from behind", "the web stays open, and so does the connection"
    apply(ec2, endpoint, WEB_ONLY, MORE[0])
    settled(ec2, endpoint)
    eventually("groups add up", lambda: client.pings(IN_A, seconds=1))


GROUP, RULE = Like(r"sg-[0-9a-f]{17}"), Like(r"sgr-[0-9a-f]{17}")
ALL = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
WEB = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.20.0.0/16"}]}
ECHO = {"IpProtocol": "icmp", "FromPort": 8, "ToPort": 0, "IpRanges": [{"CidrIp": f"{IN_A}/32"}]}


@pytest.fixture
def new_group(ec2):
    """Makes security groups, which go when the test ends. Ask for it before what uses them."""
    made = []

    def make(name="mine", **changes):
        request = {"GroupName": name, "Description": "Mine", "VpcId": VPC, **changes}
        made.append(ec2.create_security_group(**request)["GroupId"])
        return made[-1]

    yield make
    for group in made:
        ec2.delete_security_group(GroupId=group)


def arn(kind, of):
    return f"arn:aws:ec2:{REGION}:{ACCOUNT}:{kind}/{of}"


def permissions(ec2, group):
    """What a group allows out and in."""
    (found,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]

    def short(given):
        return [{name: value for name, value in one.items() if value != []} for one in given]

    return short(found["IpPermissionsEgress"]), short(found["IpPermissions"])


def test_a_group_is_made_described_and_deleted(ec2):
    tags = [{"Key": "team", "Value": "net"}]
    made = plain(
        ec2.create_security_group(
            GroupName="mine",
            Description="Mine",
            VpcId=OTHER_VPC,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
        )
    )
    group = made["GroupId"]
    assert made == {"GroupId": GROUP, "Tags": tags, "SecurityGroupArn": arn("security-group", group)}
    with refused("InvalidGroup.Duplicate", group):
        ec2.create_security_group(GroupName="mine", Description="Mine", VpcId=OTHER_VPC)
    (found,) = ec2.describe_security_groups(Filters=[{"Name": "tag:team", "Values": ["net"]}])["SecurityGroups"]
    assert (found["GroupId"], found["GroupName"], found["VpcId"]) == (group, "mine", OTHER_VPC)
    assert permissions(ec2, group) == ([ALL], [])
    assert plain(ec2.delete_security_group(GroupId=group)) == {"Return": True, "GroupId": group}
    with refused("InvalidGroup.NotFound", group):
        ec2.describe_security_groups(GroupIds=[group])


def test_rules_are_authorized_described_and_revoked(ec2, new_group):
    group = new_group()
    described = {**WEB, "IpRanges": [{"CidrIp": "10.20.0.0/16", "Description": "The web"}]}
    answer = plain(ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[described]))
    (rule,) = answer["SecurityGroupRules"]
    said = {
        "SecurityGroupRuleId": RULE,
        "GroupId": group,
        "IsEgress": True,
        "IpProtocol": "tcp",
        "FromPort": 80,
        "ToPort": 80,
        "CidrIpv4": "10.20.0.0/16",
        "Description": "The web",
    }
    more = {"GroupOwnerId": ACCOUNT, "Tags": []}
    more["SecurityGroupRuleArn"] = arn("security-group-rule", rule["SecurityGroupRuleId"])
    assert answer == {"Return": True, "SecurityGroupRules": [{**said, **more}]}
    with refused("InvalidPermission.Duplicate", rule["SecurityGroupRuleId"]):
        ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[WEB])
    ids = [rule["SecurityGroupRuleId"]]
    assert plain(ec2.describe_security_group_rules(SecurityGroupRuleIds=ids)) == {"SecurityGroupRules": [rule]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ECHO])
    assert permissions(ec2, group) == ([ALL, described], [ECHO])
    revoked = plain(ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=ids))
    assert revoked == {"Return": True, "RevokedSecurityGroupRules": [said]}
    with refused("InvalidPermission.NotFound"):
        ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[WEB])
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[ECHO])
    assert permissions(ec2, group) == ([ALL], [])


def test_a_declared_group_is_changed_where_it_is_declared(ec2):
    for call, parameters in [
        (ec2.delete_security_group, {}),
        (ec2.authorize_security_group_egress, {"IpPermissions": [ECHO]}),
        (ec2.revoke_security_group_egress, {"IpPermissions": [WEB]}),
        (ec2.authorize_security_group_ingress, {"IpPermissions": [ECHO]}),
        (ec2.revoke_security_group_ingress, {"IpPermissions": [WEB]}),
    ]:
        with refused("UnsupportedOperation", "declared in the configuration file", "reload"):
            call(GroupId=WEB_ONLY, **parameters)


def test_a_group_in_use_stays(ec2, new_group, associated):
    group = new_group()
    endpoint = associated(VpcId=VPC, SecurityGroupIds=[group])
    assert applied(ec2, endpoint) == [group]
    with refused("DependencyViolation", endpoint):
        ec2.delete_security_group(GroupId=group)
    apply(ec2, endpoint, EVERYTHING)


def test_the_command_line_makes_groups(aws, ec2, new_group):
    group = new_group()
    for direction in ["ingress", "egress"]:
        words = ["--group-id", group, "--ip-permissions", "IpProtocol=tcp,FromPort=80,ToPort=80,IpRanges=[{CidrIp=10.20.0.0/16}]"]
        aws("ec2", f"authorize-security-group-{direction}", *words)
    flat = ["--protocol", "icmp", "--port", "-1", "--cidr", "10.20.0.0/16"]
    aws("ec2", "authorize-security-group-ingress", "--group-id", group, *flat)
    pings = {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": "10.20.0.0/16"}]}
    assert permissions(ec2, group) == ([ALL, WEB], [WEB, pings])


def test_rules_hold_for_connected_clients_as_they_come_and_go(ec2, new_group, associated, connect, ana, web):
    group = new_group()
    endpoint = associated(VpcId=VPC, SecurityGroupIds=[group])
    client = connect(endpoint, ana).connected()

    def connection():
        (one,) = ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint)["Connections"]
        assert one["Status"]["Code"] == "active"
        return one["ConnectionId"]

    before = connection()
    assert client.pings(IN_A) and client.fetches(IN_A)
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[ALL])
    eventually("nothing may be begun", lambda: not client.pings(IN_A, seconds=1))
    assert client.fetches(IN_A, seconds=1) is None
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[WEB])
    assert eventually("the web is open", lambda: client.fetches(IN_A, seconds=1)) == "hello from behind"
    # A rule for what comes in is no leave to go out.
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ALL])
    assert not client.pings(IN_A, seconds=2)
    answer = ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[ECHO])
    eventually("pings are answered", lambda: client.pings(IN_A, seconds=1))
    ids = [rule["SecurityGroupRuleId"] for rule in answer["SecurityGroupRules"]]
    ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=ids)
    eventually("pings are dropped", lambda: not client.pings(IN_A, seconds=1))
    # Another type of ICMP than a ping's.
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[{**ECHO, "FromPort": 13, "ToPort": -1}])
    assert not client.pings(IN_A, seconds=2)
    assert client.fetches(IN_A) == "hello from behind" and connection() == before
