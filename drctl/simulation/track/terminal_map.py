"""A small map of a track in text: borders in Braille dots, an arrow at the start."""

from __future__ import annotations

from math import atan2, pi
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.track.track import Track

_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # Unicode's bits by dot row and column
_BRAILLE: Final = 0x2800
_ARROWS: Final = "→↗↑↖←↙↓↘"  # by eighths of a turn, counter-clockwise


def draw_in_text(track: Track, columns: int = 72, lines: int = 26) -> list[str]:
    """Return the lines of a map, north up.

    Args:
        track: In driving direction.
        columns: Greatest width in characters.
        lines: Greatest height in characters.
    """
    borders = [track.inner_m, track.outer_m]
    low = np.min([border.min(axis=0) for border in borders], axis=0)
    high = np.max([border.max(axis=0) for border in borders], axis=0)
    # A character is two dots wide and four high; dots are about square.
    scale = min((2 * columns - 1) / (high[0] - low[0]), (4 * lines - 1) / (high[1] - low[1]))
    size = np.floor((high - low) * scale).astype(int) + 1
    dots = np.zeros((-(-size[1] // 4) * 4, -(-size[0] // 2) * 2), np.bool_)
    for border in borders:
        for x, y in _dense(border, track.is_closed, 0.5 / scale):
            dots[int((high[1] - y) * scale), int((x - low[0]) * scale)] = True
    rows = [[_letter(dots, line, column) for column in range(dots.shape[1] // 2)] for line in range(len(dots) // 4)]
    start, ahead = track.centre_m[0], track.centre_m[1] - track.centre_m[0]
    arrow = _ARROWS[round(atan2(ahead[1], ahead[0]) / (pi / 4)) % 8]
    rows[int((high[1] - start[1]) * scale) // 4][int((start[0] - low[0]) * scale) // 2] = arrow
    return ["".join(row).rstrip(chr(_BRAILLE)) for row in rows]


def _dense(line_m: NDArray[np.float64], is_closed: bool, spacing_m: float) -> NDArray[np.float64]:
    """Return points at most so far apart on a polyline."""
    line = np.vstack([line_m, line_m[:1]]) if is_closed else line_m
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    at = np.linspace(0.0, arc[-1], int(arc[-1] / spacing_m) + 2)
    return np.column_stack([np.interp(at, arc, line[:, 0]), np.interp(at, arc, line[:, 1])])


def _letter(dots: NDArray[np.bool_], line: int, column: int) -> str:
    bits = 0
    for row in range(4):
        for side in range(2):
            if dots[4 * line + row, 2 * column + side]:
                bits |= _DOTS[row][side]
    return chr(_BRAILLE + bits)
