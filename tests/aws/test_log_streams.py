"""Connection logs: the streams they go to."""

import json
import time

import pytest

from expect import CONNECTION_TIME, Like, refused
from lab import LOG_GROUP, OTHER_LOG_GROUP, REGION, WORK, eventually

AUTOMATIC = Like(rf"cvpn-endpoint-[0-9a-f]{{17}}-{REGION}-20\d\d/\d\d/\d\d-[0-9A-Za-z]{{12}}")


def log_to(group, stream=None):
    options = {"Enabled": True, "CloudwatchLogGroup": group}
    return options | ({"CloudwatchLogStream": stream} if stream else {})


def entries(stream, group=LOG_GROUP):
    """What is in a stream so far."""
    path = WORK / "log" / group.strip("/") / f"{stream.replace('/', '+')}.log"
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    assert lines.pop() == "", "the last line is whole"
    return [json.loads(line) for line in lines]


def test_a_stream_without_a_name_gets_one_and_keeps_it(ec2, associated, connect, ana):
    endpoint = associated(ConnectionLogOptions=log_to(LOG_GROUP))

    def options():
        (found,) = ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint])["ClientVpnEndpoints"]
        return found["ConnectionLogOptions"]

    stream = options()["CloudwatchLogStream"]
    assert options() == {"Enabled": True, "CloudwatchLogGroup": LOG_GROUP, "CloudwatchLogStream": AUTOMATIC}
    assert stream.startswith(f"{endpoint}-{REGION}-")
    ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, Description="other")
    assert options()["CloudwatchLogStream"] == stream
    connect(endpoint, ana).connected()
    eventually("it is logged there", lambda: entries(stream))


def test_the_log_is_switched_while_a_client_is_connected(ec2, associated, connect, ana):
    endpoint = associated()

    def switch(options):
        ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, ConnectionLogOptions=options)

    client = connect(endpoint, ana, "explicit-exit-notify").connected()
    switch(log_to(LOG_GROUP, "switched"))
    eventually("a live connection is told of", lambda: entries("switched"))
    switch(log_to(OTHER_LOG_GROUP, "switched"))
    eventually("elsewhere", lambda: entries("switched", OTHER_LOG_GROUP))
    before = entries("switched")
    switch({"Enabled": False})
    (found,) = ec2.describe_client_vpn_endpoints(ClientVpnEndpointIds=[endpoint])["ClientVpnEndpoints"]
    assert found["ConnectionLogOptions"] == {"Enabled": False}
    # The API answers before the change is in force.
    seen = []

    def quiet():
        seen.append(len(entries("switched", OTHER_LOG_GROUP)))
        time.sleep(1.5)
        return len(entries("switched", OTHER_LOG_GROUP)) == seen[-1]

    eventually("nothing comes any more", quiet)
    client.stop()
    eventually(
        "it has ended",
        lambda: [
            item["Status"]["Code"]
            for item in ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint)["Connections"]
        ]
        == ["terminated"],
    )
    assert entries("switched") == before, "what was written stays, and nothing is added"
    assert len(entries("switched", OTHER_LOG_GROUP)) == seen[-1]


def test_the_last_words_of_a_stopping_daemon_are_written(daemon, ec2, associated, connect, ana):
    endpoint = associated(ConnectionLogOptions=log_to(LOG_GROUP, "stopping"))
    connect(endpoint, ana).connected()
    eventually("it is logged", lambda: entries("stopping"))
    daemon.restart()
    resets = [item for item in entries("stopping") if item["connection-log-type"] == "connection-reset"]
    assert len(resets) == 1 and resets[0]["connection-end-time"] == CONNECTION_TIME


@pytest.mark.parametrize("stream", ["a:b", "a b", "x" * 201])
def test_a_stream_that_can_not_be_a_file_is_refused(ec2, create, stream):
    with refused("InvalidParameterValue", "CloudwatchLogStream"):
        create(ConnectionLogOptions=log_to(LOG_GROUP, stream))
