"""What is kept of a raced lap, so that it can be drawn later: poses of the car and what the overlay says of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from drctl.formats.episode_status import EpisodeStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drctl.evaluation.race import RaceOutcome
    from drctl.evaluation.rules import RaceRules
    from drctl.simulation.environment_spec import WorldSpec

_SAME_S: Final = 1e-6  # clocks that agree differ by rounding alone


@dataclass(frozen=True)
class CarLook:
    """How a car is drawn and named; see `LapRecording`."""

    display_name: str = ""
    racer_name: str = ""
    car_color: str = "Black"
    body_shell: str = "deepracer"
    race_type: str = "TIME_TRIAL"

    @property
    def name(self) -> str:
        """What the overlay calls the car."""
        return self.display_name or self.racer_name


@dataclass(frozen=True)
class RivalRecording:
    """What the overlay says of the other car of a duel, at each row of a lap.

    Attributes:
        look: How it is drawn and named.
        lap: Number of the lap that it is on, from 1, shape (T,), int64.
        lap_clock_s: Seconds on that lap's clock, shape (T,), float64.
        resets: Times it was put back so far in the race, shape (T,), int64.
        is_waiting: It waits for a penalty, shape (T,).
        is_there: It is on the track, shape (T,); not when it has finished.
        is_out: It is not, without having completed its lap, shape (T,).
    """

    look: CarLook
    lap: NDArray[np.int64]
    lap_clock_s: NDArray[np.float64]
    resets: NDArray[np.int64]
    is_waiting: NDArray[np.bool_]
    is_there: NDArray[np.bool_]
    is_out: NDArray[np.bool_]


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
        rival: The other car of a duel, which is the only one of the objects; None where a car races alone.
        has_won: The car wins the duel.
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
    rival: RivalRecording | None = None
    has_won: bool = False


@dataclass(frozen=True)
class RivalRun:
    """The other car of a duel.

    Attributes:
        outcome: What it leaves.
        look: How it is drawn and named.
        is_beaten: The car that is recorded wins the race.
    """

    outcome: RaceOutcome
    look: CarLook
    is_beaten: bool = False

    def during(self, times_s: NDArray[np.float64]) -> RivalRecording:
        """Return what is to be said of it at given moments, in seconds since the beginning of the race."""
        rows, laps = self.outcome.rows, self.outcome.laps
        row = np.clip(np.searchsorted(rows["tstamp"], times_s + _SAME_S, side="right") - 1, 0, None)
        began_s, ended_s = (np.array([getattr(lap, name) for lap in laps]) for name in ("start_s", "end_s"))
        goes_on = np.append(began_s[1:] < ended_s[:-1] + _SAME_S, False)
        is_complete = np.array([lap.is_complete for lap in laps])
        number = rows["episode"][row].astype(np.int64)
        is_there = goes_on[number] | (times_s < ended_s[number] - _SAME_S)
        return RivalRecording(
            look=self.look,
            lap=number + 1,
            lap_clock_s=rows["tstamp"][row] - began_s[number],
            resets=self.outcome.resets[row],
            is_waiting=rows["status"][row] == EpisodeStatus.PAUSE.index,
            is_there=is_there,
            is_out=~is_there & ~is_complete[number],
        )


def cut_into_laps(
    outcome: RaceOutcome,
    world: WorldSpec,
    rules: RaceRules,
    look: CarLook,
    rival: RivalRun | None = None,
) -> list[LapRecording]:
    """Return one recording per lap of a race.

    Where laps start anew, a car that waited for the other one to finish has none of that time in its recordings.

    Args:
        outcome: Of the race.
        world: The track it was driven on.
        rules: Those of the race.
        look: Of the car.
        rival: The other car of a duel.
    """
    recordings: list[LapRecording] = []
    waited_s, ended_s = 0.0, 0.0
    best_s: float | None = None
    last_s: float | None = None
    for lap in outcome.laps:
        of_lap = outcome.rows["episode"] == lap.number - 1
        rows = outcome.rows[of_lap]
        waited_s += lap.start_s - ended_s
        ended_s = lap.end_s
        recordings.append(
            LapRecording(
                world=world,
                is_reversed=rules.is_reversed,
                poses=outcome.poses[of_lap],
                times_s=rows["tstamp"] - waited_s,
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
                rival=None if rival is None else rival.during(rows["tstamp"]),
                has_won=rival is not None and rival.is_beaten,
                **asdict(look),
            )
        )
        if lap.is_complete:
            last_s = lap.total_s
            best_s = lap.total_s if best_s is None else min(best_s, lap.total_s)
    return recordings
