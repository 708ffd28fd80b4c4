"""How bot cars drive: along their lane at constant speed, with a change of lanes now and then (simulator-facts 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import njit

from drctl.simulation.race.lanes import lane_pose
from drctl.simulation.race.measuring import measure_place
from drctl.simulation.race.objects import (
    BOT_CHANGE_OVER,
    BOT_CHANGES_LANES,
    BOT_LONGEST_WAIT,
    BOT_SHORTEST_WAIT,
    BOT_SPEED,
    OBJECT_ALONG,
    OBJECT_CENTRE_DISTANCE,
    OBJECT_CHANGING,
    OBJECT_DRAWS,
    OBJECT_IS_LEFT,
    OBJECT_LANE,
    OBJECT_PAUSE,
    OBJECT_PROJECTION,
    OBJECT_ROLE,
    OBJECT_SPEED,
    OBJECT_WAITING,
    OBJECT_X,
    OBJECT_Y,
    OBJECT_YAW,
    ROLE_BOT,
)
from drctl.simulation.random import STREAM_LANE_CHANGE
from drctl.simulation.random_kernel import keyed_uniform

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from drctl.simulation.race.lanes import PackedLanes
    from drctl.simulation.race.objects import ObjectBatch
    from drctl.simulation.race.packed_tracks import PackedTracks


@njit(cache=True)
def draw_wait(
    bots: NDArray[np.float64], row: NDArray[np.float64], number: int, seed: int, keys: NDArray[np.int64]
) -> None:
    """Decide how long a bot car stays on its lane.

    Args:
        bots: The car's row of ``BOT_`` numbers.
        row: The bot car's row of ``OBJECT_`` numbers; changed.
        number: Which object of its set it is.
        seed: Seed of the run.
        keys: Stream offset, iteration and episode of the racer.
    """
    uniform = keyed_uniform(seed, STREAM_LANE_CHANGE + keys[0], keys[1], keys[2], number, int(row[OBJECT_DRAWS]))
    row[OBJECT_DRAWS] += 1.0
    row[OBJECT_WAITING] = bots[BOT_SHORTEST_WAIT] + uniform * (bots[BOT_LONGEST_WAIT] - bots[BOT_SHORTEST_WAIT])


@njit(cache=True)
def place_object(
    lanes: PackedLanes, tracks: PackedTracks, track: int, bots: NDArray[np.float64], row: NDArray[np.float64]
) -> None:
    """Work out the pose of an object from its place on its lane, and where that is on the track.

    A change of lanes leads smoothly from one to the other: its share of the way across is w = u^2 (3 - 2 u) for a share
    u of the way along, whose slope is 0 at both ends.
    """
    inwards = 0.5 + 0.5 * row[OBJECT_LANE]
    slope = 0.0
    if row[OBJECT_CHANGING] > 0.0:
        over = bots[BOT_CHANGE_OVER]
        u = 1.0 - row[OBJECT_CHANGING] / over
        inwards -= row[OBJECT_LANE] * u * u * (3.0 - 2.0 * u)
        slope = -row[OBJECT_LANE] * 6.0 * u * (1.0 - u) / over
    x, y, yaw = lane_pose(lanes, track, row[OBJECT_ALONG], inwards, slope)
    row[OBJECT_X], row[OBJECT_Y], row[OBJECT_YAW] = x, y, yaw
    row[OBJECT_PROJECTION], row[OBJECT_CENTRE_DISTANCE], row[OBJECT_IS_LEFT] = measure_place(tracks, track, x, y)


@njit(cache=True)
def _drive(
    bots: NDArray[np.float64],
    row: NDArray[np.float64],
    number: int,
    seed: int,
    keys: NDArray[np.int64],
    time_s: float,
) -> None:
    """Let time pass for one bot car, whatever falls into it."""
    standing = min(row[OBJECT_PAUSE], time_s)
    row[OBJECT_PAUSE] -= standing
    left = time_s - standing
    row[OBJECT_SPEED] = 0.0 if row[OBJECT_PAUSE] > 0.0 else bots[BOT_SPEED]
    speed = bots[BOT_SPEED]
    if speed <= 0.0 or bots[BOT_CHANGES_LANES] == 0.0:
        row[OBJECT_ALONG] += speed * left
        return
    has_changed = False
    while left > 0.0:
        if row[OBJECT_CHANGING] > 0.0:
            part = min(left, row[OBJECT_CHANGING] / speed)
            row[OBJECT_CHANGING] -= part * speed
            row[OBJECT_ALONG] += part * speed
            left -= part
            if row[OBJECT_CHANGING] <= 1e-12:
                row[OBJECT_CHANGING] = 0.0
                row[OBJECT_LANE] = -row[OBJECT_LANE]
                draw_wait(bots, row, number, seed, keys)
        else:
            part = min(left, row[OBJECT_WAITING])
            row[OBJECT_WAITING] -= part
            row[OBJECT_ALONG] += part * speed
            left -= part
            if row[OBJECT_WAITING] > 0.0 or left <= 0.0:
                continue
            row[OBJECT_CHANGING] = bots[BOT_CHANGE_OVER]
            if row[OBJECT_CHANGING] > 0.0:
                continue
            if has_changed:  # without waiting and over no distance there would be no end of it
                row[OBJECT_ALONG] += left * speed
                return
            has_changed = True
            row[OBJECT_LANE] = -row[OBJECT_LANE]
            draw_wait(bots, row, number, seed, keys)


@njit(cache=True)
def drive_bots(
    lanes: PackedLanes,
    tracks: PackedTracks,
    track: int,
    objects: ObjectBatch,
    car: int,
    seed: int,
    keys: NDArray[np.int64],
    time_s: float,
) -> None:
    """Let the bot cars of one car's set drive for a while.

    Args:
        lanes: Packed lanes.
        tracks: Packed tracks.
        track: The one that they are on.
        objects: Everybody's objects; the car's are changed.
        car: Whose.
        seed: Seed of the run.
        keys: Stream offset, iteration and episode of that car.
        time_s: Simulated time.
    """
    for number in range(objects.counts[car]):
        row = objects.rows[car, number]
        if row[OBJECT_ROLE] != ROLE_BOT:
            continue
        _drive(objects.bots[car], row, number, seed, keys, time_s)
        length = tracks.length_m[track]
        if row[OBJECT_ALONG] >= length:  # an open track's bot cars begin anew
            row[OBJECT_ALONG] -= length
        place_object(lanes, tracks, track, objects.bots[car], row)
