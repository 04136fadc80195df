"""Bytes through a tunnel: what one TCP flow, or one for each of many clients, costs the server per GiB that arrived."""

from __future__ import annotations

from collections.abc import Callable

from .clients import connect_stock
from .cpu import Spent, Window
from .generator import Tunnel, connect_tunnel, run_flows, start_pump
from .loads import iperf, iperf_server
from .process import Process
from .row import GIB, Bench, Figures, Measure

Connect = Callable[[Bench, str], Process]


def stock_client(bench: Bench, transport: str) -> Process:
    """Connects the stock client."""
    return connect_stock(bench.lab, 0, transport, bench.openvpn)


def batching_client(bench: Bench, transport: str) -> Process:
    """Connects the load generator."""
    return connect_tunnel(bench, 0, transport).process


def transfer(connect: Connect, transport: str, direction: str) -> Measure:
    """One TCP flow of iperf3 through one client."""

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
        return transfer_figures(spent, bench.server.title, moved.payload_bytes, load)

    return measure


def crowd(clients: int, direction: str) -> Measure:
    """A TCP flow through each of many clients at once, compared with what one client alone costs the same server."""

    def measure(bench: Bench) -> Figures:
        pump = start_pump(bench)
        one = connect_tunnel(bench, 0, "udp")
        alone = flow(bench, one, pump, direction)
        one.process.stop()
        many = flow(bench, connect_tunnel(bench, 0, "udp", clients), pump, direction)
        return {
            **many,
            "server_cpu_alone": alone["server_cpu"],
            "relative": many["server_cpu"] / alone["server_cpu"],
        }

    return measure


def flow(bench: Bench, tunnel: Tunnel, pump: Process, direction: str) -> Figures:
    """One TCP flow through each client of a tunnel in namespace 0."""
    window = Window([bench.server, tunnel.process, pump])
    moved = run_flows(bench, 0, tunnel.addresses, direction)
    spent = window.close()
    near, far = ("load_sender", "load_receiver") if direction == "up" else ("load_receiver", "load_sender")
    load = {
        "load_client": spent.processes[tunnel.process.title],
        near: moved.cpu_seconds,
        far: spent.processes[pump.title],
    }
    return transfer_figures(spent, bench.server.title, moved.payload_bytes, load)


def transfer_figures(spent: Spent, server: str, payload_bytes: int, load: Figures) -> Figures:
    """Brings what a transfer cost to seconds per GiB of payload."""
    gib = payload_bytes / GIB
    machine = spent.machine
    shared = core_figures(spent, server, list(load.values()))
    gbit_per_second = payload_bytes * 8 / 1e9 / spent.seconds
    return {
        **shared,
        "server_cpu": spent.processes[server] / gib,
        "gbit_per_second": gbit_per_second,
        # What the busiest process of the load would carry if it had a core for itself.
        "load_ceiling": gbit_per_second / shared["busiest_load"] if shared["busiest_load"] else 0.0,
        "machine_user": machine.user / gib,
        "machine_system": machine.system / gib,
        "machine_irq": machine.irq / gib,
        "machine_idle": machine.idle / gib,
        "machine_steal": machine.steal / gib,
        **{name: seconds / gib for name, seconds in load.items()},
        "machine_rest": (machine.busy - spent.processes[server] - sum(load.values())) / gib,
    }


def core_figures(spent: Spent, server: str, load: list[float]) -> Figures:
    """Who was busy: the server and the busiest process of the load in cores, and what the machine had left, in percent."""
    machine = spent.machine
    whole = machine.busy + machine.idle + machine.steal
    return {
        "server_core": spent.processes[server] / spent.seconds,
        "busiest_load": max(load) / spent.seconds,
        "idle_percent": 100 * machine.idle / whole if whole else 0.0,
    }
