"""Tags of endpoints."""

import pytest

from expect import plain, refused

TAGS = [{"Key": "Name", "Value": "office"}, {"Key": "team", "Value": "net"}, {"Key": "empty", "Value": ""}]


def tags(ec2, endpoint):
    (item,) = ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint])["ClientVpnEndpoints"]
    return {tag["Key"]: tag["Value"] for tag in item["Tags"]}


def found(ec2, **filters):
    filters = [{"Name": name.replace("_", "-"), "Values": values} for name, values in filters.items()]
    answer = plain(ec2.describe_tags(Filters=filters))
    listed = answer.pop("Tags")
    assert answer == {}
    return listed


def described(endpoint, key, value):
    return {"Key": key, "ResourceId": endpoint, "ResourceType": "client-vpn-endpoint", "Value": value}


def test_tags_are_set_replaced_and_deleted(ec2, endpoint):
    assert plain(ec2.create_tags(Resources=[endpoint], Tags=TAGS)) == {}
    assert tags(ec2, endpoint) == {"Name": "office", "team": "net", "empty": ""}
    ec2.create_tags(Resources=[endpoint], Tags=[{"Key": "Name", "Value": "lab"}])
    assert tags(ec2, endpoint) == {"Name": "lab", "team": "net", "empty": ""}
    # By key, by key and value, and by a value it does not have.
    assert (
        plain(ec2.delete_tags(Resources=[endpoint], Tags=[{"Key": "team"}, {"Key": "Name", "Value": "office"}])) == {}
    )
    assert tags(ec2, endpoint) == {"Name": "lab", "empty": ""}
    ec2.delete_tags(Resources=[endpoint], Tags=[{"Key": "empty", "Value": ""}])
    assert tags(ec2, endpoint) == {"Name": "lab"}
    ec2.delete_tags(Resources=[endpoint])
    assert tags(ec2, endpoint) == {}


def test_tags_are_listed_over_endpoints(ec2, create):
    one = create()
    two = create(ClientCidrBlock="10.12.0.0/22", TransportProtocol="tcp")
    ec2.create_tags(Resources=[one, two], Tags=[{"Key": "team", "Value": "net"}])
    ec2.create_tags(Resources=[two], Tags=[{"Key": "Name", "Value": "two"}])
    teams = [described(one, "team", "net"), described(two, "team", "net")]
    name = described(two, "Name", "two")

    def key(tag):
        return tag["ResourceId"] != one, tag["Key"]

    assert sorted(found(ec2), key=key) == sorted([*teams, name], key=key)
    assert sorted(found(ec2, key=["team"]), key=key) == teams
    assert found(ec2, value=["two"]) == [name]
    assert found(ec2, resource_id=[two], key=["Name"]) == [name]
    assert sorted(found(ec2, resource_type=["client-vpn-endpoint"], value=["net"]), key=key) == teams
    assert found(ec2, resource_type=["vpc"]) == []
    assert found(ec2, **{"tag:Name": ["t*"]}) == [name]
    with refused("InvalidParameterValue", "colour"):
        found(ec2, colour=["red"])


REFUSED = {
    "reserved": ([{"Key": "aws:team", "Value": "net"}], "InvalidParameterValue"),
    "key-too-long": ([{"Key": "k" * 128, "Value": ""}], "InvalidParameterValue"),
    "value-too-long": ([{"Key": "k", "Value": "v" * 257}], "InvalidParameterValue"),
    "too-many": ([{"Key": f"k{number}", "Value": ""} for number in range(51)], "TagLimitExceeded"),
}


@pytest.mark.parametrize("refused_tags, code", REFUSED.values(), ids=REFUSED)
def test_tags_that_can_not_be_are_refused(ec2, endpoint, refused_tags, code):
    with refused(code):
        ec2.create_tags(Resources=[endpoint], Tags=refused_tags)
    assert tags(ec2, endpoint) == {}


def test_what_does_not_exist_can_not_be_tagged(ec2, endpoint):
    with refused("InvalidID", "cvpn-endpoint-00000000000000000"):
        ec2.create_tags(Resources=[endpoint, "cvpn-endpoint-00000000000000000"], Tags=TAGS)
    assert tags(ec2, endpoint) == {}, "not even on the one that does"
