"""Connection logs: switched on and off, and what they say of clients that come, are turned away, and leave."""

import json
import time

import pytest

from expect import CONNECTION, CONNECTION_TIME, COUNT, Like, refused
from lab import BIN, IN_A, LOG_GROUP, REGION, WORK, eventually, run
from manage import directory_option, settled


def on(stream=None, group=LOG_GROUP):
    options = {"Enabled": True, "CloudwatchLogGroup": group}
    return options if stream is None else {**options, "CloudwatchLogStream": stream}


def options(ec2, endpoint):
    (item,) = ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint])["ClientVpnEndpoints"]
    return item["ConnectionLogOptions"]


def entries(stream):
    """What a stream of the group holds, oldest first."""
    path = WORK / "log" / LOG_GROUP.strip("/") / f"{stream.replace('/', '+')}.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def entry(endpoint, kind, status, **differences):
    """An entry about a client with a certificate that is or was connected."""
    return {
        "connection-log-type": kind,
        "connection-attempt-status": status,
        "connection-reset-status": "NA",
        "connection-attempt-failure-reason": "NA",
        "connection-id": CONNECTION,
        "client-vpn-endpoint-id": endpoint,
        "transport-protocol": "udp",
        "connection-start-time": CONNECTION_TIME,
        "connection-last-update-time": CONNECTION_TIME,
        "client-ip": Like(r"10\.8\.[0-3]\.\d+"),
        "client-ip-v6": "NA",
        "common-name": "ana.test",
        "device-type": "linux",
        "device-ip": "192.0.2.2",
        "port": COUNT,
        "ingress-bytes": COUNT,
        "egress-bytes": COUNT,
        "ingress-packets": COUNT,
        "egress-packets": COUNT,
        "connection-end-time": "NA",
        "connection-duration-seconds": COUNT,
        "username": "NA",
        **differences,
    }


def test_a_log_is_switched_on_and_off(ec2, create):
    endpoint = create(ConnectionLogOptions=on("office"))
    assert options(ec2, endpoint) == on("office")
    ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, ConnectionLogOptions={"Enabled": False})
    assert options(ec2, endpoint) == {"Enabled": False}
    with refused("MissingParameter", "CloudwatchLogGroup"):
        ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, ConnectionLogOptions={"Enabled": True})
    ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, ConnectionLogOptions=on("branch"))
    assert options(ec2, endpoint) == on("branch")


@pytest.mark.parametrize("blank", [{}, {"CloudwatchLogStream": ""}], ids=["left-out", "empty"])
def test_without_a_stream_one_is_named(ec2, create, blank):
    endpoint = create(ConnectionLogOptions={**on(), **blank})
    found = options(ec2, endpoint)
    assert found.pop("CloudwatchLogStream") == Like(rf"{endpoint}-{REGION}-\d{{4}}/\d\d/\d\d-[0-9A-Za-z]{{12}}")
    assert found == on()


@pytest.mark.parametrize("wrong", [on(group="/vpn/none"), on("a:b"), on("s" * 201)], ids=["group", "colon", "long"])
def test_a_log_that_can_not_be_is_refused(ec2, create, request_for, wrong):
    with refused("InvalidParameterValue", "ConnectionLogOptions"):
        ec2.create_client_vpn_endpoint(**request_for(ConnectionLogOptions=wrong))


def test_a_client_that_comes_and_leaves_is_written_down(ec2, associated, connect, ana, web):
    endpoint = associated(ConnectionLogOptions=on("comes-and-leaves"))
    client = connect(endpoint, ana, "push-peer-info", "explicit-exit-notify").connected()
    assert client.fetches(IN_A)
    (connection,) = ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint)["Connections"]
    known = {"connection-id": connection["ConnectionId"], "client-ip": connection["ClientIp"]}
    live = entry(endpoint, "connection-attempt", "successful", **known)

    def counted():
        return len(entries("comes-and-leaves")) > 1 and int(entries("comes-and-leaves")[-1]["egress-packets"]) > 3

    eventually("the counters are brought up to date", counted)
    assert all(found == live for found in entries("comes-and-leaves"))
    client.stop()
    ended = {"connection-end-time": CONNECTION_TIME}
    eventually(
        "the end is written down",
        lambda: entries("comes-and-leaves")[-1] == entry(endpoint, "connection-reset", "NA", **known, **ended),
    )


def test_a_client_that_is_turned_away_is_written_down(ec2, associated, connect):
    endpoint = associated(ConnectionLogOptions=on("turned-away"), AuthenticationOptions=[directory_option()])
    wrong = connect(endpoint, None, "push-peer-info", "connect-retry-max 1", login=("ana", "wrong"))
    assert "AUTH_FAILED" in wrong.ended()
    failed = {
        "connection-attempt-failure-reason": "authentication-failed",
        "connection-start-time": "NA",
        "client-ip": "NA",
        "common-name": Like("NA|ana"),
        "username": "ana",
        "connection-duration-seconds": "NA",
    }
    eventually(
        "it is written down",
        lambda: entries("turned-away") == [entry(endpoint, "connection-attempt", "failed", **failed)],
    )


def test_no_stream_leaves_the_folder_of_its_group(ec2, associated, connect, ana):
    stream = "../../../../escaped"
    endpoint = associated(ConnectionLogOptions=on(stream))
    connect(endpoint, ana).connected()
    eventually("it is written", lambda: entries(stream))
    assert not list(WORK.rglob("escaped*"))


def test_nothing_is_written_once_it_is_off(ec2, associated, connect, ana):
    endpoint = associated(ConnectionLogOptions=on("off"))
    client = connect(endpoint, ana, "explicit-exit-notify").connected()
    eventually("it is on", lambda: entries("off"))
    ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, ConnectionLogOptions={"Enabled": False})
    settled(ec2, endpoint)
    eventually("it is in force", quiet)
    before = entries("off")
    client.stop()
    connect(endpoint, ana, index=1).connected()
    assert entries("off") == before, "what was written stays"


def quiet():
    """Whether no counters were told for as long as they would be twice."""
    before = entries("off")
    time.sleep(2.5)
    return entries("off") == before


def test_the_command_line_reads_a_log(ec2, associated, connect, ana):
    endpoint = associated(ConnectionLogOptions=on("read/here"))
    connect(endpoint, ana).connected().stop()

    def tail(*words):
        command = ("log", "tail", LOG_GROUP, "read/here", *words, "--config", WORK / "culvert.toml")
        return run(BIN / "culvert", *command)

    eventually("the end is logged", lambda: "ended after" in tail())
    assert json.loads(tail("--output", "json", "-n", "100"))["entries"] == entries("read/here")
    listed = json.loads(run(BIN / "culvert", "log", "list", "--json", "--config", WORK / "culvert.toml"))["log_groups"]
    (group,) = [group for group in listed if group["log_group_name"] == LOG_GROUP]
    assert "read/here" in [stream["log_stream_name"] for stream in group["streams"]]
