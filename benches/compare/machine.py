"""What the comparison ran on: a figure without its machine says nothing."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from .process import output_of


def describe(openvpn: str | None, culvertd: str | None) -> dict[str, str]:
    """The machine and the versions, by title. A program that is None takes no part."""
    about = {
        "CPU": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{_memory_gib():.1f} GiB",
        "kernel": platform.release(),
        "congestion control of TCP": Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        "load average before": f"{os.getloadavg()[0]:.2f}",
        "iperf3": _first_line(output_of("iperf3", ["iperf3", "--version"], 10)),
    }
    if openvpn:
        # It answers --version with exit status 1.
        about["OpenVPN"] = _first_line(output_of("openvpn", ["sh", "-c", '"$0" --version || true', openvpn], 10))
    if culvertd:
        about["Culvert"] = _first_line(output_of("culvertd", [culvertd, "--version"], 10))
    about["kernel data channel (ovpn-dco)"] = "present" if _has_dco() else "absent"
    return about


def _first_line(text: str) -> str:
    return text.splitlines()[0].strip() if text.strip() else "unknown"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _has_dco() -> bool:
    return any(Path("/sys/module", name).exists() for name in ("ovpn_dco_v2", "ovpn_dco", "ovpn"))
