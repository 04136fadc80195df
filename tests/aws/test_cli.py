"""The `culvert` command line alone, from certificates to traffic and back; clients are the stock openvpn client."""

import json
import os
import re
import subprocess

import pytest

from expect import ASSOCIATION, CERTIFICATE, CONNECTION, ENDPOINT
from lab import (
    BEYOND,
    BIN,
    DIRECTORY,
    EVERYTHING,
    IN_A,
    IN_B,
    SERVER,
    SUBNET_A,
    SUBNET_B,
    VPC,
    WEB_ONLY,
    WORK,
    Client,
    eventually,
)
from manage import purge
from pki import Authority


class Culvert:
    """The command line."""

    def _run(self, words, environment):
        command = [str(word) for word in (BIN / "culvert", *words)]
        environment = {"PATH": os.environ["PATH"], "CULVERT_CONFIG": str(WORK / "culvert.toml"), **environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    def text(self, *words):
        """What a command prints."""
        done = self._run(words, {})
        assert done.returncode == 0, f"culvert {' '.join(map(str, words))}: {done.stderr}"
        return done.stdout

    def __call__(self, *words):
        """What it prints with `--output json`, parsed."""
        return json.loads(self.text(*words, "--output", "json"))

    def refusal(self, status, *words, **environment):
        """What it complains about, with this exit status."""
        done = self._run(words, environment)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done.stderr.strip()


@pytest.fixture
def culvert(daemon, ec2):
    yield Culvert()
    purge(ec2)


def material(leaf, chain=None):
    files = ["--certificate", leaf.path, "--private-key", leaf.path.with_suffix(".key")]
    return files + (["--chain", chain] if chain else [])


def test_commands_make_a_tunnel(culvert, web, tmp_path):
    authority = Authority(tmp_path / "ca", "CLI CA")
    server, laptop, lost = (authority.issue(*who) for who in [("cli.test", "server"), ("laptop",), ("lost",)])
    ca = authority.directory / "ca.crt"
    imported = culvert("certificate", "import", *material(server, ca))
    server_arn = imported["certificate_arn"]
    assert imported == {"certificate_arn": CERTIFICATE}
    client_arn = culvert("certificate", "import", *material(laptop, ca), "--tag", "Name=clients")["certificate_arn"]
    listed = {item["certificate_arn"]: item for item in culvert("certificate", "list")["certificates"]}
    assert (listed[server_arn]["domain_name"], listed[server_arn]["in_use"]) == ("cli.test", False)

    created = culvert(
        "endpoint", "create", "--client-cidr", "10.8.0.0/22", "--server-certificate", "cli.test",
        "--client-root", client_arn, "--split-tunnel", "--name", "walk", "--description", "The walk",
    )  # fmt: skip
    endpoint = created["client_vpn_endpoint_id"]
    assert created == {
        "client_vpn_endpoint_id": ENDPOINT,
        "status": {"code": "pending-associate"},
        "dns_name": SERVER,
    }

    associated = culvert("network", "associate", "walk", SUBNET_A, "--wait")
    association = associated["association_id"]
    assert associated == {"association_id": ASSOCIATION, "status": {"code": "associated"}}
    for network in ("10.20.1.0/24", "10.30.0.0/24"):
        assert culvert("rule", "authorize", "walk", network, "--all", "--wait") == {"status": {"code": "active"}}
    assert culvert("route", "create", "walk", "10.30.0.0/24", SUBNET_A, "--description", "beyond", "--wait") == {
        "status": {"code": "active"}
    }

    shown = culvert("endpoint", "show", "walk")
    assert shown["status"] == {"code": "available"}
    assert (shown["split_tunnel"], shown["vpn_port"], shown["vpc_id"]) == (True, 443, VPC)
    assert shown["tags"] == [{"key": "Name", "value": "walk"}]
    assert shown["authentication_options"] == [
        {
            "type": "certificate-authentication",
            "mutual_authentication": {"client_root_certificate_chain": client_arn},
        }
    ]
    assert shown["associated_target_networks"] == [{"network_id": SUBNET_A, "network_type": "vpc"}]
    assert culvert("endpoint", "list", "--filter", "tag:Name=walk")["client_vpn_endpoints"] == [shown]
    assert culvert("endpoint", "list", "--filter", "tag:Name=nothing")["client_vpn_endpoints"] == []
    assert culvert("endpoint", "list", "--json")["client_vpn_endpoints"] == [shown], "two ways to say the same"
    assert f"endpoint                       {endpoint}\n" in culvert.text("endpoint", "show", "The walk")
    header, line = culvert.text("endpoint", "list").splitlines()
    assert header.split()[:3] == ["ENDPOINT", "NAME", "STATUS"]
    assert line.split() == [endpoint, "walk", "available", "10.8.0.0/22", "udp/443", "1", SERVER]
    for list_of, line in [
        ("route", rf"10.30.0.0/24 +{SUBNET_A} +add-route +active +beyond"),
        ("rule", "10.30.0.0/24 +all users +all +active +-"),
        ("network", rf"{association} +{SUBNET_A} +{VPC} +associated +{EVERYTHING}"),
    ]:
        assert re.search(f"^{line}$", culvert.text(list_of, "list", "walk"), re.M)

    culvert("profile", "export", "walk", "--client-certificate", laptop.path, "--client-key",
            laptop.path.with_suffix(".key"), "--file", tmp_path / "laptop.ovpn")  # fmt: skip
    assert (tmp_path / "laptop.ovpn").stat().st_mode & 0o777 == 0o600
    bare = culvert.text("profile", "export", "walk")
    assert "<cert>" not in bare and bare.endswith("\n")
    client = Client((tmp_path / "laptop.ovpn").read_text())
    try:
        client.connected()
        assert client.fetches(IN_A) == "hello from behind" and client.fetches(BEYOND) == "hello from behind"
        assert not client.fetches(IN_B, seconds=2), "no rule allows it"
        found = culvert("connection", "list", "walk", "--filter", "status=active")["connections"]
        assert [(item["connection_id"], item["common_name"]) for item in found] == [(CONNECTION, "laptop")]
        assert found[0]["ingress_bytes"] > 0
        connection = found[0]["connection_id"]
        assert connection in culvert.text("connection", "list", "walk")
        ended = culvert("connection", "terminate", "walk", "--id", connection, "--wait")
        assert ended["connection_statuses"] == [
            {
                "connection_id": connection,
                "previous_status": {"code": "active"},
                "current_status": {"code": "terminated"},
            }
        ]
    finally:
        client.stop()

    assert culvert("crl", "export", "walk") == {"certificate_revocation_list": "", "status": None}
    authority.revoke(lost)
    crl = authority.crl()
    (tmp_path / "crl.pem").write_text(crl)
    assert culvert("crl", "import", "walk", tmp_path / "crl.pem", "--wait") == {"return": True}
    assert culvert.text("crl", "export", "walk") == crl
    refused = Client(bare, lost.inline(), "connect-retry-max 1", "hand-window 5")
    assert "Initialization Sequence Completed" not in refused.ended()

    assert culvert("security-group", "apply", "walk", "web-only") == {"security_group_ids": [WEB_ONLY]}
    groups = {item["group_id"]: item for item in culvert("security-group", "list")["security_groups"]}
    assert groups[WEB_ONLY]["group_name"] == "web-only" and EVERYTHING in groups
    line = rf"^{WEB_ONLY} +web-only +{VPC} +tcp 80 to 10.20.0.0/16 "
    assert re.search(line, culvert.text("security-group", "list"), re.M)

    done = culvert(
        "endpoint", "modify", "walk", "--split-tunnel=false", "--banner", "Hello", "--dns-server", "10.20.1.10",
        "--session-timeout-hours", "8", "--description", "Walked",
    )  # fmt: skip
    assert done == {"return": True}
    shown = culvert("endpoint", "show", "walk")
    assert (shown["split_tunnel"], shown["session_timeout_hours"], shown["description"]) == (False, 8, "Walked")
    assert shown["dns_servers"] == ["10.20.1.10"]
    assert shown["client_login_banner_options"] == {"enabled": True, "banner_text": "Hello"}
    culvert("endpoint", "modify", "walk", "--no-banner", "--no-dns-servers")
    shown = culvert("endpoint", "show", "walk")
    assert shown["dns_servers"] == [] and shown["client_login_banner_options"]["enabled"] is False

    said = culvert.text("rule", "revoke", "walk", "10.30.0.0/24", "--all", "--wait")
    assert said == "the rule for 10.30.0.0/24 and all is gone\n"
    culvert("route", "delete", "walk", "10.30.0.0/24", SUBNET_A, "--wait")
    rules = culvert("rule", "list", "walk")["authorization_rules"]
    assert [item["destination_cidr"] for item in rules] == ["10.20.1.0/24"]
    assert [item["origin"] for item in culvert("route", "list", "walk")["routes"]] == ["associate"]
    assert "DependencyViolation" in culvert.refusal(1, "endpoint", "delete", "walk")
    culvert("network", "disassociate", "walk", SUBNET_A, "--wait")
    assert culvert.text("network", "list", "walk") == "no networks\n"
    assert "ResourceInUse" in culvert.refusal(1, "certificate", "delete", server_arn)
    culvert("endpoint", "delete", "walk", "--wait")
    assert culvert("endpoint", "list") == {"client_vpn_endpoints": []}
    for arn in (server_arn, client_arn):
        assert culvert("certificate", "delete", arn) == {"certificate_arn": arn}


def quickstart(culvert, folder, server, authority, *more):
    return culvert(
        "endpoint", "quickstart", "--server-certificate", server.path, "--server-key", server.path.with_suffix(".key"),
        "--client-ca", authority.directory / "ca.crt", "--client-cidr", "10.8.0.0/22", "--subnet", SUBNET_A,
        "--profile", folder / "quick.ovpn", *more,
    )  # fmt: skip


def test_one_command_makes_an_endpoint(culvert, web, tmp_path):
    authority = Authority(tmp_path / "ca", "Quick CA")
    server, laptop = authority.issue("quick.test", "server"), authority.issue("laptop")
    made = quickstart(culvert, tmp_path, server, authority, "--name", "quick", "--subnet", SUBNET_B)
    endpoint = made["client_vpn_endpoint_id"]
    assert made == {
        "client_vpn_endpoint_id": ENDPOINT,
        "authorized_networks": ["10.20.0.0/16"],
        "file": str(tmp_path / "quick.ovpn"),
        "has_client_certificate": False,
    }
    client = Client((tmp_path / "quick.ovpn").read_text(), laptop.inline())
    try:
        client.connected()
        assert client.fetches(IN_A) == "hello from behind" and client.fetches(IN_B) == "hello from behind"
    finally:
        client.stop()
    shown = culvert("endpoint", "show", "quick")
    assert shown["status"] == {"code": "available"} and shown["client_vpn_endpoint_id"] == endpoint
    assert "exists already" in culvert.refusal(
        1, "profile", "export", "quick", "--file", tmp_path / "quick.ovpn"
    ), "files are not written over"
    culvert("endpoint", "delete", "quick", "--disassociate", "--wait")
    culvert("certificate", "delete", "quick.test")


def test_quickstart_with_clients_of_another_authority(culvert, web, tmp_path):
    servers, clients = Authority(tmp_path / "ca1", "Server CA"), Authority(tmp_path / "ca2", "Client CA")
    server, laptop = servers.issue("two.test", "server"), clients.issue("laptop-two")
    chained = tmp_path / "chained.crt"
    chained.write_text(server.certificate + servers.certificate)
    server.path.with_suffix(".key").rename(tmp_path / "chained.key")
    server.path = chained
    identity = ["--client-certificate", laptop.path, "--client-key", laptop.path.with_suffix(".key")]
    certificates = culvert("certificate", "list")
    complaint = culvert.refusal(
        1, "endpoint", "quickstart", "--server-certificate", chained, "--server-key", tmp_path / "chained.key",
        "--client-ca", clients.directory / "ca.crt", "--client-cidr", "10.8.0.0/22", "--subnet", SUBNET_A,
    )  # fmt: skip
    assert "--client-certificate and --client-key" in complaint
    assert culvert("certificate", "list") == certificates, "nothing is left of what was refused"
    clients.revoke(clients.issue("lost"))
    (tmp_path / "crl.pem").write_text(clients.crl())
    made = quickstart(
        culvert, tmp_path, server, clients, *identity, "--transport", "tcp", "--split-tunnel", "--vpn-port", "1194",
        "--endpoint-ip-address-type", "dual-stack", "--crl", tmp_path / "crl.pem",
    )  # fmt: skip
    assert made["has_client_certificate"] is True
    shown = culvert("endpoint", "show", made["client_vpn_endpoint_id"])
    assert (shown["vpn_port"], shown["endpoint_ip_address_type"]) == (1194, "dual-stack")
    assert culvert.text("crl", "export", made["client_vpn_endpoint_id"]) == (tmp_path / "crl.pem").read_text()
    client = Client((tmp_path / "quick.ovpn").read_text())
    try:
        assert client.connected().fetches(IN_A) == "hello from behind", "the profile is complete"
    finally:
        client.stop()
    culvert("endpoint", "delete", made["client_vpn_endpoint_id"], "--disassociate", "--wait")
    for name in ("two.test", "laptop-two"):
        culvert("certificate", "delete", name)


def test_passwords_and_groups(culvert, web, server_arn):
    created = culvert(
        "endpoint", "create", "--client-cidr", "10.8.0.0/22", "--server-certificate", server_arn.rpartition("/")[2],
        "--directory", DIRECTORY, "--transport", "tcp", "--vpn-port", "1194", "--name", "directory", "--tag", "a=b=c",
        "--no-log",
    )  # fmt: skip
    culvert("network", "associate", created["client_vpn_endpoint_id"], SUBNET_A, "--wait")
    rule = ("directory", "10.20.1.0/24", "--group", "engineering", "--wait")
    assert culvert("rule", "authorize", *rule, "--description", "Engineers") == {"status": {"code": "active"}}
    shown = culvert("endpoint", "show", "directory")
    assert (shown["transport_protocol"], shown["vpn_port"]) == ("tcp", 1194)
    assert {"key": "a", "value": "b=c"} in shown["tags"]
    client = Client(culvert.text("profile", "export", "directory"), login=("ana", "correct horse"))
    try:
        assert client.connected().fetches(IN_A) == "hello from behind"
        culvert("rule", "revoke", *rule)
        assert culvert("rule", "list", "directory") == {"authorization_rules": []}
        hers = ("connection", "list", "directory", "--filter", "status=active", "--filter", "username=ana")
        eventually("ana is connected", lambda: culvert(*hers)["connections"])
        said = culvert.text("connection", "terminate", "directory", "--username", "ana", "--wait")
        assert re.fullmatch(r"(cvpn-connection-[0-9a-f]{17} is terminated\n)+", said)
    finally:
        client.stop()
    assert culvert.text("network", "disassociate", "directory", SUBNET_A).endswith(" is disassociating\n")


def test_a_refused_quickstart_leaves_nothing(culvert, tmp_path):
    authority = Authority(tmp_path / "ca", "Refused CA")
    server = authority.issue("refused.test", "server")
    certificates = culvert("certificate", "list")
    complaint = culvert.refusal(
        1, "endpoint", "quickstart", "--server-certificate", server.path, "--server-key",
        server.path.with_suffix(".key"), "--client-ca", authority.directory / "ca.crt", "--client-cidr",
        "10.8.0.0/30", "--subnet", SUBNET_A,
    )  # fmt: skip
    assert re.match(r"culvert: Invalid\w+: .*10\.8\.0\.0/30", complaint), complaint
    assert culvert("certificate", "list") == certificates
    assert culvert("endpoint", "list") == {"client_vpn_endpoints": []}


def test_refusals_say_what_to_do(culvert, create, tmp_path):
    unknown = culvert.refusal(4, "endpoint", "show", "nowhere")
    assert unknown == "culvert: there is no endpoint \"nowhere\"; `culvert endpoint list` shows those there are"
    missing = "cvpn-endpoint-00000000000000000"
    complaint = culvert.refusal(4, "network", "associate", missing, SUBNET_A)
    assert complaint.startswith("culvert: InvalidClientVpnEndpointId.NotFound: ") and missing in complaint
    assert json.loads(culvert.refusal(4, "endpoint", "show", "nowhere", "--output", "json"))["error"] in unknown
    ids = [create(Description="twin", ClientCidrBlock=f"10.{port % 10}.0.0/22", VpnPort=port) for port in (443, 1194)]
    complaint = culvert.refusal(1, "endpoint", "delete", "twin")
    assert "stands for several" in complaint and all(id in complaint for id in ids)
    complaint = culvert.refusal(1, "security-group", "apply", ids[0], "web-only")
    assert "associate a network first" in complaint
    complaint = culvert.refusal(3, "endpoint", "list", "--api-socket", tmp_path / "api.sock")
    assert str(tmp_path / "api.sock") in complaint and "systemctl start culvert" in complaint
    (tmp_path / "bare.toml").write_text("")
    complaint = culvert.refusal(1, "endpoint", "list", CULVERT_CONFIG=str(tmp_path / "bare.toml"))
    assert "has no [api]" in complaint
    culvert.refusal(2, "rule", "authorize", ids[0], "10.20.1.0/24")
    culvert.refusal(2, "rule", "authorize", ids[0], "10.20.1.0/24", "--all", "--group", "engineering")


def test_only_root_may_manage(culvert):
    # Nobody may not even look where the program is: what is run is the open file.
    with open(BIN / "culvert", "rb") as program:
        done = subprocess.run(
            ["culvert", "endpoint", "list", "--api-socket", WORK / "run" / "api.sock"],
            executable=f"/proc/self/fd/{program.fileno()}", pass_fds=[program.fileno()],
            user=65534, group=65534, extra_groups=[], capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 3 and "run this command with sudo" in done.stderr, done.stderr


def test_rules_are_limited_and_made_additive(culvert, associated):
    endpoint = associated(rules=())
    rule = ("rule", "authorize", endpoint, "10.20.1.0/24")
    culvert(*rule, "--all", "--service", "443/tcp", "--service", "8000-8999/tcp", "--service", "icmp", "--wait")
    culvert(*rule, "--group", "engineering", "--wait")
    found = culvert("rule", "list", endpoint)["authorization_rules"]
    assert [one["services"] for one in found] == [["443/tcp", "8000-8999/tcp", "icmp"], []]
    lines = culvert.text("rule", "list", endpoint).splitlines()
    assert "443/tcp, 8000-8999/tcp, icmp" in lines[1] and "SERVICES" in lines[0]
    assert "https" in culvert.refusal(1, *rule[:3], "10.20.2.0/24", "--all", "--service", "https")
    assert culvert("endpoint", "modify", endpoint, "--rule-evaluation", "additive") == {"return": True}
    tag = {"key": "culvert:rule-evaluation", "value": "additive"}
    assert culvert("endpoint", "show", endpoint)["tags"] == [tag]
    culvert("endpoint", "modify", endpoint, "--rule-evaluation", "longest-prefix")
    assert culvert("endpoint", "show", endpoint)["tags"] == [{**tag, "value": "longest-prefix"}]
    culvert.refusal(2, "endpoint", "modify", endpoint, "--rule-evaluation", "both")


def test_long_lists_are_followed_to_their_end(culvert, associated):
    endpoint = associated(rules=())
    networks = [f"10.20.{number // 64}.{number % 64 * 4}/30" for number in range(40)]
    for network in networks:
        culvert("rule", "authorize", endpoint, network, "--group", "engineering")
    found = culvert("rule", "list", endpoint, "--filter", "group-id=engineering")["authorization_rules"]
    assert [rule["destination_cidr"] for rule in found] == networks


def test_families_are_chosen_and_shown(culvert, server_arn, client_arn):
    families = ["--endpoint-ip-address-type", "dual-stack", "--traffic-ip-address-type", "ipv6"]
    certificates = ["--server-certificate", server_arn, "--client-root", client_arn]
    culvert("endpoint", "create", *families, *certificates, "--name", "six")
    shown = culvert("endpoint", "show", "six")
    assert (shown["endpoint_ip_address_type"], shown["traffic_ip_address_type"]) == ("dual-stack", "ipv6")
    assert shown["client_cidr_block"] is None
    assert "address types inside           ipv6\n" in culvert.text("endpoint", "show", "six")
