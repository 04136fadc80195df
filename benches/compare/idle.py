"""Clients that are connected and do nothing: the memory each takes, and what they cost a client that does something."""

from __future__ import annotations

import time

from .cpu import resident_kib
from .generator import check_kept, connect_idle, connect_tunnel, start_pump
from .row import Bench, Figures, Measure
from .transfers import flow

# What a server may need to let go of what it held for the handshakes.
SETTLE_SECONDS = 5.0


def beside_idle(clients: int) -> Measure:
    """A client that downloads, alone and with many idle ones beside it."""

    def measure(bench: Bench) -> Figures:
        pump = start_pump(bench)
        active = connect_tunnel(bench, 0, "udp")
        alone = flow(bench, active, pump, "down")
        before = resident_kib(bench.server)
        idle = connect_idle(bench, 1, clients)
        time.sleep(SETTLE_SECONDS)
        memory = resident_kib(bench.server) - before
        beside = flow(bench, active, pump, "down")
        check_kept(idle, clients)
        return {
            **beside,
            "server_cpu_alone": alone["server_cpu"],
            "relative": beside["server_cpu"] / alone["server_cpu"],
            "memory": memory / clients,
        }

    return measure
