"""CPU time of processes and of the whole machine over a measured window, and memory of processes, from /proc."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from .errors import BenchError
from .process import Process

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Machine:
    """Seconds the machine's cores spent, all cores added up."""

    user: float
    system: float
    irq: float
    idle: float
    steal: float

    @property
    def busy(self) -> float:
        """Seconds of work, whoever it was done for."""
        return self.user + self.system + self.irq

    def since(self, before: Machine) -> Machine:
        """What was spent from `before` to this."""
        return Machine(
            self.user - before.user,
            self.system - before.system,
            self.irq - before.irq,
            self.idle - before.idle,
            self.steal - before.steal,
        )


@dataclass(frozen=True)
class Spent:
    """What a window cost: wall-clock seconds, CPU seconds by process title, and the machine's."""

    seconds: float
    processes: dict[str, float]
    machine: Machine


class Window:
    """Starts when made, ends with `close`."""

    def __init__(self, processes: list[Process]) -> None:
        self._processes = processes
        self._before = {process.title: process_seconds(process) for process in processes}
        self._machine = machine_seconds()
        self._start = time.monotonic()

    def close(self) -> Spent:
        """What was spent since the window was opened."""
        seconds = time.monotonic() - self._start
        machine = machine_seconds().since(self._machine)
        spent = {process.title: process_seconds(process) - self._before[process.title] for process in self._processes}
        return Spent(seconds, spent, machine)


def process_seconds(process: Process) -> float:
    """User and system time of all threads of a process, those that have ended included."""
    process.check_alive()
    try:
        return parse_process(Path("/proc", str(process.pid), "stat").read_text())
    except OSError as error:
        raise BenchError(f"the CPU time of {process.title} cannot be read: {error}") from error


def resident_kib(process: Process) -> int:
    """The memory a process holds, in KiB."""
    process.check_alive()
    try:
        return parse_resident(Path("/proc", str(process.pid), "status").read_text())
    except OSError as error:
        raise BenchError(f"the memory of {process.title} cannot be read: {error}") from error


def machine_seconds() -> Machine:
    """What the machine's cores spent since it was started."""
    return parse_machine(Path("/proc/stat").read_text())


def parse_process(stat: str) -> float:
    """Reads utime and stime, fields 14 and 15 of /proc/PID/stat; the name before them may hold spaces and brackets."""
    fields = stat.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def parse_resident(status: str) -> int:
    """Reads VmRSS of /proc/PID/status, which is in KiB."""
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise BenchError("/proc/PID/status has no line VmRSS: is this Linux?")


def parse_machine(stat: str) -> Machine:
    """Reads the first line of /proc/stat: user nice system idle iowait irq softirq steal."""
    user, nice, system, idle, iowait, irq, softirq, steal = (int(field) / TICKS for field in stat.split()[1:9])
    return Machine(user + nice, system, irq + softirq, idle + iowait, steal)
