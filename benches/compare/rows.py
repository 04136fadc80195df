"""The rows of the comparison.

To add one, write a `measure` function that starts its load in a client's namespace (`Bench.lab.start` or `.run`), opens a
`Window` over the server around the work, and returns the row's figures by key.
"""

from __future__ import annotations

from .idle import beside_idle
from .latency import latency
from .packets import handshakes, single_datagrams
from .row import Figure, Measure, Row
from .rules import with_rules
from .transfers import Connect, batching_client, crowd, stock_client, transfer

_ROUND_TRIPS = (
    Figure("p50", "round trip p50", "ms", 1),
    Figure("p99", "round trip p99", "ms", 1),
)
_THROUGHPUT = Figure("gbit_per_second", "throughput", "Gbit/s", 8, more_is_better=True)
_CROWD = (
    Figure("server_cpu", "server CPU", "s/GiB"),
    Figure("relative", "server CPU per GiB", "times that of 1 client", at_most=1.3),
)
_BESIDE_IDLE = (
    Figure("relative", "server CPU per GiB", "times that without them", at_most=1.15),
    Figure("memory", "memory per idle client", "KiB", at_most=24),
)
_RULES = (
    Figure("server_cpu", "server CPU", "s/GiB"),
    Figure("relative", "server CPU per GiB", "times that with 1 rule", at_most=1.1),
)
_HANDSHAKES = (Figure("per_cpu_second", "per s of server CPU", "handshakes", 3, more_is_better=True),)


def _packets(target: int | None) -> tuple[Figure, ...]:
    return (Figure("per_cpu_second", "per s of server CPU", "1000 packets", target, more_is_better=True),)


def _server_cpu(times: int | None) -> tuple[Figure, ...]:
    return (Figure("server_cpu", "server CPU", "s/GiB", times),)


def _transfers(
    name: str, transport: str, client: str, connect: Connect, up: int | None, down: int | None, *more: Figure
) -> list[Row]:
    """The two directions of a transfer, with their targets of server CPU."""
    return [
        Row(
            f"{name}-{direction}",
            f"{transport.upper()}, {client}, one TCP flow {way} the host",
            transport,
            1,
            (*_server_cpu(target), *more),
            transfer(connect, transport, direction),
            needs_generator=connect is batching_client,
        )
        for direction, way, target in (("up", "to", up), ("down", "from", down))
    ]


def _generated(name: str, summary: str, clients: int, figures: tuple[Figure, ...], measure: Measure) -> Row:
    """A row over UDP whose clients are the load generator."""
    return Row(name, f"UDP, {summary}", "udp", clients, figures, measure, needs_generator=True)


ROWS = (
    *_transfers("udp-stock", "udp", "stock client", stock_client, 5, 8),
    *_transfers("tcp-stock", "tcp", "stock client", stock_client, 10, 10),
    *_transfers("udp-gso", "udp", "batching client", batching_client, 14, 12, _THROUGHPUT),
    *_transfers("tcp", "tcp", "batching client", batching_client, 10, 10),
    Row("latency-idle", "UDP, stock client, pings and nothing else", "udp", 1, _ROUND_TRIPS, latency(False)),
    Row("latency-loaded", "UDP, stock client, pings while another downloads", "udp", 2, _ROUND_TRIPS, latency(True)),
    _generated("clients-100-up", "100 batching clients, a TCP flow of each to the host", 1, _CROWD, crowd(100, "up")),
    _generated("clients-100-down", "100 batching clients, a TCP flow of each from it", 1, _CROWD, crowd(100, "down")),
    _generated("handshakes", "clients that connect and leave", 1, _HANDSHAKES, handshakes),
    _generated("small-64", "packets of 64 bytes, one a datagram", 1, _packets(3), single_datagrams(64)),
    _generated("full-1400", "packets of 1400 bytes, one a datagram", 1, _packets(None), single_datagrams(1400)),
    _generated("idle-10000", "a download beside 10,000 idle clients", 2, _BESIDE_IDLE, beside_idle(10_000)),
    _generated("rules-up", "an upload under 50 rules and 200 entries of security groups", 1, _RULES, with_rules("up")),
    _generated("rules-down", "a download under them", 1, _RULES, with_rules("down")),
)
