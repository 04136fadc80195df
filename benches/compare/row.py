"""What a row of the comparison is: its setup (clients), a load, and the figures read off it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .errors import BenchError
from .lab import Lab
from .process import Process

GIB = 2**30

Figures = dict[str, float]


@dataclass(frozen=True)
class Figure:
    """Something a row compares.

    `target` says how many times as good as stock Culvert must be; where it is 1, Culvert must be better. `at_most` is a
    bound on Culvert's own figure instead. A figure with neither has no target.
    """

    key: str
    title: str
    unit: str
    target: int | None = None
    at_most: float | None = None
    more_is_better: bool = False

    @property
    def target_text(self) -> str:
        """What is wanted, as the table shows it."""
        if self.at_most is not None:
            return f"culvert <= {self.at_most:g}"
        if self.target is None:
            return "-"
        return f">= {self.target}" if self.target > 1 else "> 1"

    def ratio(self, stock: float, culvert: float) -> float | None:
        """How many times as good Culvert is, where that can be said."""
        worse, better = (culvert, stock) if self.more_is_better else (stock, culvert)
        return worse / better if better else None

    def met(self, ratio: float | None, culvert: float | None) -> bool | None:
        """Whether the target is reached by this ratio, or the bound kept by Culvert's figure, as far as they are known."""
        if self.at_most is not None:
            return culvert <= self.at_most if culvert is not None else None
        if self.target is None or ratio is None:
            return None
        return ratio >= self.target if self.target > 1 else ratio > 1


@dataclass(frozen=True)
class Bench:
    """One server that runs, in its lab, and how to load it."""

    lab: Lab
    server: Process
    openvpn: str
    generator: str | None
    seconds: int

    @property
    def culvert_bench(self) -> str:
        """The load generator's path; raises `BenchError` where there is none."""
        if not self.generator:
            raise BenchError("this row needs culvert-bench: run scripts/bench, which builds it, or use --culvert-bench")
        return self.generator


Measure = Callable[[Bench], Figures]


@dataclass(frozen=True)
class Row:
    """One line of work that both servers do."""

    name: str
    summary: str
    transport: str
    clients: int
    figures: tuple[Figure, ...]
    measure: Measure
    needs_generator: bool = False
