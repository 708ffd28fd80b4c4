"""What a track is: a road between two borders, and the scene around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

COINCIDENT_M = 1e-9
"""Centre points closer than this are one point (simulator-facts 4.1)."""


@dataclass(frozen=True)
class Theme:
    """Surface colours, without light.

    Attributes:
        name: Name of the set, such as ``reinvent``.
        road: Between the lines.
        line: Both edge lines.
        dash: Dashes of the centre line.
        field: Ground beside the road.
        wall: Walls around the field.
        backdrop: What is seen above walls and ground where there is no sky.
        noise: Standard deviation of the texture of (road, line, dash, field), in steps of 0 to 255.
    """

    name: str
    road: Color
    line: Color
    dash: Color
    field: Color
    wall: Color
    backdrop: Color
    noise: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Scene:
    """What can be seen; the same in both driving directions, so a track and its reverse share one object.

    Attributes:
        field_m: Ground rectangle (x_min, y_min, x_max, y_max).
        wall_height_m: Height of the wall on the rectangle's edge; 0 for an open field.
        line_from_m: Distance of a white line's inner edge from the centre curve, on both sides.
        line_to_m: Distance of its outer edge. Beyond the half width the line is painted outside the border.
        kerb_m: Strip of red and white kerb, from and to, by distance from the centre curve; None without kerb.
        finish_ahead_m: Distance of the chequered strip's centre from the curve's start, along it; None without strip.
        theme: Colours.
        has_sky: Blue above the horizon instead of the theme's backdrop.
        is_closed: Whether the curve's last point is followed by the first one.
        curve_m: Points of the smooth centre curve, at most 0.02 m apart, shape (c, 2). It starts at waypoint 0 of the
            track's own direction and runs that way; a closed curve does not repeat its first point.
        curve_normal: Unit vectors to the left of the curve, shape (c, 2).
        curve_half_width_left_m: Distance to the left border, shape (c,).
        curve_half_width_right_m: Distance to the right border, shape (c,).
    """

    field_m: tuple[float, float, float, float]
    wall_height_m: float
    line_from_m: float
    line_to_m: float
    kerb_m: tuple[float, float] | None
    finish_ahead_m: float | None
    theme: Theme
    has_sky: bool
    is_closed: bool
    curve_m: NDArray[np.float64]
    curve_normal: NDArray[np.float64]
    curve_half_width_left_m: NDArray[np.float64]
    curve_half_width_right_m: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Track:
    """A track in one driving direction.

    Attributes:
        name: What ``DR_WORLD_NAME`` calls it.
        label: Friendly name.
        waypoints_m: Rows in driving order as in the original's ``.npy`` files: centre x, y, inner border x, y, outer
            border x, y; the closing row of a loop and repeated rows are included. Shape (n, 6), float64.
        is_closed: A loop; the last row equals the first.
        is_reversed: Driven against its own direction.
        scene: Colours, walls and the smooth centre curve.
    """

    name: str
    label: str
    waypoints_m: NDArray[np.float64]
    is_closed: bool
    is_reversed: bool
    scene: Scene

    @classmethod
    def from_waypoints(cls, name: str, rows: NDArray[np.generic]) -> Track:
        """Make a track of the rows of a waypoint file; they are checked and closed first.

        Args:
            name: Name of the track.
            rows: Shape (n, 6), metres.

        Raises:
            TrackError: The rows are not a track.
        """
        from drctl.simulation.track.waypoint_list import check_waypoints, track_from_waypoints

        return track_from_waypoints(name, check_waypoints(rows, name)[0])

    @cached_property
    def distinct_m(self) -> NDArray[np.float64]:
        """Rows without repeated centre points and without the closing row, shape (v, 6)."""
        return _frozen(distinct_rows(self.waypoints_m, self.is_closed))

    @cached_property
    def centre_m(self) -> NDArray[np.float64]:
        """Vertices of the centre line, shape (v, 2); a loop does not repeat the first one."""
        return _frozen(self.distinct_m[:, 0:2])

    @cached_property
    def arc_m(self) -> NDArray[np.float64]:
        """Distance along the centre line from vertex 0 to each vertex, shape (v,)."""
        step = np.hypot(*np.diff(self.centre_m, axis=0).T)
        return _frozen(np.concatenate([[0.0], np.cumsum(step)]))

    @cached_property
    def length_m(self) -> float:
        """Length of the centre line, with the closing segment of a loop."""
        centre = self.centre_m
        closing = float(np.hypot(*(centre[0] - centre[-1]))) if self.is_closed else 0.0
        return float(self.arc_m[-1]) + closing

    @cached_property
    def inner_m(self) -> NDArray[np.float64]:
        """Vertices of the border on the enclosed side, shape (v, 2); a loop does not repeat the first one."""
        return _frozen(self.distinct_m[:, 2:4])

    @cached_property
    def outer_m(self) -> NDArray[np.float64]:
        """Vertices of the other border, shape (v, 2)."""
        return _frozen(self.distinct_m[:, 4:6])

    @cached_property
    def is_counter_clockwise(self) -> bool:
        """Whether the inner border is on the left of the driving direction."""
        centre = self.centre_m
        if self.is_closed:
            return signed_area_m2(centre) > 0
        along, inwards = centre[1] - centre[0], self.inner_m[0] - centre[0]
        return bool(along[0] * inwards[1] - along[1] * inwards[0] > 0)

    def reversed_direction(self) -> Track:
        """Return the same road driven the other way round: the rows in the opposite order (contract 5.1, 4.2).

        A loop still starts at the same point, because its closing row becomes its first. Inner stays inner.
        """
        return replace(self, waypoints_m=_frozen(self.waypoints_m[::-1]), is_reversed=not self.is_reversed)


def distinct_rows(rows: NDArray[np.float64], is_closed: bool) -> NDArray[np.float64]:
    """Return waypoint rows, shape (n, 6), without those that repeat the centre point before them.

    A loop's closing row is left out too.
    """
    step = np.hypot(*np.diff(rows[:, :2], axis=0).T)
    rows = rows[np.concatenate([[True], step > COINCIDENT_M])]
    return rows[:-1] if is_closed else rows


def signed_area_m2(ring_m: NDArray[np.float64]) -> float:
    """Return the area inside a ring of vertices, shape (v, 2); negative when they run clockwise."""
    following = np.roll(ring_m, -1, axis=0)
    return 0.5 * float(np.sum(ring_m[:, 0] * following[:, 1] - following[:, 0] * ring_m[:, 1]))


def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
    copy = np.array(array, np.float64, order="C")
    copy.flags.writeable = False
    return copy
