"""Who may call: signatures as AWS's tools make them, and those that are wrong in one way."""

import urllib.request
from datetime import timedelta
from xml.etree import ElementTree

import pytest

from expect import UUID, plain, refused
from lab import ACCOUNT, BIN, WORK, eventually, run
from manage import client_for
from raw import FORM, NAMESPACE, Caller, send

LIST = b"Action=DescribeClientVpnEndpoints&Version=2016-11-15"


def test_the_command_line_and_the_sdk_are_who_their_key_says(aws, daemon):
    answer = plain(client_for("sts", daemon).get_caller_identity())
    assert answer["Account"] == ACCOUNT
    assert answer["Arn"].startswith(f"arn:aws:iam::{ACCOUNT}:") and answer["UserId"]
    assert aws("sts", "get-caller-identity") == answer


def test_an_answer_has_a_request_id_and_the_namespace_of_ec2(caller):
    answer = caller.call("DescribeClientVpnEndpoints")
    root = answer.root()
    assert root.tag == f"{NAMESPACE}DescribeClientVpnEndpointsResponse"
    assert root.findtext(f"{NAMESPACE}requestId") == UUID
    assert answer.headers["Content-Type"] == "text/xml;charset=UTF-8"


def test_a_query_string_is_as_good_as_a_body(caller):
    answer = caller.send(method="GET", path=f"/?{LIST.decode()}", headers={})
    assert answer.root().tag == f"{NAMESPACE}DescribeClientVpnEndpointsResponse"


def test_a_presigned_url_needs_no_key(ec2):
    url = ec2.generate_presigned_url("describe_client_vpn_endpoints", HttpMethod="GET")
    with urllib.request.urlopen(url) as answer:
        assert ElementTree.parse(answer).getroot().tag == f"{NAMESPACE}DescribeClientVpnEndpointsResponse"


def test_a_wrong_secret_is_refused(daemon):
    wrong = client_for("ec2", daemon, aws_secret_access_key="x" * 40)
    with refused("AuthFailure", status=401):
        wrong.describe_client_vpn_endpoints()


def test_an_unknown_key_is_refused_alike(daemon, caller):
    unknown = Caller("AKIA" + "Q" * 16, daemon.secret)
    wrong = Caller(daemon.key_id, "x" * 40)
    answers = [who.send(LIST) for who in (unknown, wrong)]
    assert [answer.status for answer in answers] == [401, 401]
    assert answers[0].error() == answers[1].error(), "nobody learns which keys there are"


def test_a_key_is_good_from_when_it_is_made_until_it_is_deleted(daemon):
    key_id, secret = daemon.make_key()
    second = Caller(key_id, secret)
    eventually("it is known", lambda: second.send(LIST).status == 200)
    run(BIN / "culvert", "access-key", "delete", key_id, "--file", WORK / "access-keys.toml")
    eventually("it is forgotten", lambda: second.send(LIST).status == 401)


WRONG = {
    "an-hour-late": ({"skew": timedelta(hours=-1)}, "RequestExpired", 400),
    "an-hour-early": ({"skew": timedelta(hours=1)}, "RequestExpired", 400),
    "of-another-region": ({"region": "eu-west-1"}, None, None),
    "for-another-service": ({"service": "s3"}, None, None),
    "without-the-host": ({"unsigned": ["host"]}, "IncompleteSignature", 400),
    "without-the-date": ({"unsigned": ["x-amz-date"]}, "IncompleteSignature", 400),
}


@pytest.mark.parametrize("settings, code, status", WRONG.values(), ids=WRONG)
def test_a_signature_that_is_wrong_in_one_way_is_refused(daemon, settings, code, status):
    answer = Caller(daemon.key_id, daemon.secret, **settings).send(LIST)
    assert answer.status in (400, 401, 403)
    if code is not None:
        assert (answer.code(), answer.status) == (code, status)


@pytest.mark.parametrize("minutes", [-14, 14])
def test_clocks_may_differ_by_a_quarter_of_an_hour(daemon, minutes):
    assert Caller(daemon.key_id, daemon.secret, skew=timedelta(minutes=minutes)).send(LIST).status == 200


def test_an_unsigned_request_is_refused(daemon):
    answer = send("POST", "/", LIST, {"host": "127.0.0.1:8443", "content-type": FORM})
    assert (answer.code(), answer.status) == ("MissingAuthenticationToken", 403)


def test_a_signature_that_can_not_be_read_is_refused(daemon):
    for authorization in ["AWS4-HMAC-SHA256 nonsense", "Basic YTpi"]:
        headers = {"host": "127.0.0.1:8443", "content-type": FORM, "authorization": authorization}
        answer = send("POST", "/", LIST, headers)
        assert answer.status in (400, 403) and answer.code() in ("IncompleteSignature", "MissingAuthenticationToken")


def test_a_body_that_was_changed_on_its_way_is_refused(caller):
    headers = caller.headers("POST", "/", LIST, {"content-type": FORM})
    answer = send("POST", "/", LIST + b"&DryRun=true", headers)
    assert (answer.code(), answer.status) == ("AuthFailure", 401)


def test_a_signature_for_ec2_is_none_for_acm(daemon):
    """The service is part of what is signed."""
    body = b"{}"
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "CertificateManager.ListCertificates"}
    good = Caller(daemon.key_id, daemon.secret, service="acm").send(body, headers=headers)
    assert good.status == 200
    wrong = Caller(daemon.key_id, daemon.secret, service="ec2").send(body, headers=headers)
    assert wrong.status >= 400


def test_nothing_but_the_root_is_served(caller):
    assert caller.send(method="PUT", body=LIST).status == 405
    assert caller.send(path="/admin", body=LIST).status == 404


def test_too_large_a_request_is_refused(caller):
    answer = caller.send(b"Action=DescribeClientVpnEndpoints&Version=2016-11-15&X=" + b"x" * (8 << 20))
    assert answer.status in (400, 413)
