"""Where a car is on its track: the quantities that rewards, rules and traces speak of (contract 5.1).

Kernels write a row of `MEASURE_SIZE` numbers per car; the constants name the columns.
"""

from __future__ import annotations

from math import cos, degrees, inf, sin, sqrt
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from drctl.simulation.vehicle.dynamics import STATE_X, STATE_Y, STATE_YAW
from drctl.simulation.vehicle.geometry import NOSE_M, WHEELS_M

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.race.packed_tracks import PackedTracks

NOSE_X: Final = 0  # m; the point that counts as the car's position
NOSE_Y: Final = 1
HEADING: Final = 2  # degrees, -180..180
PROJECTION: Final = 3  # m along the centre line from waypoint 0, in driving direction
CENTRE_DISTANCE: Final = 4  # m to the nearest point of the centre line
TRACK_WIDTH: Final = 5  # m between the border points nearest to that point
IS_LEFT: Final = 6  # 1 when the nose is left of the centre line in driving direction
WHEELS_ON_TRACK: Final = 7  # 0 to 4
PREVIOUS_WAYPOINT: Final = 8  # indices of distinct waypoints
NEXT_WAYPOINT: Final = 9
NEAREST_WAYPOINT: Final = 10
CONTACT: Final = 11  # one of the numbers of `race.contact`; `measure_car` leaves 0, for none
MEASURE_SIZE: Final = 12

_WHEELS: Final = np.array(WHEELS_M)
_WINDOW: Final = 4  # segments on either side in which a wheel is looked for before the whole road is


@njit(cache=True)
def _project(
    line: NDArray[np.float64], first: int, last: int, is_closed: bool, x: float, y: float
) -> tuple[float, int, float]:
    """Return (squared distance, segment, share of the segment) of the nearest point of a polyline's vertices."""
    best, best_segment, best_share = inf, first, 0.0
    end = last if is_closed else last - 1
    for here in range(first, end):
        there = here + 1 if here + 1 < last else first
        along_x, along_y = line[there, 0] - line[here, 0], line[there, 1] - line[here, 1]
        off_x, off_y = x - line[here, 0], y - line[here, 1]
        dot = off_x * along_x + off_y * along_y
        squared = along_x * along_x + along_y * along_y
        share = 0.0
        if dot >= squared:
            share = 1.0
        elif dot > 0.0:
            share = dot / squared
        off_x -= share * along_x
        off_y -= share * along_y
        distance = off_x * off_x + off_y * off_y
        if distance < best:
            best, best_segment, best_share = distance, here, share
    return best, best_segment, best_share


@njit(cache=True, inline="always")
def _point_at(line: NDArray[np.float64], first: int, last: int, segment: int, share: float) -> tuple[float, float]:
    there = segment + 1 if segment + 1 < last else first
    return (
        line[segment, 0] + share * (line[there, 0] - line[segment, 0]),
        line[segment, 1] + share * (line[there, 1] - line[segment, 1]),
    )


@njit(cache=True, inline="always")
def _crosses(ax: float, ay: float, bx: float, by: float, x: float, y: float) -> bool:
    """Whether the ray from a point to the right crosses a segment."""
    return (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax)


@njit(cache=True)
def _is_inside(ring: NDArray[np.float64], first: int, last: int, x: float, y: float) -> bool:
    inside = False
    before = last - 1
    for here in range(first, last):
        if _crosses(ring[before, 0], ring[before, 1], ring[here, 0], ring[here, 1], x, y):
            inside = not inside
        before = here
    return inside


@njit(cache=True)
def _is_in_strip(
    inner: NDArray[np.float64], outer: NDArray[np.float64], first: int, last: int, x: float, y: float
) -> bool:
    """Whether a point lies between the borders of an open track and between its two ends."""
    inside = False
    for here in range(first, last - 1):
        for_inner = _crosses(inner[here, 0], inner[here, 1], inner[here + 1, 0], inner[here + 1, 1], x, y)
        for_outer = _crosses(outer[here, 0], outer[here, 1], outer[here + 1, 0], outer[here + 1, 1], x, y)
        inside = inside != (for_inner != for_outer)
    for end in (first, last - 1):
        if _crosses(inner[end, 0], inner[end, 1], outer[end, 0], outer[end, 1], x, y):
            inside = not inside
    return inside


@njit(cache=True)
def is_on_road(tracks: PackedTracks, track: int, x: float, y: float) -> bool:
    """Whether a point lies inside the outer and outside the inner border (contract 5.1, all_wheels_on_track).

    Args:
        tracks: Packed tracks.
        track: Which of them.
        x: World position in metres.
        y: World position in metres.
    """
    first, last = tracks.first[track], tracks.first[track + 1]
    on_road: bool
    if tracks.is_closed[track]:
        on_road = _is_inside(tracks.outer_m, first, last, x, y) and not _is_inside(tracks.inner_m, first, last, x, y)
    else:
        on_road = _is_in_strip(tracks.inner_m, tracks.outer_m, first, last, x, y)
    return on_road


@njit(cache=True)
def _is_clear_of_borders(tracks: PackedTracks, track: int, segment: int, x: float, y: float) -> bool:
    """Whether a point is so near to the centre line around a segment that no border can lie between them."""
    first, last = tracks.first[track], tracks.first[track + 1]
    if not tracks.is_closed[track]:
        return False
    count = last - first
    limit = tracks.clear_m[track] * tracks.clear_m[track]
    line = tracks.centre_m
    for offset in range(-_WINDOW, _WINDOW + 1):
        here = first + (segment - first + offset) % count
        there = here + 1 if here + 1 < last else first
        along_x, along_y = line[there, 0] - line[here, 0], line[there, 1] - line[here, 1]
        off_x, off_y = x - line[here, 0], y - line[here, 1]
        share = min(max((off_x * along_x + off_y * along_y) / (along_x * along_x + along_y * along_y), 0.0), 1.0)
        off_x -= share * along_x
        off_y -= share * along_y
        if off_x * off_x + off_y * off_y < limit:
            return True
    return False


@njit(cache=True)
def measure_car(tracks: PackedTracks, track: int, state: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Measure one car.

    Args:
        tracks: Packed tracks.
        track: The one it is on, in its driving direction.
        state: The car's row of `vehicle.dynamics` numbers.
        out: Filled, shape (MEASURE_SIZE,).
    """
    first, last, is_closed = tracks.first[track], tracks.first[track + 1], tracks.is_closed[track]
    yaw = state[STATE_YAW]
    ahead_x, ahead_y = cos(yaw), sin(yaw)
    x, y = state[STATE_X] + NOSE_M * ahead_x, state[STATE_Y] + NOSE_M * ahead_y
    squared, segment, share = _project(tracks.centre_m, first, last, is_closed, x, y)
    out[NOSE_X], out[NOSE_Y], out[HEADING] = x, y, degrees(yaw)
    out[CENTRE_DISTANCE] = sqrt(squared)
    _place_along(tracks, track, segment, share, out)
    out[NEAREST_WAYPOINT] = _nearest_vertex(tracks.centre_m, first, last, x, y)
    centre_x, centre_y = _point_at(tracks.centre_m, first, last, segment, share)
    _, inner_segment, inner_share = _project(tracks.inner_m, first, last, is_closed, centre_x, centre_y)
    _, outer_segment, outer_share = _project(tracks.outer_m, first, last, is_closed, centre_x, centre_y)
    inner_x, inner_y = _point_at(tracks.inner_m, first, last, inner_segment, inner_share)
    outer_x, outer_y = _point_at(tracks.outer_m, first, last, outer_segment, outer_share)
    out[TRACK_WIDTH] = sqrt((inner_x - outer_x) ** 2 + (inner_y - outer_y) ** 2)
    to_inner, _, _ = _project(tracks.inner_m, first, last, is_closed, x, y)
    to_outer, _, _ = _project(tracks.outer_m, first, last, is_closed, x, y)
    out[IS_LEFT] = 1.0 if (to_inner < to_outer) == tracks.is_counter_clockwise[track] else 0.0
    wheels = 0
    for wheel in range(4):
        wheel_x = state[STATE_X] + _WHEELS[wheel, 0] * ahead_x - _WHEELS[wheel, 1] * ahead_y
        wheel_y = state[STATE_Y] + _WHEELS[wheel, 0] * ahead_y + _WHEELS[wheel, 1] * ahead_x
        if _is_clear_of_borders(tracks, track, segment, wheel_x, wheel_y) or is_on_road(
            tracks, track, wheel_x, wheel_y
        ):
            wheels += 1
    out[WHEELS_ON_TRACK] = wheels
    out[CONTACT] = 0.0


@njit(cache=True)
def measure_place(tracks: PackedTracks, track: int, x: float, y: float) -> tuple[float, float, float]:
    """Return where a point is: metres along the centre line, metres beside it, and 1 when it is left of it, else 0.

    Args:
        tracks: Packed tracks.
        track: Which of them, in its driving direction.
        x: World position in metres.
        y: World position in metres.
    """
    first, last, is_closed = tracks.first[track], tracks.first[track + 1], tracks.is_closed[track]
    squared, segment, share = _project(tracks.centre_m, first, last, is_closed, x, y)
    end = tracks.arc_m[segment + 1] if segment + 1 < last else tracks.length_m[track]
    along = tracks.arc_m[segment] + share * (end - tracks.arc_m[segment])
    to_inner, _, _ = _project(tracks.inner_m, first, last, is_closed, x, y)
    to_outer, _, _ = _project(tracks.outer_m, first, last, is_closed, x, y)
    is_left = 1.0 if (to_inner < to_outer) == tracks.is_counter_clockwise[track] else 0.0
    return along, sqrt(squared), is_left


@njit(cache=True)
def _place_along(tracks: PackedTracks, track: int, segment: int, share: float, out: NDArray[np.float64]) -> None:
    """Fill in the projection and the waypoints before and after it (bisect_right on the waypoints' distances)."""
    first, last = tracks.first[track], tracks.first[track + 1]
    count = last - first
    end = tracks.arc_m[segment + 1] if segment + 1 < last else tracks.length_m[track]
    along = tracks.arc_m[segment] + share * (end - tracks.arc_m[segment])
    previous = segment - first + (1 if share >= 1.0 else 0)
    if tracks.is_closed[track]:
        if previous == count:  # the end of the closing segment is waypoint 0 again
            previous, along = 0, 0.0
        out[NEXT_WAYPOINT] = (previous + 1) % count
    else:
        previous = min(previous, count - 2)
        out[NEXT_WAYPOINT] = previous + 1
    out[PREVIOUS_WAYPOINT] = previous
    out[PROJECTION] = along


@njit(cache=True)
def _nearest_vertex(line: NDArray[np.float64], first: int, last: int, x: float, y: float) -> int:
    best, best_vertex = inf, first
    for vertex in range(first, last):
        distance = (line[vertex, 0] - x) ** 2 + (line[vertex, 1] - y) ** 2
        if distance < best:
            best, best_vertex = distance, vertex
    return best_vertex - first
