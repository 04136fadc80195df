"""`culvert plan` says what `culvert reload` then does."""

import json

import pytest

from lab import BIN, IN_A, SUBNET_A, VPC, WEB_ONLY, WORK, eventually, run

FILE = WORK / "culvert.toml"


def culvert(command):
    answer = json.loads(run(BIN / "culvert", command, "--json", "--config", FILE))
    return answer["applied"], answer["warnings"]


@pytest.fixture
def edit(daemon):
    """Replaces text of the configuration; it is as it was when the test ends."""
    before = FILE.read_text()

    def replace(old, new):
        text = FILE.read_text()
        assert old in text
        FILE.write_text(text.replace(old, new))

    yield replace
    FILE.write_text(before)
    culvert("reload")


def test_a_plan_is_what_a_reload_does(associated, connect, ana, edit):
    endpoint = associated(VpcId=VPC, SecurityGroupIds=[WEB_ONLY])
    client = connect(endpoint, ana).connected()
    assert culvert("plan") == ([], [])
    assert not client.pings(IN_A)
    edit("{ protocol = \"tcp\", from_port = 80", "{ protocol = \"icmp\", cidr = \"0.0.0.0/0\" }, { protocol = \"tcp\", from_port = 80")
    assert culvert("plan") == ([f"endpoint {endpoint} would be changed"], [])
    assert not client.pings(IN_A), "nothing was changed yet"
    assert culvert("reload") == ([f"endpoint {endpoint} changed"], [])
    eventually("the group allows it", lambda: client.pings(IN_A))


def test_what_a_reload_would_break_is_told_before(associated, connect, ana, edit):
    endpoint = associated()
    client = connect(endpoint, ana).connected()
    edit(SUBNET_A, "subnet-0123456789abcdeff")
    would, warnings = culvert("plan")
    assert would == [] and any(SUBNET_A in warning and "[[subnet]]" in warning for warning in warnings)
    assert client.pings(IN_A)
