"""What happens to the cars of a batch in one step, compiled; only the reward function lies between the two halves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from numba import njit

from drctl.simulation.race.bot_cars import drive_bots
from drctl.simulation.race.contact import find_contact
from drctl.simulation.race.measuring import (
    CONTACT,
    HEADING,
    NEAREST_WAYPOINT,
    NOSE_X,
    NOSE_Y,
    WHEELS_ON_TRACK,
    measure_car,
)
from drctl.simulation.race.rules import PROGRESS, TOUCHED, judge
from drctl.simulation.race.step_time import draw_step_time
from drctl.simulation.vehicle.dynamics import advance_car
from drctl.simulation.vehicle.physics import SPEED_LOW_M_S

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from drctl.simulation.race.lanes import PackedLanes
    from drctl.simulation.race.objects import ObjectBatch
    from drctl.simulation.race.packed_tracks import PackedTracks

# Columns of a logged step.
LOG_X: Final = 0
LOG_Y: Final = 1
LOG_YAW: Final = 2
LOG_STEERING: Final = 3
LOG_SPEED: Final = 4
LOG_ACTION: Final = 5
LOG_REWARD: Final = 6
LOG_ALL_WHEELS: Final = 7
LOG_PROGRESS: Final = 8
LOG_WAYPOINT: Final = 9
LOG_TIME: Final = 10
LOG_STATUS: Final = 11
LOG_WALL_CLOCK: Final = 12
LOG_SIZE: Final = 13


@njit(cache=True)
def measure_cars(
    tracks: PackedTracks,
    track_of: NDArray[np.int64],
    states: NDArray[np.float64],
    races: NDArray[np.float64],
    objects: ObjectBatch,
    cars: NDArray[np.int64],
    measures: NDArray[np.float64],
    progress: NDArray[np.float64],
    statuses: NDArray[np.int64],
) -> None:
    """Measure and judge the poses of some cars, before their actions act.

    Args:
        tracks: Packed tracks.
        track_of: Track of every car, shape (num_cars,).
        states: `vehicle.dynamics` rows of every car.
        races: `race.rules` rows of every car; brought up to date.
        objects: What else is on the tracks; bot cars that ran into a car are told to stand still.
        cars: Cars that act, shape (k,).
        measures: Filled, shape (k, MEASURE_SIZE).
        progress: Filled with percent, shape (k,).
        statuses: Filled with `EpisodeStatus.index`, shape (k,).
    """
    for entry in range(len(cars)):
        car = cars[entry]
        measure_car(tracks, track_of[car], states[car], measures[entry])
        if objects.counts[car] > 0:
            contact, touched = find_contact(tracks, track_of[car], states[car], objects, car)
            measures[entry, CONTACT], races[car, TOUCHED] = contact, touched
        statuses[entry] = judge(tracks.length_m[track_of[car]], measures[entry], races[car])
        progress[entry] = races[car, PROGRESS]


@njit(cache=True)
def move_cars(
    physics: NDArray[np.float64],
    states: NDArray[np.float64],
    times_s: NDArray[np.float64],
    steps: NDArray[np.int64],
    keys: NDArray[np.int64],
    seed: int,
    has_jitter: bool,
    tracks: PackedTracks,
    lanes: PackedLanes,
    track_of: NDArray[np.int64],
    objects: ObjectBatch,
    cars: NDArray[np.int64],
    commands: NDArray[np.float64],
) -> None:
    """Let some cars obey their commands for one step.

    Args:
        physics: A row per car as `Physics.pack` returns it, shape (num_cars, n).
        states: `vehicle.dynamics` rows of every car; changed.
        times_s: Simulated time of every car since its reset; advanced.
        steps: Number of each car's current step, shape (num_cars,).
        keys: Stream offset, iteration and episode of every car, shape (num_cars, 3).
        seed: Seed of the run.
        has_jitter: Whether steps differ in length.
        tracks: Packed tracks.
        lanes: Packed lanes of the same tracks.
        track_of: Track of every car, shape (num_cars,).
        objects: What else is on the tracks; moves along.
        cars: Cars that act, shape (k,).
        commands: Degrees and m/s of each of them, shape (k, 2).
    """
    for entry in range(len(cars)):
        car = cars[entry]
        time_s = draw_step_time(seed, keys[car], steps[car], has_jitter)
        advance_car(physics[car], states[car], commands[entry, 0], max(commands[entry, 1], SPEED_LOW_M_S), time_s)
        times_s[car] += time_s
        if objects.counts[car] > 0:
            drive_bots(lanes, tracks, track_of[car], objects, car, seed, keys[car], time_s)


@njit(cache=True)
def log_cars(
    measures: NDArray[np.float64],
    progress: NDArray[np.float64],
    statuses: NDArray[np.int64],
    commands: NDArray[np.float64],
    actions: NDArray[np.int64],
    rewards: NDArray[np.float64],
    times_s: NDArray[np.float64],
    wall_clock: float,
    cars: NDArray[np.int64],
    log: NDArray[np.float64],
) -> None:
    """Write down one step of some cars.

    Args:
        measures: Shape (k, MEASURE_SIZE), of the poses before the actions.
        progress: Percent, shape (k,).
        statuses: `EpisodeStatus.index`, shape (k,).
        commands: Degrees and m/s, shape (k, 2).
        actions: Numbers of the actions, or -1, shape (k,).
        rewards: Shape (k,).
        times_s: Simulated time of every car after the actions, shape (num_cars,).
        wall_clock: Seconds since 1970.
        cars: Cars that acted, shape (k,).
        log: Filled, shape (k, LOG_SIZE).
    """
    for entry in range(len(cars)):
        log[entry, LOG_X] = measures[entry, NOSE_X]
        log[entry, LOG_Y] = measures[entry, NOSE_Y]
        log[entry, LOG_YAW] = measures[entry, HEADING]
        log[entry, LOG_STEERING] = commands[entry, 0]
        log[entry, LOG_SPEED] = commands[entry, 1]
        log[entry, LOG_ACTION] = actions[entry]
        log[entry, LOG_REWARD] = rewards[entry]
        log[entry, LOG_ALL_WHEELS] = 1.0 if measures[entry, WHEELS_ON_TRACK] == 4.0 else 0.0
        log[entry, LOG_PROGRESS] = progress[entry]
        log[entry, LOG_WAYPOINT] = measures[entry, NEAREST_WAYPOINT]
        log[entry, LOG_TIME] = times_s[cars[entry]]
        log[entry, LOG_STATUS] = statuses[entry]
        log[entry, LOG_WALL_CLOCK] = wall_clock
