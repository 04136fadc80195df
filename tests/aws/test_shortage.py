"""Refusals for which the state of things is to blame, not the request: too many callers, an endpoint on its way out, a disk
that is full."""

import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event

import pytest
from botocore.exceptions import ClientError

import model
from expect import refused
from lab import WORK, eventually
from manage import client_for, import_leaf, purge
from raw import ADDRESS

# Connections of a listener that are served at once.
CONNECTIONS = 256
# Who changes one endpoint at once: one fewer than the daemon has threads for requests.
HANDS = 7
BUSY = ("ConcurrentMutationLimitExceeded", 400)


def refusal(call, **parameters):
    """Code and status with which a request is refused, if it is."""
    try:
        call(**parameters)
    except ClientError as error:
        model.refusals.add(error.response["Error"]["Code"])
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return None


def test_too_many_connections_are_told_to_come_back(daemon):
    def told():
        # A client of its own each time: one that is connected goes on being served.
        return refusal(client_for("ec2", daemon).describe_client_vpn_endpoints)

    assert told() is None
    with ExitStack() as idle:
        for _ in range(CONNECTIONS):
            idle.enter_context(socket.create_connection(ADDRESS, timeout=5))
        assert eventually("the API has no connection left", told) == ("RequestLimitExceeded", 503)
    eventually("the API has connections again", lambda: told() is None)


def test_an_endpoint_that_is_being_deleted_is_not_changed(daemon, ec2, create):
    """It is gone within moments, so it is changed all the time meanwhile: as it was, as it goes, when it is gone."""

    def delete_while_it_is_changed(hands):
        endpoint = create()
        clients = [client_for("ec2", daemon) for _ in range(4)]
        gone = "InvalidClientVpnEndpointId.NotFound"

        def change(client):
            told = []
            while not told or told[-1] is None or told[-1][0] != gone:
                told.append(
                    refusal(client.modify_client_vpn_endpoint, ClientVpnEndpointId=endpoint, Description=str(len(told)))
                )
            return told

        changes = [hands.submit(change, client) for client in clients]
        ec2.delete_client_vpn_endpoint(ClientVpnEndpointId=endpoint)
        return {told for change in changes for told in change.result()}

    with ThreadPoolExecutor(4) as hands:
        seen = set()
        for _ in range(50):
            seen |= delete_while_it_is_changed(hands)
            if ("IncorrectState", 400) in seen:
                break
    expected = {None, ("IncorrectState", 400), ("InvalidClientVpnEndpointId.NotFound", 400)}
    assert seen - expected == set() and ("IncorrectState", 400) in seen


def test_a_change_that_others_are_always_ahead_of_is_given_up(daemon, ec2, endpoint, authority):
    """A change begins anew when another came between. A long revocation list takes so much longer to judge than a tag that it
    never gets its turn while tags are set without a pause; afterwards it does."""
    lists = [authority.crl([f"{serial:040x}" for serial in range(1, 20_000 - more)]) for more in range(4)]
    done = Event()

    def set_tags(hand):
        client, number = client_for("ec2", daemon), 0
        while not done.is_set():
            number += 1
            tag = {"Key": f"hand-{hand}", "Value": str(number)}
            told = refusal(client.create_tags, Resources=[endpoint], Tags=[tag])
            assert told in (None, BUSY)

    def given_up():
        request = {"ClientVpnEndpointId": endpoint, "CertificateRevocationList": lists.pop()}
        return refusal(ec2.import_client_vpn_client_certificate_revocation_list, **request)

    with ThreadPoolExecutor(HANDS) as hands:
        working = [hands.submit(set_tags, hand) for hand in range(HANDS)]
        try:
            told = [given_up() for _ in range(3)]
        finally:
            done.set()
        for hand in working:
            hand.result()
    assert BUSY in told and set(told) <= {None, BUSY}
    assert given_up() is None


@pytest.fixture
def small_disk(daemon, ec2):
    """The state on a disk of a few megabytes, empty, until the test ends. Nobody outside this namespace sees it."""
    state = WORK / "state"
    daemon.stop()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "state", state], check=True)
    try:
        daemon.start()
        yield state
        daemon.stop()
    finally:
        subprocess.run(["umount", "--lazy", state], check=True)
        daemon.start()


def fill(state):
    """Leaves no room on the disk."""
    with open(state / "ballast", "wb", buffering=0) as ballast:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    ballast.write(os.urandom(size))
            except OSError:
                continue


def test_a_full_disk_loses_nothing_that_was_answered(daemon, ec2, acm, authority, small_disk):
    server = import_leaf(acm, authority.issue("small.test", "server"), authority.certificate)
    endpoint = ec2.create_client_vpn_endpoint(
        ClientCidrBlock="10.8.0.0/22",
        ServerCertificateArn=server,
        AuthenticationOptions=[
            {
                "Type": "certificate-authentication",
                "MutualAuthentication": {"ClientRootCertificateChainArn": server},
            }
        ],
        ConnectionLogOptions={"Enabled": False},
    )["ClientVpnEndpointId"]
    fill(small_disk)
    kept, refused_ = {}, None
    for number in range(2000):
        tag = {"Key": f"k{number % 40}", "Value": f"{number} " + "x" * 240}
        refused_ = refusal(ec2.create_tags, Resources=[endpoint], Tags=[tag])
        if refused_:
            break
        kept[tag["Key"]] = tag["Value"]
    assert refused_ == ("InternalError", 500)
    daemon.process.wait_for("then restart culvertd")
    (small_disk / "ballast").unlink()
    daemon.restart()
    (shown,) = ec2.describe_client_vpn_endpoints()["ClientVpnEndpoints"]
    assert {tag["Key"]: tag["Value"] for tag in shown["Tags"]} == kept
    ec2.create_tags(Resources=[endpoint], Tags=[{"Key": "k", "Value": "there is room again"}])
    purge(ec2)
