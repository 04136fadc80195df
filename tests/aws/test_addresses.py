"""Where endpoints listen: each on an address of its own where several are declared, and on both transports where that is."""

import json
import re
import subprocess

import pytest

from expect import refused
from lab import BIN, IN_A, WORK, eventually, run

ADDRESSES = [f"192.0.2.{number}" for number in range(9, 14)]
FILE = WORK / "culvert.toml"


def remotes(ec2, endpoint):
    profile = ec2.export_client_vpn_client_configuration(ClientVpnEndpointId=endpoint)["ClientConfiguration"]
    return re.findall(r"^(?:proto|remote) .*", profile, re.MULTILINE)


def listeners():
    """Where each endpoint listens."""
    status = json.loads(run(BIN / "culvert", "status", "--json", "--config", FILE))
    return {
        one["name"]: sorted(f"{at['transport']} {at['address']}" for at in one["listeners"]) for one in status["endpoints"]
    }


@pytest.fixture
def account(daemon, ec2):
    """Other lines in [account], and as many endpoints as there may be; as before when the test ends."""

    def change(lines, **more):
        daemon.restart(account=lines, **more)

    yield change
    daemon.restart()


@pytest.fixture
def more_addresses():
    """Addresses of the server that the clients' networks know the way to."""
    for address in ADDRESSES:
        run("ip", "address", "add", f"{address}/32", "dev", "lo")
    yield
    for address in ADDRESSES:
        run("ip", "address", "del", f"{address}/32", "dev", "lo")


@pytest.fixture
def five(account, more_addresses):
    named = ", ".join(f'{{ address = "{address}", host = "{address}" }}' for address in ADDRESSES)
    account(f"listen = [{named}]", endpoints=6)


def test_each_endpoint_has_an_address_of_its_own(five, ec2, associated, request_for, connect, ana):
    endpoints = [associated(ClientCidrBlock=f"10.{8 + number}.0.0/22") for number in range(5)]
    for endpoint, address in zip(endpoints, ADDRESSES):
        described = ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint])["ClientVpnEndpoints"][0]
        assert (described["DnsName"], described["VpnPort"]) == (address, 443)
        assert remotes(ec2, endpoint) == ["proto udp", f"remote {address} 443"]
        client = connect(endpoint, ana).connected()
        assert client.pings(IN_A)
        assert f"]{address}:443" in client.log()
        client.stop()
    assert listeners() == {endpoint: [f"udp {address}:443"] for endpoint, address in zip(endpoints, ADDRESSES)}
    with refused("InvalidParameterValue", "add an address to listen in [account]"):
        ec2.create_client_vpn_endpoint(**request_for(ClientCidrBlock="10.13.0.0/22"))
    ec2.create_client_vpn_endpoint(**request_for(ClientCidrBlock="10.13.0.0/22", TransportProtocol="tcp"))


def test_an_endpoint_keeps_its_address(five, daemon, ec2, associated, connect, ana):
    first, second = associated(), associated(ClientCidrBlock="10.12.0.0/22")
    ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=second, VpnPort=1194)
    daemon.restart(account=f'listen = ["{ADDRESSES[4]}"]')
    assert listeners() == {first: [f"udp {ADDRESSES[0]}:443"], second: [f"udp {ADDRESSES[1]}:1194"]}
    assert connect(second, ana).connected().pings(IN_A)


def test_both_transports_reach_an_endpoint(account, ec2, associated, request_for, connect, ana):
    account("both_transports = true")
    endpoint = associated()
    assert remotes(ec2, endpoint) == ["remote 192.0.2.1 443 udp", "remote 192.0.2.1 443 tcp"]
    described = ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint])["ClientVpnEndpoints"][0]
    assert described["TransportProtocol"] == "udp"
    for only in ("proto-force udp", "proto-force tcp-client"):
        client = connect(endpoint, ana, only).connected()
        assert client.pings(IN_A), only
        client.stop()
    with refused("InvalidParameterValue", "UDP and TCP port 443 already"):
        ec2.create_client_vpn_endpoint(**request_for(ClientCidrBlock="10.12.0.0/22", TransportProtocol="tcp"))


def test_a_reload_takes_no_port_from_another_endpoint(daemon, ec2, associated, connect, ana):
    """Two endpoints share a port as long as each has one transport."""
    udp, tcp = associated(), associated(ClientCidrBlock="10.12.0.0/22", TransportProtocol="tcp")
    before, client = listeners(), connect(tcp, ana).connected()
    text = FILE.read_text()
    FILE.write_text(text.replace("[account]", "[account]\nboth_transports = true"))
    try:
        warnings = json.loads(run(BIN / "culvert", "reload", "--json", "--config", FILE))["warnings"]
        for endpoint, other in ((udp, tcp), (tcp, udp)):
            assert any(endpoint in warning and f"{other} has the other" in warning for warning in warnings), warnings
        assert listeners() == before
        assert remotes(ec2, tcp)[0] == "proto tcp", "the profile does not lead to the other endpoint"
        assert client.pings(IN_A)
        ec2.revoke_client_vpn_ingress(ClientVpnEndpointId=tcp, TargetNetworkCidr="10.20.1.0/24", RevokeAllGroups=True)
        eventually("changes are put in force all the same", lambda: not client.pings(IN_A, seconds=1))
    finally:
        FILE.write_text(text)
    assert json.loads(run(BIN / "culvert", "reload", "--json", "--config", FILE))["warnings"] == []
    assert listeners() == before


def test_why_a_daemon_does_not_start_is_said_once(daemon, tmp_path):
    """The API's port is the first daemon's."""
    config = tmp_path / "culvert.toml"
    config.write_text(f'state_dir = "{tmp_path}/state"\nrun_dir = "{tmp_path}/run"\n[api]\nlisten = "127.0.0.1:8443"\n')
    done = subprocess.run([BIN / "culvertd", "--config", config], capture_output=True, text=True, timeout=30)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "127.0.0.1:8443" in said and said.count("Address already in use") == 1, said
