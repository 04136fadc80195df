"""The unmodified stock client, which is the same whichever server is measured."""

from __future__ import annotations

from .errors import BenchError
from .lab import Lab
from .process import Process

CONNECT_SECONDS = 20.0

CONFIG = """\
client
dev tun
nobind
proto {proto}
remote {address} 443
ca pki/ca.crt
cert pki/client.crt
key pki/client.key
verb 3
"""

# What both sides must have agreed on, or the comparison is of unlike things.
AGREED = ("Control Channel: TLSv1.3", "Data Channel: cipher 'AES-256-GCM'")


def connect_stock(lab: Lab, index: int, transport: str, program: str) -> Process:
    """Starts the stock client `index`, waits until its tunnel is up and checks what it negotiated."""
    proto = "udp" if transport == "udp" else "tcp-client"
    config = f"client{index}.conf"
    (lab.folder / config).write_text(CONFIG.format(proto=proto, address=lab.server_address(index)))
    client = lab.start(f"stock client {index}", lab.client(index), [program, "--config", config])
    client.wait_for("Initialization Sequence Completed", CONNECT_SECONDS)
    said = client.log_text()
    for agreement in AGREED:
        if agreement not in said:
            raise BenchError(f"{client.title} connected, but not with what is compared here: no {agreement!r} in its log")
    return client
