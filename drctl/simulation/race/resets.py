"""Where a car is put back after a mishap, and how its race goes on from there (contract 8, simulator-facts 7)."""

from __future__ import annotations

from math import atan2
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.race.measuring import NOSE_X, NOSE_Y, PROJECTION
from drctl.simulation.race.rules import (
    BACKWARD_STEPS,
    LAST_X,
    LAST_Y,
    PROGRESS,
    START_FRACTION,
    STILL_STEPS,
    count_progress,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.simulation.environment import BatchEnvironment
    from drctl.simulation.race.traffic import Traffic
    from drctl.simulation.track.track import Track

TRIES: Final = 40
"""Places that are tried for one that is free, each `TRY_STEP_M` farther back: 10 m of boxes on both lanes."""

TRY_STEP_M: Final = 0.25

_OPEN_END = 1.0 - 1e-9  # an open track has no place at 100 percent to head on from


class Mishap(NamedTuple):
    """What a car is put back after.

    Attributes:
        status: What happened.
        pose: base_link's x, y and yaw when it happened.
        progress_percent: Progress of the step before.
    """

    status: EpisodeStatus
    pose: tuple[float, float, float]
    progress_percent: float


def find_place(
    environment: BatchEnvironment, car: int, start_fraction: float, mishap: Mishap, behind_m: float
) -> tuple[float, float, float]:
    """Return where a car is put back: base_link's x, y in metres and yaw in radians (contract 8).

    After a crash with something that stands, `behind_m` behind it on the other lane; after one with a car that drives,
    where it is. Otherwise on the lane beside its progress, see `reset_pose`; or, where an object is near that place,
    `behind_m` behind that on the other lane. A place where it would touch another object gives way to one farther back.

    Args:
        environment: Where it drives.
        car: Row of the batch.
        start_fraction: Where the episode began.
        mishap: What happened.
        behind_m: Along the centre line.
    """
    traffic, number = environment.traffic, environment.track_number(car)
    track = environment.track(car)
    if mishap.status is EpisodeStatus.CRASHED:
        touched = environment.touched(car)
        if touched is None or not traffic.stands(car, touched):
            return mishap.pose
        return _place_behind(traffic, car, number, touched, behind_m)
    pose = reset_pose(track, start_fraction, mishap.progress_percent, mishap.pose[:2])
    in_the_way = traffic.nearest(car, number, traffic.along_m(number, pose[:2])) if not traffic.is_empty else None
    return pose if in_the_way is None else _place_behind(traffic, car, number, in_the_way, behind_m)


def _place_behind(traffic: Traffic, car: int, track: int, number: int, behind_m: float) -> tuple[float, float, float]:
    for attempt in range(TRIES):
        for side in (-1.0, 1.0):
            pose = traffic.behind(car, track, number, behind_m + attempt * TRY_STEP_M, side)
            if not traffic.touches_any(car, pose):
                return pose
    return traffic.behind(car, track, number, behind_m, -1.0)


def reset_pose(
    track: Track, start_fraction: float, progress_percent: float, seen_m: tuple[float, float]
) -> tuple[float, float, float]:
    """Return base_link's x, y in metres and yaw in radians for a car that is put back.

    It comes to the nearer of the two lanes, beside the place on the centre line where its progress was counted, heading
    along the lane. Progress counts from the episode's start, so that is added (contract 10.18 forgets it).

    Args:
        track: In driving direction.
        start_fraction: Where the episode began.
        progress_percent: Progress of the step before the mishap.
        seen_m: Where the car was, x and y.
    """
    fraction = start_fraction + progress_percent / 100.0
    fraction = fraction % 1.0 if track.is_closed else min(max(fraction, 0.0), _OPEN_END)
    beside = _point_at(track, fraction * track.length_m)
    # A lane runs midway between centre line and border (simulator-facts 4).
    lanes = [(track.centre_m + border) / 2.0 for border in (track.inner_m, track.outer_m)]
    seen = np.array(seen_m)
    lane = min(lanes, key=lambda line: _project(line, seen, track.is_closed)[0])
    _, point, along = _project(lane, beside, track.is_closed)
    return float(point[0]), float(point[1]), atan2(along[1], along[0])


def resume_race(length_m: float, measure: NDArray[np.float64], race: NDArray[np.float64]) -> None:
    """Let a race go on at the place where its car was put back; standing still and driving back count anew.

    Args:
        length_m: Length of the centre line.
        measure: The placed car's row of `measuring` numbers.
        race: Its race state, shape (RACE_SIZE,), with the progress at which it was put back; changed.
    """
    race[PROGRESS] = count_progress(measure[PROJECTION] / length_m, race[START_FRACTION], race[PROGRESS])
    race[LAST_X], race[LAST_Y] = measure[NOSE_X], measure[NOSE_Y]
    race[STILL_STEPS] = race[BACKWARD_STEPS] = 0.0


def _point_at(track: Track, along_m: float) -> NDArray[np.float64]:
    arc, centre = track.arc_m, track.centre_m
    if track.is_closed:
        arc, centre = np.append(arc, track.length_m), np.concatenate([centre, centre[:1]])
    return np.array([np.interp(along_m, arc, centre[:, axis]) for axis in (0, 1)])


def _project(
    line: NDArray[np.float64], point: NDArray[np.float64], is_closed: bool
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return the distance to a polyline, its nearest point and the direction of the segment there, not normalised."""
    ends = np.roll(line, -1, axis=0)
    begins = line
    if not is_closed:
        begins, ends = line[:-1], ends[:-1]
    along = ends - begins
    squared = np.maximum((along**2).sum(axis=1), np.finfo(float).tiny)  # a lane may have two vertices in one place
    share = np.clip(((point - begins) * along).sum(axis=1) / squared, 0.0, 1.0)
    nearest = begins + share[:, None] * along
    distances = np.hypot(*(nearest - point).T)
    best = int(distances.argmin())
    if not along[best].any():
        best = (best + 1) % len(along)
    return float(distances[best]), nearest[best], along[best]
