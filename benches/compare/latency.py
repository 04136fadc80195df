"""Round trips through a tunnel, with nothing else in the server and beside a download."""

from __future__ import annotations

from .clients import connect_stock
from .loads import iperf_command, iperf_server, ping
from .process import Process
from .row import Bench, Figures, Measure


def latency(loaded: bool) -> Measure:
    """Round trips of one stock client, alone or while another one downloads as fast as it can."""

    def measure(bench: Bench) -> Figures:
        connect_stock(bench.lab, 0, "udp", bench.openvpn)
        bulk = start_bulk(bench) if loaded else None
        trips = ping(bench.lab, 0, bench.seconds)
        if bulk:
            # The load must have lasted for the whole measurement, or idle time was measured with it.
            bulk.check_alive()
        return {
            "p50": trips.percentile(0.50),
            "p99": trips.percentile(0.99),
            "lost_percent": 100 * trips.lost / trips.asked,
        }

    return measure


def start_bulk(bench: Bench) -> Process:
    """Lets client 1 download through the tunnel for longer than the measurement takes."""
    connect_stock(bench.lab, 1, "udp", bench.openvpn)
    server = iperf_server(bench.lab)
    command = iperf_command("down", bench.seconds + 60)
    bulk = bench.lab.start("bulk iperf3", bench.lab.client(1), command)
    server.wait_for("Accepted connection", 10)
    # One interval report says that data flows.
    server.wait_for("bits/sec", 10)
    return bulk
