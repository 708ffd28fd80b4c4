"""What a reward function is told of the objects on the track (contract 5.1, the keys with ``object``)."""

from __future__ import annotations

from math import cos, radians, sin, tan
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

from drctl.simulation.race.measuring import HEADING, NOSE_X, NOSE_Y, PROJECTION
from drctl.simulation.race.objects import (
    OBJECT_CENTRE_DISTANCE,
    OBJECT_CONTACT_LENGTH,
    OBJECT_CONTACT_WIDTH,
    OBJECT_IS_LEFT,
    OBJECT_PROJECTION,
    OBJECT_ROLE,
    OBJECT_SPEED,
    OBJECT_X,
    OBJECT_Y,
    OBJECT_YAW,
    ROLE_OBSTACLE,
)
from drctl.simulation.vehicle.geometry import NOSE_M

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LENS_AHEAD: Final = 0.145294 - NOSE_M  # of the nose; contract 5.1, as if the car were level
_LENS_UP: Final = 0.130326
_SIN, _COS = sin(0.2618), cos(0.2618)
_ACROSS: Final = tan(1.13 / 2)
_UPRIGHT: Final = 0.75 * _ACROSS
_NEAREST, _FARTHEST = 0.2, 300.0


@njit(cache=True)
def find_closest(rows: NDArray[np.float64], own_m: float, length_m: float) -> tuple[int, int]:
    """Return which object is the next one behind and which the next one ahead along the track, across the finish too.

    Args:
        rows: ``OBJECT_`` numbers of at least one object, shape (n, OBJECT_SIZE).
        own_m: Projection of the racer on the centre line.
        length_m: Length of the centre line.
    """
    behind, ahead = 0, 0
    least, most = np.inf, -np.inf
    for number in range(len(rows)):
        away = (rows[number, OBJECT_PROJECTION] - own_m) % length_m
        if away == 0.0:  # beside the nose counts as behind
            away = length_m
        if away < least:
            least, ahead = away, number
        if away > most:
            most, behind = away, number
    return behind, ahead


@njit(cache=True)
def is_in_camera(row: NDArray[np.float64], nose_x: float, nose_y: float, heading_rad: float) -> bool:
    """Whether the middle or a corner of an object's floor lies in the camera's field of view.

    Args:
        row: ``OBJECT_`` numbers.
        nose_x: Front of the racer.
        nose_y: Front of the racer.
        heading_rad: Of the racer.
    """
    ahead_x, ahead_y = cos(heading_rad), sin(heading_rad)
    cosine, sine = cos(row[OBJECT_YAW]), sin(row[OBJECT_YAW])
    for point in range(5):
        along = across = 0.0
        if point < 4:
            along = (0.5 if point % 2 else -0.5) * row[OBJECT_CONTACT_LENGTH]
            across = (0.5 if point < 2 else -0.5) * row[OBJECT_CONTACT_WIDTH]
        x = row[OBJECT_X] + along * cosine - across * sine - nose_x
        y = row[OBJECT_Y] + along * sine + across * cosine - nose_y
        forward, left = x * ahead_x + y * ahead_y - _LENS_AHEAD, y * ahead_x - x * ahead_y
        depth = forward * _COS + _LENS_UP * _SIN
        down = _LENS_UP * _COS - forward * _SIN
        if _NEAREST <= depth <= _FARTHEST and abs(left) <= depth * _ACROSS and abs(down) <= depth * _UPRIGHT:
            return True
    return False


def describe_objects(rows: NDArray[np.float64], measure: list[float], length_m: float) -> dict[str, Any]:
    """Return the parameters that tell of objects, in the order in which these were placed.

    `object_in_camera` is about the very object that ``closest_objects`` names as the next one ahead, and the indices
    are those of the lists (contract 10.17 tells what the original mixes up). A bot car that stands has the speed 0.

    Args:
        rows: ``OBJECT_`` numbers, shape (n, OBJECT_SIZE).
        measure: The racer's row of `race.measuring` numbers.
        length_m: Length of the centre line.
    """
    if not len(rows):
        return {
            "closest_objects": [0, 0],
            "objects_location": [],
            "objects_left_of_center": [],
            "object_in_camera": False,
            "objects_speed": [],
            "objects_heading": [],
            "objects_distance_from_center": [],
            "objects_distance": [],
        }
    behind, ahead = find_closest(rows, measure[PROJECTION], length_m)
    heading = radians(measure[HEADING])
    is_standing = rows[:, OBJECT_ROLE] == ROLE_OBSTACLE  # their heading is 0 whatever their pose (contract 5.1)
    return {
        "closest_objects": [behind, ahead],
        "objects_location": rows[:, [OBJECT_X, OBJECT_Y]].tolist(),
        "objects_left_of_center": (rows[:, OBJECT_IS_LEFT] == 1.0).tolist(),
        "object_in_camera": bool(is_in_camera(rows[ahead], measure[NOSE_X], measure[NOSE_Y], heading)),
        "objects_speed": rows[:, OBJECT_SPEED].tolist(),
        "objects_heading": np.where(is_standing, 0.0, rows[:, OBJECT_YAW]).tolist(),
        "objects_distance_from_center": rows[:, OBJECT_CENTRE_DISTANCE].tolist(),
        "objects_distance": rows[:, OBJECT_PROJECTION].tolist(),
    }
