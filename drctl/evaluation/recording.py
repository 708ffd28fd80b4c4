"""What is kept of a raced lap, so that it can be drawn later: poses of the car and what the overlay says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from drctl.evaluation.race import RaceOutcome
    from drctl.evaluation.rules import RaceRules
    from drctl.simulation.environment_spec import WorldSpec


@dataclass(frozen=True)
class LapRecording:
    """One lap, or the part of it that was driven before the resets ran out.

    The rows are the steps of the simulation, about 15 per second and not evenly spaced; a car that waits for a penalty
    has rows too. Row i shows the world at the end of step i. The laps of a continuous race follow on from each other:
    the last row of one and the first row of the next are neighbouring steps.

    Attributes:
        world: The track.
        is_reversed: The track was driven against its own direction.
        poses: base_link's x, y in metres and yaw in radians, shape (T, 3), float64, T >= 1.
        times_s: Simulated seconds since the beginning of the race, rising, shape (T,), float64.
        lap_clock_s: Seconds on this lap's clock, penalties included, shape (T,), float64.
        speed_m_s: Commanded speed, 0 while the car waits, shape (T,), float64.
        steering_deg: Commanded steering angle, left positive, shape (T,), float64.
        progress_percent: Progress of the lap, shape (T,), float64.
        statuses: Index of each row's `EpisodeStatus`, shape (T,), uint8; ``PAUSE`` while the car waits.
        resets: Times the car was put back so far in the race, shape (T,), int64.
        lap: Number of the lap, from 1.
        laps_total: Laps of the race.
        best_lap_s: Best of the complete laps before this one, or None.
        last_lap_s: The complete lap before this one, or None.
        display_name: What the overlay calls the car.
        racer_name: Whom it belongs to.
        car_color: ``Black``, ``Grey``, ``Blue``, ``Red``, ``Orange``, ``White`` or ``Purple``.
        body_shell: Shape of the car's body, such as ``deepracer``.
        race_type: ``TIME_TRIAL`` and so on.
        objects: What else is on the track, ``OBJECT_`` numbers of `race.objects`, shape (n, OBJECT_SIZE).
        object_poses: x, y and yaw of each of them at the end of each row's step, shape (T, n, 3); None for nothing.
        object_shells: Shapes of those that are cars, by their number; the others have their own.
    """

    world: WorldSpec
    is_reversed: bool
    poses: NDArray[np.float64]
    times_s: NDArray[np.float64]
    lap_clock_s: NDArray[np.float64]
    speed_m_s: NDArray[np.float64]
    steering_deg: NDArray[np.float64]
    progress_percent: NDArray[np.float64]
    statuses: NDArray[np.uint8]
    resets: NDArray[np.int64]
    lap: int
    laps_total: int
    best_lap_s: float | None = None
    last_lap_s: float | None = None
    display_name: str = ""
    racer_name: str = ""
    car_color: str = "Black"
    body_shell: str = "deepracer"
    race_type: str = "TIME_TRIAL"
    objects: NDArray[np.float64] | None = None
    object_poses: NDArray[np.float64] | None = None
    object_shells: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CarLook:
    """How a car is drawn and named; see `LapRecording`."""

    display_name: str = ""
    racer_name: str = ""
    car_color: str = "Black"
    body_shell: str = "deepracer"
    race_type: str = "TIME_TRIAL"


def cut_into_laps(
    outcome: RaceOutcome,
    world: WorldSpec,
    rules: RaceRules,
    look: CarLook,
    object_shells: Mapping[int, str] | None = None,
) -> list[LapRecording]:
    """Return one recording per lap of a race.

    Args:
        outcome: Of the race.
        world: The track it was driven on.
        rules: Those of the race.
        look: Of the car.
        object_shells: See `LapRecording`.
    """
    recordings: list[LapRecording] = []
    best_s: float | None = None
    last_s: float | None = None
    for lap in outcome.laps:
        of_lap = outcome.rows["episode"] == lap.number - 1
        rows = outcome.rows[of_lap]
        recordings.append(
            LapRecording(
                world=world,
                is_reversed=rules.is_reversed,
                poses=outcome.poses[of_lap],
                times_s=rows["tstamp"].copy(),
                lap_clock_s=rows["tstamp"] - lap.start_s,
                speed_m_s=rows["throttle"].copy(),
                steering_deg=rows["steer"].copy(),
                progress_percent=rows["progress"].copy(),
                statuses=rows["status"].copy(),
                resets=outcome.resets[of_lap],
                lap=lap.number,
                laps_total=rules.laps,
                best_lap_s=best_s,
                last_lap_s=last_s,
                objects=outcome.objects,
                object_poses=outcome.object_poses[of_lap],
                object_shells=object_shells or {},
                **asdict(look),
            )
        )
        if lap.is_complete:
            last_s = lap.total_s
            best_s = lap.total_s if best_s is None else min(best_s, lap.total_s)
    return recordings
