"""What many rules cost: a TCP flow through an endpoint with one authorization rule, then with many of them and a full set of
security groups, on the same server.

Security groups belong to managed endpoints, so Culvert serves one here, made over its API. Stock OpenVPN has no rules: its
operator filters with nftables, which is what it gets instead.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from .errors import BenchError
from .generator import connect_tunnel, start_pump
from .lab import HOST_NETWORK, Lab
from .process import Process
from .row import Bench, Figures, Measure
from .servers import START_SECONDS
from .transfers import flow

RULES = 50
GROUPS = 5
ENTRIES = 40
REGION = "us-east-1"
VPC = "vpc-0123456789abcdef0"
SUBNET = "subnet-0123456789abcdef0"
FILTERED = [f"sg-0123456789abcde{number:02x}" for number in range(GROUPS)]
API_SECONDS = 30.0

CONFIG = f"""\
state_dir = "state"
run_dir = "run"

[api]
access_keys = "access-keys.toml"

[[vpc]]
id = "{VPC}"
cidr_blocks = ["10.77.0.0/16"]

[[subnet]]
id = "{SUBNET}"
vpc_id = "{VPC}"
cidr_block = "{HOST_NETWORK}"
interface = "lan"
"""


def with_rules(direction: str) -> Measure:
    """The same flow with one rule and with many."""

    def measure(bench: Bench) -> Figures:
        if bench.server.title == "culvert server":
            program = Path(f"/proc/{bench.server.pid}/exe").readlink()
            bench.server.stop()
            managed = Managed(bench.lab, program)
            bench = replace(bench, server=managed.server)
            add_rules = managed.add_rules
        else:
            lab = bench.lab

            def add_rules() -> None:
                filter_stock(lab)

        pump = start_pump(bench)
        tunnel = connect_tunnel(bench, 0, "udp")
        one = flow(bench, tunnel, pump, direction)
        add_rules()
        many = flow(bench, tunnel, pump, direction)
        return {
            **many,
            "server_cpu_alone": one["server_cpu"],
            "relative": many["server_cpu"] / one["server_cpu"],
        }

    return measure


def networks(count: int, second: int) -> list[str]:
    """Networks that nothing is sent to."""
    return [f"10.{second}.{number}.0/24" for number in range(count)]


class Managed:
    """Culvert with a managed endpoint that has one rule and the default security group, which allows everything."""

    def __init__(self, lab: Lab, program: Path) -> None:
        self._lab = lab
        self._key = "AKIA" + base64.b32encode(secrets.token_bytes(10)).decode(), secrets.token_hex(20)
        keys = lab.folder / "access-keys.toml"
        keys.touch(mode=0o600)
        keys.write_text(
            f'[[access_key]]\nid = "{self._key[0]}"\nsecret = "{self._key[1]}"\ncreated = 2026-01-01T00:00:00Z\n'
        )
        (lab.folder / "managed.toml").write_text(CONFIG + "".join(map(_group, range(GROUPS))))
        command = [str(program), "--config", "managed.toml"]
        self.server: Process = lab.start("culvert server", lab.server, command)
        self.server.wait_for("culvertd is ready", START_SECONDS)
        self._endpoint = self._create()
        self._authorize(HOST_NETWORK)
        self._ec2("AssociateClientVpnTargetNetwork", ClientVpnEndpointId=self._endpoint, SubnetId=SUBNET)
        self._settle()

    def add_rules(self) -> None:
        """Adds rules up to `RULES`, and puts all security groups in force."""
        for network in networks(RULES - 1, 78):
            self._authorize(network)
        groups = {f"SecurityGroupId.{number}": group for number, group in enumerate(FILTERED, 1)}
        self._ec2(
            "ApplySecurityGroupsToClientVpnTargetNetwork",
            ClientVpnEndpointId=self._endpoint,
            VpcId=VPC,
            **groups,
        )
        self._settle()
        wait_for_entries(self._lab, GROUPS * ENTRIES)

    def _create(self) -> str:
        server, client = self._import("server"), self._import("client")
        answer = self._ec2(
            "CreateClientVpnEndpoint",
            **{
                "ClientCidrBlock": "10.66.0.0/16",
                "ServerCertificateArn": server,
                "Authentication.1.Type": "certificate-authentication",
                "Authentication.1.MutualAuthentication.ClientRootCertificateChainArn": client,
                "ConnectionLogOptions.Enabled": "false",
                "SplitTunnel": "true",
            },
        )
        endpoint = answer.findtext("{*}clientVpnEndpointId")
        if not endpoint:
            raise BenchError("culvertd made an endpoint without an id")
        return endpoint

    def _authorize(self, network: str) -> None:
        self._ec2(
            "AuthorizeClientVpnIngress",
            ClientVpnEndpointId=self._endpoint,
            TargetNetworkCidr=network,
            AuthorizeAllGroups="true",
        )

    def _import(self, name: str) -> str:
        """Imports a certificate and returns its ARN."""
        folder = self._lab.folder / "pki"

        def pem(file: str) -> str:
            return base64.b64encode((folder / file).read_bytes()).decode()

        body = {"Certificate": pem(f"{name}.crt"), "PrivateKey": pem(f"{name}.key"), "CertificateChain": pem("ca.crt")}
        request = self._lab.folder / f"import-{name}.json"
        request.touch(mode=0o600)
        request.write_text(json.dumps(body))
        words = ["-H", "Content-Type: application/x-amz-json-1.1", "-H", "X-Amz-Target: CertificateManager.ImportCertificate"]
        arn = json.loads(self._ask("acm", [*words, "--data", f"@{request.name}"])).get("CertificateArn")
        if not isinstance(arn, str):
            raise BenchError(f"culvertd imported the {name} certificate, but told no ARN")
        return arn

    def _settle(self) -> None:
        """Waits until the endpoint serves clients as its rules and groups say."""
        deadline = time.monotonic() + API_SECONDS
        this = {"ClientVpnEndpointId": self._endpoint}
        while True:
            said = [self._ec2(f"DescribeClientVpn{what}", **this) for what in ("AuthorizationRules", "TargetNetworks")]
            codes = {code.text for answer in said for code in answer.findall(".//{*}status/{*}code")}
            if codes == {"active", "associated"}:
                return
            if time.monotonic() > deadline:
                raise BenchError(f"the managed endpoint is not in force: {sorted(map(str, codes))}")
            time.sleep(0.1)

    def _ec2(self, action: str, **parameters: str) -> ElementTree.Element:
        form = {"Action": action, "Version": "2016-11-15", **parameters}
        words = [word for name, value in form.items() for word in ("--data-urlencode", f"{name}={value}")]
        return ElementTree.fromstring(self._ask("ec2", words))

    def _ask(self, service: str, words: list[str]) -> str:
        command = ["curl", "-sS", "--fail-with-body", "--aws-sigv4", f"aws:amz:{REGION}:{service}"]
        command += ["--user", ":".join(self._key), *words, "http://127.0.0.1:8443/"]
        return self._lab.run(f"curl for {service}", self._lab.server, command, API_SECONDS)


def _group(number: int) -> str:
    """A security group of `ENTRIES` entries; the last entry of the last one is what the flow needs."""
    allowed = networks(ENTRIES, 80 + number)
    if number == GROUPS - 1:
        allowed[-1] = HOST_NETWORK
    entries = ", ".join(
        f'{{ protocol = "tcp", from_port = 1024, to_port = 65535, cidr = "{network}" }}' for network in allowed
    )
    return (
        f'\n[[security_group]]\nid = "{FILTERED[number]}"\nvpc_id = "{VPC}"\nname = "filtered-{number}"\n'
        f"egress = [{entries}]\n"
    )


def filter_stock(lab: Lab) -> None:
    """The same for stock OpenVPN, as an operator would write it: answers pass, then sets decide."""
    elements = ", ".join([*networks(RULES - 1, 78), *(network for n in range(GROUPS) for network in networks(ENTRIES, 80 + n))])
    (lab.folder / "rules.nft").write_text(
        f"""table inet bench {{
    set allowed {{ type ipv4_addr; flags interval; elements = {{ {elements}, {HOST_NETWORK} }} }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname "tun0" ct state established,related accept
        iifname "tun0" ip daddr @allowed accept
        iifname "tun0" counter drop
    }}
}}
"""
    )
    lab.run("nft", lab.server, ["nft", "-f", str(lab.folder / "rules.nft")], 10)
    wait_for_entries(lab, GROUPS * ENTRIES)


def wait_for_entries(lab: Lab, count: int) -> None:
    """Waits until the server's firewall names so many networks."""
    deadline = time.monotonic() + API_SECONDS
    while (found := lab.run("nft", lab.server, ["nft", "list", "ruleset"], 10).count("/24")) < count:
        if time.monotonic() > deadline:
            raise BenchError(f"the server's firewall names {found} networks instead of {count}")
        time.sleep(0.1)
