"""Crashes: culvertd is killed at random moments of a thousand random changes. What it acknowledged is there afterwards,
what it did not is there as a whole or not at all, and the machine has what the store says and nothing else."""

import copy
import json
import os
import random
import re
import subprocess
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from expect import plain
from lab import BIN, EVERYTHING, MORE, SUBNET_A, SUBNET_B, VPC, WEB_ONLY, WORK, Process, eventually
from manage import client_for, import_leaf, purge, settled

CHANGES = 1000
# Changes between two kills, on average.
EVERY = 20
# The kill comes at most so long after the request: about as long as an answer takes.
WITHIN = 0.015

SUBNETS = [SUBNET_A, SUBNET_B]
GROUPS = [EVERYTHING, WEB_ONLY, *MORE[:3]]
PLACES = [(protocol, port) for protocol in ("udp", "tcp") for port in (443, 1194)]
WORDS = ["office", "branch", "lab", "Büro", "a < b & c", "x" * 200]


def read(ec2, acm):
    """All that is stored, as it is described."""
    endpoints = {}
    for item in ec2.describe_client_vpn_endpoints()["ClientVpnEndpoints"]:
        # It is as good as gone, and may be at any moment.
        if item["Status"]["Code"] == "deleting":
            continue
        name = item["ClientVpnEndpointId"]
        settled(ec2, name)
        this = {"ClientVpnEndpointId": name}
        networks = ec2.describe_client_vpn_target_networks(**this)["ClientVpnTargetNetworks"]
        routes = ec2.describe_client_vpn_routes(**this)["Routes"]
        rules = ec2.describe_client_vpn_authorization_rules(**this)["AuthorizationRules"]
        for listed, code in [(networks, "associated"), (routes, "active"), (rules, "active")]:
            assert {entry["Status"]["Code"] for entry in listed} <= {code}
        automatic = {(route["DestinationCidr"], route["TargetSubnet"]) for route in routes if route["Origin"] != "add-route"}
        assert automatic == {("10.20.0.0/16", network["TargetNetworkId"]) for network in networks}
        endpoints[name] = {
            "settings": {
                "ClientCidrBlock": item["ClientCidrBlock"],
                "TransportProtocol": item["TransportProtocol"],
                "VpnPort": item["VpnPort"],
                "Description": item.get("Description", ""),
                "SplitTunnel": item["SplitTunnel"],
                "DnsServers": item["DnsServers"],
                "SessionTimeoutHours": item["SessionTimeoutHours"],
                "Banner": item["ClientLoginBannerOptions"].get("BannerText"),
                "SecurityGroupIds": sorted(item["SecurityGroupIds"]),
            },
            "tags": {tag["Key"]: tag["Value"] for tag in item["Tags"]},
            "associations": {network["TargetNetworkId"]: network["AssociationId"] for network in networks},
            "routes": {
                (route["DestinationCidr"], route["TargetSubnet"]): route.get("Description", "")
                for route in routes
                if route["Origin"] == "add-route"
            },
            "rules": {
                (rule["DestinationCidr"], rule.get("GroupId", "")): rule.get("Description", "") for rule in rules
            },
        }
    certificates = {item["CertificateArn"] for item in acm.list_certificates()["CertificateSummaryList"]}
    return {"endpoints": endpoints, "certificates": certificates}


class Change:
    """One request, and what is stored once it has been carried out. Names that only the answer tells are `None` there."""

    def __init__(self, call, state):
        self.call = call
        self.state = state


class Changes:
    """Makes up changes of a state."""

    def __init__(self, seed, request_for, leaves, authority):
        self.dice = random.Random(seed)
        self.request_for = request_for
        self.leaves = leaves
        self.authority = authority
        self.fixed = set()

    def next(self, state):
        """A change that should be possible, given what is stored."""
        makers = [
            (self.create, 3),
            (self.delete, 1),
            (self.modify, 6),
            (self.tag, 4),
            (self.untag, 3),
            (self.associate, 4),
            (self.disassociate, 3),
            (self.add_route, 6),
            (self.delete_route, 4),
            (self.authorize, 8),
            (self.revoke, 5),
            (self.groups, 2),
            (self.import_certificate, 1),
            (self.delete_certificate, 1),
        ]
        while True:
            (maker,) = self.dice.choices([maker for maker, _ in makers], [weight for _, weight in makers])
            change = maker(copy.deepcopy(state))
            if change is not None:
                return change

    def one(self, state):
        """One endpoint of a state."""
        names = sorted(state["endpoints"])
        if not names:
            return None, None
        name = self.dice.choice(names)
        return name, state["endpoints"][name]

    def words(self):
        return self.dice.choice(WORDS) + f" {self.dice.randrange(1000)}"

    def place(self, state):
        """A transport protocol and port that no endpoint has."""
        settings = [endpoint["settings"] for endpoint in state["endpoints"].values()]
        taken = {(item["TransportProtocol"], item["VpnPort"]) for item in settings}
        return self.dice.choice([place for place in PLACES if place not in taken])

    def create(self, state):
        if len(state["endpoints"]) == 3:
            return None
        protocol, port = self.place(state)
        blocks = {endpoint["settings"]["ClientCidrBlock"] for endpoint in state["endpoints"].values()}
        block = self.dice.choice([name for name in (f"10.{n}.0.0/22" for n in range(100, 110)) if name not in blocks])
        settings = {
            "ClientCidrBlock": block,
            "TransportProtocol": protocol,
            "VpnPort": port,
            "Description": self.words(),
            "SplitTunnel": self.dice.random() < 0.5,
            "DnsServers": ["10.20.0.2"],
            "SessionTimeoutHours": self.dice.choice([8, 10, 12, 24]),
            "SecurityGroupIds": sorted(self.dice.sample(GROUPS, 2)),
        }
        tags = {f"key{n}": self.words() for n in range(5)}
        request = self.request_for(
            **settings,
            VpcId=VPC,
            TagSpecifications=[
                {
                    "ResourceType": "client-vpn-endpoint",
                    "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                }
            ],
        )
        made = {"settings": {**settings, "Banner": None}, "tags": tags, "associations": {}, "routes": {}, "rules": {}}
        state["endpoints"][None] = made
        return Change(lambda ec2, acm: ec2.create_client_vpn_endpoint(**request)["ClientVpnEndpointId"], state)

    def delete(self, state):
        name, endpoint = self.one(state)
        if name is None or endpoint["associations"]:
            return None
        del state["endpoints"][name]
        return Change(lambda ec2, acm: ec2.delete_client_vpn_endpoint(ClientVpnEndpointId=name), state)

    def modify(self, state):
        """Several members at once: all of them are changed, or none."""
        name, endpoint = self.one(state)
        if name is None:
            return None
        settings = endpoint["settings"]
        changed = {
            "Description": self.words(),
            "SplitTunnel": self.dice.random() < 0.5,
            "SessionTimeoutHours": self.dice.choice([8, 10, 12, 24]),
        }
        protocol, port = self.place(state)
        if protocol == settings["TransportProtocol"]:
            changed["VpnPort"] = port
        settings.update(changed)
        settings["DnsServers"] = [f"10.20.0.{self.dice.randrange(2, 250)}"]
        settings["Banner"] = self.words()
        request = {
            **changed,
            "DnsServers": {"Enabled": True, "CustomDnsServers": settings["DnsServers"]},
            "ClientLoginBannerOptions": {"Enabled": True, "BannerText": settings["Banner"]},
        }
        return Change(lambda ec2, acm: ec2.modify_client_vpn_endpoint(ClientVpnEndpointId=name, **request), state)

    def tag(self, state):
        name, endpoint = self.one(state)
        if name is None:
            return None
        added = {f"key{self.dice.randrange(12)}": self.words() for _ in range(4)}
        endpoint["tags"].update(added)
        tags = [{"Key": key, "Value": value} for key, value in added.items()]
        return Change(lambda ec2, acm: ec2.create_tags(Resources=[name], Tags=tags), state)

    def untag(self, state):
        name, endpoint = self.one(state)
        if name is None or not endpoint["tags"]:
            return None
        keys = self.dice.sample(sorted(endpoint["tags"]), min(3, len(endpoint["tags"])))
        for key in keys:
            del endpoint["tags"][key]
        tags = [{"Key": key} for key in keys]
        return Change(lambda ec2, acm: ec2.delete_tags(Resources=[name], Tags=tags), state)

    def associate(self, state):
        name, endpoint = self.one(state)
        free = [] if name is None else [subnet for subnet in SUBNETS if subnet not in endpoint["associations"]]
        if not free:
            return None
        subnet = self.dice.choice(free)
        endpoint["associations"][subnet] = None
        request = {"ClientVpnEndpointId": name, "SubnetId": subnet}
        return Change(lambda ec2, acm: ec2.associate_client_vpn_target_network(**request)["AssociationId"], state)

    def disassociate(self, state):
        name, endpoint = self.one(state)
        if name is None or not endpoint["associations"]:
            return None
        subnet = self.dice.choice(sorted(endpoint["associations"]))
        request = {"ClientVpnEndpointId": name, "AssociationId": endpoint["associations"].pop(subnet)}
        endpoint["routes"] = {route: text for route, text in endpoint["routes"].items() if route[1] != subnet}
        return Change(lambda ec2, acm: ec2.disassociate_client_vpn_target_network(**request), state)

    def add_route(self, state):
        name, endpoint = self.one(state)
        if name is None or not endpoint["associations"]:
            return None
        route = f"10.30.{self.dice.randrange(200)}.0/24", self.dice.choice(sorted(endpoint["associations"]))
        if route in endpoint["routes"]:
            return None
        text = self.words()
        endpoint["routes"][route] = text
        request = {
            "ClientVpnEndpointId": name,
            "DestinationCidrBlock": route[0],
            "TargetVpcSubnetId": route[1],
            "Description": text,
        }
        return Change(lambda ec2, acm: ec2.create_client_vpn_route(**request), state)

    def delete_route(self, state):
        name, endpoint = self.one(state)
        if name is None or not endpoint["routes"]:
            return None
        route = self.dice.choice(sorted(endpoint["routes"]))
        del endpoint["routes"][route]
        request = {"ClientVpnEndpointId": name, "DestinationCidrBlock": route[0], "TargetVpcSubnetId": route[1]}
        return Change(lambda ec2, acm: ec2.delete_client_vpn_route(**request), state)

    def authorize(self, state):
        name, endpoint = self.one(state)
        if name is None:
            return None
        rule = f"10.30.{self.dice.randrange(60)}.0/24", self.dice.choice(["", "engineering", "staff"])
        if rule in endpoint["rules"]:
            return None
        text = self.words()
        endpoint["rules"][rule] = text
        request = {**self.rule(name, rule, "AuthorizeAllGroups"), "Description": text}
        return Change(lambda ec2, acm: ec2.authorize_client_vpn_ingress(**request), state)

    def revoke(self, state):
        name, endpoint = self.one(state)
        if name is None or not endpoint["rules"]:
            return None
        rule = self.dice.choice(sorted(endpoint["rules"]))
        del endpoint["rules"][rule]
        request = self.rule(name, rule, "RevokeAllGroups")
        return Change(lambda ec2, acm: ec2.revoke_client_vpn_ingress(**request), state)

    @staticmethod
    def rule(name, rule, everybody):
        network, group = rule
        whom = {"AccessGroupId": group} if group else {everybody: True}
        return {"ClientVpnEndpointId": name, "TargetNetworkCidr": network, **whom}

    def groups(self, state):
        name, endpoint = self.one(state)
        if name is None:
            return None
        groups = sorted(self.dice.sample(GROUPS, self.dice.randrange(1, 4)))
        endpoint["settings"]["SecurityGroupIds"] = groups
        request = {"ClientVpnEndpointId": name, "VpcId": VPC, "SecurityGroupIds": groups}
        return Change(lambda ec2, acm: ec2.apply_security_groups_to_client_vpn_target_network(**request), state)

    def import_certificate(self, state):
        if len(state["certificates"]) >= 8:
            return None
        leaf = self.dice.choice(self.leaves)
        state["certificates"].add(None)
        return Change(lambda ec2, acm: import_leaf(acm, leaf, self.authority.certificate), state)

    def delete_certificate(self, state):
        arns = sorted(state["certificates"] - self.fixed)
        if not arns:
            return None
        arn = self.dice.choice(arns)
        state["certificates"].remove(arn)
        return Change(lambda ec2, acm: acm.delete_certificate(CertificateArn=arn), state)


def named(state, name):
    """The state with what an answer told in the place of `None`."""
    state = copy.deepcopy(state)
    if None in state["endpoints"]:
        state["endpoints"][name] = state["endpoints"].pop(None)
    if None in state["certificates"]:
        state["certificates"] = state["certificates"] - {None} | {name}
    for endpoint in state["endpoints"].values():
        associations = endpoint["associations"]
        associations.update({subnet: name for subnet, known in associations.items() if known is None})
    return state


def new_names(before, after):
    """Names that were not there before."""

    def names(state):
        known = [endpoint["associations"].values() for endpoint in state["endpoints"].values()]
        return set(state["endpoints"]).union(state["certificates"], *known)

    return names(after) - names(before)


def inside(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


def devices():
    """TUN devices of the server with their IPv4 networks."""
    listed = json.loads(inside("ip", "-j", "address", "show", "type", "tun") or "[]")
    return {
        link["ifname"]: [entry["local"] for entry in link["addr_info"] if entry["family"] == "inet"]
        for link in listed
        if link
    }


def tables():
    """Tables of nftables, by family and name."""
    listed = json.loads(inside("nft", "-j", "list", "tables"))["nftables"]
    return sorted(item["table"]["name"] for item in listed if "table" in item)


def listeners():
    """Transport protocols and ports of culvertd, but for the API's."""
    found = set()
    for protocol, option in [("udp", "-Hlunp"), ("tcp", "-Hltnp")]:
        for line in inside("ss", option).splitlines():
            port = int(line.split()[3].rsplit(":", 1)[1])
            if '"culvertd"' in line and port != 8443:
                found.add((protocol, port))
    return found


def in_place(state):
    """Whether the machine has what the stored endpoints need, and nothing else."""
    running = [endpoint["settings"] for endpoint in state["endpoints"].values() if endpoint["associations"]]
    first = sorted(re.sub(r"\.0/\d+$", ".1", item["ClientCidrBlock"]) for item in running)
    found = devices()
    return (
        sorted(address for addresses in found.values() for address in addresses) == first
        and len(tables()) == len(running)
        and all(any(device in table for table in tables()) for device in found)
        and listeners() == {(item["TransportProtocol"], item["VpnPort"]) for item in running}
    )


def check_machine(state):
    try:
        eventually("the machine has what the store says", lambda: in_place(state), 10)
    except AssertionError as error:
        wanted = {name: (item["settings"], item["associations"]) for name, item in state["endpoints"].items()}
        raise AssertionError(f"{error}\n{devices()}\n{tables()}\n{listeners()}\nstored: {wanted}") from None


class Victim:
    """The daemon, and its end at a moment of ours."""

    def __init__(self, daemon, dice):
        self.daemon = daemon
        self.dice = dice
        self.kills = 0
        self.timer = None

    def doom(self):
        """It ends soon, whatever it does then."""
        process = self.daemon.process.process
        self.timer = threading.Timer(self.dice.random() * WITHIN, process.kill)
        self.timer.start()

    def revive(self):
        """Waits for the end and starts it again, now and then not at the first attempt."""
        self.timer.join()
        self.daemon.process.process.wait(10)
        self.kills += 1
        if self.dice.random() < 0.2:
            early = Process("culvertd", BIN / "culvertd", "--config", WORK / "culvert.toml")
            time.sleep(self.dice.random() * 0.15)
            early.process.kill()
            early.process.wait(10)
            self.kills += 1
        self.daemon.start()


@pytest.fixture
def clean(ec2, acm, daemon, server_arn, client_arn):
    """Nothing but the shared certificates, before and after."""
    purge(ec2)
    before = {item["CertificateArn"] for item in acm.list_certificates()["CertificateSummaryList"]}
    yield before
    if daemon.process.process.poll() is not None:
        daemon.start()

    def codes():
        return {item["Status"]["Code"] for item in ec2.describe_client_vpn_endpoints()["ClientVpnEndpoints"]}

    eventually("no endpoint is about to go", lambda: "deleting" not in codes())
    purge(ec2)
    for item in acm.list_certificates()["CertificateSummaryList"]:
        if item["CertificateArn"] not in before:
            acm.delete_certificate(CertificateArn=item["CertificateArn"])


def test_kills_lose_nothing_acknowledged_and_leave_nothing_half_done(daemon, request_for, clean, authority):
    seed = int(os.environ.get("CULVERT_SEED") or "20261126")
    leaves = [authority.issue(f"crash-{number}.test") for number in range(3)]
    changes = Changes(seed, request_for, leaves, authority)
    changes.fixed = clean
    victim = Victim(daemon, changes.dice)
    ec2, acm = client_for("ec2", daemon), client_for("acm", daemon)
    state = read(ec2, acm)
    done, open_, refusals = 0, {"kept": 0, "absent": 0}, []
    until_kill = changes.dice.randrange(1, 2 * EVERY)
    while done + sum(open_.values()) < CHANGES:
        change = changes.next(state)
        until_kill -= 1
        if until_kill == 0:
            victim.doom()
        answered, name = True, None
        try:
            name = change.call(ec2, acm)
            done += 1
            before, state = state, named(change.state, name)
        except ClientError as error:
            refusals.append(str(error))
        except BotoCoreError:
            assert until_kill == 0, f"the daemon is gone by itself:\n{daemon.process.log()[-4000:]}"
            answered = False
        if until_kill > 0:
            continue
        victim.revive()
        ec2, acm = client_for("ec2", daemon), client_for("acm", daemon)
        found = read(ec2, acm)
        if not answered and found != state:
            told = new_names(state, found)
            assert len(told) <= 1, f"more than one thing is new: {told}"
            state = named(change.state, next(iter(told), None))
            open_["kept"] += 1
        elif not answered:
            open_["absent"] += 1
        assert found == state, f"seed {seed}, after kill {victim.kills}, {done} changes"
        check_machine(state)
        until_kill = changes.dice.randrange(1, 2 * EVERY)
    assert read(ec2, acm) == state
    check_machine(state)
    print(f"{done} acknowledged, unanswered {open_}, {victim.kills} kills, {len(refusals)} refused")
    assert len(refusals) < CHANGES / 10, refusals[:5]
    assert victim.kills >= CHANGES / EVERY / 2 and open_["absent"] + open_["kept"] > 0
    log = daemon.process.path.read_text(errors="replace")
    assert "panicked" not in log
