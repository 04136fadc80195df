"""The results as a bar plot in SVG: what Culvert needs, as a share of what stock needs."""

from __future__ import annotations

from html import escape

from .results import Comparison
from .table import number

WIDTH, LEFT, RIGHT = 860, 230, 150
TOP, GROUP, BAR = 64, 58, 18
SPAN = WIDTH - LEFT - RIGHT

STYLE = """\
text { font: 13px sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: bold }
.small { font-size: 11px; fill: #57606a }
.stock { fill: #b6bcc4 }
.culvert { fill: #2f6f9f }
.spread { stroke: #1f2328; stroke-width: 1 }
.target { stroke: #c4432b; stroke-width: 2; stroke-dasharray: 3 2 }"""


def bar_plot(comparisons: list[Comparison]) -> str:
    """Draws each comparison as two bars, stock's being 100 %; a thin line spans least and most, a red one is the target.

    Figures of which more is better are left out: in their bars the shorter one would lose.
    """
    shown = [one for one in comparisons if one.stock and one.culvert and not one.figure.more_is_better]
    height = TOP + GROUP * len(shown) + 16
    groups = "\n".join(_group(comparison, TOP + GROUP * index) for index, comparison in enumerate(shown))
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">
<title>Culvert compared with stock OpenVPN</title>
<style>
{STYLE}
</style>
<rect width="100%" height="100%" fill="#ffffff"/>
<text class="title" x="16" y="26">Culvert compared with stock OpenVPN: shorter is better</text>
<text class="small" x="16" y="46">Medians, stock = 100 %; thin lines: least to most; red: target</text>
{groups}
</svg>
"""


def _group(comparison: Comparison, top: int) -> str:
    stock, culvert, figure = comparison.stock, comparison.culvert, comparison.figure
    # The longest thing drawn must still fit.
    scale = SPAN / max(stock.most, culvert.most, stock.median)
    parts = [
        _text(16, top + 16, comparison.row.name),
        _text(16, top + 34, f"{figure.title}, {figure.unit}", "small"),
    ]
    for side, spread, y in (("stock", stock, top), ("culvert", culvert, top + BAR + 4)):
        middle = y + BAR / 2
        parts += [
            f'<rect class="{side}" x="{LEFT}" y="{y}" width="{spread.median * scale:.1f}" height="{BAR}"/>',
            f'<line class="spread" x1="{LEFT + spread.least * scale:.1f}" x2="{LEFT + spread.most * scale:.1f}" '
            f'y1="{middle}" y2="{middle}"/>',
            _text(LEFT + max(spread.median, spread.most) * scale + 8, y + 14, f"{side} {number(spread.median)}"),
        ]
    if figure.target:
        x = f"{LEFT + stock.median / figure.target * scale:.1f}"
        parts.append(f'<line class="target" x1="{x}" x2="{x}" y1="{top + BAR + 2}" y2="{top + 2 * BAR + 6}"/>')
    return "\n".join(parts)


def _text(x: float, y: float, text: str, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
