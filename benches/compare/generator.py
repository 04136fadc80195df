"""`culvert-bench` as the load: many clients in one process, which batches as Culvert does, so that the server is measured
and not its clients.

It speaks TLS 1.3 and AES-256-GCM only, so there is nothing to check about what was negotiated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from .errors import BenchError
from .lab import HOST_ADDRESS, HOST_NETWORK, Lab
from .process import Process
from .row import Bench

# What connecting may take: at all, and for each client.
CONNECT_SECONDS = 20.0
CLIENT_SECONDS = 0.05
# Beyond the time asked for: connecting, and waiting for the last packets. A TCP flow that lost much in an overloaded server
# pauses for long before it tries again.
GRACE_SECONDS = 120.0
# Addresses that many clients connect from: Culvert takes some 64 new ones a second from each.
SOURCES = 100
PUMP_PORT = 5202
SINK_PORT = 5203

READY = '"event":"ready"'
RESULT = '"event":"result"'
LISTENING = '"event":"listening"'

Report = dict[str, object]


@dataclass(frozen=True)
class Tunnel:
    """`culvert-bench tunnel`: connected clients on one TUN device, and their addresses inside."""

    process: Process
    addresses: list[str]


@dataclass(frozen=True)
class Moved:
    """What `flows` moved, and the CPU seconds of its own process."""

    payload_bytes: int
    cpu_seconds: float


@dataclass(frozen=True)
class Handshakes:
    """What `handshakes` achieved, and its CPU seconds."""

    connects: int
    failed: int
    cpu_seconds: float


def connect_tunnel(bench: Bench, index: int, transport: str, clients: int = 1) -> Tunnel:
    """Starts clients in namespace `index`, joined on a TUN device there, and waits until all are connected."""
    process = _connect(bench, index, "tunnel", transport, clients, ["--route", HOST_NETWORK])
    addresses = parse_report(process.log_text(), "ready").get("addresses")
    if not isinstance(addresses, list) or len(addresses) != clients:
        raise BenchError(f"culvert-bench connected {clients} clients, but named other addresses: {addresses!r}")
    return Tunnel(process, [str(address) for address in addresses])


def connect_idle(bench: Bench, index: int, clients: int) -> Process:
    """Starts clients in namespace `index` that do nothing but stay connected, and waits until all are."""
    return _connect(bench, index, "idle", "udp", clients, _sources(bench, index))


def check_kept(idle: Process, clients: int) -> None:
    """Ends idle clients; raises `BenchError` unless all of them were still connected."""
    idle.check_alive()
    idle.stop()
    report = parse_report(idle.log_text(), "result")
    if report.get("clients") != clients or report.get("lost") != 0:
        raise BenchError(f"idle clients did not stay connected: {report}")


def start_pump(bench: Bench) -> Process:
    """Starts the other end of `flows` on the host behind the server."""
    return _listen(bench.lab, bench.culvert_bench, "pump", PUMP_PORT)


def start_sink(bench: Bench) -> Process:
    """Starts what counts the packets of `blast` on the host behind the server."""
    return _listen(bench.lab, bench.culvert_bench, "sink", SINK_PORT)


def received_by(sink: Process) -> int:
    """Ends a sink and returns how many packets arrived."""
    sink.check_alive()
    sink.stop()
    return _count(parse_report(sink.log_text(), "result"), "received")


def run_flows(bench: Bench, index: int, addresses: list[str], direction: str) -> Moved:
    """Moves one TCP flow for each address between namespace `index` and the pump."""
    command = [
        bench.culvert_bench, "flows", "--to", f"{HOST_ADDRESS}:{PUMP_PORT}", "--from", ",".join(addresses),
        "--direction", direction, "--seconds", str(bench.seconds),
    ]  # fmt: skip
    said = bench.lab.run("culvert-bench flows", bench.lab.client(index), command, bench.seconds + GRACE_SECONDS)
    report = parse_report(said, "result")
    payload = _count(report, "bytes")
    if payload == 0:
        raise BenchError("culvert-bench connected its flows, but no payload arrived")
    return Moved(payload, _seconds(report))


def run_handshakes(bench: Bench, index: int) -> Handshakes:
    """Connects and leaves, over and over."""
    command = _command(bench, index, "handshakes", "udp", None)
    command += ["--seconds", str(bench.seconds), *_sources(bench, index)]
    said = bench.lab.run("culvert-bench handshakes", bench.lab.client(index), command, bench.seconds + GRACE_SECONDS)
    report = parse_report(said, "result")
    return Handshakes(_count(report, "connects"), _count(report, "failed"), _seconds(report))


def start_blast(bench: Bench, index: int, size: int) -> Process:
    """Starts one client that sends packets of `size` bytes as single datagrams, as fast as it can; it has begun on return."""
    extra = ["--size", str(size), "--seconds", str(bench.seconds), "--to", f"{HOST_ADDRESS}:{SINK_PORT}"]
    return _connect(bench, index, "blast", "udp", 1, extra)


def sent_by(blast: Process, seconds: float) -> tuple[int, float]:
    """Waits for the end of a blast that lasts `seconds`; returns the packets sent and its CPU seconds."""
    blast.wait_for(RESULT, seconds + GRACE_SECONDS)
    report = parse_report(blast.log_text(), "result")
    return _count(report, "sent"), _seconds(report)


def parse_report(text: str, event: str) -> Report:
    """Finds the line of an event among what culvert-bench wrote."""
    for line in text.splitlines():
        try:
            report = json.loads(line)
        except ValueError:
            # What it tells people stands between the lines of JSON.
            continue
        if isinstance(report, dict) and report.get("event") == event:
            return report
    raise BenchError(f"culvert-bench wrote no line with the event {event!r}: {text[-400:]}")


def _connect(bench: Bench, index: int, command: str, transport: str, clients: int, extra: list[str]) -> Process:
    title = f"culvert-bench {command} {index} of {clients}"
    line = [*_command(bench, index, command, transport, clients), *extra]
    process = bench.lab.start(title, bench.lab.client(index), line)
    process.wait_for(READY, CONNECT_SECONDS + clients * CLIENT_SECONDS)
    return process


def _command(bench: Bench, index: int, command: str, transport: str, clients: int | None) -> list[str]:
    return [
        bench.culvert_bench, command, "--server", f"{bench.lab.server_address(index)}:443", "--proto", transport,
        "--ca", "pki/ca.crt", "--cert", "pki/client.crt", "--key", "pki/client.key",
        *(["--clients", str(clients)] if clients else []),
    ]  # fmt: skip


def _sources(bench: Bench, index: int) -> list[str]:
    return ["--from", ",".join(bench.lab.add_sources(index, SOURCES))]


def _listen(lab: Lab, program: str, command: str, port: int) -> Process:
    line = [program, command, "--listen", f"{HOST_ADDRESS}:{port}"]
    process = lab.start(f"culvert-bench {command}", lab.host, line)
    process.wait_for(LISTENING, CONNECT_SECONDS)
    return process


def _count(report: Report, key: str) -> int:
    value = report.get(key)
    if not isinstance(value, int):
        raise BenchError(f"culvert-bench reported no {key!r}: {report}")
    return value


def _seconds(report: Report) -> float:
    value = report.get("cpu_seconds")
    if not isinstance(value, (int, float)):
        raise BenchError(f"culvert-bench reported no 'cpu_seconds': {report}")
    return float(value)
