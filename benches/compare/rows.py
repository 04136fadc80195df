"""The rows of the comparison. A row is its setup (clients), a load, and the figures read off it.

To add a row driven by another load generator, write a `measure` function that starts it in a client's namespace
(`Bench.lab.start` or `.run`), opens a `Window` over the server around the work, and returns the row's figures by key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .clients import connect_stock
from .cpu import Spent, Window
from .errors import BenchError
from .generator import connect_tunnel
from .lab import Lab
from .loads import Transfer, iperf, iperf_command, iperf_server, ping
from .process import Process

GIB = 2**30

Figures = dict[str, float]


@dataclass(frozen=True)
class Figure:
    """Something a row compares, less being better.

    `target` says how many times as much stock must need; where it is 1, stock must need more; None sets no target.
    """

    key: str
    title: str
    unit: str
    target: int | None

    @property
    def target_text(self) -> str:
        """The ratio wanted, as the table shows it."""
        if self.target is None:
            return "-"
        return f">= {self.target}" if self.target > 1 else "> 1"

    def met(self, ratio: float) -> bool | None:
        """Whether stock's figure divided by Culvert's reaches the target, if there is one."""
        if self.target is None:
            return None
        return ratio >= self.target if self.target > 1 else ratio > 1


@dataclass(frozen=True)
class Bench:
    """One server that runs, in its lab, and how to load it."""

    lab: Lab
    server: Process
    openvpn: str
    generator: str | None
    seconds: float


@dataclass(frozen=True)
class Row:
    """One line of work that both servers do."""

    name: str
    summary: str
    transport: str
    clients: int
    figures: tuple[Figure, ...]
    measure: Callable[[Bench], Figures]
    needs_generator: bool = False


Connect = Callable[[Bench, str], Process]


def stock_client(bench: Bench, transport: str) -> Process:
    """Connects the stock client."""
    return connect_stock(bench.lab, 0, transport, bench.openvpn)


def batching_client(bench: Bench, transport: str) -> Process:
    """Connects the load generator."""
    if not bench.generator:
        raise BenchError("this row needs culvert-bench: run scripts/bench, which builds it, or use --culvert-bench")
    return connect_tunnel(bench.lab, 0, transport, bench.generator)


def transfer(connect: Connect, transport: str, direction: str) -> Callable[[Bench], Figures]:
    """One TCP flow of one client; what it costs the server per GiB that arrived."""

    def measure(bench: Bench) -> Figures:
        client = connect(bench, transport)
        iperf_server(bench.lab)
        window = Window([bench.server, client])
        moved = iperf(bench.lab, 0, direction, bench.seconds)
        spent = window.close()
        load = {
            "load_client": spent.processes[client.title],
            "load_sender": moved.sender_cpu,
            "load_receiver": moved.receiver_cpu,
        }
        return transfer_figures(spent, bench.server.title, moved, load)

    return measure


def transfer_figures(spent: Spent, server: str, moved: Transfer, load: Figures) -> Figures:
    """Brings what a transfer cost to seconds per GiB of payload; `busiest_load` is a share of one core."""
    gib = moved.payload_bytes / GIB
    machine = spent.machine
    busy = machine.user + machine.system + machine.irq
    return {
        "server_cpu": spent.processes[server] / gib,
        "server_core": spent.processes[server] / spent.seconds,
        "gbit_per_second": moved.payload_bytes * 8 / 1e9 / spent.seconds,
        "machine_user": machine.user / gib,
        "machine_system": machine.system / gib,
        "machine_irq": machine.irq / gib,
        "machine_idle": machine.idle / gib,
        "machine_steal": machine.steal / gib,
        **{name: seconds / gib for name, seconds in load.items()},
        "machine_rest": (busy - spent.processes[server] - sum(load.values())) / gib,
        "busiest_load": max(load.values()) / spent.seconds,
    }


def latency(loaded: bool) -> Callable[[Bench], Figures]:
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


def _server_cpu(times: int | None) -> tuple[Figure, ...]:
    return (Figure("server_cpu", "server CPU", "s/GiB", times),)


_ROUND_TRIPS = (
    Figure("p50", "round trip p50", "ms", 1),
    Figure("p99", "round trip p99", "ms", 1),
)


def _transfers(name: str, transport: str, client: str, connect: Connect, up: int | None, down: int | None) -> list[Row]:
    """The two directions of a transfer, with their targets."""
    return [
        Row(
            f"{name}-{direction}",
            f"{transport.upper()}, {client}, one TCP flow {way} the host",
            transport,
            1,
            _server_cpu(target),
            transfer(connect, transport, direction),
            needs_generator=connect is batching_client,
        )
        for direction, way, target in (("up", "to", up), ("down", "from", down))
    ]


ROWS = (
    *_transfers("udp-stock", "udp", "stock client", stock_client, 5, 8),
    *_transfers("tcp-stock", "tcp", "stock client", stock_client, 10, 10),
    *_transfers("udp-gso", "udp", "batching client", batching_client, 14, 12),
    *_transfers("tcp", "tcp", "batching client", batching_client, None, None),
    Row("latency-idle", "UDP, stock client, pings and nothing else", "udp", 1, _ROUND_TRIPS, latency(False)),
    Row("latency-loaded", "UDP, stock client, pings while another downloads", "udp", 2, _ROUND_TRIPS, latency(True)),
)
