"""The two lanes of a road, midway between centre line and border: where bot cars drive and obstacles stand.

A place on a lane is named by metres of the centre line, so that cars on both lanes that drive equally fast stay side by
side, as in the original (simulator-facts 6: constant speed in metres of the centre line along a cubic spline).
"""

from __future__ import annotations

from math import atan2
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numba import njit

from drctl.simulation.track.spline import fit_spline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from drctl.simulation.track.track import Track

INNER: Final = 1.0
OUTER: Final = -1.0
"""Lanes as settings count them (contract 3.3, OBJECT_POSITIONS)."""

_SPACING_M: Final = 0.05  # between tabulated places; on a bend of 0.3 m a chord is off by 1 mm
_SAME_PLACE_M: Final = 1e-6


class PackedLanes(NamedTuple):
    """Lanes of several tracks, tabulated end to end; track t owns the rows ``first[t]`` to ``first[t + 1] - 1``.

    Attributes:
        first: Shape (T + 1,), int64.
        step_m: Metres of the centre line between rows, shape (T,).
        length_m: Length of the centre line, shape (T,).
        is_closed: Whether the row after the last one is the first, shape (T,).
        points_m: x and y of the outer and of the inner lane, shape (R, 4).
        tangents: Their derivatives by metres of the centre line, shape (R, 4).
    """

    first: NDArray[np.int64]
    step_m: NDArray[np.float64]
    length_m: NDArray[np.float64]
    is_closed: NDArray[np.bool_]
    points_m: NDArray[np.float64]
    tangents: NDArray[np.float64]


def pack_lanes(tracks: Sequence[Track]) -> PackedLanes:
    """Tabulate the lanes of tracks, at least one, each in its driving direction."""
    tables = [_tabulate(track) for track in tracks]
    counts = [len(points) for points, _ in tables]
    return PackedLanes(
        first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        step_m=np.array(
            [
                track.length_m / (count if track.is_closed else count - 1)
                for track, count in zip(tracks, counts, strict=True)
            ]
        ),
        length_m=np.array([track.length_m for track in tracks]),
        is_closed=np.array([track.is_closed for track in tracks]),
        points_m=np.concatenate([points for points, _ in tables]),
        tangents=np.concatenate([tangents for _, tangents in tables]),
    )


def no_lanes() -> PackedLanes:
    """Return what stands for lanes where nobody needs them."""
    nothing, table = np.empty(0), np.empty((0, 4))
    return PackedLanes(np.zeros(1, np.int64), nothing, nothing, np.empty(0, np.bool_), table, table)


def _tabulate(track: Track) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    steps = int(np.ceil(track.length_m / _SPACING_M))
    places = np.linspace(0.0, track.length_m, steps + 1)
    step_m = track.length_m / steps
    points = np.hstack([_along_lane(track, border, places) for border in (track.outer_m, track.inner_m)])
    if track.is_closed:
        points = points[:-1]
        tangents = (np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)) / (2 * step_m)
    else:
        tangents = np.gradient(points, step_m, axis=0)
    return points, tangents


def _along_lane(track: Track, border: NDArray[np.float64], places_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points of a lane at places of the centre line, shape (n, 2)."""
    lane, along = (track.centre_m + border) / 2.0, track.arc_m
    following = np.roll(lane, -1, axis=0)
    is_new = np.hypot(*(following - lane).T) > _SAME_PLACE_M  # in a tight bend two vertices may lie in one place
    if not track.is_closed:
        is_new[-1] = True
    spline = fit_spline(lane[is_new], track.is_closed)
    knots = along[is_new]
    if track.is_closed:
        before = knots[-1:] - track.length_m
        knots = np.concatenate([before, knots, knots[:1] + track.length_m])
        end = spline.knots_m[-1]
        parameter = np.concatenate([spline.knots_m[-2:-1] - end, spline.knots_m])
    else:
        parameter = spline.knots_m
    at = np.interp(places_m, knots, parameter)
    return spline.at(at % spline.knots_m[-1] if track.is_closed else at)


@njit(cache=True)
def lane_pose(
    lanes: PackedLanes, track: int, along_m: float, inwards: float, slope: float
) -> tuple[float, float, float]:
    """Return x, y in metres and yaw in radians of a place between the lanes.

    Args:
        lanes: Packed lanes.
        track: Which track.
        along_m: Metres of the centre line; counted round a loop, and held at the ends of an open track.
        inwards: 0 on the outer lane, 1 on the inner one.
        slope: Change of `inwards` per metre of the centre line, which turns the heading.
    """
    first, rows = lanes.first[track], lanes.first[track + 1] - lanes.first[track]
    place = along_m / lanes.step_m[track]
    if lanes.is_closed[track]:
        place %= rows
        low = min(int(place), rows - 1)
        high = (low + 1) % rows
    else:
        place = min(max(place, 0.0), rows - 1.0)
        low = min(int(place), rows - 2)
        high = low + 1
    share = place - low
    low, high = first + low, first + high
    outer_x = lanes.points_m[low, 0] + share * (lanes.points_m[high, 0] - lanes.points_m[low, 0])
    outer_y = lanes.points_m[low, 1] + share * (lanes.points_m[high, 1] - lanes.points_m[low, 1])
    inner_x = lanes.points_m[low, 2] + share * (lanes.points_m[high, 2] - lanes.points_m[low, 2])
    inner_y = lanes.points_m[low, 3] + share * (lanes.points_m[high, 3] - lanes.points_m[low, 3])
    outer_dx = lanes.tangents[low, 0] + share * (lanes.tangents[high, 0] - lanes.tangents[low, 0])
    outer_dy = lanes.tangents[low, 1] + share * (lanes.tangents[high, 1] - lanes.tangents[low, 1])
    inner_dx = lanes.tangents[low, 2] + share * (lanes.tangents[high, 2] - lanes.tangents[low, 2])
    inner_dy = lanes.tangents[low, 3] + share * (lanes.tangents[high, 3] - lanes.tangents[low, 3])
    heading_x = outer_dx + inwards * (inner_dx - outer_dx) + slope * (inner_x - outer_x)
    heading_y = outer_dy + inwards * (inner_dy - outer_dy) + slope * (inner_y - outer_y)
    return (
        outer_x + inwards * (inner_x - outer_x),
        outer_y + inwards * (inner_y - outer_y),
        atan2(heading_y, heading_x),
    )
