"""Draws lines over a common axis as an SVG picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 44, 36, 48, 34  # margins, pixels
COLOURS = ("#1b6ca8", "#d1495b", "#3a7d44", "#8d6a9f")
HIGHEST = 100.0  # percent


def draw(title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return a picture of lines of (x, percent) points; x starts at 0."""
    longest = max((x for points in lines.values() for x, _ in points), default=1.0) or 1.0
    tick = _round_step(longest)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
            'font-size="11" fill="#333">'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="18" font-size="13">{escape(title)}</text>',
    ]
    for percent in range(0, 101, 25):
        y = _y(percent)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{percent}</text>')
    for number in range(int(longest / tick) + 1):
        x = tick * number
        parts.append(f'<text x="{_x(x, longest):.1f}" y="{HEIGHT - 14}" text-anchor="middle">{x:,.0f}</text>')
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        way = " ".join(f"{_x(x, longest):.1f},{_y(percent):.1f}" for x, percent in points)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
        parts.append(f'<text x="{LEFT + 90 * number}" y="36" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _round_step(longest: float) -> float:
    """Return 1, 2 or 5 times a power of ten, of which three to seven fit."""
    power = 10.0 ** math.floor(math.log10(longest / 3))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= longest / 3)


def _x(value: float, longest: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * value / longest


def _y(percent: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(percent, HIGHEST) / HIGHEST
