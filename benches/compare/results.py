"""From single runs to medians, spreads and ratios."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median

from .row import Figure, Figures, Row


@dataclass(frozen=True)
class Run:
    """What one server did in one row of one pair."""

    row: str
    side: str
    pair: int
    figures: Figures


@dataclass(frozen=True)
class Spread:
    """Median, least and most of the same figure over several runs."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Spread | None:
        """The spread of `values`, if there are any."""
        return cls(median(values), min(values), max(values)) if values else None


@dataclass(frozen=True)
class Comparison:
    """One line of the table: a row's figure on both sides, and how many times as good Culvert is, pair by pair."""

    row: Row
    figure: Figure
    stock: Spread | None
    culvert: Spread | None
    ratio: Spread | None

    @property
    def met(self) -> bool | None:
        """Whether the medians reach the target; unknown without one, or when only one side ran."""
        ratio = self.ratio.median if self.ratio else None
        return self.figure.met(ratio, self.culvert.median if self.culvert else None)

    def as_json(self) -> dict[str, object]:
        """The comparison as the JSON file holds it."""
        return {
            "row": self.row.name,
            "figure": self.figure.key,
            "unit": self.figure.unit,
            "target": self.figure.target,
            "at_most": self.figure.at_most,
            "more_is_better": self.figure.more_is_better,
            "met": self.met,
            **{
                name: asdict(spread) if spread else None
                for name, spread in (("stock", self.stock), ("culvert", self.culvert), ("ratio", self.ratio))
            },
        }


def compare(rows: list[Row], runs: list[Run]) -> list[Comparison]:
    """Compares every figure of every row that has a run."""
    return [
        _compare(row, figure, [run for run in runs if run.row == row.name])
        for row in rows
        for figure in row.figures
        if any(run.row == row.name for run in runs)
    ]


def _compare(row: Row, figure: Figure, runs: list[Run]) -> Comparison:
    stock = _by_pair(runs, "stock", figure.key)
    culvert = _by_pair(runs, "culvert", figure.key)
    # A pair's two runs are neighbours in time: what slows the machine down for a minute cancels out.
    pairs = [figure.ratio(stock[pair], culvert[pair]) for pair in stock if pair in culvert]
    ratios = [ratio for ratio in pairs if ratio is not None]
    return Comparison(row, figure, Spread.of([*stock.values()]), Spread.of([*culvert.values()]), Spread.of(ratios))


def _by_pair(runs: list[Run], side: str, key: str) -> dict[int, float]:
    return {run.pair: run.figures[key] for run in runs if run.side == side}


def medians(runs: list[Run], row: str, side: str) -> Figures:
    """The median of each figure of a row, the ones that are not compared included."""
    own = [run.figures for run in runs if run.row == row and run.side == side]
    return {key: median(figures[key] for figures in own) for key in (own[0] if own else {})}
