"""Lines, dots and stacked areas over the iterations of a training."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from markupsafe import Markup, escape

Style = Literal["line", "faint", "dots"]
Point = tuple[float, float]

POINTS: Final = 300
"""A line has so many points at most; each stands for the mean of the iterations around it."""

WIDTH: Final = 460
HEIGHT: Final = 190
LEFT: Final = 46
RIGHT: Final = 12
TOP: Final = 10
BOTTOM: Final = 24
_TICKS: Final = 5  # two at least: the next round step is at most two and a half times as long
_THOUSANDS: Final = 10_000


@dataclass(frozen=True)
class Series:
    """What is drawn in one colour.

    Attributes:
        name: For the key.
        color: A CSS colour, such as ``var(--blue)``.
        points: (iteration, value), by iteration.
        style: ``faint`` is a thin line.
    """

    name: str
    color: str
    points: Sequence[Point]
    style: Style = "line"


@dataclass(frozen=True)
class Figure:
    """A drawing with what stands around it.

    Attributes:
        title: Heading.
        svg: The drawing.
        note: What it says about this training, one sentence; or empty.
        keys: (name, colour) of what is drawn.
        ramp: Words at the ends of a colour ramp: low, high, and which ramp; None without one.
    """

    title: str
    svg: Markup
    note: str = ""
    keys: tuple[tuple[str, str], ...] = ()
    ramp: tuple[str, str, str] | None = None


@dataclass(frozen=True)
class Scale:
    """Places of iterations and values in the drawing."""

    first: float
    last: float
    low: float
    high: float

    def x(self, iteration: float) -> float:
        """Return the column of an iteration."""
        return LEFT + (iteration - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Return the row of a value."""
        return TOP + (self.high - value) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)


def draw_chart(
    title: str,
    series: Sequence[Series],
    *,
    unit: str = "",
    note: str = "",
    low: float | None = None,
    high: float | None = None,
) -> Figure | None:
    """Draw series over the iterations; None when there is nothing to draw.

    Args:
        title: Heading.
        series: Those without points are left out.
        unit: Behind the numbers that are read off.
        note: See `Figure`.
        low: Lower end of the values; None to fit.
        high: Upper end.
    """
    series = [one for one in series if one.points]
    if not series:
        return None
    scale = _fit(series, low, high)
    shapes = [_draw_series(one, scale) for one in series]
    return Figure(
        title,
        _frame(title, scale, shapes, _readable(series, scale, unit)),
        note,
        tuple((one.name, one.color) for one in series),
    )


def draw_areas(title: str, layers: Sequence[tuple[str, str, Sequence[Point]]], *, note: str = "") -> Figure | None:
    """Draw shares that add up to 100 % over the iterations.

    Args:
        title: Heading.
        layers: Name, colour and (iteration, percent) of each, from the bottom up; all over the same iterations.
        note: See `Figure`.
    """
    if not layers or not layers[0][2]:
        return None
    iterations = [iteration for iteration, _ in layers[0][2]]
    scale = Scale(iterations[0], max(iterations[-1], iterations[0] + 1), 0.0, 100.0)
    below = [0.0] * len(iterations)
    shapes, readable = [], []
    for name, color, points in layers:
        above = [value + share for value, (_, share) in zip(below, points, strict=True)]
        outline = [*zip(iterations, above, strict=True), *reversed(list(zip(iterations, below, strict=True)))]
        shapes.append(f'<path d="{_path(outline, scale)}Z" fill="{color}" stroke="{color}" stroke-width=".4"/>')
        readable.append(Series(name, color, points))
        below = above
    svg = _frame(title, scale, shapes, _readable(readable, scale, "%", has_marks=False))
    return Figure(title, svg, note, tuple((name, color) for name, color, _ in layers))


def thin(points: Sequence[Point], count: int = POINTS, *, takes_least: bool = False) -> list[Point]:
    """Return at most so many points: the means, or the least, of equal spans of iterations."""
    if len(points) <= count:
        return list(points)
    size = math.ceil(len(points) / count)
    spans = [points[start : start + size] for start in range(0, len(points), size)]
    if takes_least:
        return [min(span, key=lambda point: point[1]) for span in spans]
    return [(sum(x for x, _ in span) / len(span), sum(value for _, value in span) / len(span)) for span in spans]


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """Return round numbers between two ends, about as many as wanted."""
    rough = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def short(value: float) -> str:
    """Return a number in few digits."""
    size = abs(value)
    if size >= _THOUSANDS:
        return f"{value / 1000:.0f}k"
    if size >= 100 or value == round(value):
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.1 else f"{value:.2g}"


def _labels(values: Sequence[float]) -> Callable[[float], str]:
    """Return what writes the numbers of one axis: all with as many decimals."""
    if len(values) < 2:
        return short
    step = values[1] - values[0]
    if step >= 1 and max(map(abs, values)) >= _THOUSANDS:
        return short
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return lambda value: f"{value:.{decimals}f}"


def _fit(series: Sequence[Series], low: float | None, high: float | None) -> Scale:
    numbers = [x for one in series for x, _ in one.points]
    values = [value for one in series for _, value in one.points]
    bottom, top = (min(values) if low is None else low), (max(values) if high is None else high)
    if top - bottom < 1e-9:
        bottom, top = bottom - 0.5, top + 0.5
    margin = 0.06 * (top - bottom)
    return Scale(
        min(numbers),
        max(max(numbers), min(numbers) + 1),
        bottom - margin if low is None else bottom,
        top + margin if high is None else top,
    )


def _draw_series(one: Series, scale: Scale) -> str:
    if one.style == "dots" or len(one.points) == 1:
        radius = 2.6 if one.style == "dots" else 3
        opacity = ' opacity=".55"' if one.style == "dots" else ""
        dots = "".join(f'<circle cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="{radius}"/>' for x, y in one.points)
        return f'<g fill="{one.color}"{opacity}>{dots}</g>'
    weight = 'stroke-width="1.1" opacity=".75"' if one.style == "faint" else 'stroke-width="2"'
    return f'<path d="{_path(one.points, scale)}" fill="none" stroke="{one.color}" {weight} stroke-linejoin="round"/>'


def _path(points: Sequence[Point], scale: Scale) -> str:
    return "M" + "L".join(f"{scale.x(x):.1f} {scale.y(y):.1f}" for x, y in points)


def _frame(title: str, scale: Scale, shapes: Sequence[str], readable: dict[str, Any]) -> Markup:
    lines = []
    values = ticks(scale.low, scale.high, _TICKS)
    label = _labels(values)
    for tick in values:
        y = scale.y(tick)
        lines.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        lines.append(f'<text x="{LEFT - 7}" y="{y + 3.5:.1f}" text-anchor="end">{label(tick)}</text>')
    lines += [
        f'<text x="{scale.x(tick):.1f}" y="{HEIGHT - 7}" text-anchor="middle">{short(tick)}</text>'
        for tick in ticks(scale.first, scale.last, 6)
        if tick == round(tick)
    ]
    return Markup(  # noqa: S704 - numbers and escaped text alone
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" '
        f'data-chart="{escape(json.dumps(readable, separators=(",", ":")))}">{"".join(lines)}{"".join(shapes)}'
        f'<path class="cursor" d="M0 {TOP}V{HEIGHT - BOTTOM}"/></svg>'
    )


def _readable(series: Sequence[Series], scale: Scale, unit: str, *, has_marks: bool = True) -> dict[str, Any]:
    """Return what the page's script needs to read values off."""
    return {
        "unit": unit,
        "x": [scale.first, scale.last, LEFT, WIDTH - RIGHT],
        "y": [scale.low, scale.high, HEIGHT - BOTTOM, TOP] if has_marks else None,
        "series": [
            {"name": one.name, "color": one.color, "points": [[round(x, 1), float(f"{y:.4g}")] for x, y in one.points]}
            for one in series
        ],
    }
