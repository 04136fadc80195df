"""The results as text: Markdown tables, good for a terminal and for docs/benchmarks.md."""

from __future__ import annotations

from .results import Comparison, Run, Spread, medians
from .row import Row

# A process at this share of one core cannot do more.
BUSY = 0.95

DETAILS = (
    ("gbit_per_second", "Gbit/s"),
    ("server_core", "server, cores"),
    ("machine_user", "machine user"),
    ("machine_system", "sys"),
    ("machine_irq", "irq"),
    ("machine_idle", "idle"),
    ("machine_steal", "steal"),
    ("load_client", "client"),
    ("load_sender", "sender"),
    ("load_receiver", "receiver"),
    ("machine_rest", "rest"),
    ("busiest_load", "busiest load, cores"),
    ("load_ceiling", "load's ceiling, Gbit/s"),
    ("per_second", "done per s"),
    ("load_per_cpu_second", "per s of load CPU"),
    ("idle_percent", "idle, %"),
    ("lost_percent", "lost, %"),
)


def comparison_table(comparisons: list[Comparison]) -> str:
    """The one table: medians, least and most, ratios and targets."""
    header = ["row", "figure", "stock", "culvert", "times as good", "target", "met"]
    lines = [
        [
            comparison.row.name,
            f"{comparison.figure.title}, {comparison.figure.unit}",
            spread(comparison.stock),
            spread(comparison.culvert),
            spread(comparison.ratio),
            comparison.figure.target_text,
            {True: "yes", False: "no", None: "-"}[comparison.met],
        ]
        for comparison in comparisons
    ]
    return _markdown(header, lines)


def detail_table(rows: list[Row], runs: list[Run]) -> str:
    """What else was seen, as medians: machine and load in CPU seconds per GiB, and who was at a limit."""
    lines = [
        [row.name, side, *(number(seen[key]) if key in seen else "-" for key, _ in DETAILS), _limit(seen)]
        for row in rows
        for side in ("stock", "culvert")
        if (seen := medians(runs, row.name, side))
    ]
    return _markdown(["row", "server", *(title for _, title in DETAILS), "limited by"], lines)


def spread(values: Spread | None) -> str:
    """A spread as `median (least..most)`."""
    return f"{number(values.median)} ({number(values.least)}..{number(values.most)})" if values else "-"


def number(value: float) -> str:
    """A figure with about three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _limit(seen: dict[str, float]) -> str:
    """Names what kept the work from going faster, as far as CPU time tells."""
    if "busiest_load" not in seen:
        return "-"
    limits = []
    if seen["busiest_load"] >= BUSY:
        limits.append("load")
    if seen["server_core"] >= BUSY:
        limits.append("server")
    if seen["idle_percent"] < 100 * (1 - BUSY):
        limits.append("machine")
    return ", ".join(limits) or "-"


def _markdown(header: list[str], lines: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in [header, *lines]) for column in range(len(header))]

    def render(cells: list[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([render(header), rule, *(render(line) for line in lines)])
