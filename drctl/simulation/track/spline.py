"""Cubic splines through points of the plane: periodic for loops, natural for open tracks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


_Location = tuple["NDArray[np.intp]", "NDArray[np.float64]", "NDArray[np.float64]", "NDArray[np.float64]"]
"""Span of each parameter, the span's width, and how near the parameter is to the span's low and its high end."""


@dataclass(frozen=True, eq=False)
class Spline:
    """A curve through given points with continuous slope and curvature.

    Attributes:
        knots_m: Parameter of each point: chord length from the first one, shape (k,) or (k + 1,) when closed.
        points_m: The points; a closed curve's first one is repeated at the end. Same rows as `knots_m`, 2 columns.
        bends: Second derivative by the parameter at each point, 1/m, same shape as `points_m`.
    """

    knots_m: NDArray[np.float64]
    points_m: NDArray[np.float64]
    bends: NDArray[np.float64]

    def at(self, parameter_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the curve's points, shape (m, 2), at parameters between the first and the last knot, shape (m,)."""
        span, width, low, high = self._locate(parameter_m)
        ends = low * self.points_m[span] + high * self.points_m[span + 1]
        return ends + ((low**3 - low) * self.bends[span] + (high**3 - high) * self.bends[span + 1]) * width**2 / 6

    def slope_at(self, parameter_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivative by the parameter, shape (m, 2); it points along the curve, its length is about 1."""
        span, width, low, high = self._locate(parameter_m)
        chord = (self.points_m[span + 1] - self.points_m[span]) / width
        first, second = (3 * low**2 - 1) * self.bends[span], (3 * high**2 - 1) * self.bends[span + 1]
        return chord + (second - first) * width / 6

    def left_normal_at(self, parameter_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the unit vectors that point left of the curve, shape (m, 2)."""
        slope = self.slope_at(parameter_m)
        slope /= np.hypot(slope[:, 0], slope[:, 1])[:, None]
        return np.column_stack([-slope[:, 1], slope[:, 0]])

    def _locate(self, parameter_m: NDArray[np.float64]) -> _Location:
        span = np.clip(np.searchsorted(self.knots_m, parameter_m, side="right") - 1, 0, len(self.knots_m) - 2)
        width = (self.knots_m[span + 1] - self.knots_m[span])[:, None]
        high = (parameter_m - self.knots_m[span])[:, None] / width
        return span, width, 1.0 - high, high


def fit_spline(points_m: NDArray[np.float64], is_closed: bool) -> Spline:
    """Lay a cubic spline through points; the parameter is the cumulated chord length.

    Args:
        points_m: At least 3 distinct points of a closed curve, not repeated at the end, or 2 of an open one;
            shape (k, 2), no two neighbours equal.
        is_closed: Periodic (slope and curvature agree where it closes) or natural (no curvature at the ends).

    Reference: Press et al., Numerical Recipes, 3.3, equations 3.3.3 and 3.3.7.
    """
    points = np.vstack([points_m, points_m[:1]]) if is_closed else np.asarray(points_m, np.float64)
    width = np.hypot(*np.diff(points, axis=0).T)
    count = len(width) if is_closed else len(points)
    system, right = np.zeros((count, count)), np.zeros((count, 2))
    chord = np.diff(points, axis=0) / width[:, None]
    for row in range(0 if is_closed else 1, count if is_closed else count - 1):
        before, after = width[row - 1], width[row]
        system[row, row - 1] += before / 6
        system[row, row] += (before + after) / 3
        system[row, (row + 1) % count] += after / 6
        right[row] = chord[row] - chord[row - 1]
    if not is_closed:
        system[0, 0] = system[-1, -1] = 1.0
    bends = np.asarray(np.linalg.solve(system, right), np.float64)
    knots = np.concatenate([[0.0], np.cumsum(width)])
    if is_closed:
        bends = np.vstack([bends, bends[:1]])
    return Spline(knots, points, bends)


def tabulate_arc(spline: Spline, chords_per_span: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return parameters along the spline and the arc length up to each, both shape (m,), from 0 to the end."""
    knots = spline.knots_m
    inner = [np.linspace(a, b, chords_per_span, endpoint=False) for a, b in pairwise(knots)]
    parameter = np.concatenate([*inner, knots[-1:]])
    step = np.hypot(*np.diff(spline.at(parameter), axis=0).T)
    return parameter, np.concatenate([[0.0], np.cumsum(step)])
