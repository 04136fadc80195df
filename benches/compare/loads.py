"""What is done through a tunnel: iperf3 and ping, and what they say about it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass

from .errors import BenchError
from .lab import HOST_ADDRESS, Lab
from .process import Process

# Beyond the time asked for: connecting, and waiting for the last packets.
GRACE_SECONDS = 20.0
PING_INTERVAL = 0.01


@dataclass(frozen=True)
class Transfer:
    """A TCP flow through the tunnel: payload that arrived, and the CPU seconds of iperf3's two ends."""

    payload_bytes: int
    sender_cpu: float
    receiver_cpu: float


def iperf_server(lab: Lab) -> Process:
    """Starts iperf3's server on the host behind the VPN server."""
    server = lab.start("iperf3 server", lab.host, ["iperf3", "--server", "--forceflush"])
    server.wait_for("Server listening", 10)
    return server


def iperf_command(direction: str, seconds: float) -> list[str]:
    """The iperf3 command of a client: `up` sends to the host, `down` receives from it."""
    command = ["iperf3", "--client", HOST_ADDRESS, "--time", f"{seconds:.0f}", "--json", "--connect-timeout", "5000"]
    return command + ["--reverse"] if direction == "down" else command


def iperf(lab: Lab, index: int, direction: str, seconds: float) -> Transfer:
    """Moves one TCP flow between client `index` and the host."""
    output = lab.run("iperf3", lab.client(index), iperf_command(direction, seconds), seconds + GRACE_SECONDS)
    return parse_iperf(output)


def parse_iperf(output: str) -> Transfer:
    """Reads iperf3's JSON."""
    try:
        end = json.loads(output)["end"]
        received = end["sum_received"]
        percent = end["cpu_utilization_percent"]
        # "host" is the client, which wrote this; "sender" says whether it sent.
        sent, arrived = ("host", "remote") if received["sender"] else ("remote", "host")
        payload = int(received["bytes"])
        seconds = float(received["seconds"])
        sender, receiver = (percent[f"{place}_total"] / 100 * seconds for place in (sent, arrived))
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"iperf3 wrote something unexpected ({error!r}): {output[:400]}") from error
    if payload == 0:
        raise BenchError("iperf3 connected, but no payload arrived")
    return Transfer(payload, sender, receiver)


@dataclass(frozen=True)
class Latency:
    """Round trips through the tunnel, in milliseconds, and how many were asked for."""

    asked: int
    times: list[float]

    def percentile(self, share: float) -> float:
        """The time that `share` of the answers stayed within (nearest rank)."""
        return sorted(self.times)[math.ceil(share * len(self.times)) - 1]

    @property
    def lost(self) -> int:
        """How many got no answer."""
        return self.asked - len(self.times)


def ping(lab: Lab, index: int, seconds: float) -> Latency:
    """Pings the host from client `index`, a hundred times a second."""
    count = max(1, round(seconds / PING_INTERVAL))
    command = ["ping", "-n", "-i", str(PING_INTERVAL), "-c", str(count), "-w", f"{seconds + 5:.0f}", HOST_ADDRESS]
    return parse_ping(lab.run("ping", lab.client(index), command, seconds + GRACE_SECONDS))


def parse_ping(output: str) -> Latency:
    """Reads the round trips and the count of packets from ping's output."""
    times = [float(found) for found in re.findall(r" time=([0-9.]+) ms", output)]
    asked = re.search(r"(\d+) packets transmitted", output)
    if not times or not asked:
        raise BenchError(f"ping got no answer through the tunnel:\n{output[-400:]}")
    return Latency(int(asked[1]), times)
