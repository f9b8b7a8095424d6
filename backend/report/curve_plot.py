"""Learning curves as an SVG drawing, written by hand: no plotting library is needed to look at a simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 900, 460
LEFT, TOP, BOTTOM = 62, 34, 56
LEGEND = 270  # room for "svpp-margin, linear head 99.9%"
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2", "#bcbd22", "#7f7f7f")
BASE = "#222222"
DASHES = ("", "7 4", "2 3")


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def draw(
    counts: Sequence[int], curves: Mapping[str, NDArray[np.float64]], title: str, *, base: str, chance: float = 0.0
) -> str:
    """The SVG text: mean accuracy against labels, one line a name, the mean's standard error as a band.

    counts (r,) labels; curves: name -> (s, r), a row a draw; base: the name that is drawn black; chance: the accuracy
    of guessing, drawn as a dotted line if it is in sight.
    """
    means = {name: values.mean(0) for name, values in curves.items()}
    errors = {
        name: values.std(0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.zeros(values.shape[1])
        for name, values in curves.items()
    }
    low = min(float((means[n] - errors[n]).min()) for n in curves)
    high = max(float((means[n] + errors[n]).max()) for n in curves)
    steps = ticks(max(0.0, low - 0.02), min(1.0, high + 0.02))
    across = _Scale(0, max(counts), LEFT, WIDTH - LEGEND)
    up = _Scale(steps[0], steps[-1], HEIGHT - BOTTOM, TOP)
    parts = [_axes(ticks(0, max(counts)), steps, across, up, title)]
    if steps[0] < chance < steps[-1]:
        y = up.at(chance)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - LEGEND}" stroke="#999" stroke-dasharray="1 4"/>')
        parts.append(f'<text x="{LEFT + 6}" y="{y - 4:.1f}" fill="#888" font-size="11">guessing</text>')
    styles = _styles(list(curves), base)
    for name in curves:
        parts.append(_band(counts, means[name], errors[name], across, up, styles[name][0]))
    for name in sorted(curves, key=lambda name: name != base, reverse=True):  # the base on top
        parts.append(_line(counts, means[name], across, up, *styles[name]))
    parts.append(_legend(means, styles))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="{escape(title)}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>' + "".join(parts) + "</svg>\n"
    )


def ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Round numbers that enclose low..high, at most `most` + 1 steps of 1, 2 or 5 times a power of ten."""
    if high <= low:
        high = low + 1
    rough = (high - low) / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(float(power * factor) for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return [round(float(number * step), 10) for number in np.arange(first, last + 1)]


def _styles(names: Sequence[str], base: str) -> dict[str, tuple[str, str]]:
    """Name -> (colour, dashes)."""
    others = [name for name in names if name != base]
    made = {
        name: (COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)])
        for place, name in enumerate(others)
    }
    return {name: made.get(name, (BASE, "")) for name in names}


def _axes(xs: Sequence[float], ys: Sequence[float], across: _Scale, up: _Scale, title: str) -> str:
    right = WIDTH - LEGEND
    out = [f'<text x="{LEFT}" y="20" font-size="14" font-weight="600">{escape(title)}</text>']
    for value in ys:
        y = up.at(value)
        out.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#e6e6e6"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#444">{100 * value:g}%</text>')
    for value in (value for value in xs if value <= across.high):
        x = across.at(value)
        out.append(f'<path d="M{x:.1f} {HEIGHT - BOTTOM}v5" stroke="#888"/>')
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 19}" text-anchor="middle" fill="#444">{value:g}</text>')
    out.append(f'<path d="M{LEFT} {HEIGHT - BOTTOM}H{right}" stroke="#888"/>')
    middle = (LEFT + right) / 2
    out.append(f'<text x="{middle}" y="{HEIGHT - 14}" text-anchor="middle" fill="#222">labels</text>')
    height = (TOP + HEIGHT - BOTTOM) / 2
    out.append(
        f'<text transform="translate(16 {height}) rotate(-90)" text-anchor="middle" fill="#222">'
        "accuracy on held-out images</text>"
    )
    return "".join(out)


def _points(counts: Sequence[int], values: NDArray[np.float64], across: _Scale, up: _Scale) -> list[str]:
    return [f"{across.at(n):.1f},{up.at(float(value)):.1f}" for n, value in zip(counts, values, strict=True)]


def _band(
    counts: Sequence[int],
    mean: NDArray[np.float64],
    error: NDArray[np.float64],
    across: _Scale,
    up: _Scale,
    colour: str,
) -> str:
    if len(counts) < 2 or not error.any():
        return ""
    above = _points(counts, mean + error, across, up)
    below = _points(counts, mean - error, across, up)[::-1]
    return f'<polygon points="{" ".join(above + below)}" fill="{colour}" fill-opacity="0.1"/>'


def _line(
    counts: Sequence[int], mean: NDArray[np.float64], across: _Scale, up: _Scale, colour: str, dashes: str
) -> str:
    points = _points(counts, mean, across, up)
    wide = 2.6 if colour == BASE else 1.8
    dots = "".join(
        f'<circle cx="{point.split(",")[0]}" cy="{point.split(",")[1]}" r="2.4" fill="{colour}"/>'
        for point in (points if len(points) <= 30 else [])
    )
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="{wide}" '
        f'stroke-linejoin="round"{dash}/>{dots}'
    )


def _legend(means: Mapping[str, NDArray[np.float64]], styles: Mapping[str, tuple[str, str]]) -> str:
    """Names in the order in which the curves end, best first, with the last accuracy."""
    out = []
    x = WIDTH - LEGEND + 18
    room = (HEIGHT - TOP - BOTTOM) / max(len(means), 1)
    step = min(20.0, room)
    for place, name in enumerate(sorted(means, key=lambda name: -float(means[name][-1]))):
        colour, dashes = styles[name]
        y = TOP + 8 + step * place
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        out.append(f'<path d="M{x} {y:.1f}h22" stroke="{colour}" stroke-width="2.4"{dash}/>')
        out.append(
            f'<text x="{x + 29}" y="{y + 4:.1f}" fill="#222">{escape(name)} '
            f'<tspan fill="#777">{100 * float(means[name][-1]):.1f}%</tspan></text>'
        )
    return "".join(out)
