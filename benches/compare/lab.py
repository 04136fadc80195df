"""The network of a run: clients, the server and a host behind it, each in a network namespace of its own.

    client 0 -- 10.9.0.0/24 --+
    client 1 -- 10.9.1.0/24 --+-- server -- 10.77.0.0/24 -- host
    ...                       |

Nothing leaves these namespaces, and the machine's own network isn't touched.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from .errors import BenchError
from .process import Process, output_of

PREFIX = "cvbench"
HOST_NETWORK = "10.77.0.0/24"
HOST_ADDRESS = "10.77.0.2"
FIRST_SOURCE = 10


class Lab:
    """The namespaces and the programs in them. A context manager: on leaving, all of them are gone."""

    def __init__(self, clients: int, folder: Path) -> None:
        self.folder = folder
        self._clients = clients
        self._processes: list[Process] = []

    def __enter__(self) -> Lab:
        remove_leftovers()
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    @property
    def server(self) -> str:
        """The server's namespace."""
        return f"{PREFIX}-{os.getpid()}-server"

    @property
    def host(self) -> str:
        """The namespace of the host behind the server."""
        return f"{PREFIX}-{os.getpid()}-host"

    def client(self, index: int) -> str:
        """The namespace of a client."""
        return f"{PREFIX}-{os.getpid()}-client{index}"

    def server_address(self, index: int) -> str:
        """The server's address as client `index` reaches it."""
        return f"10.9.{index}.1"

    def add_sources(self, index: int, count: int) -> list[str]:
        """Gives client `index` more addresses to connect from and returns them: servers limit what comes from one."""
        addresses = [f"10.9.{index}.{FIRST_SOURCE + number}" for number in range(count)]
        batch = self.folder / f"sources{index}"
        batch.write_text("".join(f"addr add {address}/24 dev wan{index}\n" for address in addresses))
        _ip("-n", self.client(index), "-batch", str(batch))
        return addresses

    def start(self, title: str, namespace: str, command: list[str]) -> Process:
        """Starts a program in a namespace; it ends with the lab at the latest."""
        check_exists(namespace)
        log = self.folder / f"{title.replace(' ', '-')}.log"
        process = Process(title, ["ip", "netns", "exec", namespace, *command], log, self.folder)
        self._processes.append(process)
        return process

    def run(self, title: str, namespace: str, command: list[str], seconds: float) -> str:
        """Runs a program in a namespace to its end and returns what it wrote."""
        check_exists(namespace)
        return output_of(title, ["ip", "netns", "exec", namespace, *command], seconds, self.folder)

    def _build(self) -> None:
        clients = [self.client(index) for index in range(self._clients)]
        for namespace in [self.server, self.host, *clients]:
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        self._connect("lan", self.host, "10.77.0.1/24", f"{HOST_ADDRESS}/24")
        _ip("-n", self.host, "route", "add", "default", "via", "10.77.0.1")
        for index, namespace in enumerate(clients):
            self._connect(f"wan{index}", namespace, f"10.9.{index}.1/24", f"10.9.{index}.2/24")
        self.run("sysctl", self.server, ["sysctl", "-qw", "net.ipv4.ip_forward=1"], 10)

    def _connect(self, name: str, namespace: str, server_address: str, peer_address: str) -> None:
        """Lays a cable between the server and `namespace`; its two ends bear the same name."""
        _ip("-n", self.server, "link", "add", name, "type", "veth", "peer", "name", name, "netns", namespace)
        for place, address in ((self.server, server_address), (namespace, peer_address)):
            _ip("-n", place, "addr", "add", address, "dev", name)
            _ip("-n", place, "link", "set", name, "up")

    def _remove(self) -> None:
        with _undisturbed():
            while self._processes:
                self._processes.pop().stop()
            own = f"{PREFIX}-{os.getpid()}-"
            _delete([name for name in _namespaces() if name.startswith(own)])


def check_exists(namespace: str) -> None:
    """Raises `BenchError` when the namespace isn't there."""
    if namespace not in _namespaces():
        raise BenchError(f"the network namespace {namespace} is missing: was it deleted while the benchmark ran?")


def remove_leftovers() -> None:
    """Deletes namespaces of earlier benchmarks that were killed before they could clean up."""
    pattern = re.compile(rf"{PREFIX}-(\d+)-")
    _delete([
        name
        for name in _namespaces()
        if (match := pattern.match(name)) and not Path("/proc", match[1]).exists()
    ])


def _namespaces() -> list[str]:
    # Not `ip netns list`: it fails where no namespace was ever made.
    folder = Path("/run/netns")
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def _delete(names: list[str]) -> None:
    """Deletes namespaces and ends what still runs in them; one that fails doesn't keep the others."""
    for name in names:
        inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
        for pid in inside.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignores a second Ctrl-C or `kill`: cleaning up takes seconds, and half of it is none."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ip(*arguments: str) -> None:
    output_of("ip", ["ip", *arguments], 10)
