"""`culvert-bench tunnel` as the client: it batches as Culvert does, so that the server is measured and not the client."""

from __future__ import annotations

from .lab import HOST_NETWORK, Lab
from .process import Process

CONNECT_SECONDS = 20.0


def connect_tunnel(lab: Lab, index: int, transport: str, program: str) -> Process:
    """Starts the generator as client `index` and waits until its tunnel is up.

    It speaks TLS 1.3 and AES-256-GCM only, so there is nothing to check about what was negotiated.
    """
    command = [
        program, "tunnel", "--server", f"{lab.server_address(index)}:443", "--proto", transport,
        "--ca", "pki/ca.crt", "--cert", "pki/client.crt", "--key", "pki/client.key", "--route", HOST_NETWORK,
    ]  # fmt: skip
    client = lab.start(f"culvert-bench {index}", lab.client(index), command)
    client.wait_for('"event":"ready"', CONNECT_SECONDS)
    return client
