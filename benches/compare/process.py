"""Long-running programs of a run (servers, clients, iperf3): started, awaited by their log, ended for certain."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from .errors import BenchError

STOP_SECONDS = 5.0
LOG_LINES = 25


class Process:
    """A program that writes to a log file of its own.

    It runs in a session of its own, so that Ctrl-C reaches only this benchmark, which then ends it in order.
    """

    def __init__(self, title: str, command: list[str], log: Path, cwd: Path) -> None:
        self.title = title
        self.log = log
        with log.open("wb") as output:
            try:
                self._child = subprocess.Popen(
                    command,
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise BenchError(f"{title} did not start: {' '.join(command)}: {error.strerror}") from error

    @property
    def pid(self) -> int:
        """The process id. `ip netns exec` replaces itself by the program, so it is the program's own."""
        return self._child.pid

    def log_text(self) -> str:
        """What the program has said so far."""
        return self.log.read_text(errors="replace")

    def check_alive(self) -> None:
        """Raises `BenchError` with the end of the log when the program has ended by itself."""
        status = self._child.poll()
        if status is not None:
            raise BenchError(f"{self.title} ended by itself with status {status}. {self._log_end()}")

    def wait_for(self, text: str, seconds: float) -> None:
        """Returns once the log holds `text`; raises `BenchError` when the program ends or the time is up first."""
        deadline = time.monotonic() + seconds
        while True:
            # Asked before the log is read: the last thing a program does may be to say it.
            ended = self._child.poll() is not None
            if text in self.log_text():
                return
            if ended:
                self.check_alive()
            if time.monotonic() > deadline:
                raise BenchError(f"{self.title} did not say {text!r} within {seconds:.0f} s. {self._log_end()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends the program: politely, then by force."""
        if self._child.poll() is not None:
            return
        self._child.terminate()
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _log_end(self) -> str:
        lines = self.log_text().splitlines()[-LOG_LINES:]
        return "The end of its log:\n" + "\n".join(f"    {line}" for line in lines) if lines else "Its log is empty."


def output_of(title: str, command: list[str], seconds: float, cwd: Path | None = None) -> str:
    """Runs a program to its end within `seconds` and returns what it wrote; raises `BenchError` if it fails."""
    try:
        done = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
    except OSError as error:
        raise BenchError(f"{title} did not start: {' '.join(command)}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{title} did not end within {seconds:.0f} s: {' '.join(command)}") from error
    if done.returncode != 0:
        said = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-LOG_LINES:])
        raise BenchError(f"{title} failed with status {done.returncode}: {' '.join(command)}\n{said}")
    return done.stdout
