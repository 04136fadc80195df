"""Connections: described while they live and after, and ended."""

import pytest

from expect import CONNECTION, CONNECTION_TIME, COUNT, Like, plain, refused
from lab import IN_A, eventually
from manage import directory_option, settled

ANA = ("ana", "correct horse")
BEN = ("ben", "battery staple")
# Several tunnels on one machine must not fight for its addresses and routes.
APART = ("route-noexec", "ifconfig-noexec")


def connections(ec2, endpoint, **filters):
    filters = [{"Name": name.replace("_", "-"), "Values": values} for name, values in filters.items()]
    answer = plain(ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint, Filters=filters))
    found = answer.pop("Connections")
    assert answer == {}
    return found


def terminate(ec2, endpoint, **which):
    return plain(ec2.terminate_client_vpn_connections(ClientVpnEndpointId=endpoint, **which))


def described(endpoint, common_name, status="active", **more):
    item = {
        "ClientVpnEndpointId": endpoint,
        "Timestamp": CONNECTION_TIME,
        "ConnectionId": CONNECTION,
        "ConnectionEstablishedTime": CONNECTION_TIME,
        "IngressBytes": COUNT,
        "EgressBytes": COUNT,
        "IngressPackets": COUNT,
        "EgressPackets": COUNT,
        "ClientIp": Like(r"10\.8\.[0-3]\.\d+"),
        "CommonName": common_name,
        "Status": {"Code": status},
        "ConnectionEndTime": "-" if status == "active" else CONNECTION_TIME,
        "PostureComplianceStatuses": [],
    }
    item.update(more)
    return item


def test_a_connection_is_described_while_it_lives_and_after(ec2, associated, connect, ana, web):
    endpoint = associated()
    assert connections(ec2, endpoint) == []
    client = connect(endpoint, ana, "explicit-exit-notify").connected()
    assert client.fetches(IN_A)
    (live,) = connections(ec2, endpoint)
    assert live == described(endpoint, "ana.test")
    _, address = client.inside("ip", "-4", "-o", "addr", "show", "dev", "tun0")
    assert f"inet {live['ClientIp']}/22 " in address

    def counted():
        (now,) = connections(ec2, endpoint)
        return int(now["IngressPackets"]) > 3 and int(now["EgressBytes"]) > len("hello from behind")

    eventually("traffic is counted", counted)
    client.stop()
    eventually("it has ended", lambda: connections(ec2, endpoint)[0]["Status"]["Code"] == "terminated")
    assert connections(ec2, endpoint) == [
        described(endpoint, "ana.test", "terminated", ConnectionId=live["ConnectionId"])
    ]


def test_every_new_connection_has_an_id_of_its_own(ec2, associated, connect, ana):
    endpoint = associated()
    for _ in range(2):
        connect(endpoint, ana, "explicit-exit-notify").connected().stop()
    eventually("both ended", lambda: len(connections(ec2, endpoint, status=["terminated"])) == 2)
    first, second = connections(ec2, endpoint)
    assert first["ConnectionId"] != second["ConnectionId"]


def test_a_connection_belongs_to_one_endpoint(ec2, associated, connect, ana):
    endpoint = associated()
    other = associated(ClientCidrBlock="10.12.0.0/22", TransportProtocol="tcp")
    connect(endpoint, ana).connected()
    assert len(connections(ec2, endpoint)) == 1
    assert connections(ec2, other) == []
    tcp = connect(other, ana, index=1).connected()
    assert [item["ClientVpnEndpointId"] for item in connections(ec2, other)] == [other]
    assert len(connections(ec2, endpoint)) == 1
    assert "TCPv4_CLIENT" in tcp.log()


def test_filters_narrow_the_list(ec2, associated, connect, ana, authority):
    endpoint = associated(AuthenticationOptions=[directory_option()])
    connect(endpoint, login=ANA).connected()
    connect(endpoint, login=BEN, index=1).connected()
    one, two = sorted(connections(ec2, endpoint), key=lambda item: item["CommonName"])
    assert one == described(endpoint, "ana", Username="ana")
    assert two == described(endpoint, "ben", Username="ben")

    def found(**filters):
        listed = sorted(connections(ec2, endpoint, **filters), key=lambda item: item["CommonName"])
        return [item["ConnectionId"] for item in listed]

    one, two = one["ConnectionId"], two["ConnectionId"]
    assert found(connection_id=[two]) == [two]
    assert found(username=["ana"]) == [one]
    assert found(username=["a*", "b*"]) == [one, two]
    assert found(common_name=["ben"]) == [two]
    assert found(status=["active"]) == [one, two]
    assert found(status=["terminated"]) == []
    with refused("InvalidParameterValue", "colour"):
        found(colour=["red"])


def test_certificate_and_password_together_show_both_names(ec2, associated, connect, ana, client_arn):
    mutual = {
        "Type": "certificate-authentication",
        "MutualAuthentication": {"ClientRootCertificateChainArn": client_arn},
    }
    endpoint = associated(AuthenticationOptions=[mutual, directory_option()])
    connect(endpoint, ana, login=ANA).connected()
    assert connections(ec2, endpoint) == [described(endpoint, "ana.test", Username="ana")]
    wrong = connect(endpoint, ana, "connect-retry-max 1", login=("ana", "wrong"), index=1)
    assert "AUTH_FAILED" in wrong.ended()
    assert len(connections(ec2, endpoint, status=["active"])) == 1


def test_one_connection_is_ended_by_its_id(ec2, associated, connect, ana, authority):
    endpoint = associated()
    connect(endpoint, ana, "connect-retry 60").connected()
    connect(endpoint, authority.issue("ben.test"), index=1).connected()
    one, two = connections(ec2, endpoint)
    answer = terminate(ec2, endpoint, ConnectionId=one["ConnectionId"])
    assert answer == {
        "ClientVpnEndpointId": endpoint,
        "ConnectionStatuses": [
            {
                "ConnectionId": one["ConnectionId"],
                "PreviousStatus": {"Code": "active"},
                "CurrentStatus": {"Code": "terminating"},
            }
        ],
    }

    def status(connection):
        return connections(ec2, endpoint, connection_id=[connection["ConnectionId"]])[0]["Status"]["Code"]

    eventually("it has ended", lambda: status(one) == "terminated")
    assert status(two) == "active"
    # Ending it once more is harmless.
    (again,) = terminate(ec2, endpoint, ConnectionId=one["ConnectionId"])["ConnectionStatuses"]
    assert (again["PreviousStatus"], again["CurrentStatus"]) == ({"Code": "terminated"}, {"Code": "terminated"})


def test_a_users_connections_are_ended_together_up_to_five(ec2, associated, connect):
    endpoint = associated(AuthenticationOptions=[directory_option()])
    clients = [connect(endpoint, None, *APART, login=ANA) for _ in range(6)]
    for client in clients:
        client.connected()
    connect(endpoint, login=BEN, index=1).connected()
    live = connections(ec2, endpoint, status=["active"])
    assert [item["Username"] for item in live].count("ana") == 6
    page = plain(ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint, MaxResults=5))
    assert page["Connections"] == [
        {
            **item,
            "Timestamp": CONNECTION_TIME,
            "EgressBytes": COUNT,
            "IngressBytes": COUNT,
            "EgressPackets": COUNT,
            "IngressPackets": COUNT,
        }
        for item in live[:5]
    ]
    rest = plain(
        ec2.describe_client_vpn_connections(ClientVpnEndpointId=endpoint, MaxResults=5, NextToken=page["NextToken"])
    )
    assert [item["ConnectionId"] for item in rest["Connections"]] == [item["ConnectionId"] for item in live[5:]]
    assert "NextToken" not in rest
    with refused("ClientVpnTerminateConnectionsLimitExceeded", "ana"):
        terminate(ec2, endpoint, Username="ana")
    assert len(connections(ec2, endpoint, status=["active"])) == 7
    clients[0].stop()
    clients[0] = None
    gone = [item["ConnectionId"] for item in live if item["Username"] == "ana"]
    terminate_first = connections(ec2, endpoint, status=["active"], username=["ana"])
    if len(terminate_first) > 5:
        # Without explicit-exit-notify the server has not noticed yet that it left.
        terminate(ec2, endpoint, ConnectionId=gone[0])
        eventually("five are left", lambda: len(connections(ec2, endpoint, status=["active"], username=["ana"])) <= 5)
    five = [item["ConnectionId"] for item in connections(ec2, endpoint, status=["active"], username=["ana"])]
    answer = terminate(ec2, endpoint, Username="ana")
    assert answer["ClientVpnEndpointId"] == endpoint and answer["Username"] == "ana"
    assert [item["ConnectionId"] for item in answer["ConnectionStatuses"]] == five
    ben = connections(ec2, endpoint, status=["active"], username=["ben"])
    assert len(ben) == 1, "others stay"


def test_who_is_not_connected_can_not_be_ended(ec2, associated):
    endpoint = associated(AuthenticationOptions=[directory_option()])
    with refused("InvalidClientVpnConnection.IdNotFound", "cvpn-connection-00000000000000000"):
        terminate(ec2, endpoint, ConnectionId="cvpn-connection-00000000000000000")
    with refused("InvalidClientVpnConnection.UserNotFound", "carl"):
        terminate(ec2, endpoint, Username="carl")
    with refused("MissingParameter"):
        terminate(ec2, endpoint)


@pytest.mark.parametrize("transport, port", [("udp", 443), ("udp", 1194), ("tcp", 443), ("tcp", 1194)])
def test_every_transport_and_port_carries_traffic(ec2, associated, connect, ana, web, transport, port):
    endpoint = associated(TransportProtocol=transport, VpnPort=port)
    assert connect(endpoint, ana).connected().fetches(IN_A) == "hello from behind"


def test_what_is_set_reaches_the_client(ec2, associated, connect, ana):
    endpoint = associated(DnsServers=["10.20.0.2", "10.20.1.2"])
    log = connect(endpoint, ana).connected().log()
    assert "dhcp-option DNS 10.20.0.2,dhcp-option DNS 10.20.1.2" in log and "redirect-gateway def1" in log


def test_a_banner_is_sent_in_the_commands_that_graphical_clients_show(ec2, associated, connect, ana):
    endpoint = associated(ClientLoginBannerOptions={"Enabled": True, "BannerText": "Be good"})
    client = connect(endpoint, ana).connected()
    assert "ECHO-PULL:msg Be%20good" in client.log()
    ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=endpoint, ClientLoginBannerOptions={"Enabled": False})
    client.stop()
    settled(ec2, endpoint)
    eventually("it is off", lambda: "ECHO-PULL:msg" not in connect(endpoint, ana, index=1).connected().log())


def test_hosts_behind_see_the_address_of_the_server(ec2, associated, connect, ana, web):
    endpoint = associated()
    assert connect(endpoint, ana).connected().fetches(IN_A)
    assert web.visitors()[-1] == "10.20.1.1"


def test_nobody_connects_with_a_certificate_of_another_authority(ec2, associated, connect, other_authority):
    endpoint = associated()
    stranger = connect(endpoint, other_authority.issue("ana.test"), "connect-retry-max 1", "hand-window 5")
    assert "Initialization Sequence Completed" not in stranger.ended()
    assert connections(ec2, endpoint) == []
