"""Connection logs in CloudWatch Logs: what is signed, how it is delivered, and what becomes of it while nobody takes it."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lab import CLOUD_GROUP, CLOUD_PORT, REGION, eventually
from manage import settled
from test_logs import entry, on


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
        endpoint = associated(ConnectionLogOptions=on("away", CLOUD_GROUP))

        def kept(kind):
            found = service.streams.get((CLOUD_GROUP, "away"), [])
            return [item for item in found if item["connection-log-type"] == kind]

        connect(endpoint, ana, "explicit-exit-notify").connected().stop()
        eventually("the end is delivered", lambda: kept("connection-reset"))
        assert kept("connection-attempt")[0] == entry(endpoint, "connection-attempt", "successful")
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
