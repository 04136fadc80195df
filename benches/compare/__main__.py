"""Command line of the comparison: chooses rows, runs them in interleaved pairs, prints and writes the results."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from . import machine, pki, servers
from .errors import BenchError
from .lab import Lab
from .plot import bar_plot
from .results import Comparison, Run, compare
from .row import Bench, Row
from .rows import ROWS
from .servers import Side
from .table import comparison_table, detail_table

ROOT = Path(__file__).resolve().parents[2]
# Load average of one minute above which a machine isn't quiet.
QUIET_LOAD = 0.5


def main() -> int:
    """Runs the command line; the exit status is 1 when a row could not be measured."""
    options = parse_options()
    if options.list:
        print("\n".join(f"{row.name:16} {row.summary}" for row in ROWS))
        return 0
    # `kill` cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run(options)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; namespaces and programs are gone", file=sys.stderr)
        return 130


def parse_options() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Compares Culvert with stock OpenVPN in network namespaces of this machine. Needs root for them.",
    )
    parser.add_argument("--rows", type=chosen_rows, metavar="ROW,..", help="only these rows")
    parser.add_argument("--pairs", type=positive, default=None, metavar="N", help="runs of each server per row (5)")
    parser.add_argument("--seconds", type=positive, default=None, metavar="S", help="length of a run (10)")
    parser.add_argument("--culvertd", type=program, metavar="PATH", help="this culvertd instead of a release build")
    parser.add_argument("--openvpn", type=program, metavar="PATH", help="this openvpn instead of the system's")
    parser.add_argument("--culvert-bench", type=program, metavar="PATH", dest="generator",
                        help="this load generator instead of a release build")  # fmt: skip
    parser.add_argument("--only", choices=("culvert", "stock"), help="one server only: no ratios")
    parser.add_argument("--quick", action="store_true", help="1 pair of 3 seconds: shows that all works, no more")
    parser.add_argument("--output", type=Path, default=ROOT / "target/bench", metavar="DIR",
                        help="where results.json and results.svg go (target/bench)")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="list the rows")
    options = parser.parse_args()
    options.rows = options.rows or [row for row in ROWS if options.generator or not row.needs_generator]
    options.pairs = options.pairs or (1 if options.quick else 5)
    options.seconds = options.seconds or (3 if options.quick else 10)
    return options


def chosen_rows(text: str) -> list[Row]:
    """Reads names of rows, separated by commas."""
    known = {row.name: row for row in ROWS}
    names = text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"no row named {', '.join(unknown)}; there are: {', '.join(known)}")
    return [known[name] for name in names]


def positive(text: str) -> int:
    """Reads a whole number above zero."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def program(text: str) -> str:
    """Reads the path of a program; runs start in other folders, so it is made absolute."""
    found = shutil.which(text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text} is not a program that can be run")
    return str(Path(found).resolve())


def run(options: argparse.Namespace) -> int:
    """Measures the chosen rows and reports them."""
    if os.geteuid() != 0:
        raise BenchError("network namespaces need root: run scripts/bench, which uses sudo")
    openvpn = options.openvpn or shutil.which("openvpn")
    if not openvpn:
        raise BenchError("openvpn is missing; it is the client of both servers: install it, or name it with --openvpn")
    sides = chosen_sides(options, openvpn)
    about = machine.describe(openvpn, options.culvertd if options.only != "stock" else None)
    print("\n".join(f"{title}: {value}" for title, value in about.items()), flush=True)
    if os.getloadavg()[0] > QUIET_LOAD:
        print("warning: this machine is busy with something else, and the figures will show it", file=sys.stderr)

    left_out = [row.name for row in ROWS if row.needs_generator and not options.generator]
    if left_out:
        print(f"left out, for want of --culvert-bench: {', '.join(left_out)}", file=sys.stderr, flush=True)

    runs: list[Run] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="culvert-bench-") as temporary:
        pki.create(Path(temporary, "pki"))
        for row in options.rows:
            try:
                measure_row(row, sides, openvpn, options, Path(temporary), runs)
            except BenchError as error:
                failed.append(row.name)
                print(f"error: {row.name}: {error}", file=sys.stderr, flush=True)
    report(options, about, compare(options.rows, runs), runs)
    if failed:
        print(f"not measured in full: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def chosen_sides(options: argparse.Namespace, openvpn: str) -> list[Side]:
    """The servers that take part, in the order of their turns."""
    sides = []
    if options.only != "culvert":
        sides.append(servers.stock(openvpn))
    if options.only != "stock":
        if not options.culvertd:
            raise BenchError("no culvertd to measure: run scripts/bench, which builds it, or name one with --culvertd")
        sides.append(servers.culvert(options.culvertd))
    return sides


def measure_row(
    row: Row, sides: list[Side], openvpn: str, options: argparse.Namespace, temporary: Path, runs: list[Run]
) -> None:
    """Runs one row: the servers in turn, A B A B, each time in fresh namespaces. Adds to `runs` as it goes."""
    for pair in range(1, options.pairs + 1):
        for side in sides:
            folder = Path(tempfile.mkdtemp(prefix=f"{row.name}-", dir=temporary))
            (folder / "pki").symlink_to(temporary / "pki")
            with Lab(row.clients, folder) as lab:
                server = side.start(lab, row.transport)
                figures = row.measure(Bench(lab, server, openvpn, options.generator, options.seconds))
            runs.append(Run(row.name, side.name, pair, figures))
            shown = ", ".join(f"{figure.title} {figures[figure.key]:.2f} {figure.unit}" for figure in row.figures)
            print(f"{row.name} {pair}/{options.pairs} {side.name}: {shown}", file=sys.stderr, flush=True)


def report(
    options: argparse.Namespace, about: dict[str, str], comparisons: list[Comparison], runs: list[Run]
) -> None:
    """Prints the tables and writes the files."""
    if not runs:
        return
    print(f"\npairs: {options.pairs}, seconds each: {options.seconds}; median (least..most)\n")
    print(comparison_table(comparisons))
    print("\nMedians; CPU seconds per GiB of payload, the load's own included\n")
    print(detail_table(options.rows, runs))
    options.output.mkdir(parents=True, exist_ok=True)
    results = {
        "machine": about,
        "pairs": options.pairs,
        "seconds": options.seconds,
        "comparisons": [comparison.as_json() for comparison in comparisons],
        "runs": [vars(one) for one in runs],
    }
    (options.output / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    written = [options.output / "results.json"]
    if not options.only:
        (options.output / "results.svg").write_text(bar_plot(comparisons))
        written.append(options.output / "results.svg")
    print(f"\nwritten: {', '.join(os.path.relpath(path) for path in written)}")


sys.exit(main())
