"""Which rule decides: the scenarios of AWS's documentation on authorization rules, with packets.

Of all rules that cover a destination, those with the longest prefix decide, for whichever groups they are.
"""

import subprocess

import pytest

from lab import SUBNET_A, eventually
from manage import directory_option, settled

ANA = ("ana", "correct horse")  # engineering
DAN = ("dan", "open sesame")  # development
MIA = ("mia", "swordfish")  # management
AMY = ("amy", "hunter")  # administration

RULES = {
    "R1": ("172.16.0.0/24", "engineering"),
    "R2": ("10.0.0.0/16", "development"),
    "R3": ("0.0.0.0/0", "management"),
    "R4": ("10.0.2.119/32", "management"),
    "R5": ("172.16.0.128/25", "engineering"),
    "R6": ("0.0.0.0/0", "engineering"),
    "R7": ("192.168.0.0/24", "management"),
    "R8": ("0.0.0.0/0", None),
}
SETS = [
    ["R1", "R2", "R7"],
    ["R1", "R2", "R3"],
    ["R1", "R2", "R3", "R4"],
    ["R1", "R2", "R3", "R4", "R5"],
    ["R1", "R2", "R3", "R4", "R5", "R6"],
    ["R1", "R2", "R3", "R4", "R5", "R6", "R7"],
    ["R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8"],
]
INTERNET = "198.51.100.9"
# The same networks and hosts over IPv6.
OVER_IPV6 = {
    "172.16.0.0/24": "2001:db8:172:16::/64",
    "172.16.0.128/25": "2001:db8:172:16:8000::/65",
    "10.0.0.0/16": "2001:db8:10::/48",
    "10.0.2.119/32": "2001:db8:10::2:77/128",
    "192.168.0.0/24": "2001:db8:192::/64",
    "0.0.0.0/0": "::/0",
    "172.16.0.5": "2001:db8:172:16::5",
    "172.16.0.200": "2001:db8:172:16:8000::c8",
    "192.168.0.9": "2001:db8:192::9",
    "10.0.1.1": "2001:db8:10::1:1",
    "10.0.2.119": "2001:db8:10::2:77",
    INTERNET: "2001:db8:99::9",
}
# Who reaches what with each set of rules, in their order: `+` does, `-` does not.
TABLE = {
    ANA: {
        "172.16.0.5": "+++++++",
        "172.16.0.200": "+++++++",
        "192.168.0.9": "----+--",
        INTERNET: "----+++",
    },
    DAN: {
        "10.0.1.1": "+++++++",
        "10.0.2.119": "++-----",
        INTERNET: "------+",
    },
    MIA: {
        "10.0.1.1": "-------",
        "10.0.2.119": "--+++++",
        "192.168.0.9": "+++++++",
        INTERNET: "-++++++",
    },
    AMY: {
        INTERNET: "------+",
        "10.0.1.1": "-------",
    },
}


def reached(client, destinations):
    """Those of the destinations that answer, asked all at once."""
    command = ["ip", "netns", "exec", client.namespace, "ping", "-q", "-c", "2", "-i", "0.3", "-W", "1"]
    asked = {to: subprocess.Popen([*command, to], stdout=subprocess.DEVNULL) for to in destinations}
    return {to for to, ping in asked.items() if ping.wait() == 0}


def exchange(ec2, endpoint, before, after, translated):
    """Makes the rules of the endpoint `after`."""
    for rule in set(after) - set(before):
        network, group = RULES[rule]
        who = {"AccessGroupId": group} if group else {"AuthorizeAllGroups": True}
        ec2.authorize_client_vpn_ingress(ClientVpnEndpointId=endpoint, TargetNetworkCidr=translated(network), **who)
    for rule in set(before) - set(after):
        network, group = RULES[rule]
        who = {"AccessGroupId": group} if group else {"RevokeAllGroups": True}
        ec2.revoke_client_vpn_ingress(ClientVpnEndpointId=endpoint, TargetNetworkCidr=translated(network), **who)
    settled(ec2, endpoint)


FAMILIES = {
    "ipv4": ({}, lambda text: text),
    "ipv6": ({"ClientCidrBlock": None, "TrafficIpAddressType": "ipv6"}, OVER_IPV6.get),
}


@pytest.mark.parametrize("changes, translated", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("user", TABLE, ids=lambda user: user[0])
def test_the_longest_prefix_decides_for_whichever_group_it_is(
    ec2, associated, connect, user, changes, translated
):
    endpoint = associated(AuthenticationOptions=[directory_option()], rules=[], **changes)
    ec2.create_client_vpn_route(
        ClientVpnEndpointId=endpoint, DestinationCidrBlock=translated("0.0.0.0/0"), TargetVpcSubnetId=SUBNET_A
    )
    settled(ec2, endpoint)
    client = connect(endpoint, login=user).connected()
    destinations = [translated(to) for to in TABLE[user]]
    before = []
    for column, rules in enumerate(SETS):
        exchange(ec2, endpoint, before, rules, translated)
        before = rules
        wanted = {translated(to) for to, row in TABLE[user].items() if row[column] == "+"}
        # A cell that is denied must stay so; one that is allowed may take a moment.
        eventually(f"{user[0]} reaches {wanted} with {rules}", lambda: reached(client, destinations) == wanted, 5)
