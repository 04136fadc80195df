#!/usr/bin/env python3
"""Makes the vectors of this directory. Run it only to renew them; the tests read the results.

    git clone https://github.com/awslabs/aws-c-auth
    python3 make_vectors.py aws-c-auth/tests/aws-signing-test-suite/v4

`aws_signing_test_suite.json` is AWS's published suite (Apache-2.0, Amazon.com) brought into one file. Left out are the
cases of S3's rules (`-unnormalized`). `botocore.json` holds requests that botocore signed the way the AWS CLI does.
"""

import json
import pathlib
import sys
from datetime import datetime, timezone
from unittest import mock

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.session

HERE = pathlib.Path(__file__).parent
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def parse(text):
    """A request of the suite. Folded header lines are joined, the line break kept in the value."""
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.rstrip("\n").split("\n")
    method, rest = first.split(" ", 1)
    headers = []
    for line in lines:
        if line[:1] in (" ", "\t"):
            headers[-1][1] += "\n" + line
        else:
            headers.append(list(line.split(":", 1)))
    return {"method": method, "target": rest.removesuffix(" HTTP/1.1"), "headers": headers, "body": body.rstrip("\n")}


def suite(directory):
    for case in sorted(directory.iterdir()):
        if case.name.endswith("-unnormalized"):
            continue
        context = json.loads((case / "context.json").read_text())
        yield {
            "name": case.name,
            "token": context["credentials"].get("token"),
            "token_signed": not context.get("omit_session_token", False),
            "header": parse((case / "header-signed-request.txt").read_text()),
            "query": parse((case / "query-signed-request.txt").read_text()),
        }


def sign(kind, method, url, body="", headers=(), service="ec2", token=None):
    request = botocore.awsrequest.AWSRequest(method, url, headers=dict(headers), data=body)
    credentials = botocore.credentials.Credentials(KEY, SECRET, token)
    signer = getattr(botocore.auth, kind)(credentials, service, "us-east-1")
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: NOW.replace(tzinfo=None)):
        signer.add_auth(request)
    sent = request.prepare()
    host_and_target = sent.url.split("://", 1)[1]
    host, slash, target = host_and_target.partition("/")
    headers = [[name, text(value)] for name, value in sent.headers.items() if name != "Content-Length"]
    return {
        "method": method,
        "target": slash + target,
        "headers": [["Host", host], *headers],
        "body": text(sent.body or ""),
        "service": service,
        "token": token,
    }


def signed_by_botocore():
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    url = "http://127.0.0.1:8080/"
    list_all = "Action=DescribeClientVpnEndpoints&Version=2016-11-15"
    yield "form", sign("SigV4Auth", "POST", url, list_all, form)
    yield "temporary credentials", sign("SigV4Auth", "POST", url, list_all, form, token="to/ken+=")
    yield "path and query", sign("SigV4Auth", "GET", "https://vpn.example.com/a%20b/%E1%88%B4/?b=2&a=x%20y%2Bz&a=1&c=")
    yield "another service", sign("SigV4Auth", "POST", url, "Action=GetCallerIdentity&Version=2011-06-15", form, "sts")
    yield "create endpoint", sent_by_client()
    yield "presigned", sign("SigV4QueryAuth", "GET", url + "?" + list_all)
    yield "presigned, temporary", sign("SigV4QueryAuth", "GET", url + "?" + list_all, token="to/ken+=")


def text(value):
    return value.decode() if isinstance(value, bytes) else value


def sent_by_client():
    """What boto3 sends for a call with many members, caught before it leaves."""
    session = botocore.session.Session()
    session.set_credentials(KEY, SECRET)
    client = session.create_client("ec2", "us-east-1", endpoint_url="http://127.0.0.1:8080")
    caught = []

    def catch(request, **_):
        caught.append(request)
        return botocore.awsrequest.AWSResponse(request.url, 200, {}, mock.Mock(stream=lambda: [b"<a/>"]))

    client.meta.events.register("before-send.ec2.*", catch)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: NOW.replace(tzinfo=None)):
        client.create_client_vpn_endpoint(
            ClientCidrBlock="10.0.0.0/22",
            ServerCertificateArn="arn:aws:acm:us-east-1:123456789012:certificate/1",
            AuthenticationOptions=[
                {"Type": "certificate-authentication", "MutualAuthentication": {"ClientRootCertificateChainArn": "arn:1"}},
                {"Type": "federated-authentication", "FederatedAuthentication": {"SAMLProviderArn": "arn:2"}},
            ],
            ConnectionLogOptions={"Enabled": False},
            DnsServers=["10.0.0.2", "10.0.0.3"],
            TransportProtocol="udp",
            VpnPort=1194,
            Description="",
            SplitTunnel=True,
            ClientToken="token-1",
            TagSpecifications=[{"ResourceType": "client-vpn-endpoint", "Tags": [{"Key": "Name", "Value": "a b+c ✓\nd"}]}],
            SecurityGroupIds=["sg-1"],
            VpcId="vpc-1",
        )
    request = caught[0]
    # What differs from run to run isn't signed.
    headers = [[k, text(v)] for k, v in request.headers.items() if not k.lower().startswith(("amz-sdk", "user-agent"))]
    return {
        "method": request.method,
        "target": "/",
        "headers": [["Host", "127.0.0.1:8080"], *headers],
        "body": text(request.body),
        "service": "ec2",
        "token": None,
    }


def write(name, cases):
    text = json.dumps(list(cases), indent=1, ensure_ascii=False)
    (HERE / name).write_text(text + "\n")


write("aws_signing_test_suite.json", suite(pathlib.Path(sys.argv[1])))
write("botocore.json", [{"name": name, **case} for name, case in signed_by_botocore()])
