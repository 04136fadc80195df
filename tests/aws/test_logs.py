"""Connection logs: what is in them, field by field, and where they go."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from expect import CONNECTION, CONNECTION_TIME, COUNT, Like, refused
from lab import CLIENT_0, CLOUD_GROUP, CLOUD_PORT, IN_A, LOG_GROUP, OTHER_LOG_GROUP, REGION, WORK, eventually
from manage import directory_option, settled

ANA = ("ana", "correct horse")
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


def entry(endpoint, **differences):
    """The entry of a client that was just let in by its certificate; `-` stands for `_`."""
    fields = {
        "connection-log-type": "connection-attempt",
        "connection-attempt-status": "successful",
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
        "device-ip": CLIENT_0,
        "port": COUNT,
        "ingress-bytes": "0",
        "egress-bytes": "0",
        "ingress-packets": "0",
        "egress-packets": "0",
        "connection-end-time": "NA",
        "connection-duration-seconds": "0",
        "username": "NA",
    }
    fields.update({name.replace("_", "-"): value for name, value in differences.items()})
    return fields


def test_a_connection_is_told_from_its_beginning_to_its_end(ec2, associated, connect, ana, web):
    endpoint = associated(ConnectionLogOptions=log_to(LOG_GROUP, "whole-life"))
    client = connect(endpoint, ana, "explicit-exit-notify").connected()
    (first,) = eventually("it is logged", lambda: entries("whole-life"))[:1]
    assert first == entry(endpoint)
    (described,) = ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint)["Connections"]
    assert described["ConnectionId"] == first["connection-id"]
    assert described["ClientIp"] == first["client-ip"]
    assert client.fetches(IN_A)

    def updated():
        last = entries("whole-life")[-1]
        return last if int(last["egress-bytes"]) > len("hello from behind") else None

    later = eventually("counters are told while it lasts", updated)
    counters = {name: COUNT for name in ["ingress_bytes", "egress_bytes", "ingress_packets", "egress_packets"]}
    same = {"connection_id": first["connection-id"], "connection_start_time": first["connection-start-time"]}
    assert later == entry(endpoint, connection_duration_seconds=COUNT, **counters, **same)
    client.stop()

    def ended():
        last = entries("whole-life")[-1]
        return last if last["connection-log-type"] == "connection-reset" else None

    end = eventually("its end is told", ended)
    assert end == entry(
        endpoint,
        connection_log_type="connection-reset",
        connection_attempt_status="NA",
        connection_end_time=end["connection-last-update-time"],
        connection_duration_seconds=COUNT,
        **counters,
        **same,
    )
    assert int(end["egress-bytes"]) >= int(later["egress-bytes"]) > 0
    # Exactly one beginning and one end; after it there is silence.
    assert [item["connection-log-type"] for item in entries("whole-life")].count("connection-reset") == 1


def test_who_fails_to_log_in_is_told_with_a_reason(ec2, associated, connect):
    endpoint = associated(
        AuthenticationOptions=[directory_option()], ConnectionLogOptions=log_to(LOG_GROUP, "logins")
    )
    connect(endpoint, login=("ana", "wrong"))
    (failed,) = eventually("the failure is logged", lambda: entries("logins"))[:1]
    assert failed == entry(
        endpoint,
        connection_attempt_status="failed",
        connection_attempt_failure_reason="authentication-failed",
        connection_start_time="NA",
        client_ip="NA",
        connection_duration_seconds="NA",
        common_name="NA",
        username="ana",
    )
    connect(endpoint, login=ANA).connected()
    succeeded = eventually(
        "so is the success",
        lambda: [item for item in entries("logins") if item["connection-attempt-status"] == "successful"],
    )[0]
    assert succeeded == entry(endpoint, common_name="NA", username="ana")
    assert succeeded["connection-id"] != failed["connection-id"]


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


class CloudWatch:
    """A stand-in for CloudWatch Logs, which checks signatures, goes away and comes back."""

    def __init__(self, key_id, secret):
        self.auth = SigV4Auth(Credentials(key_id, secret), "logs", REGION)
        self.groups, self.streams, self.forged = set(), {}, []
        self.server = None

    def start(self):
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.check(self.headers, body)
                status, answer = service.serve(self.headers["X-Amz-Target"], json.loads(body))
                answer = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", CLOUD_PORT), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def check(self, headers, body):
        """Notes a request whose signature isn't what botocore makes of it."""
        names = ["Content-Type", "Host", "X-Amz-Date", "X-Amz-Target"]
        request = AWSRequest("POST", f"http://{headers['Host']}/", {name: headers[name] for name in names}, body)
        request.context["timestamp"] = headers["X-Amz-Date"]
        to_sign = self.auth.string_to_sign(request, self.auth.canonical_request(request))
        sent = re.search(r"Signature=([0-9a-f]{64})$", headers["Authorization"])[1]
        if self.auth.signature(to_sign, request) != sent:
            self.forged.append(headers["Authorization"])

    def serve(self, target, request):
        def refused(code):
            return 400, {"__type": code, "message": "no"}

        action = target.removeprefix("Logs_20140328.")
        place = (request["logGroupName"], request.get("logStreamName"))
        if action == "CreateLogGroup":
            if place[0] in self.groups:
                return refused("ResourceAlreadyExistsException")
            self.groups.add(place[0])
        elif action == "CreateLogStream":
            if place[0] not in self.groups:
                return refused("ResourceNotFoundException")
            self.streams[place] = []
        else:
            if place not in self.streams:
                return refused("ResourceNotFoundException")
            times = [event["timestamp"] for event in request["logEvents"]]
            assert times == sorted(times)
            self.streams[place] += [json.loads(event["message"]) for event in request["logEvents"]]
        return 200, {}


def test_nothing_is_lost_while_cloudwatch_logs_is_away(daemon, ec2, associated, connect, ana):
    service = CloudWatch(daemon.key_id, daemon.secret)
    service.start()
    try:
        endpoint = associated(ConnectionLogOptions=log_to(CLOUD_GROUP, "away"))

        def kept(kind):
            found = service.streams.get((CLOUD_GROUP, "away"), [])
            return [item for item in found if item["connection-log-type"] == kind]

        connect(endpoint, ana, "explicit-exit-notify").connected().stop()
        eventually("the end is delivered", lambda: kept("connection-reset"))
        assert kept("connection-attempt")[0] == entry(endpoint)
        service.stop()
        connect(endpoint, ana, "explicit-exit-notify").connected().stop()
        # It stays away over a restart of the daemon, too.
        daemon.restart()
        settled(ec2, endpoint)
        service.start()
        connect(endpoint, ana, "explicit-exit-notify").connected().stop()
        eventually("everything is delivered", lambda: len(kept("connection-reset")) == 3, 30)
        ids = [item["connection-id"] for item in kept("connection-reset")]
        assert len(set(ids)) == 3
        assert {item["connection-id"] for item in kept("connection-attempt")} == set(ids)
        assert service.forged == []
    finally:
        service.stop()


@pytest.mark.parametrize("stream", ["a:b", "a b", "x" * 201])
def test_a_stream_that_can_not_be_a_file_is_refused(ec2, create, stream):
    with refused("InvalidParameterValue", "CloudwatchLogStream"):
        create(ConnectionLogOptions=log_to(LOG_GROUP, stream))
