"""Where obstacles and bot cars stand when an episode begins (simulator-facts 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.simulation.race.lanes import INNER, OUTER
from drctl.simulation.random import STREAM_PLACES
from drctl.simulation.random_kernel import keyed_uniform

if TYPE_CHECKING:
    from drctl.formats.race_params import RaceParams

BEFORE_FINISH_M: Final = 1.0
"""The last of the places that are not given stays so far away from the end of the lap."""

Place = tuple[float, float]
"""Metres along the centre line in driving direction, and lane: 1 inner, -1 outer."""


def find_places(race: RaceParams, length_m: float, seed: int, key: tuple[int, int, int]) -> list[Place]:
    """Return the places of a race's objects.

    They are spread evenly from the least distance to `BEFORE_FINISH_M` before the end of the lap, alternating between
    inner and outer lane. Random ones are then moved one after the other, in random order, to anywhere that keeps the
    least distance from both neighbours, on either lane. The least distance of obstacles is in percent of the lap every
    time; the original takes percent of its last value (contract 10.16).

    Args:
        race: What there is.
        length_m: Length of the centre line.
        seed: Seed of the run.
        key: Stream offset, iteration and episode.
    """
    count = race.objects
    if not count:
        return []
    is_avoidance = race.race_type == "OBJECT_AVOIDANCE"
    if is_avoidance and race.obstacle_positions:
        return [(fraction * length_m, float(lane)) for fraction, lane in race.obstacle_positions]
    gap_m = least_gap_m(race, length_m)
    is_random = race.randomizes_obstacles if is_avoidance else race.randomizes_bots
    first = min(gap_m, length_m)
    last = first + room_m(race, length_m)
    along = np.linspace(first, last, count)
    lanes = np.where(np.arange(count) % 2 == 0, INNER, OUTER)
    if is_random:
        draws = np.array([[_draw(seed, key, number, draw) for draw in range(3)] for number in range(count)])
        for number in np.argsort(draws[:, 0], kind="stable"):
            low = along[number - 1] + gap_m if number > 0 else first
            high = along[number + 1] - gap_m if number < count - 1 else last
            if low < high:
                along[number] = low + draws[number, 1] * (high - low)
            lanes[number] = INNER if draws[number, 2] < 0.5 else OUTER
    return [(float(place), float(lane)) for place, lane in zip(along, lanes, strict=True)]


def least_gap_m(race: RaceParams, length_m: float) -> float:
    """Return the least distance between two objects of a race on a lap of some length."""
    return race.obstacle_gap_percent / 100.0 * length_m if race.race_type == "OBJECT_AVOIDANCE" else race.bot_gap_m


def room_m(race: RaceParams, length_m: float) -> float:
    """Return the distance between the first and the last object of a race whose places are not given."""
    return max(length_m - BEFORE_FINISH_M, 0.0) - min(least_gap_m(race, length_m), length_m)


def _draw(seed: int, key: tuple[int, int, int], number: int, draw: int) -> float:
    offset, iteration, episode = key
    uniform: float = keyed_uniform(seed, STREAM_PLACES + offset, iteration, episode, number, draw)
    return uniform
