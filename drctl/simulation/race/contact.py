"""When a racer touches something, and whose fault that is (contract 5.3, simulator-facts 6)."""

from __future__ import annotations

from math import cos, sin
from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

from drctl.simulation.race.measuring import measure_place
from drctl.simulation.race.objects import (
    BOT_PENALTY,
    OBJECT_CONTACT_LENGTH,
    OBJECT_CONTACT_WIDTH,
    OBJECT_PAUSE,
    OBJECT_PROJECTION,
    OBJECT_ROLE,
    OBJECT_SPEED,
    OBJECT_X,
    OBJECT_Y,
    OBJECT_YAW,
    ROLE_BOT,
    ROLE_OBSTACLE,
)
from drctl.simulation.vehicle.dynamics import STATE_X, STATE_Y, STATE_YAW
from drctl.simulation.vehicle.geometry import LENGTH_M, WIDTH_M

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.race.objects import ObjectBatch
    from drctl.simulation.race.packed_tracks import PackedTracks

NO_CONTACT: Final = 0
CRASH: Final = 1
HIT_FROM_BEHIND: Final = 2

_CORNERS: Final = np.array(
    [
        [LENGTH_M / 2, WIDTH_M / 2],
        [LENGTH_M / 2, -WIDTH_M / 2],
        [-LENGTH_M / 2, WIDTH_M / 2],
        [-LENGTH_M / 2, -WIDTH_M / 2],
    ]
)


@njit(cache=True)
def wrap_along(distance_m: float, length_m: float, is_closed: bool) -> float:
    """Return how far ahead a place is along the centre line, the shorter way round a loop; negative behind."""
    if is_closed:
        distance_m -= length_m * np.floor(distance_m / length_m + 0.5)
    return distance_m


@njit(cache=True)
def touches(state: NDArray[np.float64], row: NDArray[np.float64]) -> bool:
    """Return whether a corner of the racer's rectangle lies inside an object's; not the other way round.

    Args:
        state: The racer's row of `vehicle.dynamics` numbers.
        row: The object's row of ``OBJECT_`` numbers.
    """
    cosine, sine = cos(state[STATE_YAW]), sin(state[STATE_YAW])
    ahead, aside = cos(row[OBJECT_YAW]), sin(row[OBJECT_YAW])
    for corner in range(4):
        x = state[STATE_X] + _CORNERS[corner, 0] * cosine - _CORNERS[corner, 1] * sine - row[OBJECT_X]
        y = state[STATE_Y] + _CORNERS[corner, 0] * sine + _CORNERS[corner, 1] * cosine - row[OBJECT_Y]
        along, across = x * ahead + y * aside, y * ahead - x * aside
        if 2.0 * abs(along) < row[OBJECT_CONTACT_LENGTH] and 2.0 * abs(across) < row[OBJECT_CONTACT_WIDTH]:
            return True
    return False


@njit(cache=True)
def find_contact(
    tracks: PackedTracks, track: int, state: NDArray[np.float64], objects: ObjectBatch, car: int
) -> tuple[int, int]:
    """Return what a racer's contact is, `NO_CONTACT`, `CRASH` or `HIT_FROM_BEHIND`, and with which object, or -1.

    An obstacle is always the racer's fault. Of two cars the one behind is at fault; a bot car that is so stands still
    for its penalty, and the racer is not blamed for anything in that step.

    Args:
        tracks: Packed tracks.
        track: The one that the racer is on.
        state: The racer's row of `vehicle.dynamics` numbers.
        objects: Everybody's objects; a bot car at fault is changed.
        car: Whose.
    """
    contact, number = NO_CONTACT, -1
    for i in range(objects.counts[car]):
        row = objects.rows[car, i]
        if not touches(state, row):
            continue
        is_behind = False
        if row[OBJECT_ROLE] != ROLE_OBSTACLE:
            own, _, _ = measure_place(tracks, track, state[STATE_X], state[STATE_Y])
            is_behind = wrap_along(row[OBJECT_PROJECTION] - own, tracks.length_m[track], tracks.is_closed[track]) <= 0.0
        if is_behind:
            contact, number = HIT_FROM_BEHIND, i
            if row[OBJECT_ROLE] == ROLE_BOT and row[OBJECT_PAUSE] <= 0.0:
                row[OBJECT_PAUSE] = objects.bots[car, BOT_PENALTY]
                row[OBJECT_SPEED] = 0.0
        elif contact == NO_CONTACT:
            contact, number = CRASH, i
    return contact, number
