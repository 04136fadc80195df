"""Work that is counted in pieces and not in bytes: handshakes, and packets that each come as a datagram of its own."""

from __future__ import annotations

from .cpu import Window
from .errors import BenchError
from .generator import received_by, run_handshakes, sent_by, start_blast, start_sink
from .row import Bench, Figures, Measure
from .transfers import core_figures

# Share of clients that may fail to connect before the count says nothing.
FAILED_SHARE = 0.01


def handshakes(bench: Bench) -> Figures:
    """Clients that connect, get their options and leave: how many for each second of the server's CPU time."""
    window = Window([bench.server])
    done = run_handshakes(bench, 0)
    spent = window.close()
    if done.failed > FAILED_SHARE * done.connects:
        raise BenchError(f"{done.failed} clients did not connect, {done.connects} did: does the server limit them?")
    return {
        **core_figures(spent, bench.server.title, [done.cpu_seconds]),
        "per_cpu_second": done.connects / spent.processes[bench.server.title],
        "per_second": done.connects / spent.seconds,
        "load_per_cpu_second": done.connects / done.cpu_seconds,
    }


def single_datagrams(size: int) -> Measure:
    """Packets of `size` bytes from one client, each sent by itself as a stock client does: how many the server forwards
    for each second of its CPU time.

    They are sent as fast as the load can. What the server or the kernel drops is not counted, though it may have cost
    something.
    """

    def measure(bench: Bench) -> Figures:
        sink = start_sink(bench)
        blast = start_blast(bench, 0, size)
        window = Window([bench.server, sink])
        sent, load_cpu = sent_by(blast, bench.seconds)
        spent = window.close()
        received = received_by(sink)
        if received == 0:
            raise BenchError(f"{sent} packets were sent, and none arrived at the host behind the server")
        return {
            **core_figures(spent, bench.server.title, [load_cpu, spent.processes[sink.title]]),
            "per_cpu_second": received / spent.processes[bench.server.title] / 1000,
            "per_second": received / spent.seconds,
            "load_per_cpu_second": sent / load_cpu,
            "lost_percent": 100 * (1 - received / sent),
        }

    return measure
