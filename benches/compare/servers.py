"""The two servers under comparison, configured for the same work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .lab import HOST_NETWORK, Lab
from .process import Process

START_SECONDS = 15.0

STOCK = """\
dev tun
port 443
proto {proto}
topology subnet
server 10.67.0.0 255.255.0.0
push "route 10.77.0.0 255.255.255.0"
keepalive 10 60
duplicate-cn
max-clients 60000
connect-freq-initial 1000000 1
hash-size 16384 16384
ca pki/ca.crt
cert pki/server.crt
key pki/server.key
dh none
verb 3
"""

CULVERT = f"""\
state_dir = "state"
run_dir = "run"

[[endpoint]]
name = "bench"
client_cidr_block = "10.66.0.0/16"
server_certificate = "pki/server.crt"
server_private_key = "pki/server.key"
transport_protocol = ["{{transport}}"]
vpn_port = 443
split_tunnel = true
duplicate_cn = true

[endpoint.authentication]
client_ca = "pki/ca.crt"

[[endpoint.target_networks]]
cidr = "{HOST_NETWORK}"
nat = false

[[endpoint.authorization_rules]]
destination_cidr = "{HOST_NETWORK}"
access_all = true
"""


@dataclass(frozen=True)
class Side:
    """One of the two servers: how it is called in the results, and how it is started."""

    name: str
    start: Callable[[Lab, str], Process]


def stock(program: str) -> Side:
    """Stock OpenVPN: package defaults, apart from topology subnet, keepalive, duplicate-cn, and no limits in its way."""

    def start(lab: Lab, transport: str) -> Process:
        proto = "udp" if transport == "udp" else "tcp-server"
        (lab.folder / "stock.conf").write_text(STOCK.format(proto=proto))
        server = lab.start("stock server", lab.server, [program, "--config", "stock.conf"])
        server.wait_for("Initialization Sequence Completed", START_SECONDS)
        return server

    return Side("stock", start)


def culvert(program: str) -> Side:
    """Culvert, with authorization rules; its check of the clients' source addresses is always on."""

    def start(lab: Lab, transport: str) -> Process:
        (lab.folder / "culvert.toml").write_text(CULVERT.format(transport=transport))
        server = lab.start("culvert server", lab.server, [program, "--config", "culvert.toml"])
        server.wait_for("culvertd is ready", START_SECONDS)
        return server

    return Side("culvert", start)
