"""Distance from and along a track's centre curve, on a grid over the ground.

A distance changes evenly from place to place where a painted edge jumps. So a coarse grid of distances gives sharp
lines at any magnification, in less memory than a picture of the ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.track.track import Scene


@dataclass(frozen=True, eq=False)
class DistanceField:
    """Distances at the nodes of a grid.

    Attributes:
        values_m: At [row, column]: the offset from the centre curve (left positive, never beyond the reach) and the
            distance along it from its start, shape (rows, columns, 2), float32. Where the road is wider or narrower
            than on average, the offset beside the centre is shifted so that its painted edges have one offset.
        origin_m: World position of node [0, 0]; rows go along y and columns along x.
        spacing_m: Between neighbouring nodes.
        reach_m: Largest offset; farther nodes have it too.
    """

    values_m: NDArray[np.float32]
    origin_m: tuple[float, float]
    spacing_m: float
    reach_m: float


def curve_length_m(scene: Scene) -> float:
    """Return the length of a scene's centre curve, with the closing segment of a loop."""
    curve = np.vstack([scene.curve_m, scene.curve_m[:1]]) if scene.is_closed else scene.curve_m
    return float(np.hypot(*np.diff(curve, axis=0).T).sum())


def measure_distances(
    scene: Scene, bounds_m: tuple[float, float, float, float], spacing_m: float, reach_m: float
) -> DistanceField:
    """Measure the distances at the nodes of a grid that covers a rectangle.

    An open curve counts as going straight on at both ends, with distances below 0 and above its length there.

    Args:
        scene: The track's scene.
        bounds_m: Rectangle (x_min, y_min, x_max, y_max); node [0, 0] lies at (x_min, y_min).
        spacing_m: Between neighbouring nodes.
        reach_m: Farthest offset to measure.
    """
    curve, along, left, right = _prepared_curve(scene, bounds_m, reach_m)
    columns = int(np.ceil((bounds_m[2] - bounds_m[0]) / spacing_m)) + 1
    rows = int(np.ceil((bounds_m[3] - bounds_m[1]) / spacing_m)) + 1
    values = np.empty((rows, columns, 2), np.float32)
    _measure(
        curve,
        along,
        left,
        right,
        bounds_m[0],
        bounds_m[1],
        spacing_m,
        reach_m,
        scene.line_from_m,
        scene.is_closed,
        values,
    )
    return DistanceField(values, (bounds_m[0], bounds_m[1]), spacing_m, reach_m)


def _prepared_curve(
    scene: Scene, bounds_m: tuple[float, float, float, float], reach_m: float
) -> tuple[NDArray[np.float64], ...]:
    """Return the polyline, the distance along it, and by how much the road is wider on the left and right."""
    curve = scene.curve_m
    mean = (scene.curve_half_width_left_m.mean() + scene.curve_half_width_right_m.mean()) / 2
    left, right = scene.curve_half_width_left_m - mean, scene.curve_half_width_right_m - mean
    if scene.is_closed:
        curve = np.vstack([curve, curve[:1]])
        left, right = np.append(left, left[0]), np.append(right, right[0])
        start = 0.0
    else:
        extent = float(np.hypot(bounds_m[2] - bounds_m[0], bounds_m[3] - bounds_m[1])) + reach_m
        ahead, behind = curve[-1] - curve[-2], curve[0] - curve[1]
        first = curve[0] + behind / np.hypot(*behind) * extent
        last = curve[-1] + ahead / np.hypot(*ahead) * extent
        curve = np.vstack([first, curve, last])
        left, right = np.pad(left, 1, mode="edge"), np.pad(right, 1, mode="edge")
        start = -extent
    along = start + np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    return np.ascontiguousarray(curve), along, left, right


@njit(cache=True)
def _measure(
    curve: NDArray[np.float64],
    along: NDArray[np.float64],
    left: NDArray[np.float64],
    right: NDArray[np.float64],
    origin_x: float,
    origin_y: float,
    spacing: float,
    reach: float,
    line_from: float,
    is_closed: bool,
    values: NDArray[np.float32],
) -> None:
    rows, columns = values.shape[0], values.shape[1]
    nearest = np.full((rows, columns), reach * reach)
    values[:, :, 0] = np.nan
    values[:, :, 1] = 0.0
    for k in range(len(curve) - 1):
        ax, ay = curve[k, 0], curve[k, 1]
        bx, by = curve[k + 1, 0] - ax, curve[k + 1, 1] - ay
        square = bx * bx + by * by
        row_from = max(0, int(np.ceil((min(ay, ay + by) - reach - origin_y) / spacing)))
        row_to = min(rows - 1, int(np.floor((max(ay, ay + by) + reach - origin_y) / spacing)))
        column_from = max(0, int(np.ceil((min(ax, ax + bx) - reach - origin_x) / spacing)))
        column_to = min(columns - 1, int(np.floor((max(ax, ax + bx) + reach - origin_x) / spacing)))
        for row in range(row_from, row_to + 1):
            for column in range(column_from, column_to + 1):
                px, py = origin_x + column * spacing - ax, origin_y + row * spacing - ay
                t = min(1.0, max(0.0, (px * bx + py * by) / square))
                dx, dy = px - t * bx, py - t * by
                distance = dx * dx + dy * dy
                if distance < nearest[row, column]:
                    nearest[row, column] = distance
                    is_left = bx * py - by * px >= 0.0
                    wider = (
                        left[k] + t * (left[k + 1] - left[k]) if is_left else right[k] + t * (right[k + 1] - right[k])
                    )
                    offset = np.sqrt(distance)
                    # The dashes in the middle stay where they are; the shift is complete where the lines begin.
                    offset = max(0.0, offset - wider * min(1.0, offset / line_from))
                    values[row, column, 0] = min(offset, reach) * (1.0 if is_left else -1.0)
                    values[row, column, 1] = along[k] + t * (along[k + 1] - along[k])
    _fill_far_nodes(curve, along, origin_x, origin_y, spacing, reach, is_closed, values)


@njit(cache=True)
def _fill_far_nodes(
    curve: NDArray[np.float64],
    along: NDArray[np.float64],
    origin_x: float,
    origin_y: float,
    spacing: float,
    reach: float,
    is_closed: bool,
    values: NDArray[np.float32],
) -> None:
    """Give the nodes out of reach the reach itself, on the side of the curve on which they lie.

    Around a loop the side changes in a row only across nodes within reach, so a node takes its neighbour's side. Its
    distance along the curve is of no use there, while on an open curve it says whether the road has ended.
    """
    for row in range(values.shape[0]):
        side, at = 1.0, 0.0
        for column in range(values.shape[1]):
            if not np.isnan(values[row, column, 0]):
                side = 1.0 if values[row, column, 0] >= 0.0 else -1.0
                continue
            if column == 0 or not is_closed:
                side, at = _search_nearest(curve, along, origin_x + column * spacing, origin_y + row * spacing)
            values[row, column, 0] = side * reach
            values[row, column, 1] = at


@njit(cache=True)
def _search_nearest(curve: NDArray[np.float64], along: NDArray[np.float64], x: float, y: float) -> tuple[float, float]:
    """Return the side of the curve on which a point lies, 1 for left or -1, and its distance along the curve."""
    best, side, at = np.inf, 1.0, 0.0
    for k in range(len(curve) - 1):
        bx, by = curve[k + 1, 0] - curve[k, 0], curve[k + 1, 1] - curve[k, 1]
        px, py = x - curve[k, 0], y - curve[k, 1]
        t = min(1.0, max(0.0, (px * bx + py * by) / (bx * bx + by * by)))
        distance = (px - t * bx) ** 2 + (py - t * by) ** 2
        if distance < best:
            best = distance
            side = 1.0 if bx * py - by * px >= 0.0 else -1.0
            at = along[k] + t * (along[k + 1] - along[k])
    return side, at
