"""Requests that AWS's tools would not send: built and signed here, to be wrong in one way at a time."""

import hashlib
import hmac
import http.client
import json
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from lab import REGION

ADDRESS = ("127.0.0.1", 8443)
NAMESPACE = "{http://ec2.amazonaws.com/doc/2016-11-15/}"
FORM = "application/x-www-form-urlencoded; charset=utf-8"


class Answer:
    """What the server said."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read().decode()

    def error(self):
        """Code and message of a refusal, of EC2 or of ACM."""
        if "json" in self.headers["Content-Type"]:
            body = json.loads(self.body)
            return body["__type"], body.get("message") or body.get("Message")
        root = ElementTree.fromstring(self.body)
        assert root.tag == "Response" and root.findtext("RequestID"), self.body
        return root.findtext("Errors/Error/Code"), root.findtext("Errors/Error/Message")

    def code(self):
        return self.error()[0]

    def root(self):
        """The XML of an answer that succeeded."""
        assert self.status == 200, self.body
        return ElementTree.fromstring(self.body)


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Caller:
    """Signs as AWS's tools do; each setting makes it wrong in one way."""

    def __init__(self, key_id, secret, region=REGION, service="ec2", skew=timedelta(), unsigned=()):
        self.key_id, self.secret = key_id, secret
        self.region, self.service = region, service
        self.skew = skew
        self.unsigned = {"content-type", "user-agent", *unsigned} if unsigned else {"user-agent"}

    def headers(self, method, path, body, headers):
        """`headers` and what signing adds."""
        stamp = (datetime.now(timezone.utc) + self.skew).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"
        headers = {"host": f"{ADDRESS[0]}:{ADDRESS[1]}", "x-amz-date": stamp, **headers}
        signed = sorted(set(headers) - self.unsigned)
        path, _, query = path.partition("?")
        query = "&".join(sorted(query.split("&"))) if query else ""
        lines = [method, quote(path), query]
        lines += [f"{name}:{headers[name]}" for name in signed]
        lines += ["", ";".join(signed), hashlib.sha256(body).hexdigest()]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = _hmac(key, part)
        signature = _hmac(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}").hex()
        credential = f"{self.key_id}/{scope}"
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(signed)}, Signature={signature}"
        )
        return headers

    def send(self, body=b"", method="POST", path="/", headers=None):
        """A signed request."""
        headers = {"content-type": FORM} if headers is None else headers
        return send(method, path, body, self.headers(method, path, body, headers))

    def call(self, action=None, version="2016-11-15", **parameters):
        """An action by its form, whose names are those on the wire; dots are written as `__`."""
        form = {"Action": action, "Version": version}
        form.update((name.replace("__", "."), value) for name, value in parameters.items())
        form = {name: value for name, value in form.items() if value is not None}
        return self.send(urlencode(form).encode())


def send(method, path, body, headers):
    """A request with these headers and no others."""
    connection = http.client.HTTPConnection(*ADDRESS, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        return Answer(connection.getresponse())
    finally:
        connection.close()
